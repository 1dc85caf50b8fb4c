//! The floor of subprocess plugins: a store in another process, reached by gRPC over a unix socket.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, uri::PathAndQuery};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_prost::ProstCodec;
use tower_service::Service;

const GET: &str = "/bench.Store/Get";
const PUT: &str = "/bench.Store/Put";

/// A key, or a key with a value.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ask {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// A value, if there is one.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Answer {
    #[prost(bytes = "bytes", optional, tag = "1")]
    value: Option<Bytes>,
}

/// The service: entries in memory.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<HashMap<String, Bytes>>>);

impl NamedService for Store {
    const NAME: &'static str = "bench.Store";
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Call(Store, bool);

impl UnaryService<Ask> for Call {
    type Response = Answer;
    type Future = Boxed<Result<tonic::Response<Answer>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<Ask>) -> Self::Future {
        let (Call(store, puts), ask) = (self, request.into_inner());
        let answer = match store.0.lock() {
            Ok(mut entries) if *puts => {
                entries.insert(ask.key, ask.value);
                Ok(Answer { value: None })
            }
            Ok(entries) => Ok(Answer { value: entries.get(&ask.key).cloned() }),
            Err(_) => Err(tonic::Status::internal("a call panicked")),
        };
        Box::pin(async { answer.map(tonic::Response::new) })
    }
}

impl Service<Request<Body>> for Store {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = Call(self.clone(), request.uri().path() == PUT);
        Box::pin(async { Ok(tonic::server::Grpc::new(ProstCodec::<Answer, Ask>::default()).unary(call, request).await) })
    }
}

/// Serves until killed.
pub(crate) async fn echo(socket: &Path) -> Result<()> {
    let listener = UnixListener::bind(socket)?;
    let incoming = tonic::codegen::tokio_stream::wrappers::UnixListenerStream::new(listener);
    tonic::transport::Server::builder().add_service(Store::default()).serve_with_incoming(incoming).await?;
    Ok(())
}

/// The other process and a connection to it.
#[derive(Clone)]
pub(crate) struct Remote {
    client: tonic::client::Grpc<Channel>,
    _process: Arc<Process>,
}

struct Process(Child, PathBuf);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_file(&self.1);
    }
}

impl Remote {
    /// Starts this program again as the server, and connects.
    pub(crate) async fn start(scratch: &Path) -> Result<Self> {
        let socket = scratch.join("echo.sock");
        let _ = std::fs::remove_file(&socket);
        let child = Command::new(std::env::current_exe()?).arg("echo").arg(&socket).spawn()?;
        let process = Arc::new(Process(child, socket.clone()));
        for _ in 0..500 {
            if socket.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The address is not used: the connector knows the socket.
        let channel = Endpoint::from_static("http://localhost").connect_with_connector(Connector(socket)).await?;
        Ok(Self { client: tonic::client::Grpc::new(channel), _process: process })
    }

    async fn ask(&mut self, path: &'static str, ask: Ask) -> Result<Answer> {
        self.client.ready().await?;
        let codec = ProstCodec::<Ask, Answer>::default();
        Ok(self.client.unary(tonic::Request::new(ask), PathAndQuery::from_static(path), codec).await?.into_inner())
    }

    pub(crate) async fn get(mut self, key: &str) -> Result<()> {
        let answer = self.ask(GET, Ask { key: key.to_owned(), value: Bytes::new() }).await?;
        let value = answer.value.unwrap_or_default();
        ensure!(!value.is_empty(), "the other process lost its entry");
        Ok(())
    }

    pub(crate) async fn put(mut self, key: &str, value: Bytes) -> Result<()> {
        self.ask(PUT, Ask { key: key.to_owned(), value }).await.map(drop)
    }
}

struct Connector(PathBuf);

impl Service<Uri> for Connector {
    type Response = TokioIo<UnixStream>;
    type Error = std::io::Error;
    type Future = Boxed<std::io::Result<TokioIo<UnixStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let socket = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(UnixStream::connect(socket).await?)) })
    }
}
