//! The directory that a guest is granted: opened once, judged, locked against a second server, and handed on by its descriptor, so that
//! a path that is swapped later changes nothing.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use serde::Serialize;

/// What the host and guests keep for themselves in a granted directory.
const RESERVED: &str = ".cofferdam";

/// The file in it that the server holds locked; its text is the holder's process id.
const LOCK: &str = "lock";

/// File systems of which `syncfs` sees everything to the disk and which write over a file where it is, by the numbers of `statfs(2)`: ext2 to 4, XFS, tmpfs, and
/// overlays. Of network file systems and those in user space the first does not hold, of those that copy on writing the second.
const WHOLE: [u64; 4] = [0xef53, 0x5846_5342, 0x0102_1994, 0x794c_7630];

/// Rights of others on the directory that are refused.
const OTHERS: Mode = Mode::RWXG.union(Mode::RWXO);

/// Rights of others that are refused where a guest only reads.
const OTHERS_WRITE: Mode = Mode::WGRP.union(Mode::WOTH);

/// The administrator's user id.
const ROOT: u32 = 0;

/// Why a directory cannot be granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// It cannot be opened or created.
    #[error("directory {path}: cannot {what}: {error}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        error: std::io::Error,
    },
    /// Its last component is a symbolic link.
    #[error("directory {path}: it is a symbolic link or no directory; name the directory itself")]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Another user owns it.
    #[error("directory {path}: it belongs to user {owner}, this process runs as user {user}; change the one or the other")]
    Owner {
        /// The path.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Others may enter it.
    #[error("directory {path}: its mode {mode:04o} gives rights to others than its owner; chmod 0700 it")]
    Mode {
        /// The path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Others may write it, though a guest is to read it.
    #[error("directory {path}: its mode {mode:04o} lets others write to it; chmod go-w it")]
    Writable {
        /// The path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another server works on it.
    #[error("directory {path}: it is in use by {holder}; two servers must never share one")]
    Held {
        /// The path.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
}

/// What a guest may do in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read files and list folders.
    ReadOnly,
    /// Do what it wants below it.
    ReadWrite,
}

/// A directory fit to be granted. If it may be written it stays locked until the last clone is dropped.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    path: PathBuf,
    directory: OwnedFd,
    access: Access,
    _lock: Option<File>,
}

impl Directory {
    /// Opens the directory, with `create` also one that is missing (its parent must be there), which gets mode 0700.
    ///
    /// It must belong to us, give no rights to group and others, and not be a symbolic link; no other process may hold it.
    /// Files that a guest makes in it get their rights from the process's umask, which should be 077.
    pub fn open(path: &Path, create: bool) -> Result<Directory, DirectoryError> {
        let io = |what| move |error: Errno| DirectoryError::Io { path: path.to_owned(), what, error: error.into() };
        if create {
            match fs::mkdir(path, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(io("create it")(error)),
            }
        }
        let (directory, stat) = open(path)?;
        let user = rustix::process::geteuid().as_raw();
        if stat.st_uid != user {
            return Err(DirectoryError::Owner { path: path.to_owned(), owner: stat.st_uid, user });
        }
        let mode = Mode::from_raw_mode(stat.st_mode);
        if mode.intersects(OTHERS) {
            return Err(DirectoryError::Mode { path: path.to_owned(), mode: stat.st_mode & 0o7777 });
        }
        let lock = lock(path, &directory)?;
        Ok(Directory(Arc::new(Inner { path: path.to_owned(), directory, access: Access::ReadWrite, _lock: Some(lock) })))
    }

    /// Opens a directory that a guest may only read. It is not locked: others may read it as well, and its owner may change it.
    ///
    /// It must belong to us or to the system's administrator, not be writable by group or others, and not be a symbolic link.
    pub fn open_read_only(path: &Path) -> Result<Directory, DirectoryError> {
        let (directory, stat) = open(path)?;
        let user = rustix::process::geteuid().as_raw();
        if stat.st_uid != user && stat.st_uid != ROOT {
            return Err(DirectoryError::Owner { path: path.to_owned(), owner: stat.st_uid, user });
        }
        if Mode::from_raw_mode(stat.st_mode).intersects(OTHERS_WRITE) {
            return Err(DirectoryError::Writable { path: path.to_owned(), mode: stat.st_mode & 0o7777 });
        }
        Ok(Directory(Arc::new(Inner { path: path.to_owned(), directory, access: Access::ReadOnly, _lock: None })))
    }

    /// What a guest may do in it.
    pub fn access(&self) -> Access {
        self.0.access
    }

    /// What it lets a guest do, in words for the operator.
    pub fn describe(&self) -> String {
        let does = match self.0.access {
            Access::ReadOnly => "read what is in",
            Access::ReadWrite => "read, write and delete whatever is in",
        };
        format!("{does} the directory {}", self.0.path.display())
    }

    /// The path under which it was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The directory in it that hosts and guests keep for themselves, for files of the host's.
    pub fn reserved(&self) -> Result<OwnedFd, DirectoryError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&self.0.directory, RESERVED, flags, Mode::empty()).map_err(|error| DirectoryError::Io {
            path: self.0.path.clone(),
            what: "open .cofferdam in it",
            error: error.into(),
        })
    }

    /// Whether a sync of its file system makes all durable that is in it: a local one that is known to do so, and no other mounted below the directory.
    pub fn syncs_whole(&self) -> bool {
        let known = fs::fstatfs(&self.0.directory).is_ok_and(|found| WHOLE.contains(&u64::try_from(found.f_type).unwrap_or_default()));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo");
        let real = std::fs::read_link(self.by_descriptor());
        known && matches!((mounts, real), (Ok(mounts), Ok(real)) if !is_mounted_below(&mounts, &real))
    }

    /// A path that leads to the directory as it was opened, wherever its own path leads now.
    pub(crate) fn by_descriptor(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.directory.as_raw_fd()))
    }
}

/// Opens the directory itself.
fn open(path: &Path) -> Result<(OwnedFd, Stat), DirectoryError> {
    let io = |what| move |error: Errno| DirectoryError::Io { path: path.to_owned(), what, error: error.into() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = fs::open(path, flags, Mode::empty()).map_err(|error| match error {
        Errno::LOOP | Errno::NOTDIR => DirectoryError::NotADirectory { path: path.to_owned() },
        error => io("open it")(error),
    })?;
    let stat = fs::fstat(&directory).map_err(io("read its owner"))?;
    Ok((directory, stat))
}

/// Takes the lock, or names its holder.
fn lock(path: &Path, directory: &OwnedFd) -> Result<File, DirectoryError> {
    let io = |what| move |error: Errno| DirectoryError::Io { path: path.to_owned(), what, error: error.into() };
    match fs::mkdirat(directory, RESERVED, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(io("create .cofferdam in it")(error)),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let reserved = fs::openat(directory, RESERVED, flags, Mode::empty()).map_err(io("open .cofferdam in it"))?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = fs::openat(&reserved, LOCK, flags, Mode::RUSR | Mode::WUSR).map_err(io("open .cofferdam/lock in it"))?;
    let stat = fs::fstat(&file).map_err(io("read .cofferdam/lock in it"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io("use .cofferdam/lock in it, which is no file")(Errno::INVAL));
    }
    let mut file = File::from(file);
    match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(DirectoryError::Held { path: path.to_owned(), holder: holder(&mut file) }),
        Err(error) => return Err(io("lock it")(error)),
    }
    // Only names the holder: what counts is the lock, which ends with the process.
    let named = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    named.map_err(|error| DirectoryError::Io { path: path.to_owned(), what: "write .cofferdam/lock in it", error })?;
    Ok(file)
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(32).read_to_string(&mut text).map(|_| text.trim().parse::<u32>()) {
        Ok(Ok(id)) if id == std::process::id() => format!("this process ({id})"),
        Ok(Ok(id)) => format!("process {id}"),
        _ => "another process".to_owned(),
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Directory").field(&self.0.path).finish()
    }
}

/// Whether a file system is mounted below the path; the mounts are as `proc_pid_mountinfo(5)` has them.
fn is_mounted_below(mounts: &str, path: &Path) -> bool {
    // The fifth field is where; blanks and the like are written as octal numbers there.
    let escaped = |text: &str| text.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012");
    let path = escaped(&path.to_string_lossy()) + "/";
    mounts.lines().filter_map(|line| line.split(' ').nth(4)).any(|mount| mount.starts_with(&path))
}

#[cfg(test)]
mod tests {
    use super::is_mounted_below;
    use std::path::Path;

    #[test]
    fn what_is_mounted_below_a_directory_is_found() {
        let mounts = "22 1 252:1 / / rw - ext4 /dev/vda rw\n30 22 0:5 / /var/a\\040b/data/core rw - ext4 /dev/vdb rw\n31 22 0:6 / /srv/data rw - xfs x rw\n";
        assert!(is_mounted_below(mounts, Path::new("/var/a b/data")));
        for apart in ["/var/a b/dat", "/var/a b/data/core", "/srv/data", "/home"] {
            assert!(!is_mounted_below(mounts, Path::new(apart)), "{apart}");
        }
    }
}
