//! What the proxy has seen.

use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::request::Parts;
use serde_json::Value;

/// A request that reached the proxy.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it came.
    pub at: SystemTime,
    /// The operation, as in `GetItem`.
    pub operation: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The status of the answer; none if there was none, or none yet.
    pub status: Option<u16>,
    /// The capacity units that it consumed, if the proxy measures.
    pub units: f64,
}

impl Request {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header as text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// The id of the access key that a request is signed with.
pub(crate) fn signer(headers: &HeaderMap) -> String {
    credential(headers, 0)
}

/// The region that a request is signed for.
pub(crate) fn region(headers: &HeaderMap) -> String {
    credential(headers, 2)
}

/// A part of the credential: key, day, region, service.
fn credential(headers: &HeaderMap, part: usize) -> String {
    let signed = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let credential = signed.split_once("Credential=").map_or("", |(_, rest)| rest);
    credential.split('/').nth(part).unwrap_or_default().to_owned()
}

/// What every request to a service looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// What stands before the operation in the header of the target.
    pub(crate) target: &'static str,
    pub(crate) content_type: &'static str,
    /// The service in the scope of a signature.
    pub(crate) service: &'static str,
}

impl Form {
    /// The operation of a request; empty if it has none.
    pub(crate) fn operation(&self, headers: &HeaderMap) -> String {
        let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        target.strip_prefix(self.target).unwrap_or_default().to_owned()
    }

    /// What is wrong with a request whatever its body: to be nothing.
    pub(crate) fn complaints(&self, parts: &Parts, operation: &str) -> Vec<String> {
        let mut found = Vec::new();
        if parts.method != http::Method::POST || parts.uri.path() != "/" || parts.uri.query().is_some() {
            found.push(format!("{} {} instead of POST /", parts.method, parts.uri));
        }
        let singles = [HOST, AUTHORIZATION, CONTENT_TYPE, CONTENT_LENGTH];
        let singles = singles.iter().map(http::HeaderName::as_str).chain(["x-amz-date", "x-amz-target"]);
        for name in singles {
            let count = parts.headers.get_all(name).iter().count();
            if count != 1 {
                found.push(format!("{operation}: {count} headers {name}, one is expected"));
            }
        }
        if parts.headers.get_all("x-amz-security-token").iter().count() > 1 {
            found.push(format!("{operation}: several headers x-amz-security-token"));
        }
        if parts.headers.get(CONTENT_TYPE).is_none_or(|kind| kind != self.content_type) {
            found.push(format!("{operation}: the content type is not {}", self.content_type));
        }
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let authorization = text("authorization");
        let signed = authorization.split_once("SignedHeaders=").and_then(|(_, rest)| rest.split_once(',')).map_or("", |(names, _)| names);
        for name in ["host", "x-amz-date", "x-amz-target"] {
            if !signed.split(';').any(|one| one == name) {
                found.push(format!("{operation}: the header {name} is not signed"));
            }
        }
        let day = text("x-amz-date").get(..8).unwrap_or("no date");
        if !authorization.contains(&format!("/{day}/")) || !authorization.contains(&format!("/{}/aws4_request", self.service)) {
            found.push(format!("{operation}: the scope of the signature is not of {day} and {}", self.service));
        }
        found
    }
}
