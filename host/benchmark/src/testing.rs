//! A server for tests: it answers by a function, and remembers what it was asked.

use crate::client::Remote;
use crate::config::Settings;
use cofferdam_connect::Address;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use zeroize::Zeroizing;

/// Something that was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Asked {
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

type Answers = dyn Fn(&Asked) -> (u16, String) + Send + Sync;

pub(crate) struct Server {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn start(answers: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (answers, held): (Arc<Answers>, _) = (Arc::new(answers), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, asked) = (Arc::clone(&answers), Arc::clone(&held));
                thread::spawn(move || serve(&stream.unwrap(), &*answers, &asked));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().iter().map(Asked::line).collect()
    }

    pub(crate) fn settings(&self) -> Settings {
        settings(self.address)
    }

    pub(crate) fn remote(&self) -> Arc<Remote> {
        remote(self.address)
    }
}

pub(crate) fn settings(address: SocketAddr) -> Settings {
    Settings {
        addresses: vec![Address::parse(&format!("http://{address}")).unwrap()],
        token: Zeroizing::new("the-token".to_owned()),
        namespace: None,
        tls: cofferdam_connect::Settings::default(),
        timeout: Duration::from_secs(60),
        duration: Duration::from_millis(200),
        workers: 2,
        rps: 0,
        repeat: 1,
        random_mounts: true,
        cleanup: true,
        debug: false,
        audit_path: None,
        annotations: BTreeMap::new(),
        metrics_address: None,
        tests: Vec::new(),
    }
}

pub(crate) fn remote(address: SocketAddr) -> Arc<Remote> {
    let settings = settings(address);
    Arc::new(Remote::new(&settings.addresses[0], &settings).unwrap())
}

fn serve(stream: &TcpStream, answers: &Answers, asked: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        // Remembered before it is answered: whoever has the answer finds it.
        asked.lock().unwrap().push(request.clone());
        let (status, body) = answers(&request);
        let answer = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if (&*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body: String::from_utf8(body).unwrap() })
}
