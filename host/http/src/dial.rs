//! Connections to one server. The rule: every address that the name resolves to is looked at, and exactly one that passed is dialled; the name is not asked
//! for again, and the certificate must bear the same name.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use crate::authority::{Authority, Host};
use crate::metrics::Meter;
use cofferdam_connect::net;
use cofferdam_connect::net::{Cidr, is_allowed};

/// Who knows the addresses of names.
#[async_trait]
pub(crate) trait Resolve: Send + Sync + 'static {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// How many names one grant has looked up at once. A lookup cannot be ended, and takes a thread that others need, too.
const LOOKUPS: usize = 4;

/// The system's resolver.
pub(crate) struct System {
    turns: Arc<Semaphore>,
    look: fn(&str) -> io::Result<Vec<IpAddr>>,
}

impl Default for System {
    fn default() -> System {
        System { turns: Arc::new(Semaphore::new(LOOKUPS)), look }
    }
}

fn look(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

#[async_trait]
impl Resolve for System {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(io::Error::other)?;
        let (look, name) = (self.look, name.to_owned());
        let lookup = tokio::task::spawn_blocking(move || {
            // Until the lookup ends, whoever has given it up before.
            let _turn = turn;
            look(&name)
        });
        lookup.await.map_err(io::Error::other)?
    }
}

/// Why there is no connection. The texts are for the guest too: they hold no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("the name does not resolve")]
    Resolve(#[source] io::Error),
    #[error("the name resolves to no address that the grant allows")]
    Address(Vec<IpAddr>),
    #[error("no connection ({})", .0.kind())]
    Connect(#[source] io::Error),
    #[error("TLS fails")]
    Tls(#[source] io::Error),
    #[error("no connection in time")]
    TimedOut,
}

/// A connection's bytes.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Connection for Box<dyn Io> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// Dials one server, whatever address it is asked for.
#[derive(Clone)]
pub(crate) struct Dialer(Arc<Inner>);

struct Inner {
    authority: Authority,
    named: Vec<Cidr>,
    resolver: Arc<dyn Resolve>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    timeout: Duration,
    meter: Meter,
}

impl Dialer {
    /// With `tls` exactly if the scheme asks for it.
    pub(crate) fn new(
        authority: Authority,
        named: Vec<Cidr>,
        resolver: Arc<dyn Resolve>,
        tls: Option<Arc<ClientConfig>>,
        timeout: Duration,
        meter: Meter,
    ) -> Result<Dialer, rustls::pki_types::InvalidDnsNameError> {
        let name = match &authority.host {
            Host::Name(name) => ServerName::try_from(name.clone())?,
            Host::Address(address) => ServerName::from(*address),
        };
        let tls = tls.map(|config| (TlsConnector::from(config), name));
        Ok(Dialer(Arc::new(Inner { authority, named, resolver, tls, timeout, meter })))
    }
}

impl Inner {
    async fn connect(&self) -> Result<TokioIo<Box<dyn Io>>, DialError> {
        let found = match &self.authority.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.resolver.resolve(name).await.map_err(DialError::Resolve)?,
        };
        let (fit, unfit): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| is_allowed(*address, &self.named));
        if fit.is_empty() {
            return Err(DialError::Address(unfit));
        }
        let addresses = fit.into_iter().map(|address| SocketAddr::new(address, self.authority.port)).collect();
        let socket = net::first(addresses).await.map_err(DialError::Connect)?;
        let stream: Box<dyn Io> = match &self.tls {
            Some((connector, name)) => Box::new(connector.connect(name.clone(), socket).await.map_err(DialError::Tls)?),
            None => Box::new(socket),
        };
        Ok(TokioIo::new(stream))
    }
}

impl tower_service::Service<Uri> for Dialer {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let start = Instant::now();
            let dialled = tokio::time::timeout(inner.timeout, inner.connect()).await.unwrap_or(Err(DialError::TimedOut));
            inner.meter.connected(dialled.is_ok(), start.elapsed());
            dialled
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    /// Set once the server of names answers.
    static ANSWERS: AtomicBool = AtomicBool::new(false);

    fn silent(_: &str) -> io::Result<Vec<IpAddr>> {
        BEGUN.fetch_add(1, Ordering::SeqCst);
        while !ANSWERS.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Vec::new())
    }

    #[test]
    fn lookups_that_do_not_end_take_so_many_threads_and_no_more() {
        // With a thread more than the lookups of a grant may take.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(LOOKUPS + 1).build().unwrap();
        runtime.block_on(async {
            let system = Arc::new(System { look: silent, ..System::default() });
            // Requests that give up: their lookups go on.
            for _ in 0..LOOKUPS * 3 {
                assert!(tokio::time::timeout(Duration::from_millis(20), system.resolve("a.example")).await.is_err());
            }
            let other = tokio::time::timeout(Duration::from_secs(60), tokio::task::spawn_blocking(|| 7)).await;
            let begun = BEGUN.load(Ordering::SeqCst);
            // Before anything fails: the end of the runtime waits for its threads.
            ANSWERS.store(true, Ordering::SeqCst);
            assert_eq!(other.unwrap().unwrap(), 7, "a thread is left");
            assert!(begun <= LOOKUPS, "{begun} lookups");
            tokio::time::timeout(Duration::from_secs(60), system.resolve("a.example")).await.unwrap().unwrap();
        });
    }
}
