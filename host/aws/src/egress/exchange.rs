//! One request on one connection, and its answer. The rule: a mutation that is bound to a lease is not written, nor written on, once the lease is over:
//! that is asked again each time before the connection may write.

use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use cofferdam_backend::Lease;
use cofferdam_credentials::chain;
use cofferdam_runtime::AwsResponse;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};

use super::dial::DialError;
use super::pool::Connection;

/// The headers that a guest may see.
const SHOWN: [&str; 6] = ["content-type", "date", "x-amzn-requestid", "x-amzn-errortype", "x-amz-crc32", "retry-after"];

/// Why a request has no answer. The texts are for the guest: they hold no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No connection.
    #[error("{0}")]
    Dial(#[source] DialError),
    /// No signature.
    #[error("{0}")]
    Unsigned(&'static str),
    /// Nothing of it was written.
    #[error("the connection closed before the request was sent")]
    Unsent(#[source] hyper::Error),
    /// The connection broke, and how far the service came is unknown.
    #[error("the connection broke before the answer was whole")]
    Broken(#[source] hyper::Error),
    /// The answer is over the limit.
    #[error("the answer is too large")]
    TooLarge,
    /// The lease was over before anything was written.
    #[error("the lease is not held")]
    NoLease,
    /// The lease ended before the answer came.
    #[error("the lease ended before the answer came")]
    LeaseEnded,
}

impl Failure {
    /// The whole chain of causes, for the operator.
    pub(super) fn detail(&self) -> String {
        chain(self)
    }
}

/// An answer, with what the host itself takes from it.
pub(super) struct Answer {
    pub(super) response: AwsResponse,
    pub(super) date: Option<HeaderValue>,
}

/// Sends a request and reads the answer to its end.
pub(super) async fn exchange(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
    lease: Option<&Lease>,
    most: usize,
) -> Result<Answer, Failure> {
    let Connection { sender, driver, closed, .. } = connection;
    let mut talk = pin!(async move {
        let response = sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
            Some(_) => Failure::Unsent(error.into_error()),
            None => Failure::Broken(error.into_error()),
        })?;
        let (head, body) = response.into_parts();
        let body = read(body, most).await?;
        let date = head.headers.get(header::DATE).cloned();
        Ok(Answer { response: AwsResponse { status: head.status.as_u16(), headers: shown(&head.headers), body }, date })
    });
    let mut over = pin!(async {
        match lease {
            Some(lease) => lease.ended().await,
            None => std::future::pending().await,
        }
    });
    std::future::poll_fn(|cx| {
        if let Some(lease) = lease
            && (lease.remaining().is_none() || over.as_mut().poll(cx).is_ready())
        {
            return Poll::Ready(Err(Failure::LeaseEnded));
        }
        for _ in 0..2 {
            if let Poll::Ready(answer) = talk.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            if !*closed && std::pin::Pin::new(&mut *driver).poll(cx).is_ready() {
                *closed = true;
            }
        }
        talk.as_mut().poll(cx)
    })
    .await
}

async fn read(mut body: Incoming, most: usize) -> Result<Bytes, Failure> {
    if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
        return Err(Failure::TooLarge);
    }
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or_default();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Failure::Broken)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > most {
            return Err(Failure::TooLarge);
        }
        // Most answers come in one piece, which is then not copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(expected.max(first.len() + data.len()));
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = SHOWN.iter().filter_map(|name| Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.to_owned())));
    shown.collect()
}
