//! The emulators that are programs. Each runs under a few lines of its own language, which take a free port, print it, and end when their standard
//! input does: so that no emulator outlives the tests, however these end.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::Client;

const DYNALITE: &str = "
const server = require(process.argv[1])({ createTableMs: +process.argv[2], deleteTableMs: 0, updateTableMs: 0 });
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));
process.stdin.on('end', () => process.exit()).resume();
";

const MOTO: &str = "
import logging, sys
logging.getLogger('werkzeug').setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer('127.0.0.1', 0, verbose=False)
server.start()
print('port', server.get_host_and_port()[1], flush=True)
sys.stdin.read()
";

/// A program that has said on which port it listens. It ends when this is dropped, and with this process.
#[derive(Debug)]
struct Program {
    child: Child,
    endpoint: String,
}

impl Program {
    fn start(command: &mut Command) -> Result<Program> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| format!("{command:?}"))?;
        let output = child.stdout.take().context("no standard output")?;
        let mut line = String::new();
        let mut lines = BufReader::new(output);
        // Warnings may come first.
        while !line.starts_with("port ") {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                bail!("{command:?} ended with {}", child.wait()?);
            }
        }
        let port: u16 = line.trim_start_matches("port ").trim().parse().with_context(|| line.clone())?;
        Ok(Program { child, endpoint: format!("http://127.0.0.1:{port}") })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program below the folder into which `cargo xtask fetch` installs.
pub(crate) fn tool(path: &str) -> Result<PathBuf> {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools");
    let tool = std::env::var_os("TOOLS_DIR").map_or_else(usual, PathBuf::from).join(path);
    if !tool.exists() {
        bail!("{} is missing: run `cargo xtask fetch` once", tool.display());
    }
    Ok(tool)
}

/// Dynalite: strict about requests, fast; no transactions, and no look at signatures.
#[derive(Debug)]
pub struct Dynalite(Program);

impl Dynalite {
    /// Starts it with an empty store. A table is CREATING for so many milliseconds after it was created.
    pub fn start(creating_ms: u32) -> Result<Dynalite> {
        let package = tool("node/node_modules/dynalite")?;
        let mut command = Command::new("node");
        command.args(["-e", DYNALITE]).arg(package).arg(creating_ms.to_string());
        Ok(Dynalite(Program::start(&mut command)?))
    }

    /// Of the form `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.0.endpoint
    }
}

/// Moto: slow; transactions, and with [`Moto::start_auth`] every signature checked.
#[derive(Debug)]
pub struct Moto(Program);

/// What a request is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The access key.
    pub access: String,
    /// The secret key.
    pub secret: String,
    /// The session token of temporary keys.
    pub token: Option<String>,
}

impl Moto {
    /// Starts it with an empty store.
    pub fn start() -> Result<Moto> {
        Moto::spawn(None)
    }

    fn spawn(unchecked: Option<u32>) -> Result<Moto> {
        let mut command = Command::new(tool("py/bin/python3")?);
        command.args(["-c", MOTO]).env("PYTHONDONTWRITEBYTECODE", "1").env("AWS_DEFAULT_REGION", "us-east-1");
        if let Some(actions) = unchecked {
            command.env("INITIAL_NO_AUTH_ACTION_COUNT", actions.to_string());
        }
        Ok(Moto(Program::start(&mut command)?))
    }

    /// Starts it so that it checks every signature and every permission. Returns the keys of a user who may do everything with DynamoDB and KMS, and
    /// ask STS who it is, and those of a role that may, too, with a session token.
    pub async fn start_auth() -> Result<(Moto, Keys, Keys)> {
        let allowed = policy(&["dynamodb:*", "kms:*", "sts:GetCallerIdentity"]);
        let trust =
            json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]});
        let calls = [
            ("iam", vec![("Action", "CreateUser"), ("UserName", "user")]),
            ("iam", vec![("Action", "PutUserPolicy"), ("UserName", "user"), ("PolicyName", "all"), ("PolicyDocument", "allowed")]),
            ("iam", vec![("Action", "CreateRole"), ("RoleName", "role"), ("AssumeRolePolicyDocument", "trust")]),
            ("iam", vec![("Action", "PutRolePolicy"), ("RoleName", "role"), ("PolicyName", "all"), ("PolicyDocument", "allowed")]),
            ("iam", vec![("Action", "CreateAccessKey"), ("UserName", "user")]),
            ("sts", vec![("Action", "AssumeRole"), ("RoleArn", "arn:aws:iam::123456789012:role/role"), ("RoleSessionName", "test")]),
        ];
        let moto = Moto::spawn(u32::try_from(calls.len()).ok())?;
        let client = Client::new(moto.endpoint());
        let mut answers = Vec::new();
        for (service, parameters) in calls {
            let text = |value: &str| match value {
                "allowed" => allowed.clone(),
                "trust" => trust.to_string(),
                _ => value.to_owned(),
            };
            let parameters: Vec<(&str, String)> = parameters.into_iter().map(|(name, value)| (name, text(value))).collect();
            answers.push(client.query(service, &parameters).await?);
        }
        let [.., user, role] = &answers[..] else { bail!("no answers") };
        let user = keys_in(user).with_context(|| format!("no keys in {user}"))?;
        let role = keys_in(role).filter(|keys| keys.token.is_some()).with_context(|| format!("no session token in {role}"))?;
        Ok((moto, user, role))
    }

    /// Starts it so that it checks every signature and every permission, with a key of KMS in that region. Returns the keys of a user who may do these actions and no
    /// others, such as `kms:Decrypt`, and the ARN of the key, which has the alias `alias/vault`.
    pub async fn start_auth_kms(region: &str, actions: &[&str]) -> Result<(Moto, Keys, String)> {
        let moto = Moto::spawn(Some(5))?;
        let client = Client::new(moto.endpoint());
        let key = client.kms(region, "CreateKey", &json!({})).await?.1;
        let arn = key["KeyMetadata"]["Arn"].as_str().with_context(|| format!("no ARN in {key}"))?.to_owned();
        client.kms(region, "CreateAlias", &json!({"AliasName": "alias/vault", "TargetKeyId": arn})).await?;
        let user = |action: &'static str| vec![("Action", action.to_owned()), ("UserName", "user".to_owned())];
        client.query("iam", &user("CreateUser")).await?;
        let policy = [("PolicyName", "some".to_owned()), ("PolicyDocument", policy(actions))];
        client.query("iam", &[&user("PutUserPolicy")[..], &policy].concat()).await?;
        let answer = client.query("iam", &user("CreateAccessKey")).await?;
        let keys = keys_in(&answer).with_context(|| format!("no keys in {answer}"))?;
        Ok((moto, keys, arn))
    }

    /// Of the form `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.0.endpoint
    }
}

/// A policy that allows these actions on everything.
fn policy(actions: &[&str]) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}).to_string()
}

fn keys_in(text: &str) -> Option<Keys> {
    let field = |name: &str| between(text, &format!("<{name}>"), &format!("</{name}>")).map(str::to_owned);
    Some(Keys { access: field("AccessKeyId")?, secret: field("SecretAccessKey")?, token: field("SessionToken") })
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(inner, _)| inner)
}

impl Keys {
    /// Keys that no emulator looks at.
    pub fn any() -> Keys {
        Keys { access: "AKIAIOSFODNN7EXAMPLE".to_owned(), secret: "none".to_owned(), token: None }
    }
}

/// A table as Vault creates it.
pub(crate) fn vaults(table: &str) -> Value {
    json!({
        "TableName": table,
        "AttributeDefinitions": [{"AttributeName": "Path", "AttributeType": "S"}, {"AttributeName": "Key", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "Path", "KeyType": "HASH"}, {"AttributeName": "Key", "KeyType": "RANGE"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    })
}
