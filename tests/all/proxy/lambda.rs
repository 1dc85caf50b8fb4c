//! What behaves like Lambda towards an extension: registration, events that are waited for, reports of failure. A test says when which event comes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::process::LONG;

const IDENTIFIER: &str = "4e6f-test";

/// What an extension asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To be registered, by this name and for these events.
    Register(String, Value),
    /// The next event. It gets none until the test sends one.
    Next,
    /// It failed at its start: the type and the message.
    InitError(String, String),
    /// It failed later.
    ExitError(String, String),
}

/// The API, on a port of its own. Its threads end with the process.
pub(super) struct Lambda {
    /// Of the form `127.0.0.1:PORT`.
    pub(super) address: String,
    asked: Receiver<Asked>,
    events: Sender<String>,
}

impl Lambda {
    pub(super) fn start() -> Lambda {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let ((ask, asked), (events, next)) = (channel(), channel());
        let next = Arc::new(Mutex::new(next));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (ask, next) = (ask.clone(), Arc::clone(&next));
                // An extension that ends leaves its last request behind.
                std::thread::spawn(move || drop(serve(stream.unwrap(), &ask, &next)));
            }
        });
        Lambda { address, asked, events }
    }

    /// What the extension asks for next.
    pub(super) fn asked(&self) -> Asked {
        self.asked.recv_timeout(LONG).expect("the extension asks for nothing")
    }

    /// Whether it has asked for nothing yet.
    pub(super) fn is_quiet(&self) -> bool {
        self.asked.try_recv().is_err()
    }

    /// The function is called.
    pub(super) fn invoke(&self) {
        let event =
            json!({"eventType": "INVOKE", "deadlineMs": deadline(LONG), "requestId": "r", "invokedFunctionArn": "a", "tracing": {}});
        self.events.send(event.to_string()).unwrap();
    }

    /// The end, so long before the extension is killed.
    pub(super) fn shut_down(&self, left: Duration) {
        let event = json!({"eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": deadline(left)});
        self.events.send(event.to_string()).unwrap();
    }
}

fn deadline(left: Duration) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from((now + left).as_millis()).unwrap()
}

fn serve(mut stream: TcpStream, ask: &Sender<Asked>, next: &Mutex<Receiver<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = std::collections::BTreeMap::new();
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        let (name, value) = line.split_once(':').unwrap();
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        line.clear();
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let target = first.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let failure = || (header("lambda-extension-function-error-type"), body["errorMessage"].as_str().unwrap_or_default().to_owned());
    let (asked, status) = match target.as_str() {
        "POST /2020-01-01/extension/register" => (Asked::Register(header("lambda-extension-name"), body["events"].clone()), "200 OK"),
        // Every later request shows who it is.
        _ if header("lambda-extension-identifier") != IDENTIFIER => panic!("{first}: {headers:?}"),
        "GET /2020-01-01/extension/event/next" => (Asked::Next, "200 OK"),
        "POST /2020-01-01/extension/init/error" => (Asked::InitError(failure().0, failure().1), "202 Accepted"),
        "POST /2020-01-01/extension/exit/error" => (Asked::ExitError(failure().0, failure().1), "202 Accepted"),
        _ => panic!("{first}: {headers:?}"),
    };
    let waits = asked == Asked::Next;
    let _ = ask.send(asked);
    let answer = if waits { next.lock().unwrap().recv().unwrap_or_default() } else { "{}".to_owned() };
    let length = answer.len();
    write!(stream, "HTTP/1.1 {status}\r\nlambda-extension-identifier: {IDENTIFIER}\r\ncontent-length: {length}\r\n\r\n{answer}")
}
