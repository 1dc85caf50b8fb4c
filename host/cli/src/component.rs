//! Where the component of a storage or a seal comes from: a file in the plugin directory, or, for those of the release, this binary.
//!
//! The rule: a file in the plugin directory wins over an embedded component, and the log says which one runs.

use cofferdam_runtime::Source;
use std::path::Path;

/// The components of the release, by name; those that had been built when this binary was, with their bytes.
const RELEASE: &[(&str, Option<&[u8]>)] = &include!(concat!(env!("OUT_DIR"), "/release.rs"));

/// The embedded components by name.
pub(crate) fn embedded() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    RELEASE.iter().filter_map(|(name, bytes)| Some((*name, (*bytes)?)))
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

/// Finds the component of this name. The error says what to do, and not whose component is missing.
pub(crate) fn find(name: &str, plugin_directory: Option<&Path>) -> Result<Found, String> {
    let embedded = embedded().find(|(embedded, _)| *embedded == name);
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
    let remedy = if RELEASE.iter().any(|(released, _)| *released == name) {
        format!("this binary was built without it; build the guests first (cargo xtask build), or put {name}.wasm into plugin_directory")
    } else {
        "put the component there, or correct the type".to_owned()
    };
    Err(format!("no component: {missing}: {remedy}"))
}
