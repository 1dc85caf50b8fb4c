//! Files of results: read to be shown or compared, written whole.

use crate::results;
use crate::results::ReadError;
use crate::results::Target;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

/// Why saved results cannot be shown or compared.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{}: {source}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: ReadError,
    },
    /// The report cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The results cannot be written as JSON.
    #[error("the results cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// What was asked for does not fit together.
    #[error("{0}")]
    Unfit(String),
}

/// The targets that a file holds.
///
/// # Errors
///
/// If it cannot be read, or is not a file of results.
pub fn load(path: &Path) -> Result<Vec<Target>, SavedError> {
    let text = std::fs::read_to_string(path).map_err(|source| SavedError::Read { path: path.to_owned(), source })?;
    results::read(&text).map_err(|source| SavedError::Content { path: path.to_owned(), source })
}

/// Writes a file whole or not at all: beside its place first, then there.
///
/// # Errors
///
/// If that cannot be done.
pub fn save(path: &Path, text: &str) -> Result<(), SavedError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".coffer-bench-").permissions(readable()).tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|source| SavedError::Write { path: path.to_owned(), source })
}

/// A report is no secret: as any file that a command writes.
fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}
