//! A small HTTP client for the tests: one connection a request, headers and body as given.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Clone)]
pub(super) struct Client {
    address: SocketAddr,
    headers: Vec<(String, String)>,
    tls: Option<Arc<rustls::ClientConfig>>,
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A request whose head has been sent, and whose body has not.
pub(super) struct Begun(TcpStream);

impl Client {
    pub(super) fn plain(address: SocketAddr) -> Client {
        Client { address, headers: Vec::new(), tls: None }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Client {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn tls(mut self, config: rustls::ClientConfig) -> Client {
        self.tls = Some(Arc::new(config));
        self
    }

    fn head(&self, method: &str, path: &str, token: Option<&str>) -> String {
        let mut head = format!("{method} /v1/{path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
        let token = token.map(|token| ("x-vault-token".to_owned(), token.to_owned()));
        for (name, value) in self.headers.iter().cloned().chain(token) {
            head += &format!("{name}: {value}\r\n");
        }
        head
    }

    pub(super) async fn send(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> Reply {
        self.try_send(method, path, token, body).await.unwrap()
    }

    pub(super) async fn try_send(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> std::io::Result<Reply> {
        let text = format!("{}content-length: {}\r\n\r\n{body}", self.head(method, path, token), body.len());
        let stream = TcpStream::connect(self.address).await?;
        match &self.tls {
            None => exchange(stream, text.as_bytes()).await,
            Some(config) => {
                let name = ServerName::try_from("localhost").unwrap();
                let stream = tokio_rustls::TlsConnector::from(config.clone()).connect(name, stream).await?;
                exchange(stream, text.as_bytes()).await
            }
        }
    }

    /// A body of any bytes.
    pub(super) async fn send_bytes(&self, method: &str, path: &str, token: &str, body: &[u8]) -> Reply {
        let head = format!("{}content-length: {}\r\n\r\n", self.head(method, path, Some(token)), body.len());
        exchange(TcpStream::connect(self.address).await.unwrap(), &[head.as_bytes(), body].concat()).await.unwrap()
    }

    pub(super) async fn begin(&self, method: &str, path: &str, token: Option<&str>) -> Begun {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("{}expect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n", self.head(method, path, token));
        stream.write_all(head.as_bytes()).await.unwrap();
        // Said once the server has begun with the request and looks for its body.
        let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        stream.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        Begun(stream)
    }

    /// A connection over which nothing is sent.
    pub(super) async fn idle(&self) -> Begun {
        Begun(TcpStream::connect(self.address).await.unwrap())
    }

    /// Whether the server takes no connection.
    pub(super) async fn refused(&self) -> bool {
        self.try_send("GET", "sys/health", None, "").await.is_err()
    }
}

impl Begun {
    /// Whether the server closes the connection within a while.
    pub(super) async fn closed(mut self) -> bool {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(std::time::Duration::from_secs(60), self.0.read_to_end(&mut rest)).await;
        matches!(end, Ok(Ok(_)) | Ok(Err(_)))
    }

    /// Sends a piece of the body.
    pub(super) async fn more(&mut self, body: &str) {
        self.0.write_all(format!("{:x}\r\n{body}\r\n", body.len()).as_bytes()).await.unwrap();
    }

    pub(super) async fn finish(self, body: &str) -> Reply {
        exchange(self.0, format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes()).await.unwrap()
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> std::io::Result<Reply> {
    // A server that refuses a body early stops reading it.
    let sent = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let read = stream.read_to_end(&mut all).await;
    let Some(end) = all.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Err(sent.err().or(read.err()).unwrap_or_else(|| std::io::ErrorKind::UnexpectedEof.into()));
    };
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Ok(Reply { status, headers, body: all[end + 4..].to_vec() })
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body that came in chunks.
    pub(super) fn unchunked(&self) -> Vec<u8> {
        assert_eq!(self.header("transfer-encoding"), "chunked");
        let (mut whole, mut rest) = (Vec::new(), self.body.as_slice());
        loop {
            let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            if size == 0 {
                return whole;
            }
            whole.extend_from_slice(&rest[end + 2..end + 2 + size]);
            rest = &rest[end + 4 + size..];
        }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value)
    }
}
