//! The body of an answer: nearly always there as a whole, else made while it is sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// What is sent.
#[derive(Debug)]
pub(crate) enum Payload {
    /// All of it.
    Whole(Full<Bytes>),
    /// Part after part. An error cuts the connection, so that the client knows that it has not got all.
    Parts(mpsc::Receiver<io::Result<Bytes>>),
}

impl Default for Payload {
    fn default() -> Payload {
        Payload::Whole(Full::default())
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Payload {
        Payload::Whole(Full::new(bytes))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Payload::Whole(whole) => Pin::new(whole).poll_frame(context).map_err(|never| match never {}),
            Payload::Parts(parts) => parts.poll_recv(context).map(|part| part.map(|part| part.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Payload::Whole(whole) => whole.is_end_stream(),
            Payload::Parts(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Payload::Whole(whole) => whole.size_hint(),
            Payload::Parts(_) => SizeHint::default(),
        }
    }
}

/// A writer whose bytes are the parts of a payload. Blocks while the client is slower.
pub(crate) struct Parts(pub(crate) mpsc::Sender<io::Result<Bytes>>);

impl io::Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
