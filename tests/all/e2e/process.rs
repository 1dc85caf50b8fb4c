//! Server processes, the programs they come from, and plain HTTP requests to them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::http::Request;

/// Nothing that a server does takes this long, also on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(180);

/// The checkout's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A program or folder that `cargo xtask` builds or fetches: by its variable, else where xtask puts it.
pub(crate) fn given(variable: &str, usual: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(|| root().join(usual), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `cargo xtask test`, or `cargo xtask build` and `cargo xtask fetch` once", path.display());
    path
}

/// A command of the server's binary.
pub(crate) fn coffer() -> Command {
    let mut command = Command::new(given("COFFER_BIN", "target/release/coffer"));
    // One cache of compiled code for all tests: a fresh one per test would compile the same component every time.
    command.env("COFFER_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("coffer-cache"));
    command
}

/// The built filesystem component.
pub(crate) fn component() -> PathBuf {
    crate::runtime::path("filesystem")
}

/// The real `bao`.
pub(crate) fn bao() -> PathBuf {
    given("TOOLS_DIR", ".tools").join("bin/bao")
}

/// A script below tests/clients, run by the Python that has hvac and cryptography.
pub(crate) fn script(name: &str) -> Command {
    let mut command = Command::new(given("TOOLS_DIR", ".tools").join("py/bin/python3"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(root().join("tests/clients").join(name));
    command
}

/// Runs to the end, or kills and fails when that takes longer than `limit`.
pub(crate) fn finish(command: &mut Command, limit: Duration) -> Output {
    let name = format!("{command:?}");
    let dir = tempfile::tempdir().unwrap();
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    command.stdin(Stdio::null()).stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
    let status = wait(&mut child, limit);
    let output = |status| Output { status, stdout: fs::read(&out).unwrap(), stderr: fs::read(&err).unwrap() };
    match status {
        Some(status) => output(status),
        None => {
            let _ = child.kill();
            let output = output(child.wait().unwrap());
            panic!("{name} does not end within {limit:?}:\n{}", text(&output));
        }
    }
}

/// Like `finish`, and the program must succeed.
pub(crate) fn succeed(command: &mut Command, limit: Duration) -> Output {
    let output = finish(command, limit);
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, text(&output));
    output
}

/// What our server says of a configuration that it must not start with.
pub(crate) fn refused(config: &Path) -> String {
    let output = finish(coffer().args(["server", "--config"]).arg(config), LONG);
    let said = text(&output);
    assert!(!output.status.success(), "the server ran with {}:\n{said}", config.display());
    said
}

/// What a program wrote, to both outputs.
pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if begin.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that is free, with a free one after it: a development `bao` takes that for its cluster.
pub(crate) fn free_port() -> u16 {
    cofferdam_emulator::free_port().unwrap()
}

/// A server process, killed when dropped.
pub(crate) struct Server {
    child: Child,
    agent: ureq::Agent,
    /// Of the form http://127.0.0.1:PORT.
    pub(crate) address: String,
    /// The token of `call`.
    pub(crate) token: String,
    log: PathBuf,
    _dir: Option<TempDir>,
}

impl Server {
    /// Starts a program as a server and waits until its address answers.
    pub(crate) fn start(command: &mut Command, address: &str, log: PathBuf, dir: Option<TempDir>) -> Self {
        let mut server = Self::spawn(command, address, log, dir);
        let begin = Instant::now();
        while server.try_call("GET", "sys/seal-status", None).is_err() {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none() && begin.elapsed() < LONG, "the server does not answer ({ended:?}):\n{}", server.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// Starts a program as a server without waiting for it.
    pub(crate) fn spawn(command: &mut Command, address: &str, log: PathBuf, dir: Option<TempDir>) -> Self {
        let out = File::options().create(true).append(true).open(&log).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(90)))
            .build()
            .into();
        Self { child, agent, address: address.to_owned(), token: String::new(), log, _dir: dir }
    }

    /// Our server with this configuration, whose plain listener is at the address.
    pub(crate) fn configured(config: &Path, address: &str, log: PathBuf) -> Self {
        Self::start(coffer().args(["server", "--config"]).arg(config), &format!("http://{address}"), log, None)
    }

    /// Our server on a directory below `dir`, one plain listener; `more` is added to the configuration.
    pub(crate) fn on(dir: &Path, more: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let config = dir.join("coffer.hcl");
        fs::write(&config, configuration(dir, &address) + more).unwrap();
        Self::configured(&config, &address, dir.join("log"))
    }

    /// Our server without a journal in front of its files, which are below `dir`.
    pub(crate) fn without_a_journal(dir: &Path) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let config = dir.join("coffer.hcl");
        fs::write(&config, storage(dir, "  journal = \"false\"\n") + &listener(&address)).unwrap();
        Self::configured(&config, &address, dir.join("log"))
    }

    /// Our server on a table of the DynamoDB at the endpoint, which it makes if it is missing; its files are below `dir`.
    pub(crate) fn on_table(dir: &Path, endpoint: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let config = dir.join("coffer.hcl");
        fs::write(&config, format!("storage {}\n{}", table(endpoint), listener(&address))).unwrap();
        Self::configured(&config, &address, dir.join("log"))
    }

    /// Our development server, with the root token `root`.
    pub(crate) fn dev() -> Self {
        let (dir, address) = (tempfile::tempdir().unwrap(), format!("127.0.0.1:{}", free_port()));
        let mut command = coffer();
        command.args(["server", "--dev", "--dev-root-token-id=root", "--dev-no-store-token"]);
        command.arg(format!("--dev-listen-address={address}")).env("HOME", dir.path());
        let log = dir.path().join("log");
        let mut server = Self::start(&mut command, &format!("http://{address}"), log, Some(dir));
        server.token = "root".to_owned();
        server.until_active();
        server
    }

    /// What the server has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The server's process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// One request below /v1/, with the status and the JSON of the answer.
    pub(crate) fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value), ureq::Error> {
        self.try_call_as(&self.token, method, path, body)
    }

    fn try_call_as(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value), ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("{}/v1/{path}", self.address));
        if !token.is_empty() {
            request = request.header("X-Vault-Token", token);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut response = self.agent.run(request.body(body)?)?;
        let text = response.body_mut().read_to_string()?;
        Ok((response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Like `try_call`, and the server must answer.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.call_as(&self.token, method, path, body)
    }

    /// Like `call`, with another token; an empty one is none.
    pub(crate) fn call_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.try_call_as(token, method, path, body.as_ref()).unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// Like `call`, and the answer must be a success; gives back its JSON.
    pub(crate) fn done(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// Initialises and unseals; keeps the root token and gives back the unseal keys.
    pub(crate) fn initialise(&mut self, shares: u8, threshold: u8) -> Vec<String> {
        let made = self.done("PUT", "sys/init", Some(json!({"secret_shares": shares, "secret_threshold": threshold})));
        let keys: Vec<String> = serde_json::from_value(made["keys_base64"].clone()).unwrap();
        self.token = made["root_token"].as_str().unwrap().to_owned();
        self.unseal(keys.get(..usize::from(threshold)).unwrap());
        keys
    }

    /// Gives the unseal keys and waits until the server serves.
    pub(crate) fn unseal(&self, keys: &[String]) {
        for key in keys {
            self.done("PUT", "sys/unseal", Some(json!({"key": key})));
        }
        self.until_active();
    }

    /// Waits until the server has sealed itself after a restore, and unseals it with these keys.
    pub(crate) fn reopen(&self, keys: &[String]) {
        until("the restored server to seal itself", self, || self.call("GET", "sys/seal-status", None).1["sealed"] == true);
        self.unseal(keys);
    }

    /// A command of either client for this server, with its token if it has one.
    pub(crate) fn client(&self, mut command: Command, home: &Path) -> Command {
        command.env("HOME", home);
        for prefix in ["BAO", "VAULT"] {
            command.env(format!("{prefix}_ADDR"), &self.address);
            if !self.token.is_empty() {
                command.env(format!("{prefix}_TOKEN"), &self.token);
            }
        }
        command
    }

    /// Waits until the server is unsealed and active.
    pub(crate) fn until_active(&self) {
        let begin = Instant::now();
        while self.call("GET", "sys/health", None).0 != 200 {
            assert!(begin.elapsed() < LONG, "the server does not become active:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        succeed(Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]), Duration::from_secs(60));
    }

    /// Kills the process as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the process to end on its own.
    pub(crate) fn ended(&mut self, limit: Duration) -> ExitStatus {
        wait(&mut self.child, limit).unwrap_or_else(|| panic!("the server does not end within {limit:?}:\n{}", self.log()))
    }

    /// Asks the server to end, which it must do cleanly.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        let status = self.ended(Duration::from_secs(90));
        assert!(status.success(), "{status} on SIGTERM:\n{}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something that must come true.
pub(crate) fn until(what: &str, server: &Server, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LONG, "waited {LONG:?} for {what}:\n{}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A configuration on the directory `dir`/data with one plain listener.
pub(crate) fn configuration(dir: &Path, address: &str) -> String {
    storage(dir, "") + &listener(address)
}

/// The stanza of a storage in files below the directory, with more keys.
pub(crate) fn storage(dir: &Path, more: &str) -> String {
    format!("storage \"filesystem\" {{\n  path = \"{}\"\n{more}}}\n", dir.join("data").display())
}

/// The table that `on_table` is on, as a storage or an end of a migration.
pub(crate) fn table(endpoint: &str) -> String {
    format!(
        "\"dynamodb\" {{\n  endpoint = \"{endpoint}\"\n  region = \"eu-central-1\"\n  table = \"whole-server\"\n  access_key = \"AKIDEXAMPLE\"\n  \
         secret_key = \"example\"\n}}"
    )
}

/// A plain listener.
pub(crate) fn listener(address: &str) -> String {
    format!("listener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n}}\napi_addr = \"http://{address}\"\n")
}
