//! Answers as Vault's clients expect them (vault.md 5.12 of the project's sources names every member).

use bytes::Bytes;
use cofferdam_vault::envelope;
use cofferdam_vault::logical::{Error, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, STRICT_TRANSPORT_SECURITY};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::payload::Payload;

/// An HTTP answer.
pub(crate) type Answer = http::Response<Payload>;

/// The answer to a request that was done.
pub(crate) fn done(request_id: &str, response: &Response) -> Answer {
    let status = response.status.and_then(|status| StatusCode::from_u16(status).ok());
    if envelope::is_empty(response) {
        return raw(status.unwrap_or(StatusCode::NO_CONTENT), Bytes::new());
    }
    let mut body = match envelope::body(request_id, response) {
        Ok(body) => body.to_vec(),
        Err(error) => return failed(request_id, &error),
    };
    // Vault ends these without a newline, and its command line prints what it gets.
    if status.is_none() && response.raw.is_none() {
        body.push(b'\n');
    }
    raw(status.unwrap_or(StatusCode::OK), body.into())
}

/// The answer to a request that was not done.
pub(crate) fn failed(request_id: &str, error: &Error) -> Answer {
    let (status, text) = told(request_id, error);
    errors(status, text.as_deref().as_slice())
}

/// Its status and text. What the log alone may say is logged here, under the request's id.
pub(crate) fn told(request_id: &str, error: &Error) -> (StatusCode, Option<String>) {
    let internal = |status| {
        tracing::error!(request_id, %error, "request failed");
        (status, format!("internal error (request {request_id})"))
    };
    let (status, text) = match error {
        Error::BadRequest(text) | Error::WrongCredentials(text) => (StatusCode::BAD_REQUEST, text.clone()),
        Error::PermissionDenied => (StatusCode::FORBIDDEN, "permission denied".to_owned()),
        Error::Forbidden(text) => (StatusCode::FORBIDDEN, text.clone()),
        Error::NotFound => return (StatusCode::NOT_FOUND, None),
        Error::NoRoute(text) => (StatusCode::NOT_FOUND, text.clone()),
        Error::UnsupportedOperation => (StatusCode::METHOD_NOT_ALLOWED, one_error("unsupported operation")),
        Error::WrongMethod => return (StatusCode::METHOD_NOT_ALLOWED, None),
        Error::Sealed => (StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed".to_owned()),
        Error::Standby => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        Error::LeadershipLost => {
            tracing::warn!(request_id, %error, "request failed for now");
            (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
        }
        Error::Refused(text) => (StatusCode::INTERNAL_SERVER_ERROR, text.clone()),
        Error::NotInitialized => (StatusCode::BAD_REQUEST, error.to_string()),
        Error::TooLarge(text) => (StatusCode::PAYLOAD_TOO_LARGE, text.clone()),
        Error::Storage(source) if for_now(source) => {
            tracing::warn!(request_id, %error, "request failed for now");
            (StatusCode::SERVICE_UNAVAILABLE, format!("storage is not available, try again (request {request_id})"))
        }
        Error::Storage(backend) => {
            tracing::error!(request_id, %error, "storage failed");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("storage error: {} (request {request_id})", backend.case()))
        }
        Error::Seal { source, .. } if for_now(source) => {
            tracing::warn!(request_id, %error, "request failed for now");
            (StatusCode::SERVICE_UNAVAILABLE, format!("the seal's key service is not available, try again (request {request_id})"))
        }
        Error::Seal { source, .. } => {
            tracing::error!(request_id, %error, "the seal failed");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("seal error: {} (request {request_id})", source.case()))
        }
        _ => internal(StatusCode::INTERNAL_SERVER_ERROR),
    };
    (status, Some(text))
}

/// Whether a backend's error says that it may work later.
fn for_now(error: &cofferdam_backend::Error) -> bool {
    use cofferdam_backend::Error::{Busy, Quarantined, Throttled, TimedOut, Unavailable};
    matches!(error, Unavailable(_) | Throttled(_) | Busy(_) | Quarantined(_) | TimedOut(_))
}

/// How Vault prints a single error of a list of errors.
fn one_error(text: &str) -> String {
    format!("1 error occurred:\n\t* {text}\n\n")
}

/// An answer that holds only errors.
pub(crate) fn errors(status: StatusCode, texts: &[&str]) -> Answer {
    json_answer(status, &json!({ "errors": texts }))
}

/// An answer with this value as its JSON.
pub(crate) fn json_answer(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            raw(status, body.into())
        }
        Err(error) => unwritable(&error),
    }
}

fn unwritable(error: &serde_json::Error) -> Answer {
    tracing::error!(%error, "an answer could not be written as JSON");
    raw(StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(b"{\"errors\":[\"internal error\"]}\n"))
}

/// An answer with these bytes, and the headers that every answer has.
pub(crate) fn raw(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = http::Response::new(Payload::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains"));
    answer
}
