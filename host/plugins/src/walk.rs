//! The way from `/` to a file, by descriptors. Each directory is checked once it is open, and the next is opened relative to it, so that what was
//! checked is what is used: a directory that only root and this process's user may write cannot have its entries exchanged in between.
//!
//! Symbolic links among the directories are followed, after a look at who made them; a symbolic link in the file's place is refused.

use crate::error::{FindError, Problem};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as the kernel follows.
const MAX_LINKS: usize = 40;

/// A directory that was reached by checked directories, and which passed itself.
#[derive(Debug)]
pub(crate) struct Directory {
    descriptor: OwnedFd,
    path: PathBuf,
    user: u32,
}

/// Why the way ends.
#[derive(Debug)]
pub(crate) enum WalkError {
    /// A component of the path cannot be opened.
    Io(PathBuf, io::Error),
    /// What is there is not to be relied on.
    Permissions(Vec<Problem>),
}

impl Directory {
    /// Walks to the directory. All that is wrong on the way is reported at once.
    pub(crate) fn open(path: &Path) -> Result<Directory, WalkError> {
        Directory::open_as(path, rustix::process::geteuid().as_raw())
    }

    /// The same for another user, for whom nothing is opened that this one could not.
    pub(crate) fn open_as(path: &Path, user: u32) -> Result<Directory, WalkError> {
        let whole = std::path::absolute(path).map_err(|error| WalkError::Io(path.to_owned(), error))?;
        let mut problems = Vec::new();
        let mut links = 0;
        let io = |path: &Path, error: Errno| WalkError::Io(path.to_owned(), error.into());
        let root = || openat(rustix::fs::CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let (mut at, mut reached) = (root().map_err(|error| io(Path::new("/"), error))?, PathBuf::from("/"));
        let mut stat = fstat(&at).map_err(|error| io(&reached, error))?;
        // What is still to be entered, the next last.
        let mut ahead: Vec<OsString> = components(&whole);
        while let Some(next) = ahead.pop() {
            // A directory further down is looked at by its entry there, so that a sticky bit is enough here.
            judge(&stat, &reached, true, user, &mut problems);
            let path = reached.join(&next);
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let entry = openat(&at, &next, flags, Mode::empty()).map_err(|error| io(&path, error))?;
            let found = fstat(&entry).map_err(|error| io(&path, error))?;
            match FileType::from_raw_mode(found.st_mode) {
                FileType::Directory => {
                    if next == ".." {
                        reached.pop();
                    } else {
                        reached = path;
                    }
                    (at, stat) = (entry, found);
                }
                FileType::Symlink => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(io(&path, Errno::LOOP));
                    }
                    // Its mode says nothing; its owner could point it elsewhere.
                    if let Some(problem) = foreign(&found, &path, user) {
                        problems.push(problem);
                    }
                    let target = readlinkat(&at, &next, Vec::new()).map_err(|error| io(&path, error))?;
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    if target.is_absolute() {
                        (at, reached) = (root().map_err(|error| io(Path::new("/"), error))?, PathBuf::from("/"));
                        stat = fstat(&at).map_err(|error| io(&reached, error))?;
                    }
                    ahead.extend(components(&target));
                }
                _ => return Err(io(&path, Errno::NOTDIR)),
            }
        }
        judge(&stat, &reached, false, user, &mut problems);
        if !problems.is_empty() {
            return Err(WalkError::Permissions(problems));
        }
        Ok(Directory { descriptor: at, path: path.to_owned(), user })
    }

    /// As it was named.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names in it, sorted. Names that are not UTF-8 are left out: no backend and no pin has one.
    pub(crate) fn names(&self) -> Result<Vec<String>, FindError> {
        let unreadable = |error: Errno| FindError::Unreadable { path: self.path.clone(), error: error.into() };
        let readable = self.readable().map_err(unreadable)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(readable).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if let Ok(name) = entry.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Open for reading, for what a descriptor of the path alone does not do: listing, locking and syncing.
    pub(crate) fn readable(&self) -> Result<OwnedFd, Errno> {
        openat(&self.descriptor, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    }

    /// For what is made in it.
    pub(crate) fn descriptor(&self) -> impl std::os::fd::AsFd + '_ {
        self.descriptor.as_fd()
    }

    /// Whether there is an entry of this name, whatever it is.
    pub(crate) fn has(&self, name: &str) -> Result<bool, FindError> {
        match statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(FindError::Unreadable { path: self.path.join(name), error: error.into() }),
        }
    }

    /// Opens a file in it, checks it by its descriptor, and reads it once. `None` if there is none.
    pub(crate) fn read(&self, name: &OsStr, limit: u64) -> Result<Option<Vec<u8>>, FindError> {
        let path = self.path.join(name);
        let unreadable = |error: io::Error| FindError::Unreadable { path: path.clone(), error };
        // Not blocking: a named pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let descriptor = match openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(FindError::NotAFile { path, what: "a symbolic link" }),
            // As a socket answers.
            Err(Errno::NXIO) => return Err(FindError::NotAFile { path, what: "no file" }),
            Err(error) => return Err(unreadable(error.into())),
        };
        let stat = fstat(&descriptor).map_err(|error| unreadable(error.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(FindError::NotAFile { path, what: "a directory" }),
            _ => return Err(FindError::NotAFile { path, what: "no file" }),
        }
        let mut problems = Vec::new();
        judge(&stat, &path, false, self.user, &mut problems);
        if !problems.is_empty() {
            return Err(FindError::Permissions(problems));
        }
        let mut bytes = Vec::new();
        File::from(descriptor).take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        if u64::try_from(bytes.len()).is_ok_and(|size| size <= limit) { Ok(Some(bytes)) } else { Err(FindError::TooLarge { path, limit }) }
    }
}

/// The names on the way, the last first.
fn components(path: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsStr::from_bytes(b"..").to_owned()),
            _ => None,
        })
        .collect();
    names.reverse();
    names
}

/// Adds what is wrong with it. Above the directory in question a sticky bit keeps others from exchanging entries that are not theirs.
fn judge(stat: &Stat, path: &Path, above: bool, user: u32, problems: &mut Vec<Problem>) {
    let mode = stat.st_mode & 0o7777;
    let open = mode & 0o022 != 0 && !(above && mode & 0o1000 != 0);
    let writable = open.then(|| Problem::Writable { path: path.to_owned(), mode, above });
    // Links lead through some directories twice.
    problems
        .extend(foreign(stat, path, user).into_iter().chain(writable).filter(|problem| !problems.contains(problem)).collect::<Vec<_>>());
}

fn foreign(stat: &Stat, path: &Path, user: u32) -> Option<Problem> {
    let owner = stat.st_uid;
    (owner != 0 && owner != user).then(|| Problem::Owner { path: path.to_owned(), owner, user })
}

#[cfg(test)]
mod tests;
