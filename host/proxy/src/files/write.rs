//! Writing a file so that nobody ever reads half of it. The rule: a new file beside it takes its place in one step; it has its mode before it has its name.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

/// Writes it, and the directories that it needs. The error does not name the file.
pub(super) fn whole(path: &Path, mode: u32, text: &[u8]) -> Result<(), String> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).ok_or("the file is in no directory")?;
    // Who may read the file must come to it.
    directories(directory, if mode & 0o077 == 0 { 0o700 } else { 0o755 })?;
    let failed = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let mut file = tempfile::Builder::new()
        .prefix(".coffer-")
        .tempfile_in(directory)
        .map_err(|error| failed(&format!("no file can be made in {}", directory.display()), error))?;
    file.write_all(text).map_err(|error| failed("the file cannot be written", error))?;
    // Whatever the process's umask is.
    file.as_file().set_permissions(Permissions::from_mode(mode)).map_err(|error| failed("the file's mode cannot be set", error))?;
    file.persist(path).map_err(|error| failed("the file cannot take its place", error.error))?;
    Ok(())
}

fn directories(directory: &Path, mode: u32) -> Result<(), String> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        directories(parent, mode)?;
    }
    let failed = |error: std::io::Error| format!("the directory {} cannot be made: {error}", directory.display());
    match DirBuilder::new().mode(mode).create(directory) {
        Ok(()) => fs::set_permissions(directory, Permissions::from_mode(mode)).map_err(failed),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(error) => Err(failed(error)),
    }
}
