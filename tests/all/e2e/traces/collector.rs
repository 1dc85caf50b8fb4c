//! A collector of traces, as small as one can be: it takes OTLP over HTTP, and reads of its protobuf what the tests look at.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A span, as far as these tests look at it. Ids are in hexadecimal, times in nanoseconds since 1970.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) failed: bool,
    /// Of whom the resource says that it is.
    pub(crate) service: String,
}

impl Span {
    /// An attribute, empty if there is none.
    pub(crate) fn is(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

#[derive(Default)]
struct Taken {
    spans: Vec<Span>,
    /// Everything that came, byte by byte.
    bytes: Vec<u8>,
    heads: Vec<String>,
}

/// The collector. Its thread ends with the process.
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    taken: Arc<Mutex<Taken>>,
}

impl Collector {
    pub(crate) fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::<Mutex<Taken>>::default();
        let kept = taken.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                take(stream, &kept);
            }
        });
        Collector { endpoint, taken }
    }

    /// The spans of a trace that have come so far.
    pub(crate) fn trace(&self, id: &str) -> Vec<Span> {
        self.taken.lock().unwrap().spans.iter().filter(|span| span.trace == id).cloned().collect()
    }

    /// All spans that have come so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.taken.lock().unwrap().spans.clone()
    }

    /// Whether this stood in anything that came.
    pub(crate) fn has_seen(&self, text: &str) -> bool {
        self.taken.lock().unwrap().bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// The heads of the requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.taken.lock().unwrap().heads.clone()
    }
}

fn take(mut stream: TcpStream, kept: &Mutex<Taken>) {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 << 10]);
    let (head, length) = loop {
        let Ok(count @ 1..) = stream.read(&mut buffer) else { return };
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).map_or(0, |text| text.trim().parse().unwrap());
        bytes.drain(..end + 4);
        break (head, length);
    };
    while bytes.len() < length {
        let Ok(count @ 1..) = stream.read(&mut buffer) else { return };
        bytes.extend_from_slice(&buffer[..count]);
    }
    let mut taken = kept.lock().unwrap();
    taken.spans.extend(spans(&bytes));
    taken.bytes.extend(bytes);
    taken.heads.push(head);
    drop(taken);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

/// A field's value on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    fn number(&self) -> u64 {
        if let Wire::Number(number) = self { *number } else { panic!("a number is expected") }
    }

    fn bytes(&self) -> &'a [u8] {
        if let Wire::Bytes(bytes) = self { bytes } else { panic!("bytes are expected") }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

/// The fields of a protobuf message, in their order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Wire<'_>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            number |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return number;
            }
        }
        panic!("a number is too long")
    }
    fn split<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
        let (head, rest) = bytes.split_at(length);
        *bytes = rest;
        head
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes)),
            1 => Wire::Number(u64::from_le_bytes(split(&mut bytes, 8).try_into().unwrap())),
            2 => {
                let length = varint(&mut bytes).try_into().unwrap();
                Wire::Bytes(split(&mut bytes, length))
            }
            5 => Wire::Number(u32::from_le_bytes(split(&mut bytes, 4).try_into().unwrap()).into()),
            other => panic!("wire type {other}"),
        };
        found.push((tag >> 3, value));
    }
    found
}

/// An `ExportTraceServiceRequest`.
fn spans(bytes: &[u8]) -> Vec<Span> {
    let mut found = Vec::new();
    for (_, of_resource) in fields(bytes) {
        let mut service = String::new();
        for (number, value) in fields(of_resource.bytes()) {
            match number {
                1 => {
                    let attributes = fields(value.bytes()).into_iter().filter(|(number, _)| *number == 1);
                    let attributes: BTreeMap<_, _> = attributes.map(|(_, value)| attribute(value.bytes())).collect();
                    service = attributes.get("service.name").cloned().unwrap_or_default();
                }
                2 => {
                    let of_scope = fields(value.bytes()).into_iter().filter(|(number, _)| *number == 2);
                    found.extend(of_scope.map(|(_, value)| Span { service: service.clone(), ..span(value.bytes()) }));
                }
                _ => {}
            }
        }
    }
    found
}

fn span(bytes: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, value) in fields(bytes) {
        match number {
            1 => span.trace = hex::encode(value.bytes()),
            2 => span.id = hex::encode(value.bytes()),
            4 => span.parent = hex::encode(value.bytes()),
            5 => span.name = value.text(),
            6 => span.kind = value.number(),
            7 => span.start = value.number(),
            8 => span.end = value.number(),
            9 => span.attributes.extend([attribute(value.bytes())]),
            15 => span.failed = fields(value.bytes()).iter().any(|(number, value)| *number == 3 && value.number() == 2),
            _ => {}
        }
    }
    span
}

fn attribute(bytes: &[u8]) -> (String, String) {
    let (mut name, mut shown) = (String::new(), String::new());
    for (number, value) in fields(bytes) {
        match number {
            1 => name = value.text(),
            2 => {
                if let Some((kind, value)) = fields(value.bytes()).first() {
                    shown = match kind {
                        1 => value.text(),
                        2 => (value.number() == 1).to_string(),
                        _ => format!("int {}", value.number()),
                    };
                }
            }
            _ => {}
        }
    }
    (name, shown)
}
