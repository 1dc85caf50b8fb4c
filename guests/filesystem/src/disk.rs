//! The few WASI calls that the rest is made of, on paths relative to the granted directory.

use std::cell::Cell;

use cofferdam_guest::{Error, Result};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags};

use crate::fault::fault;

/// The name under which the host grants the directory.
const GRANT: &str = "/data";

/// The granted directory. Its descriptor is fetched once and kept as long as the instance lives.
pub(crate) fn root() -> Result<&'static Descriptor> {
    thread_local!(static ROOT: Cell<Option<&'static Descriptor>> = const { Cell::new(None) });
    if let Some(root) = ROOT.get() {
        return Ok(root);
    }
    let granted = get_directories().into_iter().find(|(_, name)| name == GRANT);
    let (directory, _) = granted.ok_or_else(|| Error::Configuration("\"path\" must be set: no directory was granted".to_owned()))?;
    let root: &'static Descriptor = Box::leak(Box::new(directory));
    ROOT.set(Some(root));
    Ok(root)
}

/// Opens a directory; none stands for the root.
pub(crate) fn directory(path: &str) -> Result<Result<Descriptor, ErrorCode>> {
    let path = if path.is_empty() { "." } else { path };
    Ok(root()?.open_at(PathFlags::SYMLINK_FOLLOW, path, OpenFlags::DIRECTORY, DescriptorFlags::READ))
}

/// Opens a directory to change what is in it.
pub(crate) fn changeable(path: &str) -> Result<Result<Descriptor, ErrorCode>> {
    let flags = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
    Ok(root()?.open_at(PathFlags::SYMLINK_FOLLOW, path, OpenFlags::DIRECTORY, flags))
}

/// Makes the entries of a directory survive a loss of power. A directory that is gone needs nothing.
pub(crate) fn sync_directory(path: Option<&str>) -> Result<()> {
    let synced = match path {
        None => root()?.sync(),
        Some(path) => match directory(path)? {
            Ok(directory) => directory.sync(),
            Err(ErrorCode::NoEntry) => Ok(()),
            Err(code) => Err(code),
        },
    };
    synced.map_err(|code| fault("sync the directory", path.unwrap_or("."), code))
}

/// What stands in a directory under one name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    Other,
}

impl From<DescriptorType> for Kind {
    fn from(found: DescriptorType) -> Kind {
        match found {
            DescriptorType::RegularFile => Kind::File,
            DescriptorType::Directory => Kind::Directory,
            DescriptorType::SymbolicLink => Kind::Link,
            _ => Kind::Other,
        }
    }
}

/// What stands at the path, through links; an error code if nothing does or a link leads out.
pub(crate) fn kind_of(path: &str) -> Result<Result<(Kind, u64), ErrorCode>> {
    Ok(root()?.stat_at(PathFlags::SYMLINK_FOLLOW, path).map(|stat| (stat.type_.into(), stat.size)))
}

/// Calls `each` with everything in the directory, in no order, until it returns false. A directory that does not exist is empty.
///
/// An entry that vanishes meanwhile is skipped. So is a name that is not UTF-8, which no key can have; that is logged.
pub(crate) fn read_directory(path: &str, mut each: impl FnMut(Kind, String) -> bool) -> Result<()> {
    let failed = |code| fault("read the directory", path, code);
    let entries = match directory(path)? {
        Ok(directory) => directory.read_directory(),
        Err(ErrorCode::NoEntry | ErrorCode::NotDirectory) => return Ok(()),
        Err(code) => return Err(failed(code)),
    };
    let entries = match entries {
        Ok(entries) => entries,
        // Opened as a directory and removed since.
        Err(ErrorCode::NoEntry) => return Ok(()),
        Err(code) => return Err(failed(code)),
    };
    let mut unreadable = 0_u32;
    loop {
        match entries.read_directory_entry() {
            Ok(Some(entry)) => {
                if !each(entry.type_.into(), entry.name) {
                    break;
                }
            }
            Ok(None) => break,
            Err(ErrorCode::NoEntry) => {}
            Err(ErrorCode::IllegalByteSequence) => unreadable += 1,
            Err(code) => return Err(failed(code)),
        }
    }
    if unreadable > 0 {
        cofferdam_guest::warn!("directory {path:?}: {unreadable} file names are not UTF-8 and were left out");
    }
    Ok(())
}

/// The path of a name in a directory, of which the root is the empty text.
pub(crate) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
