//! What a plugin directory holds, for `coffer plugin list`.

use crate::find::{Asked, bytes_of, vouch};
use crate::lock::is_file_name;
use crate::walk::Directory;
use crate::{FindError, Found, MAX_COMPONENT, Origin, Policy, Trust, pins, sha256};
use std::ffi::OsStr;
use std::io;

/// A component that is there.
#[derive(Debug)]
pub struct Listed {
    /// The file's name without `.wasm`, or the name that a component is built in under.
    pub name: String,
    /// Where it is.
    pub origin: Origin,
    /// Its bytes and what vouches for them, or why it is refused.
    pub found: Result<Found, FindError>,
    /// A component of the same name is built in and is another: the file is used only where the configuration says `replaces_builtin`.
    pub shadows_builtin: bool,
}

/// Lists the files of the plugin directory by name, then the components that are built in. Pins in the configuration are not looked at: [`crate::find`]
/// does that for what a stanza asks for.
pub fn list(policy: &Policy) -> Result<Vec<Listed>, FindError> {
    let mut listed = Vec::new();
    if let Some(directory) = &policy.directory {
        let directory = pins::open(directory, Some("plugin_directory"))?;
        for file in directory.names()?.into_iter().filter(|name| is_file_name(name)) {
            listed.push(listed_file(&directory, &file, policy));
        }
    }
    for (name, bytes) in policy.builtin.iter().filter_map(|(name, bytes)| Some((*name, (*bytes)?))) {
        let (origin, trust) = (Origin::Builtin, Trust::Builtin);
        let found = Found { bytes: bytes.to_vec(), sha256: sha256(bytes), origin: origin.clone(), trust, replaces_builtin: false };
        listed.push(Listed { name: name.to_owned(), origin, found: Ok(found), shadows_builtin: false });
    }
    Ok(listed)
}

fn listed_file(directory: &Directory, file: &str, policy: &Policy) -> Listed {
    let name = file.strip_suffix(".wasm").unwrap_or(file).to_owned();
    let path = directory.path().join(file);
    let mut shadows_builtin = bytes_of(&name, policy).is_some();
    let found = directory.read(OsStr::new(file), MAX_COMPONENT).and_then(|bytes| {
        let gone = || FindError::Unreadable { path: path.clone(), error: io::ErrorKind::NotFound.into() };
        let bytes = bytes.ok_or_else(gone)?;
        shadows_builtin = bytes_of(&name, policy).is_some_and(|builtin| builtin != bytes);
        let (sha256, trust) = vouch(directory, file, &bytes, Asked { kind: None, pin: None }, policy)?;
        Ok(Found { bytes, sha256, origin: Origin::File(path.clone()), trust, replaces_builtin: shadows_builtin })
    });
    Listed { name, origin: Origin::File(path), found, shadows_builtin }
}
