//! The client: requests whose bytes are ready, on one connection after the other.
//!
//! The rule: it must not be what a measurement measures. A request is written as it was built, an answer is counted where it arrives, and nothing is
//! allocated on the way. One client sets up the tests and is the load.

mod line;
mod request;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use line::{Fault, Line};
pub(crate) use request::{Plan, Request};

use crate::config::Settings;
use crate::load::Stop;
use cofferdam_connect::{Address, Server};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// A server, and who asks it.
pub(crate) struct Remote {
    server: Server,
    token: Zeroizing<String>,
    namespace: Option<String>,
    timeout: Duration,
}

impl Remote {
    /// Reads the files of TLS; errors name them.
    pub(crate) fn new(address: &Address, settings: &Settings) -> Result<Self, String> {
        Ok(Self {
            server: Server::new(address.clone(), &settings.tls)?,
            token: settings.token.clone(),
            namespace: settings.namespace.clone(),
            timeout: settings.timeout,
        })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        self.server.address().url()
    }
}

/// Why a request of the setup did not do what it was for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No answer.
    #[error("{method} {url}: {fault}")]
    Unreachable { method: &'static str, url: String, fault: Fault },
    /// An answer that refuses.
    #[error("{method} {url}: {status}{}", errors.iter().map(|error| format!("; {error}")).collect::<String>())]
    Refused { method: &'static str, url: String, status: u16, errors: Vec<String> },
    /// An answer without what was asked for.
    #[error("{method} {url}: the answer has no {field}")]
    Missing { method: &'static str, url: String, field: &'static str },
    /// Nothing was sent: it was wished that all ends.
    #[error("stopped")]
    Stopped,
}

impl ApiError {
    /// Whether a mount of kv says that it is not ready yet.
    fn is_upgrading(&self) -> bool {
        matches!(self, Self::Refused { status: 400, errors, .. } if errors.iter().any(|error| error.contains("Upgrading from non-versioned")))
    }
}

/// What a redirect means.
pub(crate) const STANDBY: &str = "a redirect: this server is a standby, and none is followed; name the active one";

/// A kv mount that becomes one of version 2 is waited for this long.
const UPGRADE: Duration = Duration::from_secs(60);
/// The removal of a mount is waited for this long.
const REMOVAL: Duration = Duration::from_secs(1800);
const PAUSE: Duration = Duration::from_millis(50);

/// Requests of the setup, one after the other.
pub(crate) struct Api {
    line: Line,
    stop: Option<Stop>,
}

impl Api {
    pub(crate) fn new(remote: &Arc<Remote>) -> Self {
        Self { line: Line::new(remote), stop: None }
    }

    /// For what takes a server long: it revokes every token of a mount that is removed.
    pub(crate) fn patient(remote: &Arc<Remote>) -> Self {
        Self { line: Line::new(remote).patient(REMOVAL), stop: None }
    }

    /// The same, but once it is wished that all ends it sends nothing more. What is under way is not cut: whoever sent it is to know what became of it.
    pub(crate) fn until(self, stop: &Stop) -> Self {
        Self { stop: Some(stop.clone()), ..self }
    }

    /// Another one, to the same server.
    pub(crate) fn another(&self) -> Self {
        Self { line: Line::new(self.line.remote()), stop: self.stop.clone() }
    }

    /// Sends a request below `/v1/`; an empty answer is null.
    pub(crate) async fn call(&mut self, method: &'static str, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        if self.stop.as_ref().is_some_and(Stop::is_wished) {
            return Err(ApiError::Stopped);
        }
        let text = Zeroizing::new(body.map(Value::to_string).unwrap_or_default());
        let plan = Plan::new(method, path, text);
        let request = plan.prepare(self.line.remote());
        let (mut bytes, mut answer) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()));
        request.write(1, &mut bytes);
        let url = format!("{}/v1/{path}", self.line.remote().url());
        let status = match self.line.exchange(&bytes, Some(&mut answer)).await {
            Ok(found) => found.status,
            Err(fault) => return Err(ApiError::Unreachable { method, url, fault }),
        };
        let value: Option<Value> = if answer.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&answer).ok() };
        if (200..300).contains(&status) {
            return Ok(value.unwrap_or_default());
        }
        let listed = value.as_ref().and_then(|value| value.get("errors")).and_then(Value::as_array);
        let mut errors: Vec<String> = listed.into_iter().flatten().filter_map(Value::as_str).map(crate::report::plain).collect();
        if (300..400).contains(&status) {
            errors.push(STANDBY.to_owned());
        }
        Err(ApiError::Refused { method, url, status, errors })
    }

    /// A text of the answer's data.
    pub(crate) async fn text(
        &mut self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
        field: &'static str,
    ) -> Result<Zeroizing<String>, ApiError> {
        let answer = self.call(method, path, body).await?;
        let text = answer.get("data").and_then(|data| data.get(field)).and_then(Value::as_str);
        let missing = || ApiError::Missing { method, url: format!("{}/v1/{path}", self.line.remote().url()), field };
        text.map(|text| Zeroizing::new(text.to_owned())).ok_or_else(missing)
    }

    /// As [`Api::call`], and again for as long as a new mount of kv says that it is not ready.
    pub(crate) async fn call_when_ready(&mut self, method: &'static str, path: &str, body: &Value) -> Result<(), ApiError> {
        let end = tokio::time::Instant::now() + UPGRADE;
        loop {
            match self.call(method, path, Some(body)).await {
                Err(error) if error.is_upgrading() && tokio::time::Instant::now() < end => tokio::time::sleep(PAUSE).await,
                result => return result.map(|_| ()),
            }
        }
    }
}
