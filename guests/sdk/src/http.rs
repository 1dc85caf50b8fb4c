//! Requests to the servers that the operator granted, by `wasi:http`.
//!
//! The host decides: it knows the servers, resolves their names, adds what is secret (a token, a password, a certificate) and sends. A guest names a URL, and
//! holds no credential. A request waits for its whole answer; redirects are answers like any other.
//!
//! ```no_run
//! use cofferdam_guest::http;
//!
//! # fn example() -> cofferdam_guest::Result<()> {
//! let answer = http::send("POST", "https://etcd.internal:2379/v3/kv/range", &[("content-type", "application/json")], b"{}")?;
//! assert_eq!(answer.status, 200);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::time::Duration;

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::{OutputStream, StreamError};

use crate::Error;

/// The most bytes that are read at once.
const PIECE: u64 = 256 << 10;

/// A server's answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status, 100 to 599.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name (in lower case), if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        std::str::from_utf8(value).ok()
    }
}

/// Why there is no answer. As an [`Error`], what may pass by itself is `unavailable`, what the operator must change `denied`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The operator's grant does not allow it; nothing was sent. The operator's log says more.
    Refused(String),
    /// No connection, and nothing was taken up by the server: safe to repeat, there or elsewhere.
    Unreachable(String),
    /// Whether the server acted is unknown.
    Interrupted(String),
    /// The request or its answer is larger than the grant allows.
    TooLarge(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpError::Refused(what) => write!(f, "refused: {what}"),
            HttpError::Unreachable(what) => write!(f, "unreachable: {what}"),
            HttpError::Interrupted(what) => write!(f, "interrupted: {what}"),
            HttpError::TooLarge(what) => write!(f, "too large: {what}"),
        }
    }
}

impl std::error::Error for HttpError {}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Error {
        match error {
            HttpError::Refused(_) => Error::Denied(error.to_string()),
            HttpError::Unreachable(_) | HttpError::Interrupted(_) => Error::Unavailable(error.to_string()),
            // The guest knows what it asked for; who does not look has met a limit that the operator must raise.
            HttpError::TooLarge(_) => Error::Exhausted(error.to_string()),
        }
    }
}

impl From<ErrorCode> for HttpError {
    fn from(code: ErrorCode) -> HttpError {
        let text = format!("{code:?}");
        match code {
            ErrorCode::HttpRequestDenied | ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpRequestMethodInvalid => {
                HttpError::Refused(text)
            }
            ErrorCode::ConnectionRefused
            | ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionLimitReached
            | ErrorCode::DnsTimeout
            | ErrorCode::DnsError(_)
            | ErrorCode::DestinationNotFound
            | ErrorCode::DestinationUnavailable
            | ErrorCode::TlsProtocolError
            | ErrorCode::TlsCertificateError
            | ErrorCode::TlsAlertReceived(_) => HttpError::Unreachable(text),
            ErrorCode::HttpRequestBodySize(_) | ErrorCode::HttpResponseBodySize(_) => HttpError::TooLarge(text),
            _ => HttpError::Interrupted(text),
        }
    }
}

/// Sends a request and waits for its answer, for as long as the call of the guest may take.
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response, HttpError> {
    exchange(method, url, headers, body, None)
}

/// The same, but waits no longer than that: then it is [`HttpError::Interrupted`].
pub fn send_within(time: Duration, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response, HttpError> {
    exchange(method, url, headers, body, Some(time))
}

fn exchange(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8], time: Option<Duration>) -> Result<Response, HttpError> {
    let request = request(method, url, headers)?;
    let options = time.map(|time| {
        let options = RequestOptions::new();
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // A host that knows no such time waits as long as the call may take.
        let _ = options.set_first_byte_timeout(Some(nanos));
        options
    });
    let out = request.body().map_err(|()| unfit("body"))?;
    let answer = handle(request, options)?;
    if write(&out, body).is_ok() {
        OutgoingBody::finish(out, None)?;
    }
    // Where the body was not taken to its end, the answer says why.
    read(&wait(&answer)?)
}

fn unfit(what: &str) -> HttpError {
    HttpError::Refused(format!("the {what} of the request cannot be sent"))
}

fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<OutgoingRequest, HttpError> {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).map_err(|error| HttpError::Refused(format!("the header {name:?}: {error:?}")))?;
    }
    let request = OutgoingRequest::new(fields);
    let (scheme, authority, path) =
        split(url).ok_or_else(|| HttpError::Refused("the URL must begin with http:// or https://".to_owned()))?;
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_method(&known(method)).map_err(|()| unfit("method"))?;
    request.set_scheme(Some(&scheme)).map_err(|()| unfit("scheme"))?;
    request.set_authority(Some(authority)).map_err(|()| unfit("host"))?;
    request.set_path_with_query(Some(path)).map_err(|()| unfit("path"))?;
    Ok(request)
}

/// Scheme, authority and path of a URL.
fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
    Some((scheme, authority, if path.is_empty() { "/" } else { path }))
}

fn known(method: &str) -> Method {
    match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        "OPTIONS" => Method::Options,
        other => Method::Other(other.to_owned()),
    }
}

fn write(out: &OutgoingBody, mut body: &[u8]) -> Result<(), StreamError> {
    let Ok(stream) = out.write() else { return Err(StreamError::Closed) };
    while !body.is_empty() {
        let room = usize::try_from(permit(&stream)?).unwrap_or(usize::MAX);
        let (piece, rest) = body.split_at_checked(room).unwrap_or((body, &[]));
        stream.write(piece)?;
        body = rest;
    }
    stream.flush()?;
    // The flush is over when there is room again.
    permit(&stream).map(drop)
}

/// How much may be written, at least one byte.
fn permit(stream: &OutputStream) -> Result<u64, StreamError> {
    loop {
        match stream.check_write()? {
            0 => stream.subscribe().block(),
            room => return Ok(room),
        }
    }
}

fn wait(answer: &FutureIncomingResponse) -> Result<IncomingResponse, HttpError> {
    loop {
        match answer.get() {
            Some(Ok(answer)) => return Ok(answer?),
            Some(Err(())) => return Err(HttpError::Interrupted("the answer was taken before".to_owned())),
            None => answer.subscribe().block(),
        }
    }
}

fn read(answer: &IncomingResponse) -> Result<Response, HttpError> {
    let (status, headers) = (answer.status(), answer.headers().entries());
    let broken = || HttpError::Interrupted("the body of the answer is not to be had".to_owned());
    let content = answer.consume().map_err(|()| broken())?;
    let stream = content.stream().map_err(|()| broken())?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(PIECE) {
            Ok(piece) if body.is_empty() => body = piece,
            Ok(piece) => body.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(Response { status, headers, body }),
            Err(StreamError::LastOperationFailed(error)) => return Err(HttpError::Interrupted(error.to_debug_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        assert_eq!(split("http://a:1/b?c"), Some(("http", "a:1", "/b?c")));
        assert_eq!(split("https://a"), Some(("https", "a", "/")));
        for url in ["", "a/b", "ftp://a", "HTTP://a", "unix:a"] {
            assert_eq!(split(url), None, "{url}");
        }
    }

    #[test]
    fn an_error_tells_the_host_what_to_do() {
        let of = |code| Error::from(HttpError::from(code));
        assert!(matches!(of(ErrorCode::HttpRequestDenied), Error::Denied(_)));
        assert!(matches!(of(ErrorCode::ConnectionRefused), Error::Unavailable(_)));
        assert!(matches!(of(ErrorCode::HttpResponseTimeout), Error::Unavailable(_)));
        assert!(matches!(of(ErrorCode::HttpResponseBodySize(Some(1))), Error::Exhausted(_)));
        assert!(matches!(HttpError::from(ErrorCode::ConnectionRefused), HttpError::Unreachable(_)));
        assert!(matches!(HttpError::from(ErrorCode::ConnectionTerminated), HttpError::Interrupted(_)));
    }
}
