//! What is known of a request as it goes its way: what an entry is made of.

use std::sync::Arc;

use super::headers::Wanted;
use crate::crypto;
use crate::logical::{Error, Fields, Operation, Request, Response, Result, one_error};
use crate::mounts::Mount;

/// A request.
pub(super) struct Record {
    /// As the client sent it: its path is from the API's root. Operation and caller are what they turn out to be.
    pub(super) request: Request,
    /// The mount that answers the path.
    pub(super) mount: Option<Arc<Mount>>,
    /// The version of the engines, for mounts.
    pub(super) version: String,
    /// Whether the policies allow it, and the names of those that do; once that is known.
    pub(super) verdict: Option<(bool, Vec<String>)>,
    /// Whether it has reached its engine, or was asked for whether its entry exists: from then on OpenBao shows the mount's accessor.
    pub(super) reached: bool,
    /// The headers that the operator wants in the log, and whether as hashes.
    pub(super) headers: Arc<Wanted>,
    /// It seals the server, or ends its leadership: before it is done, and of the request only, there is an entry.
    pub(super) last: bool,
}

/// Which of a request's two entries is written.
#[derive(Clone, Copy)]
pub(super) enum Stage<'a> {
    /// Before it is done; the error is why it will not be.
    Request(Option<&'a Error>),
    /// After it, before the client learns of it.
    Response(&'a Result<Response>),
}

impl Record {
    pub(super) fn of(request: &Request, mount: Option<Arc<Mount>>, version: &str, headers: Arc<Wanted>) -> Record {
        let last = matches!(request.path.as_str(), "sys/seal" | "sys/step-down");
        Record {
            request: Request { caller: None, ..request.clone() },
            mount: mount.filter(|_| !last),
            version: version.to_owned(),
            verdict: None,
            reached: false,
            headers,
            last,
        }
    }

    /// What a new device has to write before it is taken into service; OpenBao's.
    pub(super) fn trial() -> Record {
        let request = Request {
            id: crypto::uuid(),
            operation: Operation::Update,
            path: "sys/audit/test".to_owned(),
            data: Fields::new(),
            token: None,
            remote: None,
            caller: None,
            wrap_ttl: None,
            wrap_jwt: false,
            headers: Vec::new(),
        };
        Record::of(&request, None, "", Arc::default())
    }
}

impl Stage<'_> {
    /// The entry's type.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Stage::Request(_) => "request",
            Stage::Response(_) => "response",
        }
    }

    /// The metric of the time that entries take.
    pub(super) fn metric(self) -> &'static str {
        match self {
            Stage::Request(_) => "vault_audit_log_request",
            Stage::Response(_) => "vault_audit_log_response",
        }
    }

    /// The counter of entries that no device took.
    pub(super) fn failures(self) -> &'static str {
        match self {
            Stage::Request(_) => "vault_audit_log_request_failure",
            Stage::Response(_) => "vault_audit_log_response_failure",
        }
    }

    /// The `error` member. Nothing of a backend's text gets into it.
    pub(super) fn error(self) -> Option<String> {
        match self {
            Stage::Request(error) => error.map(words),
            Stage::Response(Ok(_)) => None,
            Stage::Response(Err(error)) => match error {
                Error::NotFound | Error::WrongMethod => None,
                Error::BadRequest(_) | Error::WrongCredentials(_) | Error::TooLarge(_) => Some(one_error("invalid request")),
                Error::PermissionDenied | Error::Forbidden(_) => Some(one_error("permission denied")),
                Error::NoRoute(text) if is_list(text) => Some(text.clone()),
                Error::NoRoute(_) => Some(one_error("unsupported path")),
                Error::UnsupportedOperation => Some(one_error("unsupported operation")),
                other => Some(one_error(words(other))),
            },
        }
    }
}

/// The text that the client is told, for an error whose answer has one of its own.
pub(super) fn told(error: &Error) -> Option<String> {
    match error {
        Error::NoRoute(text) if is_list(text) => None,
        Error::BadRequest(_)
        | Error::WrongCredentials(_)
        | Error::TooLarge(_)
        | Error::PermissionDenied
        | Error::Forbidden(_)
        | Error::NoRoute(_)
        | Error::Refused(_) => Some(error.to_string()),
        _ => None,
    }
}

fn words(error: &Error) -> String {
    match error {
        Error::Storage(backend) => format!("storage error: {}", backend.case()),
        Error::Seal { source, .. } => format!("seal error: {}", source.case()),
        Error::Damaged(_) | Error::Internal(_) => "internal error".to_owned(),
        other => other.to_string(),
    }
}

fn is_list(text: &str) -> bool {
    text.starts_with("1 error occurred:")
}
