//! A small load generator: connections kept alive, each with one request in flight.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One connection to a server.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    token: String,
}

impl Connection {
    pub(crate) async fn open(address: &str, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot reach {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, token: token.to_owned() })
    }

    /// One request; the status and the body.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: Bytes) -> Result<(u16, Bytes)> {
        self.sender.ready().await?;
        let request = hyper::Request::builder().method(method).uri(path).header("Host", "bench");
        let request = if self.token.is_empty() { request } else { request.header("X-Vault-Token", &self.token) };
        let response = self.sender.send_request(request.body(Full::new(body))?).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// Secrets of each connection.
pub(crate) const SECRETS: u32 = 50;

const SECRET: &[u8] =
    br#"{"data":{"user":"bench","password":"correct horse battery staple","note":"0123456789012345678901234567890123456789"}}"#;

/// What the connections ask for.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// A write of a secret. All are reached, so that later reads find them.
    Write,
    /// A read of one.
    Read,
    /// A login at `auth/approle/` with the role and the secret id `bench`.
    Login,
}

impl Load {
    fn request(self, worker: usize, number: u32) -> (&'static str, String, Bytes) {
        let secret = format!("/v1/secret/data/bench/{worker}-{}", number % SECRETS);
        match self {
            Load::Write => ("POST", secret, Bytes::from_static(SECRET)),
            Load::Read => ("GET", secret, Bytes::new()),
            Load::Login => ("POST", "/v1/auth/approle/login".to_owned(), Bytes::from_static(br#"{"role_id":"bench","secret_id":"bench"}"#)),
        }
    }
}

/// Requests per second of `connections` connections, each over `time` and `least` requests at least; every answer must be 200.
pub(crate) async fn drive(address: &str, token: &str, connections: usize, (time, least): (Duration, u32), load: Load) -> Result<f64> {
    let mut tasks = Vec::new();
    let start = Instant::now();
    for worker in 0..connections {
        let mut connection = Connection::open(address, token).await?;
        tasks.push(tokio::spawn(async move {
            let mut done = 0_u32;
            while start.elapsed() < time || done < least {
                let (method, path, body) = load.request(worker, done);
                let (status, answer) = connection.send(method, &path, body).await?;
                ensure!(status == 200, "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
                done += 1;
            }
            anyhow::Ok(done)
        }));
    }
    let mut total = 0;
    for task in tasks {
        total += task.await??;
    }
    Ok(f64::from(total) / start.elapsed().as_secs_f64())
}
