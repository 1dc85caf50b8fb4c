//! What is wrong with a grant as the operator wrote it.

use std::fmt;

/// Why there is no grant: the key of the block, and what is wrong there. It holds no secret.
#[derive(Debug, PartialEq, Eq)]
pub struct GrantError {
    key: String,
    cause: String,
}

impl GrantError {
    pub(crate) fn new(key: impl Into<String>, cause: impl fmt::Display) -> GrantError {
        GrantError { key: key.into(), cause: cause.to_string() }
    }

    /// The key of the block `grant "http"` that is meant, as in `ca_cert` or `header "authorization"`.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.cause)
    }
}

impl std::error::Error for GrantError {}
