//! Logins: what is sent, and what of the answer counts.
//!
//! The rule: what a login needs (keys, a secret id, a token of a file) is read anew each time; no error holds any of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cofferdam_credentials::{CredentialsError, Sources};
use http::{HeaderMap, HeaderValue, Method};
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::settings::{Login, Settings};
use crate::sts::Signer;
use crate::token::Token;
use crate::upstream::{Answer, Call, CallError, Upstream};

/// Room for the body of a login by AppRole.
const ROOM: usize = 4 << 10;

/// Why there is no token. It can be cloned: one attempt's failure answers all who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoginError {
    /// AWS's credentials could not be had, or not be signed with.
    #[error("the login needs AWS credentials: {0}")]
    Credentials(#[from] CredentialsError),
    /// A file that the login needs.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The server gave no token.
    #[error("login: {0}")]
    Server(#[from] CallError),
    /// The server answered something else.
    #[error("login: {0}")]
    Answer(&'static str),
}

/// What a login gave.
pub(crate) struct Session {
    pub(crate) token: Token,
    /// How long it is valid from when it was asked for; none: for ever.
    pub(crate) ttl: Option<Duration>,
    /// Its whole life, of which a fifth is left when it is renewed.
    pub(crate) life: Duration,
    pub(crate) renewable: bool,
    /// The states that the server has reached with it.
    pub(crate) index: Vec<HeaderValue>,
}

/// A way to log in.
pub(crate) struct Way {
    path: String,
    kind: Kind,
}

enum Kind {
    Aws(Signer),
    AppRole { role_id: Zeroizing<String>, secret_id_file: Option<PathBuf> },
    Token(Token),
    TokenFile(PathBuf),
}

impl Way {
    pub(crate) fn new(settings: &Settings, sources: Sources) -> Way {
        let kind = match &settings.login {
            Login::Aws(login) => Kind::Aws(Signer::new(login.clone(), sources)),
            Login::AppRole { role_id, secret_id_file } => {
                Kind::AppRole { role_id: role_id.clone(), secret_id_file: secret_id_file.clone() }
            }
            Login::Token(token) => Kind::Token(Token::new(token.clone())),
            Login::TokenFile(path) => Kind::TokenFile(path.clone()),
        };
        Way { path: format!("auth/{}/login", settings.mount), kind }
    }

    /// Logs in.
    pub(crate) async fn enter(&self, upstream: &Upstream, now: SystemTime) -> Result<Session, LoginError> {
        match &self.kind {
            Kind::Aws(signer) => self.post(upstream, signer.body(now).await?).await,
            Kind::AppRole { role_id, secret_id_file } => {
                let secret_id = secret_id_file.as_deref().map(secret_of).transpose()?;
                self.post(upstream, app_role(role_id, secret_id.as_ref().map(|text| text.as_str()))?).await
            }
            Kind::Token(token) => looked_up(upstream, token.clone()).await,
            Kind::TokenFile(path) => looked_up(upstream, Token::new(secret_of(path)?)).await,
        }
    }

    async fn post(&self, upstream: &Upstream, body: Zeroizing<Vec<u8>>) -> Result<Session, LoginError> {
        let call = Call { method: Method::PUT, path: &self.path, body: Some(body), ..Call::default() };
        session(&upstream.call(&call).await?)
            .ok_or(LoginError::Answer("the answer holds no token (does the login ask for a second factor?)"))
    }
}

fn app_role(role_id: &str, secret_id: Option<&str>) -> Result<Zeroizing<Vec<u8>>, LoginError> {
    #[derive(Serialize)]
    struct Body<'a> {
        role_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        secret_id: Option<&'a str>,
    }
    let mut body = Zeroizing::new(Vec::with_capacity(ROOM));
    serde_json::to_writer(&mut *body, &Body { role_id, secret_id }).map_err(|_| LoginError::Answer("the ids cannot be sent"))?;
    Ok(body)
}

/// A secret that stands alone in a file.
fn secret_of(path: &Path) -> Result<Zeroizing<String>, LoginError> {
    let wrong = |cause: String| LoginError::File { path: path.to_owned(), cause };
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    match text.trim() {
        "" => Err(wrong("expected a secret, found an empty file".to_owned())),
        secret => Ok(Zeroizing::new(secret.to_owned())),
    }
}

/// What somebody else's token is worth.
async fn looked_up(upstream: &Upstream, token: Token) -> Result<Session, LoginError> {
    let call = Call { path: "auth/token/lookup-self", token: Some(&token), ..Call::default() };
    let answer = upstream.call(&call).await?;
    let found = answer.json().unwrap_or_default();
    let data = found.get("data").ok_or(LoginError::Answer("the look-up of the token answered something else"))?;
    let ttl = Some(seconds(data, "ttl")).filter(|ttl| !ttl.is_zero());
    let life = seconds(data, "creation_ttl").max(ttl.unwrap_or_default());
    Ok(Session { ttl, life, renewable: is_renewable(data), index: index(&answer.headers), token })
}

/// What an answer with `auth` says.
pub(crate) fn session(answer: &Answer) -> Option<Session> {
    let mut found = answer.json()?;
    let auth = found.get_mut("auth")?;
    let Value::String(text) = auth.get_mut("client_token")?.take() else { return None };
    let token = Token::new(Zeroizing::new(text));
    if token.expose().is_empty() {
        return None;
    }
    let life = seconds(auth, "lease_duration");
    Some(Session {
        token,
        ttl: Some(life).filter(|ttl| !ttl.is_zero()),
        life,
        renewable: is_renewable(auth),
        index: index(&answer.headers),
    })
}

fn seconds(object: &Value, name: &str) -> Duration {
    Duration::from_secs(object.get(name).and_then(Value::as_u64).unwrap_or(0))
}

fn is_renewable(object: &Value) -> bool {
    object.get("renewable").and_then(Value::as_bool).unwrap_or(false)
}

fn index(headers: &HeaderMap) -> Vec<HeaderValue> {
    headers.get_all("x-vault-index").iter().cloned().collect()
}
