//! Connections that wait for their next request.
//!
//! The rule: a connection comes back only when its answer was read to its end, and goes out again only if it has not waited long by the wall clock.
//! A process that was frozen so finds its old connections too old, rather than waiting on ones that something between dropped without a word.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;

use crate::token::Clock;

/// The most that wait.
const MOST: usize = 64;

/// The longest wait: less than what load balancers and servers close after.
const LONGEST: Duration = Duration::from_secs(50);

/// A connection that has not finished with its last answer in this time is not waited for.
const READY: Duration = Duration::from_secs(1);

type Sender = SendRequest<Full<Bytes>>;

/// The waiting connections.
pub(super) struct Pool {
    idle: Mutex<Vec<(Sender, SystemTime)>>,
    clock: Clock,
}

impl Pool {
    pub(super) fn new(clock: Clock) -> Arc<Pool> {
        Arc::new(Pool { idle: Mutex::default(), clock })
    }

    /// The connection that came back last, if it can take a request.
    pub(super) async fn take(&self) -> Option<Sender> {
        loop {
            let (mut sender, since) = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                let now = (self.clock)();
                // A clock that was set back says nothing of how long they have waited.
                idle.retain(|(sender, since)| !sender.is_closed() && now.duration_since(*since).is_ok_and(|waited| waited < LONGEST));
                idle.pop()?
            };
            if sender.is_ready() || matches!(tokio::time::timeout(READY, sender.ready()).await, Ok(Ok(()))) {
                return Some(sender);
            }
            tracing::debug!(?since, "a kept connection was not ready");
        }
    }

    fn give(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST && !sender.is_closed() {
            idle.push((sender, (self.clock)()));
        }
    }

    /// The answer, whose end gives the connection back.
    pub(super) fn returning(self: &Arc<Self>, response: Response<Incoming>, sender: Sender) -> Response<Streamed> {
        response.map(|body| {
            let mut streamed = Streamed { body, back: Some((sender, Arc::clone(self))) };
            if streamed.body.is_end_stream() {
                streamed.give_back();
            }
            streamed
        })
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The body of an answer as it comes. Read to its end, its connection is used again; dropped before, the connection is closed.
pub struct Streamed {
    body: Incoming,
    back: Option<(Sender, Arc<Pool>)>,
}

impl Streamed {
    fn give_back(&mut self) {
        if let Some((sender, pool)) = self.back.take() {
            pool.give(sender);
        }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Err(_))) => this.back = None,
            Poll::Ready(None) => this.give_back(),
            Poll::Ready(Some(Ok(_))) if this.body.is_end_stream() => this.give_back(),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
