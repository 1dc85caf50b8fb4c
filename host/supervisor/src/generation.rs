//! What is supervised: one opened component after the other, all of one backend.

use std::sync::Arc;

use async_trait::async_trait;
use cofferdam_backend::{Error, Lock, Seal, Storage};

/// One opened component of a backend.
#[async_trait]
pub trait Generation: Send + Sync + Sized + 'static {
    /// The component's digest.
    fn sha256(&self) -> &str;

    /// Opens the same component again, beside this one and with the same settings. Files are not looked for again: what runs was allowed to.
    async fn again(self: Arc<Self>) -> Result<Self, OpenFailure>;
}

/// A generation of a storage.
pub trait StorageGeneration: Generation {
    /// The storage.
    fn storage(&self) -> &dyn Storage;

    /// Its lock, if it has one.
    fn lock(&self) -> Option<&dyn Lock>;
}

/// A generation of a seal.
pub trait SealGeneration: Generation {
    /// The seal.
    fn seal(&self) -> &dyn Seal;
}

/// Why a generation could not be opened or may not take over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .detail.as_ref().unwrap_or(.said))]
pub struct OpenFailure {
    case: &'static str,
    said: String,
    detail: Option<String>,
}

impl OpenFailure {
    /// Refused by the host, in its own words, which hold nothing that a guest said: clients may read them.
    pub fn refused(said: impl Into<String>) -> OpenFailure {
        OpenFailure { case: "refused", said: said.into(), detail: None }
    }

    /// The same, with a text for the log that says more.
    #[must_use]
    pub fn with_detail(mut self, detail: impl std::fmt::Display) -> OpenFailure {
        self.detail = Some(detail.to_string());
        self
    }

    /// The backend failed while it was `doing` this. Clients see the error's case.
    pub fn of(doing: &str, error: &Error) -> OpenFailure {
        let case = error.case();
        OpenFailure { case, said: format!("{doing} failed: {case}"), detail: Some(format!("{doing} failed: {error}")) }
    }

    /// What is wrong as a short name, fit for a label and for a client.
    pub fn case(&self) -> &'static str {
        self.case
    }

    /// The reason in the host's words, fit for a client. The whole text, for the log, is what it displays.
    pub fn said(&self) -> &str {
        &self.said
    }
}
