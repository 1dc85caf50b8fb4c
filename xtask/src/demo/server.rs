//! A `coffer server` process of the demonstration, and requests to it over plain HTTP.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use ureq::http::Request;

use super::owned::Owned;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
/// Variables of the caller's that would change what the configuration says.
const VARIABLES: [&str; 3] = ["AWS", "BAO_", "VAULT_"];

/// A running server.
pub(super) struct Server {
    child: Owned,
    base: String,
    log: PathBuf,
    started: Instant,
    agent: ureq::Agent,
}

impl Server {
    /// Starts the server, waits until it answers, and shows the lines of its log that name the component by its digest.
    pub(super) fn start(coffer: &Path, config: &Path, digest: &str) -> Result<Self> {
        let text = fs::read_to_string(config)?;
        let base = text.lines().find_map(|line| line.strip_prefix("api_addr = ")).context("the configuration has no api_addr")?;
        let base = base.trim_matches('"').to_owned();
        // Each start has a log of its own, so that all of them can be searched at the end.
        let log = config.with_extension(format!("{}.log", Self::logs(config.parent().unwrap_or(config))?.len() + 1));
        let out = File::create(&log)?;
        println!("    $ coffer server --config {}", config.display());
        let mut command = Command::new(coffer);
        for (name, _) in std::env::vars_os() {
            if VARIABLES.iter().any(|start| name.to_string_lossy().starts_with(start)) {
                command.env_remove(name);
            }
        }
        let begin = Instant::now();
        let child = command
            .args(["server", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("cannot start coffer")?;
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30))).build().into();
        let mut server = Self { child: Owned(child), base, log, started: begin, agent };
        while server.call("GET", "sys/seal-status", None, None).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("coffer ended with {status}:\n{}", server.text()?);
            }
            ensure!(begin.elapsed() < START, "coffer does not answer:\n{}", server.text()?);
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("    answers after {} ms", begin.elapsed().as_millis());
        server.show_log(digest)?;
        Ok(server)
    }

    /// Of the form `http://127.0.0.1:PORT`.
    pub(super) fn address(&self) -> &str {
        &self.base
    }

    /// Waits until it is unsealed and serves. Gives the time since its start.
    pub(super) fn until_active(&self) -> Result<Duration> {
        let begin = Instant::now();
        while let Err(error) = self.call("GET", "sys/health", None, None) {
            ensure!(begin.elapsed() < START, "coffer does not unseal itself: {error:#}:\n{}", self.text()?);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(self.started.elapsed())
    }

    /// Shows the lines of its log that have this text in them, of which there is at least one. Gives their number.
    pub(super) fn show_log(&self, text: &str) -> Result<usize> {
        let log = self.text()?;
        let lines: Vec<_> = log.lines().filter(|line| line.contains(text)).collect();
        ensure!(!lines.is_empty(), "{text:?} is not in the server's log:\n{log}");
        for line in &lines {
            println!("    {}", line.trim());
        }
        Ok(lines.len())
    }

    fn text(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| format!("cannot read {}", self.log.display()))
    }

    /// The logs of all servers that were started in this directory: their names and texts.
    pub(super) fn logs(directory: &Path) -> Result<Vec<(String, String)>> {
        let mut logs = Vec::new();
        for entry in fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("coffer.") && name.ends_with(".log") {
                logs.push((name, fs::read_to_string(entry.path())?));
            }
        }
        Ok(logs)
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

/// A loopback address with a port that was free a moment ago.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
