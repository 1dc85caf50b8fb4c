//! Server processes of the benchmark: ours and the real one.

use std::fs::{self, File};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use cofferdam_emulator::free_port;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::load::Connection;

const START: Duration = Duration::from_secs(60);

/// A child process that ends with whoever started it.
pub(crate) struct Owned(pub(crate) Child);

impl Deref for Owned {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Owned {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running server.
pub(crate) struct Server {
    child: Owned,
    pub(crate) address: String,
    pub(crate) token: String,
}

impl Server {
    /// Starts a command, its output in `log`, and waits for an answer whose status is one of `codes`; gives the seconds it took.
    pub(crate) async fn start(mut command: Command, port: u16, log: &Path, codes: &[u16]) -> Result<(Self, f64)> {
        let out = File::create(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let begin = Instant::now();
        let child = Owned(command.spawn().with_context(|| format!("cannot start {command:?}"))?);
        let mut server = Self { child, address: format!("127.0.0.1:{port}"), token: String::new() };
        loop {
            if let Ok((status, _)) = server.call("GET", "sys/health", None).await
                && codes.contains(&status)
            {
                return Ok((server, begin.elapsed().as_secs_f64()));
            }
            let ended = server.child.try_wait()?;
            ensure!(ended.is_none() && begin.elapsed() < START, "{command:?} does not answer:\n{}", fs::read_to_string(log)?);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Starts a server with this storage stanza, initialises it and mounts kv v2 at secret/.
    pub(crate) async fn ready(program: &Path, dir: &Path, storage: &str) -> Result<Self> {
        let port = free_port()?;
        let config = dir.join("server.hcl");
        // No cluster address for ours is needed; bao's raft storage refuses to start without one.
        let cluster = if storage.contains("raft") { format!("cluster_addr = \"http://127.0.0.1:{}\"\n", port + 1) } else { String::new() };
        let text = format!(
            "{storage}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  tls_disable = true\n}}\napi_addr = \"http://127.0.0.1:{port}\"\n{cluster}"
        );
        fs::write(&config, text)?;
        let mut command = Command::new(program);
        command.args(["server", "-config"]).arg(&config).env("HOME", dir);
        if program.ends_with("coffer") {
            command = Command::new(program);
            command.args(["server", "--config"]).arg(&config).env("HOME", dir);
        }
        let (mut server, _) = Self::start(command, port, &dir.join("log"), &[501]).await?;
        let made = server.done("PUT", "sys/init", Some(json!({"secret_shares": 1, "secret_threshold": 1}))).await?;
        let key = made.pointer("/keys_base64/0").cloned().context("no unseal key")?;
        server.done("PUT", "sys/unseal", Some(json!({"key": key}))).await?;
        server.token = made.pointer("/root_token").and_then(Value::as_str).context("no root token")?.to_owned();
        let begin = Instant::now();
        while server.call("GET", "sys/health", None).await?.0 != 200 {
            ensure!(begin.elapsed() < START, "the server does not become active");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.done("POST", "sys/mounts/secret", Some(json!({"type": "kv", "options": {"version": "2"}}))).await?;
        // kv v2 sets itself up after the answer.
        while server.call("POST", "secret/data/first", Some(json!({"data": {"a": "b"}}))).await?.0 != 200 {
            ensure!(begin.elapsed() < START, "kv v2 does not become usable");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    /// One request below /v1/: the status and the body.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<(u16, Bytes)> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        Connection::open(&self.address, &self.token).await?.send(method, &format!("/v1/{path}"), body).await
    }

    /// The same of a request that must succeed; the JSON of the answer, null if it has none.
    pub(crate) async fn done(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        let (status, answer) = self.call(method, path, body).await?;
        ensure!((200..300).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// The process's resident memory in MiB.
    pub(crate) fn resident(&self) -> Result<f64> {
        Ok(resident(&self.child.id().to_string())? / 1024.0)
    }
}

/// A process's resident memory in KiB; `self` names this one.
pub(crate) fn resident(process: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()?)
}

/// What this process has computed so far.
pub(crate) fn computed() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
