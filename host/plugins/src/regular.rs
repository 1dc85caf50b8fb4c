//! Files that a person named on the command line. The rule: only a regular file is read, and nothing is waited for: a named pipe or a device at the path
//! must not keep a command from ending.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Reads a regular file whole; none if it is longer than `limit`.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    // Not blocking: to open a named pipe would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(u64::try_from(bytes.len()).is_ok_and(|length| length <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::read_regular;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::path::Path;

    #[test]
    fn only_a_regular_file_of_fit_size_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.wasm");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read_regular(&path, 4).unwrap().unwrap(), b"four");
        assert!(read_regular(&path, 3).unwrap().is_none());
        // Nobody ever writes into it: who waited for that would wait for ever.
        let pipe = directory.path().join("pipe.wasm");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for path in [&pipe, Path::new("/dev/zero"), directory.path()] {
            assert!(read_regular(path, 4).unwrap_err().to_string().contains("no regular file"), "{path:?}");
        }
        assert!(read_regular(&directory.path().join("none"), 4).is_err());
    }
}
