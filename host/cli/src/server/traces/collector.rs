//! The way to the collector: a connection for every batch, over TLS unless the address says `http`.
//!
//! The rule: its certificate is checked, no redirect is followed, no proxy is used. It is the client of the commands. Who exports keeps no cause of a failure, so that it
//! is kept here, for the log.

use crate::client::{roundtrip, tls};
use async_trait::async_trait;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use opentelemetry_http::{HttpClient, HttpError};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;

/// Where a collector is.
pub(super) struct Collector {
    host: String,
    port: u16,
    authority: HeaderValue,
    tls: Option<tls::Connector>,
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
        f.debug_struct("Collector").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Collector {
    /// The collector at a URL.
    pub(super) fn new(url: &Uri, ca_cert: Option<&Path>) -> Result<Self, String> {
        let wrong = || format!("traces: no host in {url}");
        let authority = url.authority().ok_or_else(wrong)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = url.scheme_str() == Some("https");
        let settings = tls::Settings {
            ca_cert: ca_cert.map(Path::to_owned),
            client_cert: None,
            client_key: None,
            server_name: None,
            skip_verify: false,
        };
        let tls = secure.then(|| tls::Connector::new(&settings, &host)).transpose().map_err(|error| format!("traces: {error}"))?;
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { host, port, authority: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?, tls, cause: Cause::default() })
    }

    /// Where the cause of a failure is kept.
    pub(super) fn cause(&self) -> Cause {
        self.cause.clone()
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (mut head, body) = request.into_parts();
        head.uri = head.uri.path_and_query().map_or("/", |target| target.as_str()).parse()?;
        head.headers.insert(HOST, self.authority.clone());
        let request = Request::from_parts(head, Full::new(body));
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let reply = match &self.tls {
            Some(tls) => roundtrip(tls.connect(stream).await?, request).await,
            None => roundtrip(stream, request).await,
        }?;
        let mut response = Response::new(Bytes::copy_from_slice(&reply.bytes));
        *response.status_mut() = reply.status;
        Ok(response)
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request).await;
        self.cause.note(answer.as_ref().err().map(|error| format!("{}:{}: {error}", self.host, self.port)));
        answer
    }
}
