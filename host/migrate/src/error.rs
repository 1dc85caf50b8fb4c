//! Why a migration ended early.

use crate::run::Report;
use crate::state::Unfits;

/// A result with a migration's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a migration ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else's migration holds an end.
    #[error("{end}: storage migration in progress (started: {started})")]
    InProgress {
        /// The end.
        end: String,
        /// When it began, as it is written there.
        started: String,
    },
    /// The destination holds something already.
    #[error("{end} is not empty: it holds {holds}")]
    NotEmpty {
        /// The destination.
        end: String,
        /// The first thing that was found.
        holds: String,
    },
    /// The destination holds half a copy that cannot be gone on with.
    #[error("{end} holds the beginning of another copy: {reason}")]
    Foreign {
        /// The destination.
        end: String,
        /// Why it is not gone on with.
        reason: String,
    },
    /// The source holds half a copy.
    #[error("{0} is itself the destination of a migration that has not ended: end that one first")]
    HalfSource(String),
    /// The same migration was begun a second time meanwhile.
    #[error("another run of the same migration has taken over")]
    TakenOver,
    /// The source holds nothing.
    #[error("{0} holds no entries")]
    Nothing(String),
    /// The source could not be read.
    #[error("error reading entry: {end}: {source}")]
    Read {
        /// The source.
        end: String,
        /// What it said.
        source: cofferdam_backend::Error,
    },
    /// The destination could not be written.
    #[error("error writing entry: {end}: {source}")]
    Write {
        /// The destination.
        end: String,
        /// What it said.
        source: cofferdam_backend::Error,
    },
    /// A snapshot could not be read or written.
    #[error(transparent)]
    Snapshot(#[from] cofferdam_snapshot::Error),
    /// The destination cannot hold some of the entries: nothing or not all was copied.
    #[error("{end} cannot hold {} of the entries", unfit.count)]
    TooLarge {
        /// The destination.
        end: String,
        /// Which.
        unfit: Unfits,
        /// Nothing was written: both ends are as they were.
        untouched: bool,
    },
    /// The destination does not hold what the source does.
    #[error("verification failed: the two ends do not hold the same")]
    Differs(Box<Report>),
    /// The source gave other entries when they were copied than when they were counted.
    #[error("{end}: {counted} entries were counted and {copied} copied: something writes to it")]
    Changed {
        /// The source.
        end: String,
        /// How many there were.
        counted: u64,
        /// How many came.
        copied: u64,
    },
    /// A thread of this process ended early.
    #[error("a thread ended early: {0}")]
    Thread(String),
}
