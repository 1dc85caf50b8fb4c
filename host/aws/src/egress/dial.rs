//! Connections to the endpoint. The rule: each address is looked at before it is dialled, since a name may resolve to anything; of several, the next is
//! tried when one fails or is slow.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cofferdam_connect::net;
use cofferdam_credentials::{Endpoint, EndpointError};
use http::Uri;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tower_service::Service as _;

use super::options::{EgressError, EgressOptions};
use super::proxy::Proxy;
use super::stream::Stream;
use super::tls;

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
            let name = name.map_err(|_| EndpointError("the host is neither a name nor an address"))?;
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
    if found.iter().any(|address| net::hands_out_credentials(address.ip())) {
        return Err(DialError::Metadata);
    }
    net::first(found).await.map_err(DialError::Connect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn metadata_is_not_dialled_whatever_the_name() {
        assert!(matches!(reach("169.254.169.254", 80).await, Err(DialError::Metadata)));
        // The same address, as the resolver takes it.
        assert!(matches!(reach("2852039166", 80).await, Err(DialError::Metadata | DialError::Resolve(_))));
    }
}
