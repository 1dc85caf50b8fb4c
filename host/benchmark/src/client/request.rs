//! Requests: what they ask for, and their bytes for one server.

use super::Remote;
use cofferdam_connect::escaped;
use std::io::Write as _;
use zeroize::Zeroizing;

/// A request of a test, whatever the server.
pub(crate) struct Plan {
    method: &'static str,
    path: String,
    numbers: Option<u32>,
    body: Zeroizing<String>,
}

impl Plan {
    /// A request to a path below `/v1/`, whose names stand in it as they are: what no URL can carry is escaped here.
    pub(crate) fn new(method: &'static str, path: &str, body: Zeroizing<String>) -> Self {
        Self { method, path: escaped(path), numbers: None, body }
    }

    /// The same, but each request ends its path with a number from 1 to `last`.
    pub(crate) fn numbered(self, last: u32) -> Self {
        Self { numbers: Some(last.max(1)), ..self }
    }

    /// Its bytes.
    pub(crate) fn prepare(&self, remote: &Remote) -> Request {
        let address = remote.server.address();
        let before = format!("{} {}/v1/{}", self.method, address.prefix(), self.path);
        let mut after = Zeroizing::new(String::with_capacity(512 + self.body.len()));
        after.push_str(" HTTP/1.1\r\nHost: ");
        after.push_str(address.authority());
        after.push_str("\r\nUser-Agent: coffer-bench\r\nX-Vault-Request: true\r\nX-Vault-Token: ");
        after.push_str(&remote.token);
        if let Some(namespace) = &remote.namespace {
            after.push_str("\r\nX-Vault-Namespace: ");
            after.push_str(namespace);
        }
        if self.method != "GET" || !self.body.is_empty() {
            after.push_str(&format!("\r\nContent-Length: {}", self.body.len()));
        }
        after.push_str("\r\n\r\n");
        after.push_str(&self.body);
        let sent = u64::try_from(self.body.len()).unwrap_or(u64::MAX);
        Request { before: before.into_bytes(), numbers: self.numbers, after, sent }
    }
}

/// The bytes of a request to one server, but for a number.
pub(crate) struct Request {
    before: Vec<u8>,
    numbers: Option<u32>,
    after: Zeroizing<String>,
    sent: u64,
}

impl Request {
    /// How many different ones there are.
    pub(crate) fn variants(&self) -> u32 {
        self.numbers.unwrap_or(1)
    }

    /// Bytes of its body.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Puts the bytes of the variant, from 1, into the buffer.
    pub(crate) fn write(&self, variant: u32, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.before);
        if self.numbers.is_some() {
            // A vector takes whatever is written.
            let _always = write!(into, "{variant}");
        }
        into.extend_from_slice(self.after.as_bytes());
    }
}
