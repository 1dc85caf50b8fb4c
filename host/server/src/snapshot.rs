//! `sys/storage/raft/snapshot`: the whole store as the archive that Vault and OpenBao make of theirs, out and in again, whatever the storage is.
//!
//! Bodies of any length pass through here, so neither the listener's bound of a body nor that of a request's time holds: the token is checked before a byte is read, and what
//! is read goes to the disk, not into memory.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use cofferdam_vault::core::{Core, Restored};
use cofferdam_vault::logical::{Error, Operation, Request, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::request::Parts as Head;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::api::{Api, body_failed};
use crate::body::{self, BodyError};
use crate::envelope::{self, Answer};
use crate::listener::ListenerConfig;
use crate::payload::{Parts, Payload};
use crate::wrapping;

const PATH: &str = "sys/storage/raft/snapshot";
const FORCED: &str = "sys/storage/raft/snapshot-force";

/// A part of what is sent, and the most that wait for a client.
const PART: usize = 1 << 16;
const WAITING: usize = 16;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Save,
    Restore { force: bool },
}

impl Asked {
    /// Of the path after `/v1/`. The error is the answer to a method that is not offered.
    pub(crate) fn of(path: &str, method: &Method) -> Option<Result<Asked, Box<Answer>>> {
        let written = method == Method::POST || method == Method::PUT;
        Some(match path {
            PATH if method == Method::GET => Ok(Asked::Save),
            PATH if written => Ok(Asked::Restore { force: false }),
            FORCED if written => Ok(Asked::Restore { force: true }),
            PATH | FORCED => Err(Box::new(envelope::errors(StatusCode::METHOD_NOT_ALLOWED, &[]))),
            _ => return None,
        })
    }

    /// Whether the time of such a request depends on how much is stored.
    pub(crate) fn unbounded(path: &str) -> bool {
        matches!(path.strip_prefix("/v1/"), Some(PATH | FORCED))
    }

    /// The answer.
    pub(crate) async fn answer(self, api: &Api, head: &Head, body: Incoming, listener: &ListenerConfig, remote: SocketAddr) -> Answer {
        let (operation, path) = match self {
            Asked::Save => (Operation::Read, PATH),
            Asked::Restore { force: false } => (Operation::Update, PATH),
            Asked::Restore { force: true } => (Operation::Update, FORCED),
        };
        let request = Request { remote: Some(remote), ..api.request(operation, path, &head.headers) };
        if let Some(answer) = wrapping::refuse(&head.headers) {
            return answer;
        }
        let done = match self {
            Asked::Save => save(api, &request).await,
            Asked::Restore { force } => match allowed(api, &request).await {
                Ok(()) => restore(&api.core, &request.id, body, force).await,
                Err(error) => {
                    // Read all the same, so that the client gets to reading the answer.
                    drop(body::read(body, listener.max_request_size).await);
                    Err(Trouble::Vault(error))
                }
            },
        };
        match done {
            Ok(answer) => answer,
            Err(Trouble::Vault(error)) => api.failed(&request.id, &error, &head.uri),
            Err(Trouble::Body(error)) => body_failed(&error),
        }
    }
}

/// Why a snapshot was not restored.
enum Trouble {
    Vault(Error),
    Body(BodyError),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Vault(error)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        Trouble::Vault(Error::Refused(format!("the snapshot could not be laid aside: {error}")))
    }
}

/// What was cut off may be done again by anybody who has the same snapshot: the vault can check no token until then.
async fn allowed(api: &Api, request: &Request) -> Result<(), Error> {
    if api.core.restore_cut().await? { Ok(()) } else { api.core.authorize(request).await }
}

async fn save(api: &Api, request: &Request) -> Result<Answer, Trouble> {
    api.core.authorize(request).await?;
    let finished = api.core.snapshot().await?;
    let (out, parts) = mpsc::channel(WAITING);
    let id = request.id.clone();
    tokio::task::spawn_blocking(move || {
        let written = finished.write(BufWriter::with_capacity(PART, Parts(out.clone())));
        if let Err(error) = written {
            tracing::warn!(request_id = id, %error, "a snapshot was not sent to its end");
            // If it still listens, the client is to know.
            drop(out.blocking_send(Err(error)));
        }
    });
    let mut answer = envelope::raw(StatusCode::OK, Bytes::new()).map(|_| Payload::Parts(parts));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(answer)
}

async fn restore(core: &std::sync::Arc<Core>, request_id: &str, body: Incoming, force: bool) -> Result<Answer, Trouble> {
    let snapshot = Core::open_snapshot(laid_aside(body).await?).await?;
    let restored = core.restore(snapshot, force).await?;
    Ok(envelope::done(request_id, &Response { warnings: warnings(&restored), ..Response::empty() }))
}

/// The body in a file without a name.
async fn laid_aside(mut body: Incoming) -> Result<File, Trouble> {
    let mut file = tokio::fs::File::from_std(tempfile::tempfile()?);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Trouble::Body(BodyError::Cut))?;
        if let Ok(mut data) = frame.into_data() {
            file.write_all(&data.copy_to_bytes(data.remaining())).await?;
        }
    }
    file.flush().await?;
    let mut file = file.into_std().await;
    file.flush()?;
    Ok(file)
}

fn warnings(restored: &Restored) -> Vec<String> {
    if restored.left_out == 0 {
        return Vec::new();
    }
    let more = if u64::try_from(restored.named.len()).is_ok_and(|named| named < restored.left_out) { ", …" } else { "" };
    vec![format!(
        "{} entries of the snapshot were left out, since this server's storages have no such keys: {}{more}",
        restored.left_out,
        restored.named.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(", ")
    )]
}
