//! The client of Lambda's Extensions API: an extension registers, waits for events, and says why if it cannot go on.
//!
//! The rule: waiting for an event has no time limit, since the process is frozen meanwhile. Each request has a connection of its own: one that was kept may not
//! have outlived the freeze.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;

const VERSION: &str = "2020-01-01";
const IDENTIFIER: &str = "lambda-extension-identifier";
/// No answer of this API is near it.
const LARGEST_ANSWER: usize = 1 << 20;
/// What is left of the time before the deadline of a shutdown.
const MARGIN: Duration = Duration::from_millis(200);

/// Why Lambda cannot be talked with.
#[derive(Debug, thiserror::Error)]
#[error("Lambda's Extensions API at {address}: {what}: {reason}")]
pub(crate) struct LambdaError {
    address: String,
    what: String,
    reason: String,
}

/// What Lambda tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The function is called.
    Invoke,
    /// The end is near.
    Shutdown {
        /// Why.
        reason: String,
        /// When the process is killed.
        deadline: SystemTime,
    },
}

impl Event {
    fn parse(body: &[u8]) -> Result<Event, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Told {
            event_type: String,
            #[serde(default)]
            shutdown_reason: String,
            #[serde(default)]
            deadline_ms: u64,
        }
        let told: Told = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        match told.event_type.as_str() {
            "INVOKE" => Ok(Event::Invoke),
            "SHUTDOWN" => {
                let deadline = SystemTime::UNIX_EPOCH + Duration::from_millis(told.deadline_ms);
                Ok(Event::Shutdown { reason: told.shutdown_reason, deadline })
            }
            other => Err(format!("the event {other:?} was not asked for")),
        }
    }
}

/// How long requests under way may still take when the process is killed then.
pub(crate) fn time_left(deadline: SystemTime, now: SystemTime) -> Duration {
    deadline.duration_since(now).unwrap_or_default().saturating_sub(MARGIN)
}

/// A registered extension.
pub(crate) struct Extension {
    address: String,
    identifier: HeaderValue,
}

impl Extension {
    /// Registers with the API at `host:port`, for calls of the function and for the end. The name is the file's, by which Lambda has started it.
    pub(crate) async fn register(address: &str, name: &str) -> Result<Extension, LambdaError> {
        let what = "register";
        let error = |reason: String| LambdaError { address: address.to_owned(), what: what.to_owned(), reason };
        let name = HeaderValue::from_str(name).map_err(|_| error(format!("{name:?} is no name for a header")))?;
        let body = json!({"events": ["INVOKE", "SHUTDOWN"]}).to_string();
        let request = Request::builder().header("lambda-extension-name", name);
        let (headers, _) = call(address, Method::POST, "register", request, body).await.map_err(error)?;
        let identifier = headers.get(IDENTIFIER).cloned().ok_or_else(|| error(format!("the answer has no header {IDENTIFIER}")))?;
        Ok(Extension { address: address.to_owned(), identifier })
    }

    async fn send(&self, method: Method, path: &str, more: &[(&str, &str)], body: String) -> Result<Bytes, LambdaError> {
        let mut request = Request::builder().header(IDENTIFIER, &self.identifier);
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let outcome = call(&self.address, method, path, request, body).await;
        let (_, body) = outcome.map_err(|reason| LambdaError { address: self.address.clone(), what: path.to_owned(), reason })?;
        Ok(body)
    }

    /// Waits for the next event. Lambda freezes the process meanwhile.
    pub(crate) async fn next(&self) -> Result<Event, LambdaError> {
        let path = "event/next";
        let body = self.send(Method::GET, path, &[], String::new()).await?;
        Event::parse(&body).map_err(|reason| LambdaError { address: self.address.clone(), what: path.to_owned(), reason })
    }

    /// Says that the start failed; the process must end after it.
    pub(crate) async fn init_error(&self, message: &str) -> Result<(), LambdaError> {
        self.error("init/error", "Extension.InitFailed", message).await
    }

    /// Says that it cannot go on; the process must end after it.
    pub(crate) async fn exit_error(&self, message: &str) -> Result<(), LambdaError> {
        self.error("exit/error", "Extension.Failed", message).await
    }

    async fn error(&self, path: &str, kind: &str, message: &str) -> Result<(), LambdaError> {
        let body = json!({"errorMessage": message, "errorType": kind, "stackTrace": []}).to_string();
        self.send(Method::POST, path, &[("lambda-extension-function-error-type", kind)], body).await.map(drop)
    }
}

/// One request on a connection of its own.
async fn call(
    address: &str,
    method: Method,
    path: &str,
    request: http::request::Builder,
    body: String,
) -> Result<(http::HeaderMap, Bytes), String> {
    let request = request.method(method).uri(format!("/{VERSION}/extension/{path}")).header("host", address);
    let request =
        request.header("content-type", "application/json").body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| error.to_string())?.to_bytes();
    driver.abort();
    // Errors are accepted with 202.
    if parts.status == StatusCode::OK || parts.status == StatusCode::ACCEPTED {
        return Ok((parts.headers, body));
    }
    let text: String = String::from_utf8_lossy(&body).chars().take(400).collect();
    Err(format!("{}: {}", parts.status, text.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart() {
        let invoke =
            br#"{"eventType":"INVOKE","deadlineMs":1,"requestId":"r","invokedFunctionArn":"a","tracing":{"type":"t","value":"v"}}"#;
        assert_eq!(Event::parse(invoke), Ok(Event::Invoke));
        let shutdown = br#"{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":2500}"#;
        let deadline = SystemTime::UNIX_EPOCH + Duration::from_millis(2_500);
        assert_eq!(Event::parse(shutdown), Ok(Event::Shutdown { reason: "spindown".to_owned(), deadline }));
        assert!(Event::parse(br#"{"eventType":"OTHER"}"#).unwrap_err().contains("OTHER"));
        assert!(Event::parse(b"").is_err());
        let before = |ms| time_left(deadline, deadline - Duration::from_millis(ms));
        assert_eq!(before(2_000), Duration::from_millis(1_800));
        assert_eq!((before(100), time_left(deadline, deadline + MARGIN)), (Duration::ZERO, Duration::ZERO));
    }

    #[tokio::test]
    async fn an_api_that_does_not_answer_as_it_should_is_named() {
        let error = Extension::register("127.0.0.1:1", "x").await.err().unwrap().to_string();
        assert!(error.starts_with("Lambda's Extensions API at 127.0.0.1:1: register: "), "{error}");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            for answer in ["403 Forbidden\r\ncontent-length: 4\r\n\r\nno\n\x1b", "200 OK\r\ncontent-length: 0\r\n\r\n"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await.unwrap();
                let answer = format!("HTTP/1.1 {answer}");
                tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.unwrap();
            }
        });
        let error = Extension::register(&address, "x").await.err().unwrap().to_string();
        assert!(error.ends_with("403 Forbidden: no\\n\\u{1b}"), "{error}");
        let error = Extension::register(&address, "x").await.err().unwrap().to_string();
        assert!(error.contains("lambda-extension-identifier"), "{error}");
    }
}
