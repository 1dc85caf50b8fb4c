//! Finding the component that a stanza asks for.
//!
//! The rule: it is the file that the configuration names, else `NAME.wasm` in the plugin directory, else the component of that name that is built in.
//! Wherever somebody could have meant another than the one that this gives, it is refused.

use crate::error::{FindError, Stated};
use crate::lock::{LOCK_FILE, is_file_name};
use crate::pins;
use crate::signature::{EXTENSION, MAX_FILE, Signature, SignatureError};
use crate::walk::Directory;
use crate::{Found, Kind, MAX_COMPONENT, Origin, Policy, Request, Trust, is_sha256, sha256};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Finds the component, and says what vouches for it.
pub fn find(request: &Request, policy: &Policy) -> Result<Found, FindError> {
    let pin = match &request.sha256 {
        None => None,
        Some(text) if is_sha256(&text.to_ascii_lowercase()) => Some(text.to_ascii_lowercase()),
        Some(text) => return Err(FindError::NoDigest { name: request.name.clone(), text: text.clone() }),
    };
    let usual = format!("{}.wasm", request.name);
    let (directory, file) = match (&request.path, &policy.directory) {
        (Some(path), _) => {
            let name = path.file_name().and_then(OsStr::to_str).filter(|name| is_file_name(name));
            let (Some(parent), Some(name)) = (path.parent(), name) else { return Err(FindError::Extension { path: path.clone() }) };
            (pins::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent }, None)?, name.to_owned())
        }
        (None, Some(directory)) => (pins::open(directory, Some("plugin_directory"))?, usual),
        (None, None) if request.replaces_builtin => return Err(nothing_replaces(PathBuf::from(usual), None)),
        (None, None) => return builtin(request, policy, pin.as_deref()).unwrap_or_else(|| Err(no_directory(request, policy))),
    };
    let path = directory.path().join(&file);
    if request.path.is_none() {
        unambiguous(&directory, &request.name, &file)?;
    }
    let Some(bytes) = directory.read(OsStr::new(&file), MAX_COMPONENT)? else {
        let missing = || FindError::NoFile { name: request.name.clone(), path: path.clone(), released: released(&request.name, policy) };
        if request.path.is_some() {
            return Err(missing());
        }
        if request.replaces_builtin {
            return Err(nothing_replaces(path, None));
        }
        let lock = pins::read(&directory)?;
        return match builtin(request, policy, pin.as_deref()) {
            // Somebody took away what an operator had let in: another of the same name is not what he wants.
            Some(_) if lock.is_some_and(|lock| lock.plugins.contains_key(&file)) => {
                Err(nothing_replaces(path, Some(directory.path().join(LOCK_FILE))))
            }
            Some(found) => found,
            None => Err(missing()),
        };
    };
    let replaces_builtin = bytes_of(&request.name, policy).is_some_and(|builtin| builtin != bytes);
    // A dev server has one storage, and whoever puts a file of its name into the directory wants it tried.
    if replaces_builtin && !request.replaces_builtin && !policy.dev {
        return Err(FindError::Shadows { kind: request.kind, name: request.name.clone(), path, sha256: sha256(&bytes) });
    }
    let (sha256, trust) = vouch(&directory, &file, &bytes, Asked { kind: Some(request.kind), pin: pin.as_deref() }, policy)?;
    Ok(Found { bytes, sha256, origin: Origin::File(path), trust, replaces_builtin })
}

/// What is asked of a file.
pub(crate) struct Asked<'a> {
    pub(crate) kind: Option<Kind>,
    pub(crate) pin: Option<&'a str>,
}

/// Says what vouches for the bytes of a file, once nothing vouches against them.
pub(crate) fn vouch(
    directory: &Directory,
    file: &str,
    bytes: &[u8],
    asked: Asked<'_>,
    policy: &Policy,
) -> Result<(String, Trust), FindError> {
    let digest = sha256(bytes);
    let path = || directory.path().join(file);
    let lock_path = || directory.path().join(LOCK_FILE);
    let differs = |pinned: &str, stated| {
        let (of, found) = (path().display().to_string(), digest.clone());
        if pinned == digest { Ok(()) } else { Err(FindError::Pin { of, found, pinned: pinned.to_owned(), stated }) }
    };
    if let Some(pin) = asked.pin {
        differs(pin, Stated::Config)?;
    }
    let lock = pins::read(directory)?.unwrap_or_default();
    let entry = lock.plugins.get(file);
    if let Some(entry) = entry {
        differs(&entry.sha256, Stated::Lock(lock_path()))?;
        if let Some(kind) = asked.kind.filter(|kind| *kind != entry.kind) {
            return Err(FindError::OtherKind { path: path(), lock: lock_path(), pinned: entry.kind, asked: kind });
        }
    }
    let release = policy.builtin.iter().find(|(_, builtin)| builtin.is_some_and(|builtin| builtin == bytes));
    let pinned = match (release, asked.pin, entry) {
        (Some((name, _)), _, _) => Some(Trust::Release((*name).to_owned())),
        (None, Some(_), _) => Some(Trust::PinnedInConfig),
        (None, None, Some(_)) => Some(Trust::PinnedInLock(lock_path())),
        (None, None, None) => None,
    };
    let signed = signature(directory, file, bytes, pinned.is_some(), policy)?;
    if let Some(trust) = pinned.or(signed) {
        return Ok((digest, trust));
    }
    if policy.dev {
        return Ok((digest, Trust::Dev));
    }
    if let Some((other, _)) = lock.plugins.iter().find(|(_, entry)| entry.sha256 == digest) {
        return Err(FindError::OtherName { path: path(), lock: lock_path(), other: other.clone(), sha256: digest });
    }
    let unused_signature = policy.trusted_keys.is_empty() && directory.has(&format!("{file}{EXTENSION}"))?;
    Err(FindError::Unvouched { path: path(), sha256: digest, unused_signature })
}

/// What the signature beside the file comes to. One by a key that nobody knows is as good as none where none is needed.
fn signature(directory: &Directory, file: &str, bytes: &[u8], pinned: bool, policy: &Policy) -> Result<Option<Trust>, FindError> {
    if policy.trusted_keys.is_empty() {
        return Ok(None);
    }
    let name = format!("{file}{EXTENSION}");
    let Some(text) = directory.read(OsStr::new(&name), MAX_FILE)? else { return Ok(None) };
    let verified = Signature::parse(&text).and_then(|signature| {
        let trusted_comment = signature.verify(&policy.trusted_keys, file, bytes)?;
        Ok(Trust::Signed { key_id: signature.key_id().to_owned(), trusted_comment })
    });
    match verified {
        Ok(trust) => Ok(Some(trust)),
        Err(SignatureError::Untrusted { .. }) if pinned || policy.dev => Ok(None),
        Err(error) => Err(FindError::Signature { path: directory.path().join(name), error }),
    }
}

/// The component that is built in under the name, if there is one and it is the one that is pinned.
fn builtin(request: &Request, policy: &Policy, pin: Option<&str>) -> Option<Result<Found, FindError>> {
    let bytes = bytes_of(&request.name, policy)?.to_vec();
    let sha256 = sha256(&bytes);
    if let Some(pinned) = pin.filter(|pin| *pin != sha256) {
        let of = format!("the component {:?} that is built in", request.name);
        return Some(Err(FindError::Pin { of, found: sha256, pinned: pinned.to_owned(), stated: Stated::Config }));
    }
    Some(Ok(Found { bytes, sha256, origin: Origin::Builtin, trust: Trust::Builtin, replaces_builtin: false }))
}

pub(crate) fn bytes_of(name: &str, policy: &Policy) -> Option<&'static [u8]> {
    policy.builtin.iter().find(|(builtin, _)| *builtin == name)?.1
}

fn released(name: &str, policy: &Policy) -> bool {
    policy.builtin.iter().any(|(builtin, bytes)| *builtin == name && bytes.is_none())
}

fn no_directory(request: &Request, policy: &Policy) -> FindError {
    FindError::NoDirectory { name: request.name.clone(), released: released(&request.name, policy) }
}

fn nothing_replaces(path: PathBuf, lock: Option<PathBuf>) -> FindError {
    let said = match lock {
        Some(lock) => format!("{} pins it", lock.display()),
        None => "the configuration says `replaces_builtin = true`".to_owned(),
    };
    FindError::NothingReplaces { path, said }
}

/// Refuses a directory in which another file than `NAME.wasm` could be meant, too.
fn unambiguous(directory: &Directory, name: &str, file: &str) -> Result<(), FindError> {
    let names = directory.names()?;
    let mut similar: Vec<String> = names.iter().filter(|other| *other != file && is_similar(other, name)).cloned().collect();
    if similar.is_empty() {
        return Ok(());
    }
    if names.iter().any(|other| other == file) {
        similar.insert(0, file.to_owned());
        return Err(FindError::Ambiguous { name: name.to_owned(), directory: directory.path().to_owned(), files: similar });
    }
    Err(FindError::Similar { path: directory.path().join(file), files: similar })
}

/// Whether somebody could take the file for the backend's: the name in other case, or with a version behind it. What can be the name of a backend
/// itself (`etcd-3.wasm` beside `etcd.wasm`) is that backend's.
fn is_similar(file: &str, name: &str) -> bool {
    let (file, name) = (file.to_ascii_lowercase(), name.to_ascii_lowercase());
    let Some(rest) = file.strip_suffix(".wasm").and_then(|stem| stem.strip_prefix(&name)) else { return false };
    let version = rest.strip_prefix(['-', '_', '.', '@']).map(|version| version.strip_prefix('v').unwrap_or(version));
    let other_backend = rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    rest.is_empty() || !other_backend && version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
