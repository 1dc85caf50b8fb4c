//! Connections to the endpoint. The rule: each address is looked at before it is dialled, since a name may resolve to anything; of several, the next is
//! tried when one fails or is slow.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tower_service::Service as _;

use super::endpoint::{Endpoint, is_metadata};
use super::options::{EgressError, EgressOptions};
use super::proxy::Proxy;
use super::stream::Stream;
use super::tls;

/// How long an address is waited for before the next is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("the name does not resolve")]
    Resolve(#[source] io::Error),
    #[error("the name resolves to an address of the machine's metadata, which is out of any guest's reach")]
    Metadata,
    #[error("no connection ({})", .0.kind())]
    Connect(#[source] io::Error),
    #[error("the proxy gives no tunnel")]
    Proxy(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("TLS fails")]
    Tls(#[source] io::Error),
    #[error("HTTP fails")]
    Http(#[source] hyper::Error),
    #[error("no connection in time")]
    TimedOut,
}

/// Dials one endpoint.
pub(super) struct Dialer {
    endpoint: Endpoint,
    proxy: Option<Proxy>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    timeout: Duration,
}

impl Dialer {
    pub(super) fn new(endpoint: Endpoint, options: &EgressOptions) -> Result<Dialer, EgressError> {
        let proxy = options.proxies.of(&endpoint)?;
        let tls = if endpoint.tls {
            let name = ServerName::try_from(endpoint.host.clone());
            let name = name.map_err(|_| EgressError::Endpoint("the host is neither a name nor an address"))?;
            Some((tls::config(options.ca_cert.as_deref())?, name))
        } else {
            None
        };
        Ok(Dialer { endpoint, proxy, tls, timeout: options.connect_timeout })
    }

    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// A new connection.
    pub(super) async fn dial(&self) -> Result<Stream, DialError> {
        tokio::time::timeout(self.timeout, self.connect()).await.unwrap_or(Err(DialError::TimedOut))
    }

    async fn connect(&self) -> Result<Stream, DialError> {
        let socket = match &self.proxy {
            Some(proxy) => self.tunnel(reach(&proxy.host, proxy.port).await?, proxy).await?,
            None => reach(&self.endpoint.host, self.endpoint.port).await?,
        };
        match &self.tls {
            Some((config, name)) => {
                let stream = TlsConnector::from(Arc::clone(config)).connect(name.clone(), socket).await.map_err(DialError::Tls)?;
                Ok(Stream::Tls(Box::new(stream)))
            }
            None => Ok(Stream::Plain(socket)),
        }
    }

    async fn tunnel(&self, socket: TcpStream, proxy: &Proxy) -> Result<TcpStream, DialError> {
        let target: Uri = format!("http://{}", self.endpoint.explicit()).parse().map_err(|error| DialError::Proxy(Box::new(error)))?;
        let mut tunnel = Tunnel::new(target.clone(), Dialled(Some(TokioIo::new(socket))));
        if let Some(authorization) = &proxy.authorization {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let stream = tunnel.call(target).await.map_err(|error| DialError::Proxy(Box::new(error)))?;
        Ok(stream.into_inner())
    }
}

/// A connector that has its one connection already.
struct Dialled(Option<TokioIo<TcpStream>>);

impl tower_service::Service<Uri> for Dialled {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        std::future::ready(self.0.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
    }
}

/// A connection to the first address that answers.
async fn reach(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let found: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(DialError::Resolve)?.collect();
    if found.iter().any(|address| is_metadata(address.ip())) {
        return Err(DialError::Metadata);
    }
    let mut left = alternating(found).into_iter();
    let mut trying = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match left.next() {
            Some(address) => drop(trying.spawn(TcpStream::connect(address))),
            None if trying.is_empty() => return Err(DialError::Connect(last)),
            None => {}
        }
        let joined =
            if left.len() == 0 { trying.join_next().await } else { tokio::time::timeout(STAGGER, trying.join_next()).await.ok().flatten() };
        match joined {
            Some(Ok(Ok(socket))) => {
                socket.set_nodelay(true).map_err(DialError::Connect)?;
                return Ok(socket);
            }
            Some(Ok(Err(error))) => last = error,
            Some(Err(_)) | None => {}
        }
    }
}

/// Addresses of both families in turn, so that a family without a route costs one wait and not many.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (ours, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv4() == first);
    let (mut ours, mut others) = (ours.into_iter(), others.into_iter());
    let mut all = Vec::new();
    loop {
        let pair = (ours.next(), others.next());
        if pair == (None, None) {
            return all;
        }
        all.extend(pair.0);
        all.extend(pair.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_no_address_is_lost() {
        let of = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = of(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "1.1.1.2:1"]);
        assert_eq!(alternating(given), of(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"]));
        assert_eq!(alternating(of(&["1.1.1.1:1"])), of(&["1.1.1.1:1"]));
        assert_eq!(alternating(Vec::new()), Vec::new());
    }

    #[tokio::test]
    async fn metadata_is_not_dialled_whatever_the_name() {
        assert!(matches!(reach("169.254.169.254", 80).await, Err(DialError::Metadata)));
        // The same address, as the resolver takes it.
        assert!(matches!(reach("2852039166", 80).await, Err(DialError::Metadata | DialError::Resolve(_))));
    }
}
