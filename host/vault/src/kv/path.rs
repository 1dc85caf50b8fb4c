//! Paths of secrets, as the request brings them.

use std::borrow::Cow;

use crate::logical::{Error, Result};

/// Checks that something can be written at the path.
pub(super) fn leaf(path: &str) -> Result<()> {
    if path.is_empty() {
        return Err(Error::bad_request("missing path"));
    }
    if path.ends_with('/') {
        return Err(Error::bad_request("cannot write to a path ending in '/'"));
    }
    Ok(())
}

/// The path as a folder: empty, or with a slash at its end.
pub(super) fn folder(path: &str) -> Cow<'_, str> {
    if path.is_empty() || path.ends_with('/') { path.into() } else { format!("{path}/").into() }
}
