//! The way to the collector: a connection for every batch, over TLS unless the address says `http`.
//!
//! The rule: its certificate is checked, no redirect is followed, no proxy is used. It is the client of the commands. Who exports keeps no cause of a failure, so that it
//! is kept here, for the log.

use crate::client::roundtrip;
use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_connect::{Address, Server, Settings};
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use opentelemetry_http::{HttpClient, HttpError};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Where a collector is.
pub(super) struct Collector {
    server: Server,
    cause: Cause,
}

/// Why the last request had no answer, until that is asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Cause(Arc<Mutex<Option<String>>>);

impl Cause {
    fn note(&self, cause: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cause;
    }

    /// The cause, which is asked for once.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("address", self.server.address()).finish_non_exhaustive()
    }
}

impl Collector {
    /// The collector at a URL.
    pub(super) fn new(url: &Uri, ca_cert: Option<&Path>) -> Result<Self, String> {
        let settings = Settings { ca_cert: ca_cert.map(Path::to_owned), ..Settings::default() };
        let server = Address::parse(&url.to_string()).and_then(|address| Server::new(address, &settings));
        Ok(Self { server: server.map_err(|error| format!("traces: {error}"))?, cause: Cause::default() })
    }

    /// Where the cause of a failure is kept.
    pub(super) fn cause(&self) -> Cause {
        self.cause.clone()
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (mut head, body) = request.into_parts();
        head.uri = head.uri.path_and_query().map_or("/", |target| target.as_str()).parse()?;
        head.headers.insert(HOST, HeaderValue::from_str(self.server.address().authority())?);
        let request = Request::from_parts(head, Full::new(body));
        let reply = roundtrip(self.server.connect().await?, request).await?;
        let mut response = Response::new(Bytes::copy_from_slice(&reply.bytes));
        *response.status_mut() = reply.status;
        Ok(response)
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request).await;
        self.cause.note(answer.as_ref().err().map(|error| format!("{}: {error}", self.server.address().authority())));
        answer
    }
}
