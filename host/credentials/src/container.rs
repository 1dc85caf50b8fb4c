//! The endpoint that ECS and EKS Pod Identity give a container.
//!
//! The rule: the authorization token goes only where the platforms put their endpoints (or over TLS), and is read anew for every request,
//! because the platform rotates it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use http_body_util::{BodyExt, Limited};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use crate::error::{chain, one_line};
use crate::sources::variable;
use crate::{CredentialsError, Sources, network};

/// Where the relative form points.
const ECS_HOST: &str = "169.254.170.2";
/// Beside loopback: ECS, EKS by IPv4, EKS by IPv6.
const ALLOWED: [&str; 3] = [ECS_HOST, "169.254.170.23", "fd00:ec2::23"];
const ANSWER_MAX: usize = 64 * 1024;
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);

/// How the container shows who it is.
#[derive(Clone)]
enum Token {
    None,
    Text(Zeroizing<String>),
    File(PathBuf),
}

/// A container endpoint.
#[derive(Clone)]
pub(crate) struct Container {
    uri: Uri,
    token: Token,
    connector: SharedHttpConnector,
}

/// What one request came to.
enum Failure {
    /// Asking again would change nothing.
    Final(String),
    Passing(String),
}

impl Container {
    /// Whether the platform has set one.
    pub(crate) fn configured(sources: &Sources) -> Option<&'static str> {
        [variable::CONTAINER_RELATIVE, variable::CONTAINER_FULL].into_iter().find(|name| sources.get(name).is_some())
    }

    /// The one that the environment names.
    pub(crate) fn new(sources: &Sources) -> Result<Option<Container>, CredentialsError> {
        let (name, text) = match (sources.get(variable::CONTAINER_RELATIVE), sources.get(variable::CONTAINER_FULL)) {
            (Some(path), _) => (variable::CONTAINER_RELATIVE, format!("http://{ECS_HOST}{path}")),
            (None, Some(uri)) => (variable::CONTAINER_FULL, uri),
            (None, None) => return Ok(None),
        };
        let invalid = |why: &str| CredentialsError::Configuration(format!("{name} is {text:?}: {why}"));
        let uri: Uri = text.parse().map_err(|_| invalid("not a URI"))?;
        // A "path" such as `.example.org/` would lead elsewhere.
        let elsewhere = uri.authority().map(|authority| authority.as_str()) != Some(ECS_HOST);
        if name == variable::CONTAINER_RELATIVE && elsewhere {
            return Err(invalid("not a path that begins with /"));
        }
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(invalid("not an http or https address"));
        }
        let token = match (sources.get(variable::CONTAINER_TOKEN_FILE), sources.get(variable::CONTAINER_TOKEN)) {
            (Some(path), _) => Token::File(sources.path(&path)?),
            (None, Some(text)) => Token::Text(Zeroizing::new(text)),
            (None, None) => Token::None,
        };
        Ok(Some(Container { uri, token, connector: network::direct() }))
    }

    /// Its address, for the log.
    pub(crate) fn address(&self) -> String {
        self.uri.to_string()
    }

    /// Asks for credentials; a connection that fails and a server's error are tried again.
    pub(crate) async fn credentials(&self) -> Result<Credentials, String> {
        self.check_host().await?;
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * attempt).await;
            }
            match self.ask().await {
                Ok(credentials) => return Ok(credentials),
                Err(Failure::Final(cause)) => return Err(cause),
                Err(Failure::Passing(cause)) => last = cause,
            }
        }
        Err(last)
    }

    async fn ask(&self) -> Result<Credentials, Failure> {
        let mut request = http::Request::get(self.uri.clone()).header(ACCEPT, "application/json");
        if let Some(token) = self.authorization().await.map_err(Failure::Final)? {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request.body(SdkBody::empty()).map_err(|error| Failure::Final(error.to_string()))?;
        let request = HttpRequest::try_from(request).map_err(|error| Failure::Final(error.to_string()))?;
        let answer = self.connector.call(request).await.map_err(|error| Failure::Passing(chain(&error)))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = Zeroizing::new(body.map_err(|error| Failure::Passing(one_line(&error.to_string())))?.to_bytes().to_vec());
        match status {
            200 => read(&body).map_err(Failure::Final),
            500.. => Err(Failure::Passing(refusal(status, &body))),
            _ => Err(Failure::Final(refusal(status, &body))),
        }
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let (text, from) = match &self.token {
            Token::None => return Ok(None),
            Token::Text(text) => (text.clone(), variable::CONTAINER_TOKEN.to_owned()),
            Token::File(path) => {
                let from = format!("{} {}", variable::CONTAINER_TOKEN_FILE, path.display());
                let text = tokio::fs::read_to_string(path).await.map_err(|error| format!("cannot read {from}: {error}"))?;
                (Zeroizing::new(text), from)
            }
        };
        let mut value = HeaderValue::from_str(text.trim()).map_err(|_| format!("{from} holds no token that fits into a header"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Without TLS only addresses of the platforms and of this machine are spoken to.
    async fn check_host(&self) -> Result<(), String> {
        if self.uri.scheme_str() == Some("https") {
            return Ok(());
        }
        let host = self.uri.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<IpAddr> = match bare.parse() {
            Ok(address) => vec![address],
            Err(_) => {
                let found = tokio::net::lookup_host((bare, 80)).await;
                found.map_err(|error| format!("cannot look up {bare}: {error}"))?.map(|address| address.ip()).collect()
            }
        };
        match addresses.iter().find(|address| !is_allowed(address)) {
            None if !addresses.is_empty() => Ok(()),
            _ => Err(format!(
                "{} points at {host} without TLS; allowed are this machine's loopback and {}, or https",
                variable::CONTAINER_FULL,
                ALLOWED.join(", ")
            )),
        }
    }
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container").field("uri", &self.uri).finish_non_exhaustive()
    }
}

fn is_allowed(address: &IpAddr) -> bool {
    address.is_loopback() || ALLOWED.iter().any(|allowed| allowed.parse() == Ok(*address))
}

fn refusal(status: u16, body: &[u8]) -> String {
    // What a refusal says is for people; it holds no credentials.
    let text = String::from_utf8_lossy(body);
    one_line(&format!("it answered with status {status}: {text}"))
}

fn read(body: &[u8]) -> Result<Credentials, String> {
    // A parser's message may quote what it read, so it is not passed on.
    let object: serde_json::Value = serde_json::from_slice(body).map_err(|_| "its answer is not JSON".to_owned())?;
    let text = |member: &str| object.get(member).and_then(serde_json::Value::as_str);
    let needed = |member: &'static str| text(member).ok_or_else(|| format!("its answer has no {member}"));
    if let (Some(code), None) = (text("Code").filter(|code| *code != "Success"), text("AccessKeyId")) {
        return Err(one_line(&format!("{code}: {}", text("Message").unwrap_or("no message"))));
    }
    let expiry = needed("Expiration")?;
    let expiry = OffsetDateTime::parse(expiry, &Rfc3339).map_err(|_| format!("its answer expires at {expiry:?}, which is no time"))?;
    let token = text("Token").filter(|token| !token.is_empty()).map(str::to_owned);
    let (id, secret) = (needed("AccessKeyId")?, needed("SecretAccessKey")?);
    Ok(Credentials::new(id, secret, token, Some(SystemTime::from(expiry)), "container"))
}
