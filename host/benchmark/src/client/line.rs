//! A connection that is made when it is needed, and again when it has ended.

use super::Remote;
use super::wire::Wire;
use cofferdam_connect::Connection;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// One request at a time to one server.
pub(crate) struct Line {
    remote: Arc<Remote>,
    wire: Option<Wire<Connection>>,
    timeout: Duration,
}

/// An answer, without its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// Bytes of its body.
    pub bytes: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No connection: no request was sent.
    Connect(String),
    /// The connection ended.
    Broken(std::io::Error),
    /// It took too long.
    Late(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(reason) => write!(f, "cannot connect: {reason}"),
            Self::Broken(error) => write!(f, "{error}"),
            Self::Late(seconds) => write!(f, "no answer within {seconds} s"),
        }
    }
}

impl Line {
    pub(crate) fn new(remote: &Arc<Remote>) -> Self {
        Self { remote: Arc::clone(remote), wire: None, timeout: remote.timeout }
    }

    /// One that waits this long for each answer, if that is longer than usual.
    pub(crate) fn patient(self, timeout: Duration) -> Self {
        Self { timeout: timeout.max(self.timeout), ..self }
    }

    pub(crate) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Connects, if it is not connected.
    pub(crate) async fn connect(&mut self) -> Result<(), Fault> {
        let timeout = self.timeout;
        match tokio::time::timeout(timeout, self.connected()).await {
            Ok(result) => result.map(|wire| self.wire = Some(wire)),
            Err(_) => Err(Fault::Late(timeout.as_secs())),
        }
    }

    /// Sends a request and reads its answer, whose body is added to `keep`.
    pub(crate) async fn exchange(&mut self, request: &[u8], keep: Option<&mut Zeroizing<Vec<u8>>>) -> Result<Answer, Fault> {
        let timeout = self.timeout;
        // Half an answer leaves a connection that is of no use: it is put back only after a whole one.
        let exchange = async {
            let mut wire = self.connected().await?;
            let received = wire.exchange(request, keep).await.map_err(Fault::Broken)?;
            Ok((received, wire))
        };
        let (received, wire) = tokio::time::timeout(timeout, exchange).await.map_err(|_| Fault::Late(timeout.as_secs()))??;
        if received.open {
            self.wire = Some(wire);
        }
        Ok(Answer { status: received.status, bytes: received.bytes })
    }

    /// The connection, if it is still good, or a new one.
    async fn connected(&mut self) -> Result<Wire<Connection>, Fault> {
        if let Some(mut wire) = self.wire.take()
            && !wire.is_stale()
        {
            return Ok(wire);
        }
        self.remote.server.connect().await.map(Wire::new).map_err(Fault::Connect)
    }
}
