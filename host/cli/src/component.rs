//! Where a storage's component comes from: a file in the plugin directory, or, for `filesystem`, this binary.
//!
//! The rule: a file in the plugin directory wins over the embedded component, and the log says which one runs.

use crate::config::{ConfigError, Storage};
use cofferdam_runtime::Source;
use std::path::Path;

/// The storage component of the release, if it had been built when this binary was.
#[cfg(embedded_filesystem)]
const EMBEDDED: Option<&[u8]> = Some(include_bytes!(env!("COFFER_FILESYSTEM_WASM")));
#[cfg(not(embedded_filesystem))]
const EMBEDDED: Option<&[u8]> = None;

/// The name under which the embedded component is listed.
pub(crate) const EMBEDDED_NAME: &str = "filesystem";

/// The embedded component, and what it is called.
pub(crate) fn embedded() -> Option<(&'static str, &'static [u8])> {
    EMBEDDED.map(|bytes| (EMBEDDED_NAME, bytes))
}

/// A component that was found, and where, in words.
pub(crate) struct Found {
    /// For the runtime.
    pub source: Source,
    /// `embedded in coffer`, or the file's path.
    pub origin: String,
    /// The file won over the embedded component of the same name.
    pub replaces_embedded: bool,
}

/// Finds the component of a storage stanza.
pub(crate) fn find(storage: &Storage, plugin_directory: Option<&Path>) -> Result<Found, ConfigError> {
    let name = &storage.component;
    let embedded = embedded().filter(|(embedded, _)| embedded == name);
    let file = plugin_directory.map(|directory| directory.join(format!("{name}.wasm")));
    if let Some(file) = file.as_ref().filter(|file| std::fs::symlink_metadata(file).is_ok()) {
        return Ok(Found { source: Source::File(file.clone()), origin: file.display().to_string(), replaces_embedded: embedded.is_some() });
    }
    if let Some((name, bytes)) = embedded {
        let source = Source::Bytes { name: format!("{name} (embedded)"), bytes: bytes.to_vec() };
        return Ok(Found { source, origin: "embedded in coffer".to_owned(), replaces_embedded: false });
    }
    let missing = match &file {
        Some(file) => format!("{} does not exist", file.display()),
        None => "plugin_directory is not set".to_owned(),
    };
    let remedy = if name == EMBEDDED_NAME {
        "this binary was built without it; build the guests first (cargo xtask build), or put filesystem.wasm into plugin_directory"
    } else {
        "put the component there, or correct the type"
    };
    Err(ConfigError::new(storage.place.clone(), format!("storage {:?}: no component: {missing}: {remedy}", storage.kind)))
}
