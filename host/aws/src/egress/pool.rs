//! Connections that wait for their next request. The rule: each class of request has its own, so that a step on a lock never waits for data; and the
//! whole lot can be dropped at once.
//!
//! A connection is driven by whoever sends on it, in the same task: a request costs no hand-over to another, and dropping it closes the connection.

use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::dial::DialError;
use super::stream::Stream;

/// The most connections that wait.
const IDLE: usize = 128;

/// A connection of HTTP/1.1.
pub(super) struct Connection {
    pub(super) sender: http1::SendRequest<Full<Bytes>>,
    pub(super) driver: http1::Connection<TokioIo<Stream>, Full<Bytes>>,
    pub(super) closed: bool,
    generation: u64,
    since: Instant,
    /// The socket once more, to set its options.
    socket: Option<OwnedFd>,
}

impl Connection {
    /// Over a stream that was just opened. With `abrupt`, whatever the service has not taken when it is dropped is thrown away.
    pub(super) async fn over(stream: Stream, generation: u64, abrupt: bool) -> Result<Connection, DialError> {
        let socket = if abrupt {
            stream.socket().set_zero_linger().map_err(DialError::Connect)?;
            Some(stream.socket().as_fd().try_clone_to_owned().map_err(DialError::Connect)?)
        } else {
            None
        };
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(DialError::Http)?;
        Ok(Connection { sender, driver, closed: false, generation, since: Instant::now(), socket })
    }

    /// Has the kernel itself give up what the service does not take within this time, even while this process is stopped.
    pub(super) fn bound(&self, span: Duration) {
        let millis = u32::try_from(span.as_millis()).unwrap_or(u32::MAX).max(1);
        if let Some(socket) = &self.socket
            && let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(socket, millis)
        {
            tracing::debug!(%error, "the time for unacknowledged data cannot be bounded");
        }
    }

    /// Lets it do what is to be done. Not to be waited for.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.closed && Pin::new(&mut self.driver).poll(cx).is_ready() {
            self.closed = true;
        }
    }

    /// Whether it can take a request.
    async fn is_fit(&mut self) -> bool {
        std::future::poll_fn(|cx| {
            self.drive(cx);
            std::task::Poll::Ready(!self.closed && self.sender.is_ready())
        })
        .await
    }
}

/// The waiting connections of one class.
pub(super) struct Pool {
    idle: Mutex<Vec<Connection>>,
    generation: AtomicU64,
    keep: Duration,
    reaping: AtomicBool,
}

impl Pool {
    pub(super) fn new(keep: Duration) -> Arc<Pool> {
        Arc::new(Pool { idle: Mutex::default(), generation: AtomicU64::new(0), keep, reaping: AtomicBool::new(false) })
    }

    /// To be had before a connection is dialled: one that was begun before a reset is not kept.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The connection that was used last and is still open.
    pub(super) async fn take(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if connection.since.elapsed() < self.keep && connection.is_fit().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) async fn give(self: &Arc<Self>, mut connection: Connection) {
        if connection.generation != self.generation() || !connection.is_fit().await {
            return;
        }
        connection.since = Instant::now();
        {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            // A reset may have come meanwhile.
            if idle.len() < IDLE && connection.generation == self.generation() {
                idle.push(connection);
            }
        }
        self.reap();
    }

    /// Drops what waits, and what comes back later. Returns how many waited.
    pub(super) fn reset(&self) -> usize {
        let dropped = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            self.generation.fetch_add(1, Ordering::AcqRel);
            std::mem::take(&mut *idle)
        };
        dropped.len()
    }

    /// Closes connections that have waited too long, for as long as some wait.
    fn reap(self: &Arc<Self>) {
        if self.reaping.swap(true, Ordering::AcqRel) {
            return;
        }
        let (pool, keep) = (Arc::downgrade(self), self.keep);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(keep).await;
                let Some(pool) = pool.upgrade() else { return };
                let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.retain(|connection| connection.since.elapsed() < keep);
                if idle.is_empty() {
                    pool.reaping.store(false, Ordering::Release);
                    return;
                }
            }
        });
    }
}
