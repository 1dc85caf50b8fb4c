//! A server that does as it is told, and remembers what it was sent.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::LONG;

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The number of the connection that it came on.
    pub(super) connection: usize,
}

impl Recorded {
    pub(super) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

/// What the server does.
#[derive(Clone)]
pub(super) enum Reply {
    /// Answers: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    /// Answers with these pieces, without saying how many.
    Pieces(usize, Bytes),
    /// Answers nothing.
    Hold,
    /// Closes the connection.
    Cut,
}

pub(super) fn ok() -> Reply {
    Reply::Answer(200, Vec::new(), Bytes::from_static(b"fine"))
}

type Script = Arc<dyn Fn(usize, &Recorded) -> Reply + Send + Sync>;
type Answer = Response<Either<Full<Bytes>, Pieces>>;

#[derive(Default)]
struct Log {
    requests: Mutex<Vec<Recorded>>,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// The server, for as long as it is kept.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    log: Arc<Log>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers the n-th request as the script says.
    pub(super) async fn start(script: impl Fn(usize, &Recorded) -> Reply + Send + Sync + 'static) -> Server {
        Server::begin(None, Arc::new(script)).await
    }

    /// Answers every request alike, through TLS.
    pub(super) async fn start_tls(tls: tokio_rustls::TlsAcceptor) -> Server {
        Server::begin(Some(tls), Arc::new(|_, _| ok())).await
    }

    async fn begin(tls: Option<tokio_rustls::TlsAcceptor>, script: Script) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::<Log>::default();
        let task = tokio::spawn({
            let log = Arc::clone(&log);
            async move {
                // Connections end with the server.
                let mut connections = JoinSet::new();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    let number = log.begun.fetch_add(1, Ordering::SeqCst);
                    let (tls, log, script) = (tls.clone(), Arc::clone(&log), Arc::clone(&script));
                    connections.spawn(async move {
                        match tls {
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(socket).await {
                                    serve(stream, number, &log, script).await;
                                }
                            }
                            None => serve(socket, number, &log, script).await,
                        }
                        log.ended.fetch_add(1, Ordering::SeqCst);
                    });
                }
            }
        });
        Server { address, log, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Recorded> {
        self.log.requests.lock().unwrap().clone()
    }

    /// How many connections there have been.
    pub(super) fn connections(&self) -> usize {
        self.log.begun.load(Ordering::SeqCst)
    }

    /// Waits until so many requests have come.
    pub(super) async fn wait_for_requests(&self, count: usize) {
        until(|| self.log.requests.lock().unwrap().len() >= count).await;
    }

    /// Waits until so many connections have ended.
    pub(super) async fn wait_for_ends(&self, count: usize) {
        until(|| self.log.ended.load(Ordering::SeqCst) >= count).await;
    }
}

/// Waits for something that happens soon.
async fn until(happened: impl Fn() -> bool) {
    let waiting = async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("it did not happen");
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, connection: usize, log: &Log, script: Script) {
    let service = service_fn(|request: Request<Incoming>| {
        let script = Arc::clone(&script);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            let recorded = Recorded { method: head.method, uri: head.uri, headers: head.headers, body, connection };
            let number = {
                let mut requests = log.requests.lock().unwrap();
                requests.push(recorded.clone());
                requests.len() - 1
            };
            answer(script(number, &recorded)).await
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(reply: Reply) -> Result<Answer, String> {
    match reply {
        Reply::Answer(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Either::Left(Full::new(body))).unwrap())
        }
        Reply::Pieces(count, piece) => Ok(Response::new(Either::Right(Pieces(count, piece)))),
        Reply::Hold => std::future::pending().await,
        Reply::Cut => Err("as it was told".to_owned()),
    }
}

/// So many equal pieces of a body.
struct Pieces(usize, Bytes);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.0.checked_sub(1) else { return Poll::Ready(None) };
        self.0 = left;
        Poll::Ready(Some(Ok(Frame::data(self.1.clone()))))
    }
}
