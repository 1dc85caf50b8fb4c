//! Requests that others signed, sent on as they are: a login by the aws auth method is checked so.
//!
//! The rule: nothing of this server's own is added, no credential least of all; each request has a connection of its own, no redirect is followed and
//! nothing is repeated. An address of the machine's metadata is not dialled, whatever the name; other addresses of private networks are, since that is where an
//! endpoint of a VPC is.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cofferdam_credentials::{Endpoint, chain};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;

use super::dial::{DialError, Dialer};
use super::exchange::{Failure, exchange};
use super::options::EgressOptions;
use super::pool::Connection;
use super::proxy::Proxies;

/// The most endpoints whose settings are kept: AWS has some dozens of regions.
const ENDPOINTS: usize = 128;

/// A POST to `/`.
#[derive(Clone, Copy)]
pub struct Forwarded<'a> {
    /// `http://host:port` or `https://host:port`.
    pub endpoint: &'a str,
    /// The header `Host`.
    pub host: &'a str,
    /// All other headers but the length.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a str,
}

/// The answer to one.
#[derive(Clone, Debug)]
pub struct ForwardAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// Why there is none. The texts are for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// The request or its endpoint cannot be right.
    #[error("{0}")]
    Unfit(String),
    /// Nobody answered, or not to the end.
    #[error("{0}")]
    Unanswered(String),
    /// The answer is over the limit.
    #[error("the answer is too large")]
    TooLarge,
}

/// Sends requests of others.
pub struct Forwarder {
    options: EgressOptions,
    /// By their endpoints: the authorities that the system trusts are read once for each.
    dialers: Mutex<HashMap<String, Arc<Dialer>>>,
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder").field("proxies", &self.options.proxies).finish_non_exhaustive()
    }
}

impl Forwarder {
    /// By these proxies; answers may have so many bytes.
    pub fn new(proxies: Proxies, max_response_bytes: usize) -> Forwarder {
        let options = EgressOptions { proxies, max_response_bytes, ..EgressOptions::default() };
        Forwarder { options, dialers: Mutex::default() }
    }

    fn dialer(&self, endpoint: &str) -> Result<Arc<Dialer>, ForwardError> {
        if let Some(known) = self.dialers.lock().unwrap_or_else(PoisonError::into_inner).get(endpoint) {
            return Ok(Arc::clone(known));
        }
        let unfit = |error: &dyn fmt::Display| ForwardError::Unfit(error.to_string());
        let parsed = Endpoint::parse(endpoint).map_err(|error| unfit(&error))?;
        if !parsed.tls && !parsed.is_loopback() {
            tracing::warn!(endpoint = %parsed, "login requests to STS are not encrypted: use https");
        }
        let dialer = Arc::new(Dialer::new(parsed, &self.options).map_err(|error| unfit(&error))?);
        let mut dialers = self.dialers.lock().unwrap_or_else(PoisonError::into_inner);
        if dialers.len() >= ENDPOINTS {
            dialers.clear();
        }
        dialers.insert(endpoint.to_owned(), Arc::clone(&dialer));
        Ok(dialer)
    }

    /// Sends a request and reads the answer to its end. The caller bounds the time.
    pub async fn post(&self, forwarded: Forwarded<'_>) -> Result<ForwardAnswer, ForwardError> {
        let unanswered = |error: DialError| ForwardError::Unanswered(chain(&error));
        let request = request(&forwarded)?;
        let stream = self.dialer(forwarded.endpoint)?.dial().await.map_err(unanswered)?;
        let mut connection = Connection::over(stream, 0, false).await.map_err(unanswered)?;
        match exchange(&mut connection, request, None, self.options.max_response_bytes).await {
            Ok(answer) => {
                let response = answer.response;
                let content_type = response.headers.into_iter().find(|(name, _)| name == "content-type").map(|(_, value)| value);
                Ok(ForwardAnswer { status: response.status, content_type, body: response.body })
            }
            Err(Failure::TooLarge) => Err(ForwardError::TooLarge),
            Err(failure) => Err(ForwardError::Unanswered(failure.detail())),
        }
    }
}

fn request(forwarded: &Forwarded<'_>) -> Result<Request<Full<Bytes>>, ForwardError> {
    let unfit = |name: &str| ForwardError::Unfit(format!("the header {name:?} cannot be sent"));
    let value = |name: &str, value: &str| HeaderValue::from_str(value).map_err(|_| unfit(name));
    let mut headers = HeaderMap::with_capacity(forwarded.headers.len() + 1);
    headers.insert(header::HOST, value("host", forwarded.host)?);
    for (name, text) in forwarded.headers {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit(name))?;
        let mut value = value(name, text)?;
        value.set_sensitive(true);
        headers.append(parsed, value);
    }
    let mut request = Request::new(Full::new(Bytes::copy_from_slice(forwarded.body.as_bytes())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/");
    *request.headers_mut() = headers;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request with this text, and gives back what it read.
    async fn answering(answer: String) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
            while !seen.ends_with(b"Action=x") {
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(read > 0);
                seen.extend_from_slice(&buffer[..read]);
            }
            let _ = stream.write_all(answer.as_bytes()).await;
            String::from_utf8(seen).unwrap()
        });
        (endpoint, served)
    }

    fn headers(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    async fn post(endpoint: &str, headers: &[(String, String)]) -> Result<ForwardAnswer, ForwardError> {
        let forwarder = Forwarder::new(Proxies::none(), 1_000);
        forwarder.post(Forwarded { endpoint, host: "sts.amazonaws.com", headers, body: "Action=x" }).await
    }

    #[tokio::test]
    async fn what_was_signed_is_sent_as_it_is_and_no_redirect_followed() {
        let answer = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-type: text/xml\r\ncontent-length: 2\r\n\r\nhi";
        let (endpoint, served) = answering(answer.to_owned()).await;
        let answer = post(&endpoint, &headers(&[("X-Amz-Date", "1"), ("Authorization", "sig")])).await.unwrap();
        assert_eq!((answer.status, answer.content_type.as_deref(), &answer.body[..]), (302, Some("text/xml"), &b"hi"[..]));
        let seen = served.await.unwrap().to_ascii_lowercase();
        let (head, body) = seen.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<&str> = head.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["authorization: sig", "content-length: 8", "host: sts.amazonaws.com", "post / http/1.1", "x-amz-date: 1"]);
        assert_eq!(body, "action=x");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error() {
        let (large, served) = answering(format!("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n{}", "x".repeat(1_001))).await;
        assert_eq!(post(&large, &[]).await.unwrap_err(), ForwardError::TooLarge);
        served.await.unwrap();
        let (endless, served) = answering(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1_001))).await;
        assert_eq!(post(&endless, &[]).await.unwrap_err(), ForwardError::TooLarge);
        served.await.unwrap();
        let (cut, served) = answering(String::new()).await;
        assert!(matches!(post(&cut, &[]).await, Err(ForwardError::Unanswered(_))));
        served.await.unwrap();
        // Nobody listens there any more.
        assert!(matches!(post(&cut, &[]).await, Err(ForwardError::Unanswered(_))));
    }

    #[tokio::test]
    async fn metadata_and_what_is_no_header_are_refused() {
        for endpoint in ["http://169.254.169.254", "http://[fd00:ec2::254]", "https://a/b", "a"] {
            assert!(matches!(post(endpoint, &[]).await, Err(ForwardError::Unfit(_))), "{endpoint}");
        }
        assert!(matches!(post("http://127.0.0.1:1", &headers(&[("a", "x\r\nb: c")])).await, Err(ForwardError::Unfit(_))));
        assert!(matches!(post("http://127.0.0.1:1", &headers(&[("a b", "x")])).await, Err(ForwardError::Unfit(_))));
    }
}
