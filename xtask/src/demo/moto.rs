//! A KMS on this machine, moto, for the demonstration: it checks every signature and every permission, keeps its keys in memory, and is gone with it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use ureq::http::Request;

use super::owned::Owned;

pub(super) const REGION: &str = "us-east-1";
/// The key id of the configuration. Which key it stands for is the administrator's to change.
pub(super) const ALIAS: &str = "alias/coffer-demo";
const USER: &str = "coffer";
/// Takes a free port, says which, and ends when its input does.
const PROGRAM: &str = "
import logging, sys
logging.getLogger('werkzeug').setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer('127.0.0.1', 0, verbose=False)
server.start()
print('port', server.get_host_and_port()[1], flush=True)
sys.stdin.read()
";

/// Who may use the key. The demonstration looks for both in what must not hold them.
pub(super) struct Keys {
    pub(super) access: String,
    pub(super) secret: String,
}

/// The running server.
pub(super) struct Moto {
    _process: Owned,
    endpoint: String,
    agent: ureq::Agent,
    keys: Keys,
    key: String,
}

impl Moto {
    /// Starts it, makes a key with an alias, and a user who may use it and no more. From then on it takes signed requests alone.
    pub(super) fn start(python: &Path, log: &Path) -> Result<Self> {
        let mut child = Command::new(python)
            .args(["-c", PROGRAM])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("INITIAL_NO_AUTH_ACTION_COUNT", "5")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", python.display()))?;
        let output = child.stdout.take().context("moto has no output")?;
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let keys = Keys { access: String::new(), secret: String::new() };
        let mut moto = Self { _process: Owned(child), endpoint: String::new(), agent, keys, key: String::new() };
        let port = BufReader::new(output).lines().map_while(Result::ok).find_map(|line| line.strip_prefix("port ").map(str::to_owned));
        let port = port.with_context(|| format!("moto does not start: see {}", log.display()))?;
        moto.endpoint = format!("http://127.0.0.1:{port}");
        moto.key = moto.create_key()?;
        moto.done("CreateAlias", &json!({"AliasName": ALIAS, "TargetKeyId": moto.key}))?;
        let actions = ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"];
        let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]});
        moto.iam("CreateUser", &[])?;
        moto.iam("PutUserPolicy", &[("PolicyName", "seal"), ("PolicyDocument", &policy.to_string())])?;
        let made = moto.iam("CreateAccessKey", &[])?;
        let field = |name: &str| {
            let inner = made.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once('<'));
            inner.map(|(inner, _)| inner.to_owned()).with_context(|| format!("CreateAccessKey: no {name} in the answer"))
        };
        moto.keys = Keys { access: field("AccessKeyId")?, secret: field("SecretAccessKey")? };
        println!("    moto at {}: {ALIAS} is {}", moto.endpoint, moto.key);
        println!("    user {USER} may do {}", actions.join(", "));
        let (status, _) = moto.call("DescribeKey", &json!({"KeyId": ALIAS}))?;
        ensure!(status == 403, "moto answers {status} to a request that is not signed, not 403: it checks no signature");
        println!("    a request with a wrong signature is refused");
        Ok(moto)
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The ARN of the key that the alias stands for.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The seal's stanza, and the block with the identity that it and the storage's share.
    pub(super) fn stanzas(&self) -> String {
        format!(
            "seal \"awskms\" {{\n  kms_key_id = \"{ALIAS}\"\n  endpoint   = \"{}\"\n}}\n\naws {{\n  region     = \"{REGION}\"\n  \
             access_key = \"{}\"\n  secret_key = \"{}\"\n}}",
            self.endpoint, self.keys.access, self.keys.secret
        )
    }

    /// Makes another key and points the alias at it, as an administrator does.
    pub(super) fn rotate(&mut self) -> Result<()> {
        // So many further requests are taken without a signature.
        let reset =
            Request::post(format!("{}/moto-api/reset-auth", self.endpoint)).header("Content-Type", "text/plain").body("2".to_owned())?;
        ensure!(self.agent.run(reset)?.status().is_success(), "moto lets nobody administer it");
        let key = self.create_key()?;
        let former = std::mem::replace(&mut self.key, key);
        self.done("UpdateAlias", &json!({"AliasName": ALIAS, "TargetKeyId": self.key}))?;
        println!("    {ALIAS} was {former}\n    {ALIAS} is  {}", self.key);
        Ok(())
    }

    fn create_key(&self) -> Result<String> {
        let made = self.done("CreateKey", &json!({}))?;
        Ok(made.pointer("/KeyMetadata/Arn").and_then(Value::as_str).with_context(|| format!("CreateKey: no ARN in {made}"))?.to_owned())
    }

    /// An operation of KMS that must succeed.
    fn done(&self, operation: &str, body: &Value) -> Result<Value> {
        let (status, text) = self.call(operation, body)?;
        ensure!(status == 200, "{operation} on moto: {status}: {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn call(&self, operation: &str, body: &Value) -> Result<(u16, String)> {
        let target = format!("TrentService.{operation}");
        self.send("kms", Some(&target), "application/x-amz-json-1.1", body.to_string()).with_context(|| format!("{operation} on moto"))
    }

    /// An action of IAM on the user.
    fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let parameters = [&[("Action", action), ("UserName", USER)], parameters].concat();
        let body: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let (status, text) = self.send("iam", None, "application/x-www-form-urlencoded", body.join("&"))?;
        ensure!(status == 200, "{action} on moto: {status}: {text}");
        Ok(text)
    }

    /// A request with the shape of a signature and none that is right.
    fn send(&self, service: &str, target: Option<&str>, content: &str, body: String) -> Result<(u16, String)> {
        let access = if self.keys.access.is_empty() { "AKIAIOSFODNN7EXAMPLE" } else { &self.keys.access };
        let scope = format!("{access}/20260101/{REGION}/{service}/aws4_request");
        let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=0");
        let mut request = Request::post(format!("{}/", self.endpoint)).header("Content-Type", content);
        request = request.header("X-Amz-Date", "20260101T000000Z").header("Authorization", signature);
        if let Some(target) = target {
            request = request.header("X-Amz-Target", target);
        }
        let mut response = self.agent.run(request.body(body)?)?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }
}
