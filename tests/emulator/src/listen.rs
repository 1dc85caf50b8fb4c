//! What every server here has in common: a free port of 127.0.0.1, a task per connection, and an end with its owner.
//!
//! The rule: a request takes effect even if the client does not wait for it.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::free_port;

/// No answer: the connection is closed.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

pub(crate) type Outcome = Result<Response<Full<Bytes>>, Cut>;

/// Who answers requests.
pub(crate) trait Answers: Send + Sync + 'static {
    /// Answers one.
    fn answer(&self, parts: Parts, body: Bytes) -> impl Future<Output = Outcome> + Send;
}

/// A port on which somebody answers, until this is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    endpoint: String,
    stop: watch::Sender<bool>,
}

impl Listening {
    /// Listens on this port of 127.0.0.1; zero is any that is free. It ends with the tokio runtime at the latest.
    pub(crate) async fn start(port: u16, answers: Arc<impl Answers>) -> Result<Listening> {
        let listener = bind(port).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let stop = watch::Sender::new(false);
        tokio::spawn(accept(listener, answers, stop.subscribe()));
        Ok(Listening { endpoint, stop })
    }

    /// Of the form `http://127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// A port that was listened on until a moment ago may take another to be free. One that is free is not of the kernel's choice: whoever closes it may open it again.
async fn bind(port: u16) -> std::io::Result<TcpListener> {
    let port = if port == 0 { free_port()? } else { port };
    let mut tries = 200;
    loop {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && tries > 0 => tokio::time::sleep(Duration::from_millis(10)).await,
            outcome => return outcome,
        }
        tries -= 1;
    }
}

/// Returns when the owner is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn accept(listener: TcpListener, answers: Arc<impl Answers>, mut stop: watch::Receiver<bool>) {
    loop {
        let stream = tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of file descriptors, most likely: those in use come back.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let (answers, mut stop) = (Arc::clone(&answers), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| serve(Arc::clone(&answers), request));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                biased;
                () = stopped(&mut stop) => {}
                _ = connection => {}
            }
        });
    }
}

async fn serve(answers: Arc<impl Answers>, request: http::Request<Incoming>) -> Outcome {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err(Cut) };
    // On a task of its own: what the client sent takes effect even if it does not wait for it.
    tokio::spawn(async move { answers.answer(parts, body.to_bytes()).await }).await.unwrap_or(Err(Cut))
}
