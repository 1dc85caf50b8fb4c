//! The grant `http`: who answers a guest's requests by `wasi:http`.
//!
//! As with [`Aws`](crate::Aws), this crate decides nothing: it hands a request with its whole body to the [`Http`] of the backend's grant. An
//! [`HttpCall`] lives as long as one call of the guest.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;

use crate::aws::Purpose;

/// One call of a guest, as far as it sends: its purpose, its deadline, and what it has used. The [`Http`] counts and judges.
#[derive(Debug)]
pub struct HttpCall {
    /// What the guest is doing.
    pub purpose: Purpose,
    /// When the call is ended, whatever it waits for.
    pub deadline: Instant,
    /// Requests sent.
    pub sends: AtomicU32,
    /// Bytes of bodies sent.
    pub sent: AtomicU64,
    /// Bytes of bodies received.
    pub received: AtomicU64,
    /// What answers may take up of this host's memory, those of the instance together: whoever reads one counts it as it comes.
    pub room: Room,
}

impl HttpCall {
    /// A call that has sent nothing.
    pub fn new(purpose: Purpose, time: Duration) -> HttpCall {
        let (sends, sent, received) = Default::default();
        HttpCall { purpose, deadline: Instant::now() + time, sends, sent, received, room: Room::new(usize::MAX) }
    }

    /// The same within this room.
    pub fn within(mut self, room: Room) -> HttpCall {
        self.room = room;
        self
    }
}

/// How much of this host's memory bodies may take up together. Clones are the same room.
#[derive(Clone, Debug)]
pub struct Room(Arc<(AtomicUsize, usize)>);

impl Room {
    /// Room for so many bytes.
    pub fn new(most: usize) -> Room {
        Room(Arc::new((AtomicUsize::new(0), most)))
    }

    /// The most that it holds, in bytes.
    pub fn most(&self) -> usize {
        self.0.1
    }

    /// Nothing yet, which may grow.
    pub fn taken(&self) -> Taken {
        Taken { room: self.clone(), size: 0 }
    }
}

/// A part of a room. It is free again when this is dropped.
#[derive(Debug)]
pub struct Taken {
    room: Room,
    size: usize,
}

impl Taken {
    /// Takes so many bytes more, if there is room for them.
    #[must_use]
    pub fn grow(&mut self, more: usize) -> bool {
        let (used, most) = &*self.room.0;
        let fits = |used: usize| used.checked_add(more).filter(|used| used <= most);
        let grown = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if grown {
            self.size += more;
        }
        grown
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.0.0.fetch_sub(self.size, Ordering::Relaxed);
    }
}

/// Why there is no answer. The texts are for the guest and hold nothing secret and no address that it did not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The grant does not allow it; nothing was sent.
    Refused(String),
    /// Nothing of the request was taken up by the server.
    Unreachable(String),
    /// Whether the server acted is unknown.
    Interrupted(String),
    /// The request or the answer is larger than this many bytes.
    TooLarge(u64),
}

/// The servers that a backend may send requests to. It checks, adds what the operator keeps from guests, and sends.
#[async_trait]
pub trait Http: fmt::Debug + Send + Sync + 'static {
    /// What it lets a guest do, in words for the operator.
    fn describe(&self) -> String;

    /// The largest body of a request, in bytes.
    fn max_request(&self) -> u64;

    /// Sends one request of the guest's, its URI absolute, and waits for the whole answer. The request has an authority without a user's name, its whole body,
    /// no trailers, and no header that belongs to the connection (`host` and `content-length` neither). Several may be under way in one call.
    ///
    /// Dropping the future gives the request up; the server may have taken it up nevertheless.
    async fn send(&self, call: &HttpCall, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError>;
}

#[cfg(test)]
mod tests {
    use super::Room;

    #[test]
    fn a_room_holds_so_much_and_is_free_again() {
        let room = Room::new(10);
        let (mut one, mut other) = (room.taken(), room.clone().taken());
        assert!(one.grow(6) && other.grow(4) && !one.grow(1) && !other.grow(usize::MAX));
        drop(one);
        assert!(other.grow(6) && !other.grow(1));
        drop(other);
        assert!(room.taken().grow(room.most()));
    }
}
