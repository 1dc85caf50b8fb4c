//! The proxy beside what the Lambda extension of Vault's makers publishes of itself: size, start, what a request takes longer by it, and memory.
//!
//! Rule: those figures are of another machine, a function with 128 MB; here they are a bound, not a floor of the same run. As there, the server's own time
//! is not counted: what stands in its place answers at once. The login is by AWS, with keys from the environment, as in a function.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::Bench;
use crate::load::Connection;
use crate::process::{Owned, resident};
use crate::row::{Judge, Row};
use crate::sample::{median, pair};

/// Whose figures they are.
const PUBLISHED: &str = "extension, published";
const SIZE: f64 = 8.5;
const START: f64 = 8.5;
const ADDED: f64 = 1_000.0;
const MEMORY: f64 = 12.0;
const SECRET: &str = "/v1/secret/data/app";
const LOGIN: &[u8] =
    br#"{"auth":{"client_token":"hvs.bench","accessor":"a","policies":["default"],"lease_duration":3600,"renewable":true}}"#;
const ANSWER: &[u8] = br#"{"request_id":"5c1dd0c2-1c2b-4b0f-8a70-52a6b3b7d3a1","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":{"password":"correct-horse"},"metadata":{"version":1}}}"#;

/// What stands in a server's place; gives its address.
async fn server() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    Ok(address)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = if request.uri().path().ends_with("/login") { LOGIN } else { ANSWER };
    // To its end, or the connection is not used again.
    let _ = request.into_body().collect().await;
    Ok(Response::new(Full::new(Bytes::from_static(body))))
}

/// A running proxy.
struct Proxy {
    child: Owned,
    /// Of the form `127.0.0.1:PORT`.
    address: String,
}

impl Proxy {
    /// Starts it before a server, with the environment of a function; gives the milliseconds until it is ready, too.
    fn start(bench: &Bench, server: &str) -> Result<(Proxy, f64)> {
        let mut command = Command::new(&bench.proxy);
        command.args(["--listen=127.0.0.1:0", "--log-level=error"]).env_clear().env("VAULT_ADDR", format!("http://{server}"));
        command.env("VAULT_AUTH_PROVIDER", "aws").env("VAULT_AUTH_ROLE", "bench").env("AWS_REGION", "eu-central-1");
        command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "example").env("AWS_SESSION_TOKEN", "example");
        let begin = Instant::now();
        let mut child = Owned(command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?);
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let milliseconds = begin.elapsed().as_secs_f64() * 1e3;
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next());
        Ok((Proxy { child, address: address.with_context(|| format!("the proxy said {line:?}"))?.to_owned() }, milliseconds))
    }
}

/// Megabytes of the program, milliseconds of its start with a login, microseconds of a request, resident memory after all.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let server = server().await?;
    let size = std::fs::metadata(&bench.proxy)
        .with_context(|| format!("{}: cargo xtask build --small makes it", bench.proxy.display()))?
        .len() as f64
        / 1e6;
    let mut starts = Vec::new();
    for _ in 0..bench.rounds(21) {
        starts.push(Proxy::start(bench, &server)?.1);
    }
    let (proxy, _) = Proxy::start(bench, &server)?;
    let direct = tokio::sync::Mutex::new(Connection::open(&server, "t").await?);
    let through = tokio::sync::Mutex::new(Connection::open(&proxy.address, "").await?);
    let read = async |connection: &tokio::sync::Mutex<Connection>| {
        let (status, _) = connection.lock().await.send("GET", SECRET, Bytes::new()).await?;
        ensure!(status == 200, "{SECRET}: {status}");
        Ok(())
    };
    let (through, direct) = pair(bench.rounds(200), 20, |_| read(&through), |_| read(&direct)).await?;
    let memory = resident(&proxy.child.id().to_string())? * 1024.0 / 1e6;
    let at_most = |what, unit, ours, published| Row::new(what, unit, ours, (PUBLISHED, published), Judge::AtMost, (1.0, 0.5));
    Ok(vec![
        at_most("proxy, size of the program", "MB", size, SIZE),
        at_most("proxy, start to ready with a login", "ms", median(starts), START),
        at_most("proxy, added to a request", "us", through - direct, ADDED),
        at_most("proxy, resident memory", "MB", memory, MEMORY),
    ])
}
