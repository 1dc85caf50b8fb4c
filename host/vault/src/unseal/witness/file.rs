//! The state file: JSON, of this host and this user alone.
//!
//! The rule: it is whole at any time, the one before or the one after; and what another user could have written is not believed.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Seen;
use crate::logical::{Error, Result};

/// The version of its form.
const VERSION: u32 = 1;
/// The largest that is read, in bytes.
const LARGEST: u64 = 64 << 10;

#[derive(Serialize, Deserialize)]
struct Form {
    version: u32,
    #[serde(flatten)]
    seen: Seen,
}

/// What it holds; none if there is no such file.
pub(super) async fn read(path: &Path) -> Result<Option<Seen>> {
    on_disk(path, read_now).await
}

/// Writes it anew.
pub(super) async fn write(path: &Path, seen: &Seen) -> Result<()> {
    let seen = seen.clone();
    on_disk(path, move |path| write_now(path, seen)).await
}

/// Away from the threads that serve requests: a disk may be slow.
async fn on_disk<T: Send + 'static>(path: &Path, work: impl FnOnce(&Path) -> Result<T> + Send + 'static) -> Result<T> {
    let path = path.to_owned();
    let done = tokio::task::spawn_blocking(move || work(&path)).await;
    done.map_err(|error| Error::Internal(format!("the work on the state file ended: {error}")))?
}

fn failed(path: &Path, what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Internal(format!("the state file {} cannot be {what}: {error}", path.display()))
}

fn refused(path: &Path, reason: &str) -> Error {
    Error::Damaged(format!(
        "the state file {} {reason}: put it right, or start the server once with --accept-rollback, which takes the vault as it is and writes the file anew",
        path.display()
    ))
}

fn read_now(path: &Path) -> Result<Option<Seen>> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits() | rustix::fs::OFlags::NONBLOCK.bits();
    let file = match OpenOptions::new().read(true).custom_flags(i32::try_from(flags).unwrap_or_default()).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| failed(path, "opened", &error))?,
    };
    let metadata = file.metadata().map_err(|error| failed(path, "looked at", &error))?;
    if !metadata.is_file() {
        return Err(refused(path, "is no regular file"));
    }
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() != us {
        return Err(refused(path, &format!("belongs to user {}, and this server runs as user {us}", metadata.uid())));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(refused(path, &format!("can be read or written by others (mode {:04o}, expected 0600)", metadata.mode() & 0o7777)));
    }
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(|error| failed(path, "read", &error))?;
    let form: Form = serde_json::from_slice(&text).map_err(|error| refused(path, &format!("is damaged ({error})")))?;
    if form.version != VERSION {
        return Err(refused(path, &format!("has the form {}, and this server knows {VERSION}", form.version)));
    }
    Ok(Some(form.seen))
}

fn write_now(path: &Path, seen: Seen) -> Result<()> {
    let text = serde_json::to_vec(&Form { version: VERSION, seen }).map_err(|error| failed(path, "written", &error))?;
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let write = || -> std::io::Result<()> {
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| failed(path, "written", &error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn text(result: Result<Option<Seen>>) -> String {
        result.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn it_is_private_and_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert_eq!(read(&path).await.unwrap(), None);
        let seen = Seen { cluster_id: Some("id".to_owned()), term: 3, ..Seen::default() };
        // Of a write that was cut off.
        std::fs::write(folder.path().join("state.json.new"), "half").unwrap();
        for term in [3, 4] {
            let seen = Seen { term, ..seen.clone() };
            write(&path, &seen).await.unwrap();
            assert_eq!(read(&path).await.unwrap(), Some(seen));
        }
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_is_no_state_file_of_ours_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write(&path, &Seen::default()).await.unwrap();
        let form = std::fs::read_to_string(&path).unwrap();
        let other = form.replace("\"version\":1", "\"version\":2");
        for damaged in [form.chars().take(20).collect(), String::new(), "{}".to_owned(), other] {
            std::fs::write(&path, &damaged).unwrap();
            let text = text(read(&path).await);
            assert!(text.contains(path.to_str().unwrap()) && text.contains("--accept-rollback"), "{damaged}: {text}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(text(read(&path).await).contains("mode 0640"));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(text(read(&path).await).contains("cannot be opened"));
        assert!(text(read(folder.path()).await).contains("no regular file"));
        assert!(write(&folder.path().join("none/state.json"), &Seen::default()).await.is_err());
    }
}
