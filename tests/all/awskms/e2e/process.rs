//! What these tests share: servers by their configuration, a KMS that checks signatures, and the real `bao` as their client.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cofferdam_emulator::{Keys, Moto};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::e2e::process::{Server, coffer, finish, free_port, script, succeed, text};

pub(super) const REGION: &str = "eu-central-1";
/// No test waits longer for anything.
pub(super) const LIMIT: Duration = Duration::from_secs(180);

/// A server's configuration, and the directory of its files.
pub(super) struct Setup {
    dir: TempDir,
    /// The stanza of the storage.
    pub(super) storage: String,
    /// Those of the seals.
    pub(super) seals: String,
    /// Whose credentials both have; none for the environment's.
    keys: Option<Keys>,
    /// More environment, and more arguments.
    pub(super) environment: Vec<(String, String)>,
    pub(super) arguments: Vec<String>,
    starts: AtomicU32,
}

impl Setup {
    /// A server that stores in files.
    pub(super) fn files(keys: &Keys) -> Setup {
        let mut setup = Setup::table("", "", keys);
        // Tests kill the server between two changes, and look at what is in the files then.
        setup.storage = format!("storage \"filesystem\" {{\n  path = \"{}\"\n  journal = \"false\"\n}}\n", setup.data().display());
        setup
    }

    /// A server that stores in a table of the DynamoDB at the endpoint.
    pub(super) fn table(endpoint: &str, name: &str, keys: &Keys) -> Setup {
        Setup {
            dir: tempfile::tempdir().unwrap(),
            storage: format!("storage \"dynamodb\" {{\n  endpoint = \"{endpoint}\"\n  table = \"{name}\"\n}}\n"),
            seals: String::new(),
            keys: Some(keys.clone()),
            environment: Vec::new(),
            arguments: Vec::new(),
            starts: AtomicU32::new(0),
        }
    }

    /// Without keys: they are looked for.
    pub(super) fn without_keys(mut self) -> Setup {
        self.keys = None;
        self
    }

    /// Sealed by these.
    pub(super) fn sealed_by(mut self, stanzas: &[String]) -> Setup {
        self.seals = stanzas.concat();
        self
    }

    /// Where the files of the filesystem storage are.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self) -> (Command, String) {
        let address = format!("127.0.0.1:{}", free_port());
        let keys = self.keys.as_ref().map_or_else(String::new, |Keys { access, secret, token }| {
            let token = token.as_ref().map_or_else(String::new, |token| format!("  session_token = \"{token}\"\n"));
            format!("  access_key = \"{access}\"\n  secret_key = \"{secret}\"\n{token}")
        });
        let config = self.dir.path().join("coffer.hcl");
        let whole = format!(
            "aws {{\n  region = \"{REGION}\"\n{keys}}}\n{}{}listener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n  \
             disable_unauthed_rekey_endpoints = false\n  disable_unauthed_generate_root_endpoints = false\n}}\napi_addr = \"http://{address}\"\n",
            self.storage, self.seals
        );
        fs::write(&config, whole).unwrap();
        let mut command = coffer();
        command.args(["server", "--config"]).arg(&config).args(&self.arguments).env("HOME", self.dir.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        (command, format!("http://{address}"))
    }

    /// Starts it and waits until it answers, sealed or not. Each start has a log of its own.
    pub(super) fn start(&self) -> Server {
        let (mut command, address) = self.command();
        let log = self.dir.path().join(format!("log-{}", self.starts.fetch_add(1, Ordering::SeqCst)));
        Server::start(&mut command, &address, log, None)
    }

    /// Starts it, has it unseal itself, and gives it this token.
    pub(super) fn serve(&self, token: &str) -> Server {
        let mut server = self.start();
        server.until_active();
        token.clone_into(&mut server.token);
        server
    }

    /// Starts it, which it must refuse; its exit code and what it says.
    pub(super) fn refused(&self) -> (i32, String) {
        let output = finish(&mut self.command().0, LIMIT);
        assert!(!output.status.success(), "the server was started: {}", text(&output));
        (output.status.code().unwrap(), text(&output))
    }
}

/// A stanza of a key at an endpoint; `more` is added to it.
pub(super) fn awskms(key: &str, endpoint: &str, more: &str) -> String {
    format!("seal \"awskms\" {{\n  kms_key_id = \"{key}\"\n  endpoint = \"{endpoint}\"\n{more}}}\n")
}

/// KMS and DynamoDB with every signature checked, and the keys of a user who may use both. One for all tests.
pub(super) async fn signed() -> &'static (Moto, Keys) {
    static SIGNED: OnceCell<(Moto, Keys)> = OnceCell::const_new();
    let start = || async {
        let (moto, user, _) = Moto::start_auth().await.unwrap();
        (moto, user)
    };
    SIGNED.get_or_init(start).await
}

/// Runs the script that knows the stored formats, and KMS by way of boto3.
pub(super) fn kms_blob((moto, keys): &(Moto, Keys), arguments: &[&str]) -> String {
    let mut command = script("kms_blob.py");
    command.args(arguments).env("AWS_ENDPOINT_URL_KMS", moto.endpoint()).env("AWS_DEFAULT_REGION", REGION);
    command.env("AWS_ACCESS_KEY_ID", &keys.access).env("AWS_SECRET_ACCESS_KEY", &keys.secret);
    String::from_utf8(succeed(&mut command, LIMIT).stdout).unwrap().trim().to_owned()
}

/// Runs the real `bao`, or our own client, against a server.
pub(super) fn run(command: Command, server: &Server, arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    finish(server.client(command, home.path()).args(arguments), LIMIT)
}

/// The same with JSON as its answer, and the exit code that it must have.
pub(super) fn json_of(command: Command, server: &Server, arguments: &[&str], code: i32) -> Value {
    let output = run(command, server, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}\n{}", text(&output), server.log());
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// The strings of a list.
pub(super) fn strings(list: &Value) -> Vec<String> {
    serde_json::from_value(list.clone()).unwrap_or_else(|error| panic!("{list}: {error}"))
}

/// Initialises with recovery keys; gives them, and leaves the root token with the server.
pub(super) fn initialise(server: &mut Server, shares: u8, threshold: u8) -> Vec<String> {
    let made = server.done("PUT", "sys/init", Some(json!({"recovery_shares": shares, "recovery_threshold": threshold})));
    server.token = made["root_token"].as_str().unwrap().to_owned();
    server.until_active();
    strings(&made["recovery_keys_base64"])
}

/// Stores a secret in a mount of its own.
pub(super) fn write(server: &Server, value: &str) {
    server.done("POST", "sys/mounts/kv", Some(json!({"type": "kv"})));
    server.done("POST", "kv/entry", Some(json!({"value": value})));
}

/// Whether that secret is there.
pub(super) fn reads(server: &Server, value: &str) {
    assert_eq!(server.done("GET", "kv/entry", None)["data"]["value"], value);
}

/// Gives the shares to generate a root token; the token.
pub(super) fn generate_root(server: &Server, shares: &[String]) -> Option<String> {
    let _ = server.call("DELETE", "sys/generate-root/attempt", None);
    let begun = server.done("PUT", "sys/generate-root/attempt", Some(json!({})));
    let mut last = Value::Null;
    for share in shares {
        let (status, answer) = server.call("PUT", "sys/generate-root/update", Some(json!({"key": share, "nonce": begun["nonce"]})));
        if status != 200 {
            return None;
        }
        last = answer;
    }
    let (encoded, otp) = (last["encoded_token"].as_str().unwrap(), begun["otp"].as_str().unwrap());
    Some(decode_token(encoded, otp))
}

/// The token out of what generate-root answers: XOR with the one-time password.
fn decode_token(encoded: &str, otp: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')).unwrap();
    assert_eq!(bytes.len(), otp.len(), "the token has not the password's length");
    String::from_utf8(bytes.iter().zip(otp.bytes()).map(|(one, other)| one ^ other).collect()).unwrap()
}

/// `sys/seal-status`.
pub(super) fn status(server: &Server) -> Value {
    server.done("GET", "sys/seal-status", None)
}
