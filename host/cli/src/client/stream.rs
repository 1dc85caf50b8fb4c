//! Bodies that do not fit into memory, from a file and into one.
//!
//! No time-out: how long it takes depends on how much is stored.

use super::{Client, ClientError, Reply, whole};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// A part of a file, and the most that wait for the server.
const PART: usize = 1 << 16;
const WAITING: usize = 16;

/// A file as a body, read as the server takes it.
struct Upload {
    parts: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl Upload {
    fn of(mut file: File) -> io::Result<Upload> {
        let left = file.metadata()?.len();
        let (out, parts) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            loop {
                let mut part = vec![0; PART];
                let read = file.read(&mut part).map(|read| {
                    part.truncate(read);
                    Bytes::from(part)
                });
                let end = matches!(&read, Ok(part) if part.is_empty());
                let failed = read.is_err();
                if end || out.blocking_send(read).is_err() || failed {
                    return;
                }
            }
        });
        Ok(Upload { parts, left })
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let part = std::task::ready!(self.parts.poll_recv(context));
        if let Some(Ok(part)) = &part {
            self.left = self.left.saturating_sub(u64::try_from(part.len()).unwrap_or(u64::MAX));
        }
        Poll::Ready(part.map(|part| part.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Client {
    /// Reads what is below `/v1/` into a file.
    pub(crate) async fn download(&self, path: &str, file: &mut File) -> Result<(), ClientError> {
        let (method, url) = (Method::GET, self.url(path));
        let unreachable = |reason: String| ClientError::Unreachable { method: method.clone(), url: url.clone(), reason };
        let request = self.head(&method, &url).and_then(|head| head.body(Full::<Bytes>::default()).map_err(|error| error.to_string()));
        let (response, _) = self.begin(request.map_err(unreachable)?).await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(refused(method, url, response).await);
        }
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| unreachable(format!("the answer broke off: {error}")))?;
            if let Ok(data) = frame.into_data() {
                file.write_all(&data).map_err(|error| unreachable(format!("what was received could not be written: {error}")))?;
            }
        }
        Ok(())
    }

    /// Sends a file; gives the answer's JSON, null if there is none.
    pub(crate) async fn upload(&self, path: &str, file: File) -> Result<Value, ClientError> {
        let (method, url) = (Method::POST, self.url(path));
        let unreachable = |reason: String| ClientError::Unreachable { method: method.clone(), url: url.clone(), reason };
        let body = Upload::of(file).map_err(|error| unreachable(error.to_string()))?;
        let request = self.head(&method, &url).and_then(|head| head.body(body).map_err(|error| error.to_string()));
        let (response, _) = self.begin(request.map_err(unreachable)?).await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(refused(method, url, response).await);
        }
        let answer = whole(response.into_body()).await.map_err(unreachable)?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }
}

/// The error that an answer is. What could not be read of its body is left out: its status says more.
async fn refused(method: Method, url: String, response: Response<Incoming>) -> ClientError {
    let (mut reply, body) = Reply::head(response);
    if reply.active.is_none() {
        reply.bytes = whole(body).await.unwrap_or_default();
    }
    reply.refusal(method, url)
}
