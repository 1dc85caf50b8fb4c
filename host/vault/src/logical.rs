//! What a request is once HTTP is taken off it, and what an engine answers.
//!
//! Everything that a client can ask for passes through [`Request`] and [`Response`]: the server turns HTTP into the one and
//! the other into an envelope. An [`Error`]'s case decides the status and the text of the answer; nothing of a backend's text gets into it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::auth::Login;
use crate::token::Caller;

/// The fields of a JSON object: a request's body or a response's data.
pub type Fields = Map<String, Value>;

/// What the client wants done. HTTP's PUT and POST are both [`Operation::Update`] until the engine says that the entry is new
/// (an existence check, which makes it [`Operation::Create`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Write something that is not there yet.
    Create,
    /// Write.
    Update,
    /// Change some fields of what is there.
    Patch,
    /// Read.
    Read,
    /// List the names below a folder.
    List,
    /// Delete.
    Delete,
}

impl Operation {
    /// All, in their order.
    pub(crate) const ALL: [Operation; 6] =
        [Operation::Create, Operation::Update, Operation::Patch, Operation::Read, Operation::List, Operation::Delete];

    /// Whether it may change anything.
    pub fn mutates(self) -> bool {
        !matches!(self, Operation::Read | Operation::List)
    }

    /// Its name, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Patch => "patch",
            Operation::Read => "read",
            Operation::List => "list",
            Operation::Delete => "delete",
        }
    }
}

/// A request to a path of the API.
#[derive(Clone)]
pub struct Request {
    /// The id under which log and answer name this request.
    pub id: String,
    /// What to do.
    pub operation: Operation,
    /// The path after `/v1/`, without a leading slash; inside an engine the part after its mount's path.
    pub path: String,
    /// The body's fields, and for a read or a list the query's.
    pub data: Fields,
    /// The token that came with it, in the form that the client sent.
    pub token: Option<Zeroizing<String>>,
    /// Where the client's connection comes from.
    pub remote: Option<SocketAddr>,
    /// Whose token it is, once the core has found out.
    pub caller: Option<Arc<Caller>>,
    /// The answer is to be wrapped, for this long; never zero.
    pub wrap_ttl: Option<Duration>,
    /// The token of its wrapping is to have the form of a JWT.
    pub wrap_jwt: bool,
    /// Those of its headers that [`Core::audited_headers`](crate::core::Core::audited_headers) names, in lower case.
    pub headers: Vec<(String, String)>,
}

/// An authentication that a response hands out: the `auth` member of the envelope.
#[derive(Clone, Default)]
pub struct Auth {
    /// The token, in the form for the client.
    pub client_token: Zeroizing<String>,
    /// The token's accessor.
    pub accessor: String,
    /// All policies.
    pub policies: Vec<String>,
    /// Those that the token itself has.
    pub token_policies: Vec<String>,
    /// Those that its entity and that one's groups add.
    pub identity_policies: Vec<String>,
    /// Metadata of the token.
    pub metadata: Option<Fields>,
    /// How long it lives.
    pub lease_duration: Duration,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// `service`.
    pub token_type: String,
    /// Whether it has no parent.
    pub orphan: bool,
    /// How often it can be used; zero means without limit.
    pub num_uses: i64,
    /// The entity, empty if none.
    pub entity_id: String,
    /// The token's name for people; for the audit log.
    pub display_name: String,
    /// When the token was made, in seconds since 1970, if that was before this request; for the audit log.
    pub issue_time: Option<i64>,
}

/// Without the token.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("accessor", &self.accessor).field("policies", &self.policies).finish_non_exhaustive()
    }
}

/// What an engine answers.
#[derive(Clone, Default)]
pub struct Response {
    /// The `data` member. None together with no `auth` and no warnings makes the answer 204.
    pub data: Option<Fields>,
    /// The `auth` member.
    pub auth: Option<Box<Auth>>,
    /// A login that earned a token, which the core makes and puts into `auth`.
    pub login: Option<Box<Login>>,
    /// The `warnings` member.
    pub warnings: Vec<String>,
    /// The `lease_duration` member (kv v1 reports one without a lease).
    pub lease_duration: Duration,
    /// A status other than 200 (or 204 without content): kv v2 answers 404 with data for a deleted version.
    pub status: Option<u16>,
    /// The whole body of the answer, in place of the envelope: one that was wrapped.
    pub raw: Option<Zeroizing<String>>,
    /// The `wrap_info` member: the answer is, or is to be, wrapped. Whoever has its token gets the rest.
    pub wrap_info: Option<Box<WrapInfo>>,
    /// Members of `data` are repeated at the top of the envelope, as the old `sys` paths do.
    pub flatten: bool,
}

/// Where a wrapped answer is to be had.
#[derive(Clone, Default)]
pub struct WrapInfo {
    /// The token that unwraps it, once, in the form for the client; empty as long as the answer is only meant to be wrapped.
    pub token: Zeroizing<String>,
    /// That token's accessor.
    pub accessor: String,
    /// How long it can be unwrapped.
    pub ttl: Duration,
    /// When it was wrapped, RFC 3339.
    pub creation_time: String,
    /// The path that answered.
    pub creation_path: String,
    /// The accessor of a token that is wrapped; empty if none is.
    pub wrapped_accessor: String,
}

/// Without the data's values, nor the token.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("data", &self.data.as_ref().map(|data| data.keys().collect::<Vec<_>>()))
            .field("auth", &self.auth)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl Response {
    /// An answer without content.
    pub fn empty() -> Response {
        Response::default()
    }

    /// An answer with data.
    pub fn data(data: Fields) -> Response {
        Response { data: Some(data), ..Response::default() }
    }

    /// The same with the data's members at the top of the envelope too.
    pub(crate) fn flat(data: Fields) -> Response {
        Response { flatten: true, ..Response::data(data) }
    }

    /// An answer to a list: `keys`, or not found if there are none.
    pub fn list(names: Vec<String>) -> Result<Response> {
        if names.is_empty() {
            return Err(Error::NotFound);
        }
        let mut data = Fields::new();
        data.insert("keys".to_owned(), names.into());
        Ok(Response::data(data))
    }

    /// The same with a warning added.
    #[must_use]
    pub fn warn(mut self, warning: impl Into<String>) -> Response {
        self.warnings.push(warning.into());
        self
    }
}

/// The time of a request's `X-Vault-Wrap-TTL`; none for zero. The error says what is wrong, as Vault does.
pub fn wrap_ttl(text: &str) -> std::result::Result<Option<Duration>, String> {
    let nanoseconds = crate::kv::duration::parse(&Value::from(text))?.unwrap_or_default();
    let nanoseconds = u64::try_from(nanoseconds).map_err(|_| "requested wrap ttl cannot be negative".to_owned())?;
    Ok(Some(Duration::from_nanos(nanoseconds)).filter(|ttl| !ttl.is_zero()))
}

/// How Vault prints a list of errors that has one.
pub fn one_error(text: impl fmt::Display) -> String {
    format!("1 error occurred:\n\t* {text}\n\n")
}

/// A result with the vault's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request cannot be right: 400 with this text.
    #[error("{0}")]
    BadRequest(String),
    /// The credentials of a login are not right: 400 with this text. It counts towards a lockout of whom they are for.
    #[error("{0}")]
    WrongCredentials(String),
    /// 403 `permission denied`.
    #[error("permission denied")]
    PermissionDenied,
    /// 403 with another text.
    #[error("{0}")]
    Forbidden(String),
    /// Nothing there: 404 with no text.
    #[error("not found")]
    NotFound,
    /// No such path: 404 with this text.
    #[error("{0}")]
    NoRoute(String),
    /// The path does not take this operation: 405 `unsupported operation`.
    #[error("unsupported operation")]
    UnsupportedOperation,
    /// The path does not take this HTTP method: 405 with no text.
    #[error("method not allowed")]
    WrongMethod,
    /// 503 `Vault is sealed`.
    #[error("Vault is sealed")]
    Sealed,
    /// Another server is the active one, or none is: the client is sent there, see [`Core::elsewhere`](crate::core::Core::elsewhere).
    #[error("this server is a standby")]
    Standby,
    /// 503: this server stopped being the active one while the request was under way. Whether a mutation took place is unknown.
    #[error("this server stopped being the active one while the request was under way; try again")]
    LeadershipLost,
    /// 500 with this text: nothing that the client can change.
    #[error("{0}")]
    Refused(String),
    /// 400 with the text of the field's servers.
    #[error("server is not yet initialized")]
    NotInitialized,
    /// The value is over what the storage holds: 413.
    #[error("{0}")]
    TooLarge(String),
    /// The storage failed: 500, or 503 where trying again may help; the text goes to the log only.
    #[error("storage: {0}")]
    Storage(#[source] cofferdam_backend::Error),
    /// A key service failed: 500, or 503 where trying again may help; the text goes to the log only.
    #[error("seal {seal:?}: {source}")]
    Seal {
        /// The seal's name.
        seal: String,
        /// What failed.
        source: cofferdam_backend::Error,
    },
    /// What is stored cannot be read: 500; the text goes to the log only.
    #[error("damaged: {0}")]
    Damaged(String),
    /// 500; the text goes to the log only.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// Shorthand for [`Error::BadRequest`].
    pub fn bad_request(text: impl Into<String>) -> Error {
        Error::BadRequest(text.into())
    }

    /// The error of a path that no engine has.
    pub(crate) fn unsupported_path() -> Error {
        Error::NoRoute(one_error("unsupported path"))
    }
}

impl From<cofferdam_backend::Error> for Error {
    fn from(error: cofferdam_backend::Error) -> Error {
        match error {
            cofferdam_backend::Error::TooLarge { part, size, limit } => {
                Error::TooLarge(format!("{part} too large for the storage: {size} bytes, at most {limit}"))
            }
            cofferdam_backend::Error::InvalidKey(_) => Error::BadRequest(
                "the path holds something that cannot be stored (an empty, `.` or `..` segment, or a control character)".to_owned(),
            ),
            other => Error::Storage(other),
        }
    }
}

impl From<cofferdam_backend::InvalidKey> for Error {
    fn from(invalid: cofferdam_backend::InvalidKey) -> Error {
        cofferdam_backend::Error::from(invalid).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_formatted_without_its_secrets() {
        let mut response = Response::data(Fields::from_iter([("user".to_owned(), "hunter2".into())])).warn("careful");
        let auth = Auth { client_token: Zeroizing::new("hvs.hunter2".to_owned()), accessor: "acc".to_owned(), ..Auth::default() };
        response.auth = Some(Box::new(auth));
        let text = format!("{response:?}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(["user", "careful", "acc"].iter().all(|shown| text.contains(shown)), "{text}");
    }
}
