//! The grant itself: which rule a request falls under, whether the call may still send, and what the guest learns of a failure. The rule: the log here has
//! nothing that the guest said; what it was refused, the runtime tells.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cofferdam_runtime::{Http, HttpCall, HttpError, Purpose, SPANS};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body as _;
use hyper_util::client::legacy::connect::capture_connection;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::authority::Authority;
use crate::dial::{DialError, Resolve, System};
use crate::error::GrantError;
use crate::headers;
use crate::metrics::Meter;
use crate::options::Options;
use crate::rule::Rule;
use crate::server::Server;
use cofferdam_connect::net::Rate;

/// The servers that one backend may send requests to.
pub struct HttpGrant {
    backend: String,
    servers: Vec<Server>,
    options: Options,
    rate: Rate,
    warnings: Rate,
    meter: Meter,
}

impl fmt::Debug for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpGrant").field("backend", &self.backend).field("servers", &self.describe()).finish_non_exhaustive()
    }
}

impl HttpGrant {
    /// The grant of the backend of this name (the operator's). Files are read and checked; nothing is sent yet.
    pub fn new(backend: &str, rules: Vec<Rule>, options: Options) -> Result<Arc<HttpGrant>, GrantError> {
        HttpGrant::with_resolver(backend, &rules, options, &(Arc::new(System::default()) as Arc<dyn Resolve>))
    }

    pub(crate) fn with_resolver(
        backend: &str,
        rules: &[Rule],
        options: Options,
        resolver: &Arc<dyn Resolve>,
    ) -> Result<Arc<HttpGrant>, GrantError> {
        let meter = Meter::new(backend);
        let server = |rule| Server::new(rule, Arc::clone(resolver), &options, &meter);
        let servers = rules.iter().map(server).collect::<Result<Vec<_>, _>>()?;
        for server in servers.iter().filter(|server| server.link.is_in_clear()) {
            tracing::warn!(backend, server = server.describe(), "requests to this server are not encrypted: use https");
        }
        let rate = Rate::new(options.per_second, options.per_second);
        Ok(Arc::new(HttpGrant { backend: backend.to_owned(), servers, rate, warnings: Rate::new(1, 10), meter, options }))
    }

    /// The rule that a request falls under, and where it goes there.
    fn judge(&self, request: &Request<Bytes>) -> Result<(&Server, PathAndQuery), String> {
        let uri = request.uri();
        let authority = Authority::of(uri).map_err(|cause| format!("the address of the request: {cause}"))?;
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        if !path.as_str().starts_with('/') || !path.as_str().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the path of the request: a slash and visible characters of ASCII are expected".to_owned());
        }
        let mut reason = None;
        for server in self.servers.iter().filter(|server| server.authority == authority) {
            if !server.takes(request.method()) {
                reason = Some(format!("{} for", known(request.method()).unwrap_or("this method")));
            } else if !server.has(path.path()) {
                reason = Some("this path of".to_owned());
            } else {
                return Ok((server, path));
            }
        }
        Err(match reason {
            Some(what) => format!("the grant does not allow {what} {authority}"),
            None => format!("{authority} is not among the servers that the grant names"),
        })
    }

    /// Whether the call may send this much more. It then has.
    fn admit(&self, call: &HttpCall, size: u64) -> Result<(), HttpError> {
        let options = &self.options;
        if size > options.max_request {
            return Err(HttpError::TooLarge(options.max_request));
        }
        if call.purpose == Purpose::Attach {
            return Err(HttpError::Refused("nothing may be sent during attach".to_owned()));
        }
        let received = call.received.load(Ordering::Relaxed);
        if call.sent.load(Ordering::Relaxed).saturating_add(received).saturating_add(size) > options.bytes_per_call {
            return Err(HttpError::Refused(format!(
                "this call would exceed the {} bytes that one may send and receive",
                options.bytes_per_call
            )));
        }
        if call.sends.fetch_add(1, Ordering::Relaxed) >= options.per_call {
            call.sends.fetch_sub(1, Ordering::Relaxed);
            return Err(HttpError::Refused(format!("this call has sent {} requests, which is the most that one may", options.per_call)));
        }
        call.sent.fetch_add(size, Ordering::Relaxed);
        Ok(())
    }

    async fn wait_for_rate(&self, purpose: Purpose, deadline: Instant) -> Result<(), HttpError> {
        if purpose == Purpose::Lock || self.rate.wait(deadline).await {
            return Ok(());
        }
        Err(HttpError::Unreachable(format!("this backend sends more than {} requests a second", self.options.per_second)))
    }

    async fn exchange(&self, call: &HttpCall, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (server, path) = self.judge(&request).map_err(HttpError::Refused)?;
        let size = u64::try_from(request.body().len()).unwrap_or(u64::MAX);
        self.admit(call, size)?;
        let deadline = call.deadline.min(Instant::now() + self.options.time);
        self.wait_for_rate(call.purpose, deadline).await?;

        let (head, body) = request.into_parts();
        let span = self.span(server, &head.method);
        let mut outgoing = self.outgoing(server, path, head.method, head.headers, body)?;
        let (sender, stale) = server.link.sender();
        if let Some(error) = stale.filter(|_| self.warnings.is_free()) {
            tracing::warn!(backend = self.backend, server = %server.authority, "what TLS needs has changed and cannot be used, the earlier is kept: {error}");
        }
        let connection = capture_connection(&mut outgoing);
        self.meter.sent(size);
        let talk = async {
            let response = sender.request(outgoing).await.map_err(|error| self.no_answer(server, &error))?;
            self.read(server, call, response).await
        };
        let result = match tokio::time::timeout_at(deadline.into(), talk.instrument(span.clone())).await {
            Ok(result) => result,
            Err(_) if connection.connection_metadata().is_some() => Err(HttpError::Interrupted("no answer in time".to_owned())),
            Err(_) => Err(HttpError::Unreachable("no connection in time".to_owned())),
        };
        match &result {
            Ok(answer) => drop(span.record("http.response.status_code", i64::from(answer.status().as_u16()))),
            Err(_) => drop(span.record("otel.status_code", "error")),
        }
        result
    }

    /// One request of a trace: to which server. Its path is the guest's, and may name an entry.
    fn span(&self, server: &Server, method: &Method) -> Span {
        // Of a method, too, only what the guest has not made up.
        let method = known(method).unwrap_or("_OTHER");
        tracing::info_span!(
            target: SPANS, "http request", "otel.kind" = "client", backend = self.backend.as_str(),
            "server.address" = server.authority.host.bare(), "server.port" = i64::from(server.authority.port), "http.request.method" = method, "http.response.status_code" = Empty, "otel.status_code" = Empty
        )
    }

    /// The request as it leaves.
    fn outgoing(
        &self,
        server: &Server,
        path: PathAndQuery,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, HttpError> {
        // Which file or variable is the operator's alone.
        let added = server.added().map_err(|error| {
            if self.warnings.is_free() {
                tracing::warn!(backend = self.backend, server = %server.authority, "a request cannot be sent: what the grant adds is not to be had: {error}");
            }
            HttpError::Unreachable("what the grant adds to requests is not to be had; the server's log says why".to_owned())
        })?;
        let uri = server.uri(path).map_err(|_| HttpError::Refused("the path of the request cannot be sent".to_owned()))?;
        let mut outgoing = Request::new(Full::new(body));
        *outgoing.method_mut() = method;
        *outgoing.uri_mut() = uri;
        *outgoing.version_mut() = Version::HTTP_11;
        *outgoing.headers_mut() = headers::outgoing(headers, added, server.host.clone());
        Ok(outgoing)
    }

    async fn read(
        &self,
        server: &Server,
        call: &HttpCall,
        response: Response<hyper::body::Incoming>,
    ) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = response.into_parts();
        let most = self.options.max_response;
        if body.size_hint().lower() > most {
            return Err(HttpError::TooLarge(most));
        }
        let mut limited = Limited::new(body, usize::try_from(most).unwrap_or(usize::MAX));
        // Answers that come at the same time count together, each byte as it comes.
        let (mut body, mut taken) = (BytesMut::new(), call.room.taken());
        while let Some(frame) = limited.frame().await {
            let frame = frame.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    return HttpError::TooLarge(most);
                }
                self.warn(server, error.as_ref());
                HttpError::Interrupted("the connection broke before the answer was whole".to_owned())
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if !taken.grow(data.len()) {
                return Err(HttpError::TooLarge(u64::try_from(call.room.most()).unwrap_or(u64::MAX)));
            }
            body.extend_from_slice(&data);
        }
        let body = body.freeze();
        let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
        call.received.fetch_add(size, Ordering::Relaxed);
        self.meter.received(size);
        let mut answer = Response::new(body);
        *answer.status_mut() = head.status;
        *answer.headers_mut() = headers::incoming(head.headers);
        Ok(answer)
    }

    /// What the guest is told, and more of it the operator.
    fn no_answer(&self, server: &Server, error: &hyper_util::client::legacy::Error) -> HttpError {
        self.warn(server, error);
        match cause::<DialError>(error) {
            Some(error @ DialError::Address(_)) => HttpError::Refused(error.to_string()),
            Some(error) => HttpError::Unreachable(error.to_string()),
            None => HttpError::Interrupted("the connection broke before the answer was whole".to_owned()),
        }
    }

    fn warn(&self, server: &Server, error: &(dyn Error + 'static)) {
        if !self.warnings.is_free() {
            return;
        }
        if let Some(refused @ DialError::Address(found)) = cause(error) {
            tracing::warn!(backend = self.backend, server = %server.authority, ?found, "{refused}: name them in addresses if they are right");
            return;
        }
        let chain: Vec<String> = causes(error).map(ToString::to_string).collect();
        tracing::warn!(backend = self.backend, server = %server.authority, "a request has no answer: {}", chain.join(": "));
    }
}

/// The method, unless the guest has made it up.
fn known(method: &Method) -> Option<&str> {
    let all = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    all.contains(method).then_some(method.as_str())
}

/// The error of this type in a chain of causes.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// The error, and what caused it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

#[async_trait]
impl Http for HttpGrant {
    fn describe(&self) -> String {
        self.servers.iter().map(Server::describe).collect::<Vec<_>>().join("; ")
    }

    fn max_request(&self) -> u64 {
        self.options.max_request
    }

    async fn send(&self, call: &HttpCall, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let measure = self.meter.start();
        let result = self.exchange(call, request).await;
        measure.finish(&result);
        result
    }
}
