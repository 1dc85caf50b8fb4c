//! A `coffer server` process of the demonstration, and requests to it over plain HTTP.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use ureq::http::Request;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// A running server; killed when dropped.
pub(super) struct Server {
    child: Child,
    base: String,
    agent: ureq::Agent,
}

impl Server {
    /// Starts the server, waits until it answers, and shows the lines of its log that name the component.
    pub(super) fn start(coffer: &Path, config: &Path, digest: &str) -> Result<Self> {
        let text = fs::read_to_string(config)?;
        let base = text.lines().find_map(|line| line.strip_prefix("api_addr = ")).context("the configuration has no api_addr")?;
        let base = base.trim_matches('"').to_owned();
        let log = config.with_extension("log");
        let out = File::create(&log)?;
        println!("    $ coffer server --config {}", config.display());
        let child = Command::new(coffer)
            .args(["server", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("cannot start coffer")?;
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30))).build().into();
        let mut server = Self { child, base, agent };
        let begin = Instant::now();
        while server.call("GET", "sys/seal-status", None, None).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("coffer ended with {status}:\n{}", fs::read_to_string(&log)?);
            }
            ensure!(begin.elapsed() < START, "coffer does not answer:\n{}", fs::read_to_string(&log)?);
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("    answers after {} ms", begin.elapsed().as_millis());
        server.show_component(&log, digest)?;
        Ok(server)
    }

    /// The log must say which component was loaded, by digest, and what it was granted.
    fn show_component(&self, log: &PathBuf, digest: &str) -> Result<()> {
        let text = fs::read_to_string(log)?;
        let lines: Vec<_> = text.lines().filter(|line| line.contains(digest) || line.contains("grant")).collect();
        ensure!(lines.iter().any(|line| line.contains(digest)), "the server's log does not name the component's digest {digest}:\n{text}");
        for line in lines {
            println!("    {}", line.trim());
        }
        Ok(())
    }

    /// One request below /v1/; the answer's JSON, or an error with the answer's text.
    pub(super) fn call(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> Result<Value> {
        let mut request = Request::builder().method(method).uri(format!("{}/v1/{path}", self.base));
        if let Some(token) = token {
            request = request.header("X-Vault-Token", token);
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut response = self.agent.run(request.body(body)?).with_context(|| format!("{method} {path}"))?;
        let text = response.body_mut().read_to_string()?;
        if !response.status().is_success() {
            bail!("{method} {path}: {}: {text}", response.status());
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{method} {path} answered no JSON: {text}"))
    }

    /// Kills the server as a crash would: no signal handler runs.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks the server to end and waits for it.
    pub(super) fn stop(&mut self) -> Result<()> {
        crate::stage::run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "coffer ended with {status} on SIGTERM");
                println!("    ended cleanly");
                return Ok(());
            }
            ensure!(begin.elapsed() < STOP, "coffer did not end within {} s of SIGTERM", STOP.as_secs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback address with a port that was free a moment ago.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
