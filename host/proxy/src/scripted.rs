//! A server for tests that answers what it is told, and remembers what it was asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::settings::{Arguments, Environment, Settings};
use crate::token::Clock;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
    /// `GET /v1/x`.
    pub(crate) line: String,
    headers: String,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ str| line.split_once(':').is_some_and(|(known, _)| known.eq_ignore_ascii_case(name));
        self.headers.lines().find(|line| of(line)).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What is answered: a status with more header lines and a body, or an end of the connection.
pub(crate) type Answer = Option<(String, String)>;

/// An answer of JSON.
pub(crate) fn ok(body: &Value) -> Answer {
    Some(("200 OK".to_owned(), body.to_string()))
}

/// A refusal as Vault writes it.
pub(crate) fn refusal(status: &str, error: &str) -> Answer {
    Some((status.to_owned(), json!({"errors": [error]}).to_string()))
}

/// A login's or a renewal's answer.
pub(crate) fn auth(token: &str, seconds: u64, renewable: bool) -> Answer {
    ok(&json!({"auth": {"client_token": token, "lease_duration": seconds, "renewable": renewable}}))
}

type Handler = Box<dyn FnMut(&Seen) -> Answer + Send>;

/// The server.
pub(crate) struct Scripted {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Scripted {
    pub(crate) async fn start(handler: impl FnMut(&Seen) -> Answer + Send + 'static) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let handler: Arc<Mutex<Handler>> = Arc::new(Mutex::new(Box::new(handler)));
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, connection, Arc::clone(&handler), Arc::clone(&kept)));
            }
        });
        Scripted { url, seen }
    }

    /// What was asked since the last time.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// The same without all but the first lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.take().into_iter().map(|seen| seen.line).collect()
    }

    /// Settings by variables, and the address of this server.
    pub(crate) fn settings(&self, variables: &[(&str, &str)]) -> Settings {
        let own = [("VLE_VAULT_ADDR", self.url.as_str())];
        let needed = [("VAULT_AUTH_PROVIDER", "aws"), ("VAULT_AUTH_ROLE", "app")];
        let all = own.iter().chain(&needed).chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment: Environment = all.collect();
        Settings::load(&Arguments::default(), &environment).unwrap_or_else(|error| panic!("{error}"))
    }
}

async fn serve(mut stream: TcpStream, connection: usize, handler: Arc<Mutex<Handler>>, kept: Arc<Mutex<Vec<Seen>>>) {
    loop {
        let Some(seen) = read(&mut stream, connection).await else { return };
        kept.lock().unwrap().push(seen.clone());
        let Some((status, body)) = handler.lock().unwrap()(&seen) else { return };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, connection: usize) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let (line, headers) = head.split_once("\r\n")?;
        let line = line.trim_end_matches(" HTTP/1.1").to_owned();
        let seen = Seen { connection, line, headers: headers.to_owned(), body: body.to_owned() };
        let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            return Some(seen);
        }
    }
}

/// A clock that is set by hand.
#[derive(Clone)]
pub(crate) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(crate) fn new() -> Hand {
        Hand(Arc::new(AtomicU64::new(1_800_000_000)))
    }

    pub(crate) fn clock(&self) -> Clock {
        let seconds = Arc::clone(&self.0);
        Arc::new(move || SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::SeqCst)))
    }

    pub(crate) fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn back(&self, seconds: u64) {
        self.0.fetch_sub(seconds, Ordering::SeqCst);
    }
}
