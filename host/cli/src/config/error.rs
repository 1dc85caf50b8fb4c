//! Errors of the configuration: where, what, and what to do.

use cofferdam_hcl::Pos;
use std::fmt;
use std::path::PathBuf;

/// A place in a configuration file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line and column in it.
    pub pos: Pos,
}

/// Shows nothing: stanzas that say the same look the same, wherever they stand.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.pos)
    }
}

/// Why the configuration cannot be used: `FILE:LINE:COLUMN: MESSAGE`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub(crate) struct ConfigError {
    /// The place, or the file or variable where there is none.
    place: String,
    /// What was found, what was expected, what to do.
    message: String,
}

impl ConfigError {
    /// An error at a place.
    pub(crate) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place: place.to_string(), message: message.into() }
    }

    /// An error about a whole file, several of them, or an environment variable.
    pub(crate) fn whole(what: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: what.into(), message: message.into() }
    }
}
