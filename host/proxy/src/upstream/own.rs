//! The crate's own requests: logins, renewals, secrets for files.
//!
//! The rule: as Vault's clients do it, a failure of the server or of the way to it is tried again, all within one time-out; and nothing that was sent
//! or received appears in an error but what the server gave as one.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cofferdam_connect::{Address, Server, escaped};
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{SendError, Upstream, addressed, connect, unanswered};
use crate::token::Token;

/// What a repetition waits for at least, and half as much more at most: times the number of the attempt.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// No secret is near this size.
const LARGEST: usize = 32 << 20;

/// The longest text of an error that is passed on.
const LONGEST_LINE: usize = 1000;

/// A request below `/v1/`.
#[derive(Default)]
pub(crate) struct Call<'a> {
    /// The method.
    pub(crate) method: Method,
    /// The path after `/v1/`, as it is meant: what no URL holds is escaped here.
    pub(crate) path: &'a str,
    /// As whom.
    pub(crate) token: Option<&'a Token>,
    /// JSON.
    pub(crate) body: Option<Zeroizing<Vec<u8>>>,
    /// States that the server must have reached.
    pub(crate) index: &'a [HeaderValue],
}

/// A good answer.
pub struct Answer {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Why there is no good answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// None came.
    #[error("{0}")]
    Unanswered(String),
    /// The server refused.
    #[error("{method} {url}: {status}{}", said(.errors))]
    Refused {
        /// The method.
        method: Method,
        /// The URL.
        url: String,
        /// The status.
        status: StatusCode,
        /// The server's words.
        errors: Vec<String>,
    },
}

fn said(errors: &[String]) -> String {
    if errors.is_empty() { String::new() } else { format!(": {}", errors.join("; ")) }
}

impl From<SendError> for CallError {
    fn from(error: SendError) -> CallError {
        CallError::Unanswered(error.0)
    }
}

impl CallError {
    /// The status, if the server answered.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            CallError::Unanswered(_) => None,
            CallError::Refused { status, .. } => Some(*status),
        }
    }
}

impl Upstream {
    /// Sends one of the crate's own requests, and again if it has to.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Answer, CallError> {
        let limit = self.own.timeout;
        let late = || CallError::Unanswered(format!("{} {}: no answer within {limit:?}", call.method, self.url(call.path)));
        tokio::time::timeout(limit, self.attempts(call)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn attempts(&self, call: &Call<'_>) -> Result<Answer, CallError> {
        let mut attempt = 0;
        loop {
            if let Some(pace) = &self.pace {
                pace.wait().await;
            }
            let (error, asked) = match self.attempt(call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let passing = error.status().is_none_or(|status| {
                let of_server = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
                of_server || matches!(status, StatusCode::PRECONDITION_FAILED | StatusCode::TOO_MANY_REQUESTS)
            });
            if !passing || attempt >= self.own.retries {
                return Err(error);
            }
            attempt += 1;
            let wait = asked.unwrap_or_else(|| jittered(self.pause).saturating_mul(attempt));
            tracing::debug!(%error, attempt, ?wait, "asking the server again");
            tokio::time::sleep(wait).await;
        }
    }

    /// One attempt; with its failure, how long the server asks to wait.
    async fn attempt(&self, call: &Call<'_>) -> Result<Answer, (CallError, Option<Duration>)> {
        let plain = |error| (error, None);
        let mut url = self.url(call.path);
        let request = self.request(call).map_err(plain)?;
        let response = self.send(request.clone()).await.map_err(|error| plain(error.into()))?;
        if let Some(elsewhere) = self.elsewhere(&response) {
            // A standby names the active one; as Vault's clients do, it is asked once.
            url = format!("{}{}", elsewhere.url(), request.uri());
            let server = Server::new(elsewhere, &self.tls).map_err(|error| plain(CallError::Unanswered(error)))?;
            let mut sender = connect(&server).await.map_err(|error| plain(error.into()))?;
            let request = addressed(request, server.address()).map_err(|error| plain(error.into()))?;
            let response = sender.send_request(request).await.map_err(|error| plain(unanswered(server.address(), &error).into()))?;
            return read(call, url, response).await;
        }
        read(call, url, response).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{}", self.server.address().url(), escaped(path.trim_start_matches('/')))
    }

    fn request(&self, call: &Call<'_>) -> Result<Request<Bytes>, CallError> {
        let unfit = |what: &str| CallError::Unanswered(format!("{what} holds characters that no header can carry"));
        let target = format!("{}/v1/{}", self.server.address().prefix(), escaped(call.path.trim_start_matches('/')));
        let mut request = Request::builder().method(&call.method).uri(target);
        request = request.header(USER_AGENT, concat!("coffer-proxy/", env!("CARGO_PKG_VERSION"))).header("x-vault-request", "true");
        if let Some(namespace) = &self.own.namespace {
            request = request.header("x-vault-namespace", HeaderValue::from_str(namespace).map_err(|_| unfit("the namespace"))?);
        }
        if let Some(token) = call.token {
            request = request.header("x-vault-token", token.header().ok_or_else(|| unfit("the token"))?);
        }
        for index in call.index {
            request = request.header("x-vault-index", index);
        }
        let body = match &call.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from_owner(body.clone())
            }
            None => Bytes::new(),
        };
        request.body(body).map_err(|error| CallError::Unanswered(format!("{}: {error}", call.path)))
    }

    /// Where a redirect leads, if it is one that keeps the way as safe as it is.
    fn elsewhere<B>(&self, response: &Response<B>) -> Option<Address> {
        if !matches!(response.status().as_u16(), 301 | 302 | 307 | 308) {
            return None;
        }
        let location: http::Uri = response.headers().get(LOCATION)?.to_str().ok()?.parse().ok()?;
        let address = Address::parse(&format!("{}://{}", location.scheme_str()?, location.authority()?)).ok()?;
        (address.is_secure() || !self.server.address().is_secure()).then_some(address)
    }
}

async fn read<B>(call: &Call<'_>, url: String, response: Response<B>) -> Result<Answer, (CallError, Option<Duration>)>
where
    B: Body<Data = Bytes, Error = hyper::Error>,
{
    let (parts, body) = response.into_parts();
    let torn = |error| (CallError::Unanswered(line(&format!("{} {url}: the answer broke off: {error}", call.method))), None);
    let collected = Limited::new(body, LARGEST).collect().await.map_err(torn)?;
    let body = Zeroizing::new(Vec::from(collected.to_bytes()));
    if parts.status.is_success() {
        return Ok(Answer { headers: parts.headers, body });
    }
    let asked = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let errors = answer.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(line).collect();
    Err((CallError::Refused { method: call.method.clone(), url, status: parts.status, errors }, asked))
}

/// One to one and a half times the pause, so that those who failed together do not come again together.
fn jittered(pause: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    pause + pause.mul_f64(f64::from(nanos % 1000) / 2000.0)
}

/// A text from elsewhere as one line of bounded length.
pub(crate) fn line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(LONGEST_LINE).map(clean).collect()
}
