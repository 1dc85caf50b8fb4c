//! A service that does as it is told, and remembers what it was sent.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The number of the connection it came on.
    pub(crate) connection: usize,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The time that it was signed for: `20261122T033000Z`.
    pub(crate) fn time(&self) -> DateTime {
        let stamp = self.header("x-amz-date");
        let part = |range: std::ops::Range<usize>| stamp.get(range).unwrap();
        let iso = format!("{}-{}-{}T{}:{}:{}Z", part(0..4), part(4..6), part(6..8), part(9..11), part(11..13), part(13..15));
        DateTime::from_str(&iso, Format::DateTime).unwrap()
    }
}

/// What the service does.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    /// Answers after a while.
    Late(Duration, u16, Bytes),
    /// Answers nothing.
    Hold,
    /// Closes the connection.
    Cut,
}

pub(crate) fn ok() -> Reply {
    json(200, "{}")
}

pub(crate) fn json(status: u16, body: &'static str) -> Reply {
    Reply::Answer(status, Vec::new(), Bytes::from_static(body.as_bytes()))
}

type Script = Arc<dyn Fn(usize, &Recorded) -> Reply + Send + Sync>;

#[derive(Default)]
struct Log {
    requests: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
    broken: AtomicUsize,
}

/// The service, for as long as it is kept.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
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
    pub(crate) async fn start(script: impl Fn(usize, &Recorded) -> Reply + Send + Sync + 'static) -> Server {
        Server::begin(None, Arc::new(script)).await
    }

    /// The same with TLS.
    pub(crate) async fn start_tls(
        tls: tokio_rustls::TlsAcceptor,
        script: impl Fn(usize, &Recorded) -> Reply + Send + Sync + 'static,
    ) -> Server {
        Server::begin(Some(tls), Arc::new(script)).await
    }

    async fn begin(tls: Option<tokio_rustls::TlsAcceptor>, script: Script) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::<Log>::default();
        let task = tokio::spawn({
            let log = Arc::clone(&log);
            async move {
                // Connections end with the service.
                let mut connections = tokio::task::JoinSet::new();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    let number = log.connections.fetch_add(1, Ordering::SeqCst);
                    let (tls, log, script) = (tls.clone(), Arc::clone(&log), Arc::clone(&script));
                    connections.spawn(async move {
                        match tls {
                            Some(tls) => match tls.accept(socket).await {
                                Ok(stream) => serve(stream, number, log, script).await,
                                Err(_) => drop(log.broken.fetch_add(1, Ordering::SeqCst)),
                            },
                            None => serve(socket, number, log, script).await,
                        }
                    });
                }
            }
        });
        Server { address, log, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.log.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.connections.load(Ordering::SeqCst)
    }

    /// How many connections ended otherwise than by a close between requests.
    pub(crate) fn broken(&self) -> usize {
        self.log.broken.load(Ordering::SeqCst)
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait_for(&self, requests: usize) {
        until(|| self.log.requests.lock().unwrap().len() >= requests).await;
    }
}

/// Waits for something that happens soon.
pub(crate) async fn until(happened: impl Fn() -> bool) {
    let waiting = async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it did not happen");
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, connection: usize, log: Arc<Log>, script: Script) {
    let service = service_fn(|request: Request<Incoming>| {
        let (log, script) = (Arc::clone(&log), Arc::clone(&script));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            let recorded = Recorded { uri: head.uri, headers: head.headers, body, connection };
            let number = {
                let mut requests = log.requests.lock().unwrap();
                requests.push(recorded.clone());
                requests.len() - 1
            };
            answer(script(number, &recorded)).await
        }
    });
    if hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.is_err() {
        log.broken.fetch_add(1, Ordering::SeqCst);
    }
}

async fn answer(reply: Reply) -> Result<Response<Full<Bytes>>, String> {
    let built = |status: u16, headers: Vec<(&'static str, String)>, body: Bytes| {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        Ok::<_, Infallible>(response.body(Full::new(body)).unwrap()).map_err(|error| error.to_string())
    };
    match reply {
        Reply::Answer(status, headers, body) => built(status, headers, body),
        Reply::Late(time, status, body) => {
            tokio::time::sleep(time).await;
            built(status, Vec::new(), body)
        }
        Reply::Hold => std::future::pending().await,
        Reply::Cut => Err("as it was told".to_owned()),
    }
}
