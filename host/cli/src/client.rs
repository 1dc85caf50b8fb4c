//! The HTTP client of the commands: one request on one connection, over TLS unless the address says `http`.
//!
//! The rule: certificates are checked unless the operator says otherwise on this command or in the environment; a token goes only
//! to the address that was asked for (no redirect is followed, no proxy is used).

mod stream;
pub(crate) mod tls;

use crate::args::ClientArguments;
use crate::config::Environment;
use crate::exit::{Failure, Outcome};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::request::Builder;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

const TIMEOUT: Duration = Duration::from_secs(60);

/// No answer that a command waits for is near this size.
const LARGEST_ANSWER: usize = 8 << 20;

/// Why a request got no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody answers at the address, or not as an HTTP server.
    #[error("{method} {url}: {reason}")]
    Unreachable {
        /// The method.
        method: Method,
        /// The whole URL.
        url: String,
        /// Why.
        reason: String,
    },
    /// The server answered with an error.
    #[error("Error making API request.\n\nURL: {method} {url}\nCode: {}. Errors:\n{}", .status.as_u16(), .errors.iter().map(|error| format!("\n* {error}")).collect::<String>())]
    Refused {
        /// The method.
        method: Method,
        /// The whole URL.
        url: String,
        /// The status.
        status: StatusCode,
        /// The `errors` of the answer.
        errors: Vec<String>,
    },
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::failed(error)
    }
}

/// Where a server is, and how to talk to it.
pub(crate) struct Client {
    base: Uri,
    host: String,
    port: u16,
    tls: Option<tls::Connector>,
    token: Option<Zeroizing<String>>,
    namespace: Option<String>,
    timeout: Duration,
}

/// Runs a command's future on a runtime of its own.
pub(crate) fn block_on(future: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?.block_on(future)
}

impl Client {
    /// A client by the flags, else by the environment.
    pub(crate) fn new(arguments: &ClientArguments, environment: &Environment) -> Result<Self, Failure> {
        let (source, address) = match (&arguments.address, environment.get("ADDR")) {
            (Some(address), _) => ("--address".to_owned(), address.as_str()),
            (None, Some((name, address))) => (name, address),
            (None, None) => ("the default address".to_owned(), "https://127.0.0.1:8200"),
        };
        let wrong = || Failure::usage(format!("{source}: expected a URL such as https://127.0.0.1:8200, found {address:?}"));
        let base: Uri = address.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let host = base.host().ok_or_else(wrong)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = match base.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let path = |flag: &Option<PathBuf>, name: &str| flag.clone().or_else(|| environment.value(name).map(PathBuf::from));
        let skip = arguments.tls_skip_verify
            || environment.value("SKIP_VERIFY").is_some_and(|value| !matches!(value, "0" | "false" | "f" | "FALSE" | "False" | "F"));
        let tls = if secure {
            let settings = tls::Settings {
                ca_cert: path(&arguments.ca_cert, "CACERT"),
                client_cert: path(&arguments.client_cert, "CLIENT_CERT"),
                client_key: path(&arguments.client_key, "CLIENT_KEY"),
                server_name: arguments.tls_server_name.clone().or_else(|| environment.value("TLS_SERVER_NAME").map(str::to_owned)),
                skip_verify: skip,
            };
            Some(tls::Connector::new(&settings, &host).map_err(Failure::usage)?)
        } else {
            None
        };
        Ok(Self {
            port: base.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            host,
            base,
            tls,
            token: token(environment)?,
            namespace: environment.value("NAMESPACE").map(str::to_owned),
            timeout: timeout(environment)?,
        })
    }

    /// The address of the server.
    pub(crate) fn address(&self) -> String {
        self.base.to_string().trim_end_matches('/').to_owned()
    }

    /// Sends one request below `/v1/` and reads its answer; an empty answer is null.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let url = self.url(path);
        let unreachable = |reason: String| ClientError::Unreachable { method: method.clone(), url: url.clone(), reason };
        let exchange = tokio::time::timeout(self.timeout, self.exchange(&method, &url, body));
        let Reply { status, active, bytes } =
            exchange.await.map_err(|_| unreachable(format!("no answer within {} s", self.timeout.as_secs())))?.map_err(unreachable)?;
        let answer: Option<Value> = if bytes.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&bytes).ok() };
        if let Some(active) = active {
            let advice = format!("this server is a standby, and no redirect is followed: ask the active one, with --address={active}");
            return Err(ClientError::Refused { method, url, status, errors: vec![advice] });
        }
        if !status.is_success() {
            let listed = answer.as_ref().and_then(|answer| answer.get("errors")).and_then(Value::as_array);
            let errors = listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
            return Err(ClientError::Refused { method, url, status, errors });
        }
        answer.ok_or_else(|| unreachable("the answer is not JSON: is this the address of a Vault-compatible server?".to_owned()))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.address())
    }

    /// A request to this URL, without its body.
    fn head(&self, method: &Method, url: &str) -> Result<Builder, String> {
        let uri: Uri = url.parse().map_err(|_| "not a URL".to_owned())?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let mut request = Request::builder().method(method).uri(target).header(HOST, authority).header("x-vault-request", "true");
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(token).map_err(|_| "the token has characters that no header can carry".to_owned())?;
            value.set_sensitive(true);
            request = request.header("x-vault-token", value);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        Ok(request)
    }

    async fn exchange(&self, method: &Method, url: &str, body: Option<&Value>) -> Result<Reply, String> {
        let mut request = self.head(method, url)?;
        let bytes = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(serde_json::to_vec(body).map_err(|error| error.to_string())?)
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(bytes)).map_err(|error| error.to_string())?;
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| error.to_string())?;
        match &self.tls {
            Some(tls) => roundtrip(tls.connect(stream).await?, request).await,
            None => roundtrip(stream, request).await,
        }
    }
}

/// One request on a connection of its own.
pub(crate) async fn roundtrip<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Reply, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let active = if status.is_redirection() { response.headers().get(LOCATION).and_then(server_of) } else { None };
    let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await.map_err(|error| error.to_string())?;
    driver.abort();
    Ok(Reply { status, active, bytes: Zeroizing::new(body.to_bytes().to_vec()) })
}

/// A server's answer.
pub(crate) struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Where it sends the client, without the path.
    active: Option<String>,
    /// Its body.
    pub bytes: Zeroizing<Vec<u8>>,
}

fn server_of(location: &HeaderValue) -> Option<String> {
    let uri: Uri = location.to_str().ok()?.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

/// `BAO_CLIENT_TIMEOUT` or `VAULT_CLIENT_TIMEOUT`: seconds, or with a unit.
fn timeout(environment: &Environment) -> Result<Duration, Failure> {
    match environment.get("CLIENT_TIMEOUT") {
        None => Ok(TIMEOUT),
        Some((name, text)) => match cofferdam_hcl::parse_duration(text) {
            Ok(timeout) if timeout.is_zero() => Ok(TIMEOUT),
            Ok(timeout) => Ok(timeout),
            Err(message) => Err(Failure::usage(format!("{name}: {message}"))),
        },
    }
}

/// The token of the environment, else the one that a login or a dev server stored.
fn token(environment: &Environment) -> Result<Option<Zeroizing<String>>, Failure> {
    if let Some(token) = environment.value("TOKEN") {
        return Ok(Some(Zeroizing::new(token.trim().to_owned())));
    }
    let Some(path) = token_file() else { return Ok(None) };
    match std::fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => Ok(Some(Zeroizing::new(text.trim().to_owned())).filter(|token| !token.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::usage(format!("{}: cannot be read: {error}", path.display()))),
    }
}

/// `~/.vault-token`, where Vault's clients keep a token.
pub(crate) fn token_file() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).map(|home| home.join(".vault-token"))
}

#[cfg(test)]
mod tests {
    use super::server_of;
    use http::HeaderValue;

    #[test]
    fn a_standby_names_the_active_server() {
        let server = |location: &'static str| server_of(&HeaderValue::from_static(location));
        assert_eq!(server("https://one.example:8200/v1/sys/seal?x=1").as_deref(), Some("https://one.example:8200"));
        assert_eq!(server("http://[::1]:8200/v1/x").as_deref(), Some("http://[::1]:8200"));
        assert_eq!(server("/v1/elsewhere"), None);
    }
}
