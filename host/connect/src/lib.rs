//! Connections to a server that speaks Vault's API: where it is, and TLS as clients of Vault are told of it.
//!
//! The rule: certificates are checked unless the operator says otherwise; no proxy is used. [`net`] holds what every way out of the host shares.

pub mod net;
mod tls;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::PathAndQuery;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub use tls::{Connector, Settings};

/// A path as a URL holds it: all but its slashes and what RFC 3986 reserves for nothing as `%XX`, also the percent sign. Paths are given as they are meant.
#[must_use]
pub fn escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Where a server is.
#[derive(Clone, Debug)]
pub struct Address {
    base: Uri,
    host: String,
    port: u16,
    secure: bool,
}

impl Address {
    /// The URL of a server, `http://…` or `https://…`; the path may be a prefix. The error says what was expected, but not of what.
    pub fn parse(text: &str) -> Result<Address, String> {
        let wrong = || format!("expected a URL such as https://127.0.0.1:8200, found {text:?}");
        let base: Uri = text.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let host = base.host().ok_or_else(wrong)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        if base.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("expected a URL without a user and a password in it".to_owned());
        }
        let secure = match base.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let port = base.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Address { base, host, port, secure })
    }

    /// The URL, without a slash at its end.
    pub fn url(&self) -> String {
        self.base.to_string().trim_end_matches('/').to_owned()
    }

    /// What the `Host` header of a request to it says.
    pub fn authority(&self) -> &str {
        self.base.authority().map_or("", |authority| authority.as_str())
    }

    /// The path of the URL, without a slash at its end.
    pub fn prefix(&self) -> &str {
        self.base.path_and_query().map_or("", PathAndQuery::path).trim_end_matches('/')
    }

    /// The host's name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether TLS is spoken there.
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

/// A server, and how to reach it.
#[derive(Clone)]
pub struct Server {
    address: Address,
    tls: Option<Connector>,
}

impl Server {
    /// Reads the files of the settings, if TLS is spoken there; errors name them.
    pub fn new(address: Address, settings: &Settings) -> Result<Server, String> {
        let tls = if address.secure { Some(Connector::new(settings, &address.host)?) } else { None };
        Ok(Server { address, tls })
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A new connection. The caller bounds the time.
    pub async fn connect(&self) -> Result<Connection, String> {
        let stream = TcpStream::connect((self.address.host.as_str(), self.address.port)).await.map_err(|error| error.to_string())?;
        // Requests are written whole.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        match &self.tls {
            Some(tls) => tls.connect(stream).await.map(|stream| Connection(Stream::Tls(Box::new(stream)))),
            None => Ok(Connection(Stream::Plain(stream))),
        }
    }
}

/// A connection, with TLS or without.
pub struct Connection(Stream);

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn addresses_are_urls_with_a_scheme_that_is_spoken() {
        let address = Address::parse("https://[::1]:8443/vault/").unwrap();
        assert_eq!((address.host(), address.port, address.is_secure()), ("::1", 8443, true));
        assert_eq!((address.authority(), address.prefix(), address.url().as_str()), ("[::1]:8443", "/vault", "https://[::1]:8443/vault"));
        let plain = Address::parse("http://vault.example.com").unwrap();
        assert_eq!((plain.port, plain.prefix(), plain.url().as_str()), (80, "", "http://vault.example.com"));
        let error = Address::parse("https://user:hunter2@vault.example.com").unwrap_err();
        assert!(error.contains("without a user") && !error.contains("hunter2"), "{error}");
        for wrong in ["", "vault.example.com", "vault.example.com:8200", "ftp://x", "unix:///run/x", "https://", "http://a b"] {
            assert!(Address::parse(wrong).unwrap_err().contains("https://127.0.0.1:8200"), "{wrong:?}");
        }
    }
}
