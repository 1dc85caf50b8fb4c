//! The file system as WASI has it: what std makes of it says of a failed stream no more than that it failed.

use std::cell::Cell;

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

/// The most bytes of one read or write.
const PIECE: u64 = 1 << 20;

/// The directory that the operator granted.
pub(crate) fn root() -> Result<&'static Descriptor, ErrorCode> {
    thread_local!(static ROOT: Cell<Option<&'static Descriptor>> = const { Cell::new(None) });
    if let Some(root) = ROOT.get() {
        return Ok(root);
    }
    let (directory, _) = get_directories().pop().ok_or(ErrorCode::Access)?;
    let root: &'static Descriptor = Box::leak(Box::new(directory));
    ROOT.set(Some(root));
    Ok(root)
}

/// What the file holds; none if there is none.
pub(crate) fn read(name: &str) -> Result<Option<Vec<u8>>, ErrorCode> {
    let file = match root()?.open_at(PathFlags::empty(), name, OpenFlags::empty(), DescriptorFlags::READ) {
        Err(ErrorCode::NoEntry) => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    loop {
        let (piece, end) = file.read(PIECE, bytes.len() as u64)?;
        bytes.extend(piece);
        if end {
            return Ok(Some(bytes));
        }
    }
}

/// Makes a file that is not there yet.
pub(crate) fn create(name: &str, bytes: &[u8]) -> Result<(), ErrorCode> {
    let file = root()?.open_at(PathFlags::empty(), name, OpenFlags::CREATE | OpenFlags::EXCLUSIVE, DescriptorFlags::WRITE)?;
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        let piece = rest.get(..PIECE as usize).unwrap_or(rest);
        written += usize::try_from(file.write(piece, written as u64)?).unwrap_or(piece.len());
    }
    Ok(())
}

/// Removes a file.
pub(crate) fn remove(name: &str) -> Result<(), ErrorCode> {
    root()?.unlink_file_at(name)
}

/// The names of all files.
pub(crate) fn names() -> Result<Vec<String>, ErrorCode> {
    let entries = root()?.read_directory()?;
    let mut names = Vec::new();
    while let Some(entry) = entries.read_directory_entry()? {
        names.push(entry.name);
    }
    Ok(names)
}

/// Tries to read what is beside the directory.
pub(crate) fn reach_outside() {
    if let Ok(root) = root() {
        let _ = root.open_at(PathFlags::SYMLINK_FOLLOW, "../secret", OpenFlags::empty(), DescriptorFlags::READ);
    }
}

/// Opens the directory once more, and never closes it.
pub(crate) fn leak_handle() {
    if let Ok(root) = root() {
        std::mem::forget(root.open_at(PathFlags::empty(), ".", OpenFlags::DIRECTORY, DescriptorFlags::READ));
    }
}
