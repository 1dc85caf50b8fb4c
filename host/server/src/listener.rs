//! Listeners: sockets, TLS handshakes and connections, each with its bounds.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::api::Api;
use crate::serve::ServerOptions;
use crate::tls::{Tls, TlsConfig, TlsError};

/// A client has this long for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The pause after the process ran out of file descriptors, so that connections can end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One `listener "tcp"` of the configuration.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// The address to bind; port 0 takes a free one.
    pub address: SocketAddr,
    /// TLS; none for plain HTTP.
    pub tls: Option<TlsConfig>,
    /// The largest request body, in bytes.
    pub max_request_size: u64,
    /// How long a request may take, from its head to its answer.
    pub max_request_duration: Duration,
    /// Whether `sys/metrics` answers without a token on this listener.
    pub unauthenticated_metrics: bool,
    /// Whether `sys/rekey/*` and `sys/rekey-recovery-key/*`, which shares authorise without a token, are closed on this listener.
    pub disable_unauthed_rekey_endpoints: bool,
    /// Whether `sys/generate-root/*`, which shares authorise without a token, is closed on this listener.
    pub disable_unauthed_generate_root_endpoints: bool,
}

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is not to be had.
    #[error("listener \"tcp\" {address}: cannot bind: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Its TLS cannot be set up.
    #[error("listener \"tcp\" {address}: {source}")]
    Tls {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: TlsError,
    },
}

pub(crate) struct Listener {
    socket: TcpListener,
    tls: Option<Arc<Tls>>,
    config: ListenerConfig,
}

impl Listener {
    pub(crate) async fn bind(config: ListenerConfig) -> Result<Listener, BindError> {
        let address = config.address;
        let tls = config.tls.clone().map(Tls::new).transpose().map_err(|source| BindError::Tls { address, source })?;
        let socket = TcpListener::bind(address).await.map_err(|source| BindError::Bind { address, source })?;
        Ok(Listener { socket, tls: tls.map(Arc::new), config })
    }

    /// The address that it is bound to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap_or(self.config.address)
    }

    pub(crate) fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Serves until `stop` turns true; then takes no more connections and lets those there finish their requests.
    ///
    /// A connection takes one of `places` before it is accepted.
    pub(crate) async fn run(self, api: Arc<Api>, places: Arc<Semaphore>, options: ServerOptions, mut stop: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        let config = Arc::new(self.config.clone());
        loop {
            let accepted = tokio::select! {
                accepted = async { (places.clone().acquire_owned().await, self.socket.accept().await) } => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                // Never closed, so that the first cannot be an error.
                (Err(_), _) => break,
                (Ok(place), Ok((stream, remote))) => {
                    let watcher = graceful.watcher();
                    let connection = Connection { api: api.clone(), config: config.clone(), remote, idle: options.idle, _place: place };
                    tokio::spawn(accept(stream, self.tls.as_ref().map(|tls| tls.current()), connection, watcher));
                }
                (Ok(_), Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.socket);
        if tokio::time::timeout(options.grace, graceful.shutdown()).await.is_err() {
            tracing::warn!(grace = ?options.grace, "connections were cut: they did not finish in time");
        }
    }
}

struct Connection {
    api: Arc<Api>,
    config: Arc<ListenerConfig>,
    remote: SocketAddr,
    idle: Duration,
    _place: OwnedSemaphorePermit,
}

async fn accept(
    stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    connection: Connection,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // Answers are small and whole: waiting to fill a segment only adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let Some(config) = tls else { return serve(stream, false, connection, watcher).await };
    match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve(stream, http2, connection, watcher).await;
        }
        Ok(Err(error)) => tracing::info!(remote = %connection.remote, %error, "TLS handshake failed"),
        Err(_) => tracing::info!(remote = %connection.remote, "TLS handshake took too long"),
    }
}

/// The protocol is known from the handshake: waiting for bytes that tell would have no time-out.
async fn serve<S>(stream: S, http2: bool, connection: Connection, watcher: hyper_util::server::graceful::Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Connection { api, config, remote, idle, _place } = connection;
    let service = service_fn(move |request| {
        let (api, config) = (api.clone(), config.clone());
        async move { Ok::<_, std::convert::Infallible>(api.answer(request, &config, remote).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30)).max_concurrent_streams(128);
    let served = pin!(watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()));
    if let Err(error) = served.await {
        tracing::debug!(%remote, %error, "connection ended");
    }
}
