//! Requests of browsers' pages, which say what origin they are of: who may ask is the operator's to say.
//!
//! The rule: once there are settings, a request of an origin that they do not name is refused before anything is done, on every path. Who sends no
//! origin is no page.

use cofferdam_vault::cors::Cors;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN, STRICT_TRANSPORT_SECURITY, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::envelope::{self, Answer};

/// The methods that a page may use, as a browser learns them.
const METHODS: &str = "DELETE,GET,OPTIONS,POST,PUT,LIST";
/// How many seconds a browser may remember it.
const MAX_AGE: &str = "300";

/// The origin that the answer has to name, if any; or the answer, if that is all there is to say.
pub(crate) fn check(settings: Option<&Cors>, method: &Method, headers: &HeaderMap) -> Result<Option<HeaderValue>, Box<Answer>> {
    let (Some(settings), Some(origin)) = (settings, headers.get(ORIGIN).filter(|origin| !origin.is_empty())) else { return Ok(None) };
    if !origin.to_str().is_ok_and(|origin| settings.allows(origin)) {
        return Err(Box::new(envelope::errors(StatusCode::FORBIDDEN, &["origin not allowed"])));
    }
    if method != Method::OPTIONS {
        return Ok(Some(origin.clone()));
    }
    let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD).and_then(|method| method.to_str().ok()).unwrap_or_default();
    if !METHODS.split(',').any(|method| method == wanted) {
        let mut refused = envelope::raw(StatusCode::METHOD_NOT_ALLOWED, bytes::Bytes::new());
        refused.headers_mut().remove(CONTENT_TYPE);
        return Err(Box::new(refused));
    }
    let mut answer = envelope::raw(StatusCode::OK, bytes::Bytes::new());
    allow(&mut answer, origin.clone());
    let headers = answer.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.remove(STRICT_TRANSPORT_SECURITY);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    if let Ok(names) = HeaderValue::from_str(&settings.headers().join(",")) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    Err(Box::new(answer))
}

/// Lets a page of this origin see the answer.
pub(crate) fn allow(answer: &mut Answer, origin: HeaderValue) {
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}
