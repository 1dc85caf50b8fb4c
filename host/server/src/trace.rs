//! A request as the first span of a trace. What is below it, the vault and the backends add.
//!
//! The rule: it has the method, the mount, the operation and the status; no path, since that may name a secret, no header and no body.

use cofferdam_backend::SPANS;
use http::{HeaderMap, Request, StatusCode};
use tracing::Span;
use tracing::field::Empty;

/// Makes a span that was not entered yet a part of the trace that a request's headers name, if they do.
pub type Adopt = fn(&Span, &HeaderMap);

/// The id under which answer, log and audit entry name the request.
pub(crate) const REQUEST_ID: &str = "coffer.request_id";

/// Of any other a client could make up the name.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "LIST", "OPTIONS"];

/// The span of a request.
pub(crate) fn span<B>(request: &Request<B>, adopt: Option<&Adopt>) -> Span {
    let method = METHODS.into_iter().find(|known| *known == request.method().as_str()).unwrap_or("_OTHER");
    let span = tracing::info_span!(
        target: SPANS, "request", "otel.kind" = "server", "http.request.method" = method, "http.response.status_code" = Empty,
        "coffer.mount" = Empty, "coffer.operation" = Empty, "coffer.request_id" = Empty, "otel.status_code" = Empty
    );
    if let Some(adopt) = adopt.filter(|_| !span.is_disabled()) {
        adopt(&span, request.headers());
    }
    span
}

/// Notes the answer.
pub(crate) fn end(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "error");
    }
}
