//! A signed request as a span of a trace: which operation of which service, and how it ended; nothing of its body, nor of the answer's.

use cofferdam_backend::SPANS;
use cofferdam_runtime::AwsResponse;
use tracing::Span;
use tracing::field::Empty;

use super::exchange::Failure;
use super::failure;

/// The span of a request of the backend's. `target` is the header `x-amz-target`.
pub(super) fn span(backend: &str, target: &'static str) -> Span {
    let (service, method) = target.split_once('.').unwrap_or(("", target));
    tracing::info_span!(
        target: SPANS, "aws request", "otel.kind" = "client", backend, "rpc.system" = "aws-api", "rpc.service" = service,
        "rpc.method" = method, "http.response.status_code" = Empty, "error.type" = Empty, "otel.status_code" = Empty
    )
}

/// Notes how it ended.
pub(super) fn end(span: &Span, result: &Result<AwsResponse, Failure>) {
    let failed = match result {
        Ok(answer) => {
            span.record("http.response.status_code", i64::from(answer.status));
            let throttled = || failure::kind(answer).is_some_and(|kind| kind.is_throttling());
            (answer.status >= 400).then(|| if throttled() { "throttled" } else { "refused" })
        }
        Err(_) => Some("no-answer"),
    };
    if let Some(case) = failed {
        span.record("error.type", case);
        span.record("otel.status_code", "error");
    }
}
