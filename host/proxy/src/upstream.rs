//! The server that is logged in to and proxied to: connections of HTTP/1.1 that are kept and used again.
//!
//! The rule: a request is sent a second time only if the server cannot have acted on the first: a kept connection had ended before it took the
//! request, or the method changes nothing. Repetitions after failures, the rate and the time-out hold for the crate's own requests alone.

mod own;
mod pace;
mod pool;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cofferdam_connect::{Address, Server};
use http::header::HOST;
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use crate::settings::{Own, Settings};
use crate::token::{Clock, system_clock};
use pace::Pace;
use pool::Pool;

pub use own::{Answer, CallError};
pub(crate) use own::{Call, line};
pub use pool::Streamed;

/// The time for a connection and its TLS.
const CONNECT: Duration = Duration::from_secs(30);

/// Why a proxied request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SendError(pub(crate) String);

/// The server.
pub struct Upstream {
    server: Server,
    tls: cofferdam_connect::Settings,
    pool: Arc<Pool>,
    own: Own,
    pace: Option<Pace>,
    /// What a repetition waits for at least.
    pause: Duration,
}

impl Upstream {
    /// Reads the TLS files of the settings; the error names them. Nothing is connected yet.
    pub fn new(settings: &Settings) -> Result<Upstream, String> {
        Upstream::with(settings, system_clock(), own::PAUSE)
    }

    /// The same with another clock and another pause between repetitions.
    pub(crate) fn with(settings: &Settings, clock: Clock, pause: Duration) -> Result<Upstream, String> {
        let server = Server::new(settings.address.clone(), &settings.tls)?;
        let own = settings.own.clone();
        let pace = own.rate.map(|(rate, burst)| Pace::new(rate, burst));
        Ok(Upstream { server, tls: settings.tls.clone(), pool: Pool::new(clock), own, pace, pause })
    }

    /// Sends a proxied request: of its URI only path and query count, and `Host` is set here. There is no time-out for the answer, and nothing is
    /// repeated but what a kept connection, ended meanwhile, cannot have acted on.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Streamed>, SendError> {
        let request = addressed(request, self.server.address())?;
        let again = is_repeatable(request.method()).then(|| request.clone());
        let mut request = request;
        while let Some(mut kept) = self.pool.take().await {
            match kept.try_send_request(request).await {
                Ok(response) => return Ok(self.pool.returning(response, kept)),
                Err(mut error) => {
                    let untaken = error.take_message();
                    request = match untaken.or_else(|| again.clone()) {
                        Some(request) => request,
                        None => return Err(self.unanswered(error.error())),
                    };
                }
            }
        }
        let mut sender = connect(&self.server).await?;
        let response = sender.send_request(request).await.map_err(|error| self.unanswered(&error))?;
        Ok(self.pool.returning(response, sender))
    }

    fn unanswered(&self, error: &hyper::Error) -> SendError {
        unanswered(self.server.address(), error)
    }
}

fn unanswered(address: &Address, error: &hyper::Error) -> SendError {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    SendError(line(&format!("{}: {error}{cause}", address.url())))
}

/// The request as it goes to this address.
fn addressed(mut request: Request<Bytes>, address: &Address) -> Result<Request<Full<Bytes>>, SendError> {
    let wrong = || SendError(format!("{}: no header can name this address", address.url()));
    let target = request.uri().path_and_query().cloned();
    *request.uri_mut() = target.map_or_else(|| Uri::from_static("/"), Uri::from);
    *request.version_mut() = Version::HTTP_11;
    let host = HeaderValue::try_from(address.authority()).map_err(|_| wrong())?;
    request.headers_mut().insert(HOST, host);
    Ok(request.map(Full::new))
}

async fn connect(server: &Server) -> Result<SendRequest<Full<Bytes>>, SendError> {
    let url = server.address().url();
    let failed = |cause: String| SendError(line(&format!("{url}: {cause}")));
    let late = |_| failed(format!("no connection within {} s", CONNECT.as_secs()));
    let stream = tokio::time::timeout(CONNECT, server.connect()).await.map_err(late)?.map_err(failed)?;
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
    // It ends with its sender, and what it meets the request's future tells.
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(%error, "a connection to the server has ended");
        }
    });
    Ok(sender)
}

/// Whether sending twice is as sending once, whatever the server did with the first.
fn is_repeatable(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "LIST" | "SCAN")
}
