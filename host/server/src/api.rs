//! Every request of every listener: from HTTP to the vault's request, and back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cofferdam_vault::core::Core;
use cofferdam_vault::logical::{Error, Fields, Operation, Request};
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use hyper::body::Incoming;
use tracing::Instrument;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::body::{self, BodyError};
use crate::envelope::{self, Answer};
use crate::listener::ListenerConfig;
use crate::metrics::Metrics;
use crate::payload::Payload;
use crate::plugins::Plugins;
use crate::trace::{self, Adopt};
use crate::{cors, elsewhere, query, snapshot, sys, wrapping};

/// The media type that a PATCH must have.
const MERGE_PATCH: &str = "application/merge-patch+json";

/// The API over one vault.
pub(crate) struct Api {
    pub(crate) core: Arc<Core>,
    pub(crate) metrics: Metrics,
    pub(crate) plugins: OnceLock<Arc<dyn Plugins>>,
    pub(crate) adopt: OnceLock<Adopt>,
}

impl Api {
    pub(crate) fn new(core: Arc<Core>, metrics: Metrics) -> Api {
        Api { core, metrics, plugins: OnceLock::new(), adopt: OnceLock::new() }
    }

    /// Answers a request within the listener's bounds. What a mutation has begun goes on after the time is up.
    pub(crate) async fn answer(&self, request: http::Request<Incoming>, listener: &ListenerConfig, remote: SocketAddr) -> Answer {
        let head = request.method() == Method::HEAD;
        let span = trace::span(&request, self.adopt.get());
        let origin = match cors::check(self.core.cors().as_deref(), request.method(), request.headers()) {
            Ok(origin) => origin,
            Err(answer) => return *answer,
        };
        let limit = if snapshot::Asked::unbounded(request.uri().path()) { Duration::MAX } else { listener.max_request_duration };
        // Boxed, since what all paths together may come to is large.
        let routed = Box::pin(self.route(request, listener, remote)).instrument(span.clone());
        let mut answer = match tokio::time::timeout(limit, routed).await {
            Ok(answer) => answer,
            Err(_) => envelope::errors(StatusCode::SERVICE_UNAVAILABLE, &["request took longer than max_request_duration"]),
        };
        if let Some(origin) = origin {
            cors::allow(&mut answer, origin);
        }
        trace::end(&span, answer.status());
        if head { answer.map(|_| Payload::default()) } else { answer }
    }

    async fn route(&self, request: http::Request<Incoming>, listener: &ListenerConfig, remote: SocketAddr) -> Answer {
        let (head, body) = request.into_parts();
        let Some(raw_path) = head.uri.path().strip_prefix("/v1/") else {
            return envelope::errors(StatusCode::NOT_FOUND, &[]);
        };
        if let Some(clean) = cleaned(raw_path) {
            return redirect(&clean, head.uri.query());
        }
        let Some(path) = query::path(raw_path).filter(|path| !path.contains('\0')) else {
            return envelope::errors(StatusCode::BAD_REQUEST, &["the path is not UTF-8 text, or holds a NUL character"]);
        };
        if let Err(answer) = check_namespace(&head.headers) {
            return answer;
        }
        let parameters = query::pairs(head.uri.query());
        if let Some(asked) = snapshot::Asked::of(&path, &head.method) {
            return match asked {
                // In a box: it is rare, and every request would have room for it.
                Ok(asked) => Box::pin(asked.answer(self, &head, body, listener, remote)).await,
                Err(answer) => *answer,
            };
        }
        if let Some(endpoint) = sys::Endpoint::of(&path) {
            let bytes = match body::read(body, listener.max_request_size).await {
                Ok(bytes) => bytes,
                Err(error) => return body_failed(&error),
            };
            return Box::pin(sys::answer(self, endpoint, &head, &parameters, &bytes, listener, remote)).await;
        }
        if self.core.standby() && path != "sys/seal" {
            // Read all the same, so that the client gets to reading the answer.
            drop(body::read(body, listener.max_request_size).await);
            return elsewhere::answer(&self.core.elsewhere(), &head.uri);
        }
        Box::pin(self.logical(&head, path, parameters, body, listener, remote)).await
    }

    async fn logical(
        &self,
        head: &Parts,
        mut path: String,
        parameters: Vec<(String, String)>,
        body: Incoming,
        listener: &ListenerConfig,
        remote: SocketAddr,
    ) -> Answer {
        let headers = &head.headers;
        let operation = match operation(&head.method, &parameters) {
            Ok(operation) => operation,
            Err(answer) => return answer,
        };
        let data = match operation {
            // `list` has done its work; engines would warn of a field that they do not know.
            Operation::Read | Operation::List | Operation::Delete => {
                query::fields(parameters.into_iter().filter(|(name, _)| name != "list").collect())
            }
            _ => {
                if operation == Operation::Patch
                    && let Err(answer) = check_patch_type(headers)
                {
                    return answer;
                }
                let read = match body::read(body, listener.max_request_size).await {
                    Ok(bytes) => body::fields(&bytes),
                    Err(error) => Err(error),
                };
                match read {
                    Ok(fields) => fields,
                    Err(error) => return body_failed(&error),
                }
            }
        };
        if operation == Operation::List && !path.ends_with('/') {
            path.push('/');
        }
        let wrap_ttl = match wrapping::ttl(headers) {
            Ok(ttl) => ttl,
            Err(answer) => return *answer,
        };
        let recorded = self.core.audited_headers().map(|wanted| recorded(headers, &wanted)).unwrap_or_default();
        let request = Request {
            data,
            remote: Some(remote),
            wrap_ttl,
            wrap_jwt: wrapping::jwt(headers),
            headers: recorded,
            ..self.request(operation, path, headers)
        };
        let id = request.id.clone();
        tracing::Span::current().record(trace::REQUEST_ID, id.as_str());
        match self.core.handle(request).await {
            Ok(response) => envelope::done(&id, &response),
            Err(error) => self.failed(&id, &error, &head.uri),
        }
    }

    /// The answer to a request that was not done: not here, if this server is a standby.
    pub(crate) fn failed(&self, request_id: &str, error: &Error, uri: &Uri) -> Answer {
        match error {
            Error::Standby => elsewhere::answer(&self.core.elsewhere(), uri),
            error => envelope::failed(request_id, error),
        }
    }

    /// A request without data, with a new id and the token of the headers.
    pub(crate) fn request(&self, operation: Operation, path: impl Into<String>, headers: &HeaderMap) -> Request {
        Request {
            id: Uuid::new_v4().to_string(),
            operation,
            path: path.into(),
            data: Fields::new(),
            token: token(headers),
            remote: None,
            caller: None,
            wrap_ttl: None,
            wrap_jwt: false,
            headers: Vec::new(),
        }
    }
}

/// The headers of a request that the audit log wants.
fn recorded(headers: &HeaderMap, wanted: &BTreeMap<String, bool>) -> Vec<(String, String)> {
    let named = headers.iter().filter(|(name, _)| wanted.contains_key(name.as_str()));
    named.map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}

pub(crate) fn operation(method: &Method, parameters: &[(String, String)]) -> Result<Operation, Answer> {
    Ok(match method.as_str() {
        "GET" => {
            let Some((_, wanted)) = parameters.iter().find(|(name, _)| name == "list") else { return Ok(Operation::Read) };
            match query::boolean(wanted) {
                Some(true) => Operation::List,
                Some(false) => Operation::Read,
                None => return Err(envelope::errors(StatusCode::BAD_REQUEST, &["list: true or false expected"])),
            }
        }
        "LIST" => Operation::List,
        "PUT" | "POST" => Operation::Update,
        "PATCH" => Operation::Patch,
        "DELETE" => Operation::Delete,
        _ => return Err(envelope::errors(StatusCode::METHOD_NOT_ALLOWED, &[])),
    })
}

pub(crate) fn check_patch_type(headers: &HeaderMap) -> Result<(), Answer> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(MERGE_PATCH) {
        return Ok(());
    }
    let text = format!("PATCH requires Content-Type of {MERGE_PATCH}, provided {given}");
    Err(envelope::errors(StatusCode::UNSUPPORTED_MEDIA_TYPE, &[&text]))
}

/// Only the root namespace is served. Names as Vault's clients send them.
pub(crate) fn check_namespace(headers: &HeaderMap) -> Result<(), Answer> {
    match headers.get("x-vault-namespace").map(|value| value.to_str().unwrap_or("?").trim_matches('/')) {
        None | Some("" | "root") => Ok(()),
        Some(_) => Err(envelope::errors(StatusCode::NOT_FOUND, &["namespace not found"])),
    }
}

/// The token of a request, from either header that clients use.
pub(crate) fn token(headers: &HeaderMap) -> Option<Zeroizing<String>> {
    let own = headers.get("x-vault-token").and_then(|value| value.to_str().ok());
    let bearer = || headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    own.or_else(bearer).map(str::trim).filter(|token| !token.is_empty()).map(|token| Zeroizing::new(token.to_owned()))
}

/// A body that could not be read, as an answer.
pub(crate) fn body_failed(error: &BodyError) -> Answer {
    match error {
        BodyError::TooLarge => envelope::errors(StatusCode::PAYLOAD_TOO_LARGE, &["http: request body too large"]),
        BodyError::Cut => envelope::errors(StatusCode::BAD_REQUEST, &["the request body ended early"]),
        BodyError::Malformed(reason) => {
            let text = format!("failed to decode JSON input: {reason}");
            envelope::errors(StatusCode::BAD_REQUEST, &[&text])
        }
    }
}

/// The same path without empty, `.` and `..` segments, if it has any: Vault's router sends clients there.
pub(crate) fn cleaned(path: &str) -> Option<String> {
    if !path.split('/').rev().skip(1).any(str::is_empty) && !path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let mut clean = format!("/v1/{}", kept.join("/"));
    if path.ends_with('/') && !kept.is_empty() {
        clean.push('/');
    }
    Some(clean)
}

pub(crate) fn redirect(path: &str, query: Option<&str>) -> Answer {
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut answer = envelope::raw(StatusCode::TEMPORARY_REDIRECT, Bytes::new());
    match HeaderValue::try_from(target) {
        Ok(location) => {
            answer.headers_mut().insert(LOCATION, location);
            answer
        }
        Err(_) => envelope::failed("", &Error::bad_request("the path cannot be used")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_vaults_router_does() {
        assert_eq!(cleaned("secret/data/foo"), None);
        assert_eq!(cleaned("secret/metadata/"), None);
        assert_eq!(cleaned("secret/data//foo").as_deref(), Some("/v1/secret/data/foo"));
        assert_eq!(cleaned("/secret/data/foo").as_deref(), Some("/v1/secret/data/foo"));
        assert_eq!(cleaned("secret/data/../foo").as_deref(), Some("/v1/secret/foo"));
        assert_eq!(cleaned("../../x/").as_deref(), Some("/v1/x/"));
    }

    #[test]
    fn only_the_root_namespace_is_taken() {
        let check = |name: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-vault-namespace", HeaderValue::from_str(name).unwrap());
            check_namespace(&headers).is_ok()
        };
        assert!(check_namespace(&HeaderMap::new()).is_ok());
        assert!(check("") && check("root") && check("root/") && check("/"));
        assert!(!check("team") && !check("root/team"));
    }

    #[test]
    fn tokens_come_from_either_header() {
        let mut headers = HeaderMap::new();
        assert!(token(&headers).is_none());
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic abc"));
        assert!(token(&headers).is_none());
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
        assert_eq!(token(&headers).unwrap().as_str(), "abc");
        headers.insert("x-vault-token", HeaderValue::from_static("def"));
        assert_eq!(token(&headers).unwrap().as_str(), "def");
    }

    #[test]
    fn methods_map_to_operations() {
        let list = |value: &str| vec![("list".to_owned(), value.to_owned())];
        assert_eq!(operation(&Method::GET, &[]).unwrap(), Operation::Read);
        assert_eq!(operation(&Method::GET, &list("true")).unwrap(), Operation::List);
        assert_eq!(operation(&Method::GET, &list("0")).unwrap(), Operation::Read);
        assert_eq!(operation(&Method::GET, &list("maybe")).unwrap_err().status(), 400);
        assert_eq!(operation(&Method::from_bytes(b"LIST").unwrap(), &[]).unwrap(), Operation::List);
        assert_eq!(operation(&Method::OPTIONS, &[]).unwrap_err().status(), 405);
    }
}
