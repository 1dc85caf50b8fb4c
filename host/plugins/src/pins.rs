//! Keeping the lock file: writing it whole, one writer at a time.

use crate::error::FindError;
use crate::lock::{LOCK_FILE, Lock, MAX_LOCK, is_file_name};
use crate::walk::{Directory, WalkError};
use crate::{Kind, MAX_COMPONENT, sha256};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What was pinned, or is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The file's name.
    pub file: String,
    /// What it may be used as.
    pub kind: Kind,
    /// Its digest.
    pub sha256: String,
    /// What was pinned before.
    pub change: Change,
}

/// What pinning has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not pinned.
    New,
    /// It was pinned as it is.
    Unchanged,
    /// This digest was.
    From(String),
}

/// How a file stands to the lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The file's name.
    pub file: String,
    /// The digest of what is there, if it can be read.
    pub sha256: Option<String>,
    /// What it is pinned as.
    pub kind: Option<Kind>,
    /// When it was pinned.
    pub pinned: Option<String>,
    /// The verdict.
    pub state: State,
}

/// The verdict on a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It has the digest that is pinned.
    Pinned,
    /// It has another; this is the one that is pinned.
    Changed(String),
    /// It is pinned and not there.
    Missing,
    /// It is there and not pinned.
    Unpinned,
    /// It cannot be read, or others may write it; in words.
    Refused(String),
}

/// Why nothing was pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The directory, a file or the lock file is not fit.
    #[error(transparent)]
    Find(#[from] FindError),
    /// No name of a plugin's file.
    #[error("{0:?} is not the name of a .wasm file in the directory")]
    Name(String),
    /// No such file.
    #[error("{path}: it does not exist", path = .0.display())]
    Missing(PathBuf),
    /// Not pinned.
    #[error("{path}: it is not pinned", path = .0.display())]
    NotPinned(PathBuf),
    /// The caller's look at the content found it unfit.
    #[error("{path}: {reason}", path = .path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// In words.
        reason: String,
    },
    /// The lock file cannot be written.
    #[error("{path}: cannot be written: {error}", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The caller's look at a component, by its file's name and its bytes: what it is, or why it is unfit.
pub type Check<'a> = &'a (dyn Fn(&str, &[u8]) -> Result<Kind, String> + Sync);

/// Pins these files of the directory, or all of its `.wasm` files if none is named, with the digests that they have now. `check` tells what each is.
pub fn pin(directory: &Path, files: &[String], check: Check<'_>) -> Result<Vec<Pinned>, PinError> {
    change(directory, |opened, lock| {
        let all: Vec<String>;
        let files = if files.is_empty() {
            all = opened.names()?.into_iter().filter(|name| is_file_name(name)).collect();
            &all
        } else {
            files
        };
        let mut pinned = Vec::new();
        for file in files {
            pinned.push(pin_one(opened, lock, file, check)?);
        }
        Ok(pinned)
    })
}

fn pin_one(directory: &Directory, lock: &mut Lock, file: &str, check: Check<'_>) -> Result<Pinned, PinError> {
    if !is_file_name(file) {
        return Err(PinError::Name(file.to_owned()));
    }
    let path = directory.path().join(file);
    let bytes = directory.read(OsStr::new(file), MAX_COMPONENT)?.ok_or_else(|| PinError::Missing(path.clone()))?;
    let kind = check(file, &bytes).map_err(|reason| PinError::Unfit { path, reason })?;
    let digest = sha256(&bytes);
    let change = lock.pin(file, &digest, kind);
    Ok(Pinned { file: file.to_owned(), kind, sha256: digest, change })
}

/// Takes these files out of the lock file.
pub fn unpin(directory: &Path, files: &[String]) -> Result<(), PinError> {
    change(directory, |opened, lock| {
        for file in files {
            if lock.plugins.remove(file).is_none() {
                return Err(PinError::NotPinned(opened.path().join(file)));
            }
        }
        Ok(())
    })
}

/// How every file of the directory and every pin stands. Nothing is changed.
pub fn verify(directory: &Path) -> Result<Vec<Status>, PinError> {
    let opened = open(directory, Some("the directory"))?;
    let lock = read(&opened)?.unwrap_or_default();
    let mut names: Vec<String> = opened.names()?.into_iter().filter(|name| is_file_name(name)).collect();
    names.extend(lock.plugins.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
    names.sort();
    let status = |file: String| {
        let entry = lock.plugins.get(&file);
        let (sha256, state) = match (opened.read(OsStr::new(&file), MAX_COMPONENT), entry) {
            (Ok(Some(bytes)), Some(entry)) => {
                let digest = sha256(&bytes);
                let state = if digest == entry.sha256 { State::Pinned } else { State::Changed(entry.sha256.clone()) };
                (Some(digest), state)
            }
            (Ok(Some(bytes)), None) => (Some(sha256(&bytes)), State::Unpinned),
            (Ok(None), _) => (None, State::Missing),
            (Err(error), _) => (None, State::Refused(error.to_string())),
        };
        Status { sha256, kind: entry.map(|entry| entry.kind), pinned: entry.map(|entry| entry.pinned.clone()), state, file }
    };
    Ok(names.into_iter().map(status).collect())
}

/// Opens a directory of plugins that has been named by this setting.
pub(crate) fn open(directory: &Path, setting: Option<&'static str>) -> Result<Directory, FindError> {
    Directory::open(directory).map_err(|error| match (error, setting) {
        (WalkError::Io(at, error), Some(setting)) if at.as_path() == directory || !directory.exists() => {
            FindError::Directory { setting, path: directory.to_owned(), error }
        }
        (WalkError::Io(path, error), _) => FindError::Unreadable { path, error },
        (WalkError::Permissions(problems), _) => FindError::Permissions(problems),
    })
}

/// The directory's lock file, if it has one.
pub(crate) fn read(directory: &Directory) -> Result<Option<Lock>, FindError> {
    let path = || directory.path().join(LOCK_FILE);
    let Some(bytes) = directory.read(OsStr::new(LOCK_FILE), MAX_LOCK)? else { return Ok(None) };
    Lock::parse(&bytes).map(Some).map_err(|error| FindError::Lock { path: path(), error })
}

/// Changes the lock file. Writers wait for one another; readers see the file before or after, and so does who comes after a power failure.
pub(crate) fn change<T>(directory: &Path, edit: impl FnOnce(&Directory, &mut Lock) -> Result<T, PinError>) -> Result<T, PinError> {
    let opened = open(directory, Some("the directory"))?;
    let failed = |error: Errno| PinError::Write { path: directory.join(LOCK_FILE), error: error.into() };
    // The directory itself is locked, since the lock file is another after each change.
    let guard = opened.readable().map_err(failed)?;
    flock(&guard, FlockOperation::LockExclusive).map_err(failed)?;
    let before = read(&opened)?.unwrap_or_default();
    let mut lock = before.clone();
    let result = edit(&opened, &mut lock)?;
    if before != lock {
        let text = lock.to_text().map_err(|error| FindError::Lock { path: directory.join(LOCK_FILE), error })?;
        write(&opened, LOCK_FILE, text.as_bytes())?;
    }
    drop(guard);
    Ok(result)
}

/// Writes a file of the directory whole: another of the same name is there until the new one is on the disk. Its mode is 0644.
pub(crate) fn write(directory: &Directory, name: &str, bytes: &[u8]) -> Result<(), PinError> {
    let path = directory.path().join(name);
    let failed = |error: io::Error| PinError::Write { path: path.clone(), error };
    let temporary = format!(".{name}.{}.new", std::process::id());
    let result = fill(directory, &temporary, bytes).and_then(|()| {
        renameat(directory.descriptor(), temporary.as_str(), directory.descriptor(), name)?;
        Ok(fsync(directory.readable()?)?)
    });
    if result.is_err() {
        let _ = unlinkat(directory.descriptor(), temporary.as_str(), AtFlags::empty());
    }
    result.map_err(failed)
}

/// Takes a file of the directory away, if it is there.
pub(crate) fn remove(directory: &Directory, name: &str) -> Result<(), PinError> {
    match unlinkat(directory.descriptor(), name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(PinError::Write { path: directory.path().join(name), error: error.into() }),
    }
}

fn fill(directory: &Directory, name: &str, bytes: &[u8]) -> io::Result<()> {
    // What a writer that died has left. Nobody else may write here.
    let _ = unlinkat(directory.descriptor(), name, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let descriptor: OwnedFd = openat(directory.descriptor(), name, flags, Mode::from_raw_mode(0o600))?;
    let mut file = File::from(descriptor);
    file.write_all(bytes)?;
    // Whatever the umask is: the server may run as another user.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
