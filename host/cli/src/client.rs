//! The HTTP client of the commands: one request on one connection, over TLS unless the address says `http`.
//!
//! The rule: certificates are checked unless the operator says otherwise on this command or in the environment; a token goes only
//! to the address that was asked for (no redirect is followed, no proxy is used).

mod stream;

use crate::args::ClientArguments;
use crate::config::Environment;
use crate::exit::{Failure, Outcome};
use bytes::Bytes;
use cofferdam_connect::{Address, Server, Settings};
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::request::Builder;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
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
    server: Server,
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
        let address = Address::parse(address).map_err(|error| Failure::usage(format!("{source}: {error}")))?;
        let path = |flag: &Option<PathBuf>, name: &str| flag.clone().or_else(|| environment.value(name).map(PathBuf::from));
        let skip = arguments.tls_skip_verify
            || environment.value("SKIP_VERIFY").is_some_and(|value| !matches!(value, "0" | "false" | "f" | "FALSE" | "False" | "F"));
        let settings = Settings {
            ca_cert: path(&arguments.ca_cert, "CACERT"),
            ca_path: environment.value("CAPATH").map(PathBuf::from),
            client_cert: path(&arguments.client_cert, "CLIENT_CERT"),
            client_key: path(&arguments.client_key, "CLIENT_KEY"),
            server_name: arguments.tls_server_name.clone().or_else(|| environment.value("TLS_SERVER_NAME").map(str::to_owned)),
            skip_verify: skip,
        };
        Ok(Self {
            server: Server::new(address, &settings).map_err(Failure::usage)?,
            token: token(environment)?,
            namespace: environment.value("NAMESPACE").map(str::to_owned),
            timeout: timeout(environment)?,
        })
    }

    /// The address of the server.
    pub(crate) fn address(&self) -> String {
        self.server.address().url()
    }

    /// Sends one request below `/v1/` and reads its answer; an empty answer is null.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let url = self.url(path);
        let unreachable = |reason: String| ClientError::Unreachable { method: method.clone(), url: url.clone(), reason };
        let exchange = tokio::time::timeout(self.timeout, self.exchange(&method, &url, body));
        let reply =
            exchange.await.map_err(|_| unreachable(format!("no answer within {} s", self.timeout.as_secs())))?.map_err(unreachable)?;
        if reply.active.is_some() || !reply.status.is_success() {
            return Err(reply.refusal(method, url));
        }
        reply.json().ok_or_else(|| unreachable("the answer is not JSON: is this the address of a Vault-compatible server?".to_owned()))
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
        let (response, driver) = self.begin(request).await?;
        Reply::of(response, &driver).await
    }

    /// Sends a request on a connection of its own, which ends with the answer's body.
    async fn begin<B>(&self, request: Request<B>) -> Result<(Response<Incoming>, Driver), String>
    where
        B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        answered(self.server.connect().await?, request).await
    }
}

/// What moves the bytes of a connection.
type Driver = JoinHandle<hyper::Result<()>>;

async fn answered<S, B>(stream: S, request: Request<B>) -> Result<(Response<Incoming>, Driver), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    Ok((response, driver))
}

/// One request on a connection of its own.
pub(crate) async fn roundtrip<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Reply, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (response, driver) = answered(stream, request).await?;
    Reply::of(response, &driver).await
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

impl Reply {
    /// Reads the answer to its end, and ends the connection.
    async fn of(response: Response<Incoming>, driver: &Driver) -> Result<Self, String> {
        let (mut reply, body) = Self::head(response);
        reply.bytes = whole(body).await?;
        driver.abort();
        Ok(reply)
    }

    /// The answer without its body, and that.
    fn head(response: Response<Incoming>) -> (Self, Incoming) {
        let status = response.status();
        let active = if status.is_redirection() { response.headers().get(LOCATION).and_then(server_of) } else { None };
        (Self { status, active, bytes: Zeroizing::default() }, response.into_body())
    }

    /// The body as JSON, null if it is empty; none if it is something else.
    fn json(&self) -> Option<Value> {
        if self.bytes.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&self.bytes).ok() }
    }

    /// The error that the answer is.
    fn refusal(self, method: Method, url: String) -> ClientError {
        let errors = match &self.active {
            Some(active) => {
                vec![format!("this server is a standby, and no redirect is followed: ask the active one, with --address={active}")]
            }
            None => {
                let answer = self.json().unwrap_or_default();
                let listed = answer.get("errors").and_then(Value::as_array);
                listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
            }
        };
        ClientError::Refused { method, url, status: self.status, errors }
    }
}

async fn whole(body: Incoming) -> Result<Zeroizing<Vec<u8>>, String> {
    let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| error.to_string())?;
    Ok(Zeroizing::new(body.to_bytes().to_vec()))
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
