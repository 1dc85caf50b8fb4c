//! A running proxy, and requests to it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::e2e::process::{finish, given, succeed};

/// Nothing here takes this long, also on a machine that is busy with other things.
pub(super) const LONG: Duration = Duration::from_secs(180);

/// The proxy's program with nothing in its environment but these variables.
pub(super) fn program(variables: &[(&str, &str)]) -> Command {
    with_variables(Command::new(given("COFFER_PROXY_BIN", "target/release/coffer-proxy")), variables)
}

/// A command with nothing in its environment but these variables.
pub(super) fn with_variables(mut command: Command, variables: &[(&str, &str)]) -> Command {
    command.env_clear().env("HOME", "/nonexistent").envs(variables.iter().copied());
    command
}

/// Runs a proxy that must end by itself.
pub(super) fn ended(mut command: Command) -> Output {
    finish(&mut command, LONG)
}

/// A proxy, killed when dropped.
pub(super) struct Proxy {
    child: Child,
    /// `http://127.0.0.1:PORT`, or `unix:///PATH`.
    pub(super) address: String,
    output: BufReader<ChildStdout>,
    log: PathBuf,
}

/// An answer: its status, its `X-Test` header, its JSON.
pub(super) type Answer = (u16, Value);

impl Proxy {
    /// Starts it, and waits until it says that it is ready.
    pub(super) fn start(mut command: Command, dir: &Path) -> Proxy {
        let log = dir.join("proxy.log");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log).unwrap()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let ready = line.strip_prefix("coffer proxy: ready on ").and_then(|rest| rest.split(" for ").next());
        let Some(address) = ready else {
            panic!("{} instead of being ready: {line:?}\n{}", child.wait().unwrap(), fs::read_to_string(&log).unwrap())
        };
        Proxy { child, address: address.to_owned(), output, log }
    }

    /// A request without a token.
    pub(super) fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(LONG))
            .build()
            .into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}/v1/{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response =
            agent.run(request.body(body.to_owned()).unwrap()).unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.log()));
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// The JSON that a GET must get.
    pub(super) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Value {
        let (status, answer) = self.call("GET", path, headers, "");
        assert_eq!(status, 200, "{path}: {answer}\n{}", self.log());
        answer
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(super) fn signal(&self, name: &str) {
        succeed(Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]), LONG);
        if name == "STOP" {
            // The signal is on its way when `kill` returns.
            while !fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap().contains(") T ") {
                std::thread::yield_now();
            }
        }
    }

    /// Waits for its end by the end of its output; gives the rest of that, too.
    pub(super) fn end(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }

    /// Asks it to end, which it must do cleanly.
    pub(super) fn stop(mut self) {
        self.signal("TERM");
        let (status, _) = self.end();
        assert!(status.success(), "{status}\n{}", self.log());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole answer to a GET at a unix socket.
pub(super) fn get_by_socket(path: &Path, target: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nhost: proxy\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
