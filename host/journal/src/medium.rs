//! Where journals are: two files in a directory of the host's own, beside the entries.

use std::any::Any;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use cofferdam_backend::Key;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// The folder of the entries' directory that holds none: journals are in it.
const RESERVED: &str = ".cofferdam/";

/// A file is lengthened by this much at a time: a write within what is there needs no sync of anything but its data.
const STEP: u64 = 1 << 20;

/// A journal's file.
pub trait Medium: Send {
    /// All that it holds.
    fn read(&mut self) -> io::Result<Vec<u8>>;

    /// Makes sure that this many bytes are there, zeros where nothing was, and that their place is durable.
    fn reserve(&mut self, length: u64) -> io::Result<()>;

    /// Writes within what is reserved. Durable after [`Medium::sync`].
    fn write(&mut self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Leaves nothing in it, durably.
    fn clear(&mut self) -> io::Result<()>;
}

/// Where the files are.
pub trait Place: Send + Sync + 'static {
    /// The file of this number, 0 or 1, if there is one that holds anything.
    fn left(&self, number: usize) -> io::Result<Option<Box<dyn Medium>>>;

    /// The file of this number, made if it is missing.
    fn medium(&self, number: usize) -> io::Result<Box<dyn Medium>>;

    /// Makes all durable that was ever written to the file system by anybody.
    fn sync_all(&self) -> io::Result<()>;

    /// The name in the layout of the entries that a new key cannot have, since something else has it.
    fn taken(&self, key: &Key) -> io::Result<Option<String>>;

    /// What errors call it.
    fn name(&self) -> String;
}

/// A directory that is open, in the directory of the entries.
pub struct Folder {
    directory: OwnedFd,
    name: String,
    _held: Box<dyn Any + Send + Sync>,
}

impl Folder {
    /// Journals are made in the directory; `name` is what errors call it. What is `held`, a lock above all, is so until nothing is written there any more.
    pub fn new(directory: OwnedFd, name: impl Into<String>, held: impl Any + Send + Sync) -> Folder {
        Folder { directory, name: name.into(), _held: Box::new(held) }
    }
}

impl Folder {
    fn open(&self, number: usize, more: OFlags) -> io::Result<Journal> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | more;
        let file = fs::openat(&self.directory, format!("journal-{number}"), flags, Mode::RUSR | Mode::WUSR)?;
        if FileType::from_raw_mode(fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other(format!("journal-{number} is no file")));
        }
        let file = File::from(file);
        let length = file.metadata()?.len();
        Ok(Journal { file, length })
    }
}

impl Place for Folder {
    fn left(&self, number: usize) -> io::Result<Option<Box<dyn Medium>>> {
        match self.open(number, OFlags::empty()) {
            Ok(journal) => Ok((journal.length > 0).then(|| Box::new(journal) as Box<dyn Medium>)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn medium(&self, number: usize) -> io::Result<Box<dyn Medium>> {
        let journal = self.open(number, OFlags::CREATE)?;
        // Its name.
        fs::fsync(&self.directory)?;
        Ok(Box::new(journal))
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(fs::syncfs(&self.directory)?)
    }

    /// By the layout of Vault's file backend: the leaf `a/b` is the file `a/_b`.
    fn taken(&self, key: &Key) -> io::Result<Option<String>> {
        let folders = key.as_str().strip_suffix(key.leaf()).unwrap_or_default();
        if key.folders().next() == Some(RESERVED) {
            return Ok(Some(RESERVED.to_owned()));
        }
        let path = format!("{folders}_{}", key.leaf());
        match fs::statat(&self.directory, format!("../{path}"), AtFlags::empty()) {
            Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => Ok(Some(path)),
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR) => Ok(Some(folders.trim_end_matches('/').to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

struct Journal {
    file: File,
    length: u64,
}

impl Medium for Journal {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn reserve(&mut self, length: u64) -> io::Result<()> {
        if length <= self.length {
            return Ok(());
        }
        let wanted = length.next_multiple_of(STEP);
        let zeros = vec![0; usize::try_from(wanted - self.length).map_err(io::Error::other)?];
        self.file.write_all_at(&zeros, self.length)?;
        self.file.sync_all()?;
        self.length = wanted;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.sync_all()?;
        self.length = 0;
        Ok(())
    }
}
