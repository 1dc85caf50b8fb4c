//! One error for every backend. Its case, not its text, decides what the host does.

use std::fmt;
use std::time::Duration;

/// A result with a backend's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The whole key.
    Key,
    /// One segment of the key.
    Segment,
    /// The value.
    Value,
    /// A batch as a whole.
    Batch,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Key => "key",
            Part::Segment => "segment of the key",
            Part::Value => "value",
            Part::Batch => "batch",
        })
    }
}

/// Why a backend did not do what was asked.
///
/// The texts come from the guest or name its faults. They are for the operator's log; nothing of them may reach a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The backend could not be reached or did not answer: may be tried again.
    #[error("backend unavailable: {0}")]
    Unavailable(String),
    /// The backend wants less: may be tried again after this delay.
    #[error("backend throttled, again after {} ms", .0.as_millis())]
    Throttled(Duration),
    /// No instance became free in time; the call never began.
    #[error("backend busy: no instance was free within {} ms", .0.as_millis())]
    Busy(Duration),
    /// This backend has failed repeatedly and is not called until it works again; the call never began.
    #[error("{0} is in quarantine")]
    Quarantined(String),
    /// The caller's deadline passed; whether a mutation took place is unknown.
    #[error("backend call exceeded its deadline of {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The key is outside the grammar, or not one that this backend can store.
    #[error("invalid key: {0}")]
    InvalidKey(String),
    /// Something is over a limit.
    #[error("{part} too large: {size} bytes, at most {limit}")]
    TooLarge {
        /// What is too large.
        part: Part,
        /// Its size in bytes (for a batch: bytes or operations).
        size: u64,
        /// What would fit.
        limit: u64,
    },
    /// The operator's settings cannot be used.
    #[error("configuration: {0}")]
    Configuration(String),
    /// Access was refused: a permission is missing.
    #[error("access denied: {0}")]
    Denied(String),
    /// What is stored is damaged.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// Another writer got in between; nothing was changed.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The backend does not offer this.
    #[error("not supported by this backend: {0}")]
    Unsupported(String),
    /// Disk or quota is used up.
    #[error("backend exhausted: {0}")]
    Exhausted(String),
    /// The guest broke a rule of the sandbox or of the contract, or trapped. Its instance is gone; whether a mutation took
    /// place is unknown.
    #[error("backend guest stopped: {0}")]
    Breach(String),
}

impl Error {
    /// The case as a short name, fit for a metric's label and for a client.
    pub fn case(&self) -> &'static str {
        match self {
            Error::Unavailable(_) => "unavailable",
            Error::Throttled(_) => "throttled",
            Error::Busy(_) => "busy",
            Error::Quarantined(_) => "quarantined",
            Error::TimedOut(_) => "timed-out",
            Error::InvalidKey(_) => "invalid-key",
            Error::TooLarge { .. } => "too-large",
            Error::Configuration(_) => "configuration",
            Error::Denied(_) => "denied",
            Error::Corrupt(_) => "corrupt",
            Error::Conflict(_) => "conflict",
            Error::Unsupported(_) => "unsupported",
            Error::Exhausted(_) => "exhausted",
            Error::Breach(_) => "breach",
        }
    }
}
