//! What can be wrong with an archive.

use std::io;
use std::path::{Path, PathBuf};

/// A result with an archive's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an archive was not read or not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file, or one beside it, could not be used.
    #[error("{}: {doing}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// What the file holds is no whole archive.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// An entry cannot be stored in an archive.
    #[error("the entry {key:?} cannot be put into a snapshot: {reason}")]
    Entry {
        /// Its key.
        key: String,
        /// Why not.
        reason: String,
    },
}

impl Error {
    pub(crate) fn file(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::File { path: path.to_owned(), doing, source }
    }

    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Error {
        Error::Damaged { path: path.to_owned(), reason: reason.into() }
    }

    /// What is wrong, without the name of the file: for a client that has sent the archive. None if it is not the archive's fault.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Error::Damaged { reason, .. } => Some(reason),
            _ => None,
        }
    }
}
