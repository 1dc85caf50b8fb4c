//! Where a component goes once it has come.

use super::{Fetched, Options, PullError, Pulled, Reference};
use crate::lock::LOCK_FILE;
use crate::signature::{EXTENSION, MAX_FILE, Signature};
use crate::{Check, MAX_COMPONENT, PinError, pins, read_regular, sha256};
use std::ffi::OsStr;
use std::path::Path;

/// The file of a backend.
pub(super) fn file_name(name: &str) -> Result<String, PullError> {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > 100 || !name.chars().all(letters) {
        return Err(PullError::Name(name.to_owned()));
    }
    Ok(format!("{name}.wasm"))
}

/// Writes the component, its signature and its pin, while nobody else changes the lock file.
pub(super) fn place(file: &str, fetched: Fetched, reference: &Reference, options: &Options, check: Check<'_>) -> Result<Pulled, PullError> {
    let signature = signature(fetched.signature, reference, options.signature.as_deref())?;
    let component = fetched.component;
    let digest = sha256(&component);
    let path = options.directory.join(file);
    let signature_name = format!("{file}{EXTENSION}");
    let kind = check(file, &component).map_err(|reason| PinError::Unfit { path: path.clone(), reason })?;
    let unchanged = pins::change(&options.directory, |directory, lock| {
        let before = directory.read(OsStr::new(file), MAX_COMPONENT)?.map(|bytes| sha256(&bytes));
        let unchanged = before.as_ref() == Some(&digest);
        if let Some(before) = before.filter(|_| !unchanged && !options.force) {
            return Ok(Err(PullError::Exists { path: path.clone(), sha256: before }));
        }
        if !unchanged {
            // The old signature first: between the two steps it would not fit.
            pins::remove(directory, &signature_name)?;
            pins::write(directory, file, &component)?;
        }
        if let Some(signature) = &signature {
            pins::write(directory, &signature_name, signature)?;
        }
        if options.pin {
            lock.pin(file, &digest, kind);
        }
        Ok(Ok(unchanged))
    })??;
    tracing::debug!(file = %path.display(), sha256 = %digest, lock = LOCK_FILE, "component fetched");
    Ok(Pulled {
        sha256: digest,
        size: u64::try_from(component.len()).unwrap_or(u64::MAX),
        reference: reference.to_string(),
        signature: signature.map(|_| options.directory.join(&signature_name)),
        pinned: options.pin,
        unchanged,
        file: path,
    })
}

/// The signature that goes beside the component: a signature by its form; whether it counts is found when the component is loaded.
fn signature(fetched: Option<Vec<u8>>, reference: &Reference, file: Option<&Path>) -> Result<Option<Vec<u8>>, PullError> {
    let (from, bytes) = match (file, fetched) {
        (Some(path), _) => (path.display().to_string(), Some(read(path)?)),
        (None, fetched) => (format!("the signature in {reference}"), fetched),
    };
    if let Some(bytes) = &bytes {
        Signature::parse(bytes).map_err(|error| PullError::Signature { from, error })?;
    }
    Ok(bytes)
}

fn read(path: &Path) -> Result<Vec<u8>, PullError> {
    // One byte more than a signature may have is none.
    let read = read_regular(path, MAX_FILE).map_err(|error| PullError::Read { path: path.to_owned(), error })?;
    Ok(read.unwrap_or_default())
}
