//! Something in STS's place that answers what a test tells it to.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The end of every request that is sent to it.
const END: &[u8] = b"Version=2011-06-15";

#[derive(Default)]
struct State {
    /// The next answers; the last one is for all that come. An empty one is none at all.
    answers: Vec<String>,
    seen: Vec<String>,
}

/// A server on a port of its own. Its thread ends with the process.
pub(super) struct Scripted {
    endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Scripted {
    pub(super) fn start() -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that goes away early is of no interest.
                let _ = serve(stream.unwrap(), &shared);
            }
        });
        Scripted { endpoint, state }
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// From now on this is answered. The status may have further headers after it.
    pub(super) fn answer(&self, status: &str, content_type: &str, body: &str) {
        self.state.lock().unwrap().answers.clear();
        self.then(status, content_type, body);
    }

    /// And then, after what was to be answered before, this.
    pub(super) fn then(&self, status: &str, content_type: &str, body: &str) {
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        self.state.lock().unwrap().answers.push(answer);
    }

    /// From now on connections are closed without an answer.
    pub(super) fn hang_up(&self) {
        self.state.lock().unwrap().answers = vec![String::new()];
    }

    /// The requests since it was last looked at.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !seen.ends_with(END) {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            read => seen.extend_from_slice(&buffer[..read]),
        }
    }
    let answer = {
        let mut state = state.lock().unwrap();
        state.seen.push(String::from_utf8_lossy(&seen).into_owned());
        if state.answers.len() > 1 { state.answers.remove(0) } else { state.answers.first().cloned().unwrap_or_default() }
    };
    stream.write_all(answer.as_bytes())
}

/// What STS answers about this caller.
pub(super) fn identity(arn: &str) -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>{arn}</Arn>\
         <UserId>AIDAEXAMPLE</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
}
