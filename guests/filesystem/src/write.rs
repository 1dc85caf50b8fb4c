//! Puts and deletes: the order of steps that makes them atomic and durable.

use cofferdam_guest::{Error, Result};
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip2::random::random::get_random_u64;

use crate::disk::{self, Kind};
use crate::entry;
use crate::fault::fault;
use crate::in_place;
use crate::layout::{Place, RESERVED, key_of};
use crate::options;

/// How a temporary file's name ends. It begins with 16 random hexadecimal digits.
const TEMPORARY: &str = ".tmp";

/// How often a put begins anew when what it stands on vanishes. Only a delete on another instance or a reload does that, between two steps of the put,
/// so one further round is the rule.
const ROUNDS: u32 = 16;

/// Makes the directory for temporary files and clears away those that a killed server left.
///
/// At a reload other instances may be writing. A put whose temporary file is taken away here writes it again.
pub(crate) fn prepare() -> Result<()> {
    make_reserved()?;
    let mut left = Vec::new();
    disk::read_directory(RESERVED, |kind, name| {
        if kind == Kind::File && is_temporary(&name) {
            left.push(name);
        }
        true
    })?;
    for name in &left {
        let path = disk::join(RESERVED, name);
        match disk::root()?.unlink_file_at(&path) {
            Ok(()) | Err(ErrorCode::NoEntry) => {}
            Err(code) => return Err(fault("remove the temporary file", &path, code)),
        }
    }
    if !left.is_empty() {
        cofferdam_guest::info!("removed {} temporary files of writes that were cut short", left.len());
    }
    Ok(())
}

fn is_temporary(name: &str) -> bool {
    name.strip_suffix(TEMPORARY).is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

fn make_reserved() -> Result<()> {
    match disk::root()?.create_directory_at(RESERVED) {
        Ok(()) | Err(ErrorCode::Exist) => Ok(()),
        Err(code) => Err(refused_new("create the directory", RESERVED, code)),
    }
}

/// The error for something that could not be created. WASI's host has no code of its own for a read-only file system, nor for a quota or a process without
/// free file handles: all come as `io`. The last is told apart here, since it alone passes by itself.
fn refused_new(doing: &str, path: &str, code: ErrorCode) -> Error {
    if code == ErrorCode::Io && matches!(disk::directory(""), Ok(Ok(_))) {
        return Error::Denied(format!("cannot {doing} {path:?}: the file system is read-only, over its quota, or failing"));
    }
    fault(doing, path, code)
}

/// Writes the value to a new temporary file and returns its path.
fn write_temporary(value: &[u8]) -> Result<String> {
    let root = disk::root()?;
    for _ in 0..ROUNDS {
        let path = format!("{RESERVED}/{:016x}{TEMPORARY}", get_random_u64());
        let opened = root.open_at(PathFlags::empty(), &path, OpenFlags::CREATE | OpenFlags::EXCLUSIVE, DescriptorFlags::WRITE);
        let file = match opened {
            Ok(file) => file,
            Err(ErrorCode::Exist) => continue,
            Err(ErrorCode::NoEntry) => {
                make_reserved()?;
                continue;
            }
            Err(code) => return Err(refused_new("create the temporary file", &path, code)),
        };
        let mut written = entry::write(&file, value);
        if written.is_ok() && options::durable() {
            written = file.sync();
        }
        drop(file);
        return match written {
            Ok(()) => Ok(path),
            Err(code) => {
                discard(&path);
                Err(fault("write the temporary file", &path, code))
            }
        };
    }
    Err(Error::Unavailable(format!("no temporary file could be made in {RESERVED:?}: the directory keeps vanishing")))
}

/// Removes a temporary file after a failure. Should that fail too, the next `open` clears it away.
fn discard(path: &str) {
    if let Ok(root) = disk::root() {
        let _ = root.unlink_file_at(path);
    }
}

/// Stores the value. The first `known` folders exist, and so do their names in their parents durably: a put below them was acknowledged.
pub(crate) fn put(place: &Place, value: &[u8], known: u32) -> Result<()> {
    let known = usize::try_from(known).unwrap_or(usize::MAX).min(place.depth());
    if options::in_place() && in_place::put(place, value)? {
        return Ok(());
    }
    let mut temporary = write_temporary(value)?;
    let synced_from = match settle(place, value, known, &mut temporary) {
        Ok(synced_from) => synced_from,
        Err(error) => {
            discard(&temporary);
            remove_empty_folders(place);
            return Err(error);
        }
    };
    if options::durable() {
        // After the rename, not before: now no folder above can be removed any more, so what is synced is what the entry stands on.
        for depth in (synced_from..=place.depth()).rev() {
            disk::sync_directory(place.folder(depth))?;
        }
    }
    Ok(())
}

/// Moves the temporary file to its place, making the folders that are missing. Returns from which depth on directories have to be synced.
fn settle(place: &Place, value: &[u8], known: usize, temporary: &mut String) -> Result<usize> {
    let root = disk::root()?;
    let mut synced_from = known;
    make_folders(place, known)?;
    for _ in 0..ROUNDS {
        match root.rename_at(temporary, root, place.file()) {
            Ok(()) => return Ok(synced_from),
            Err(ErrorCode::NoEntry) => {
                synced_from = 0;
                make_folders(place, 0)?;
                if matches!(disk::kind_of(temporary)?, Err(ErrorCode::NoEntry)) {
                    *temporary = write_temporary(value)?;
                }
            }
            Err(code) => return Err(misplaced(place, code)),
        }
    }
    Err(Error::Unavailable(format!("key {:?}: its folders keep vanishing", place.key())))
}

/// Makes the folders of the entry of which it is not known that they exist.
pub(crate) fn make_folders(place: &Place, known: usize) -> Result<()> {
    for path in (known + 1..=place.depth()).filter_map(|depth| place.folder(depth)) {
        match disk::root()?.create_directory_at(path) {
            // What already stands there may be no directory; the rename finds out. What vanished meanwhile is made in the next round.
            Ok(()) | Err(ErrorCode::Exist | ErrorCode::NoEntry) => {}
            Err(ErrorCode::NotDirectory) => return Err(misplaced(place, ErrorCode::NotDirectory)),
            Err(code) => return Err(refused_new("create the directory", path, code)),
        }
    }
    Ok(())
}

/// The error for a rename that failed: above all, that the layout gives the place to another entry.
fn misplaced(place: &Place, code: ErrorCode) -> Error {
    let key = place.key();
    match code {
        ErrorCode::IsDirectory | ErrorCode::Exist | ErrorCode::NotEmpty => Error::InvalidKey(format!(
            "key {key:?} cannot be stored beside the folder \"{file}/\": the layout gives both the name {file:?}",
            file = place.file()
        )),
        ErrorCode::NotDirectory => {
            let blocked = (1..=place.depth())
                .filter_map(|depth| place.folder(depth))
                .find(|path| matches!(disk::kind_of(path), Ok(Ok((Kind::File, _)))));
            let path = blocked.unwrap_or(place.file());
            match key_of(path) {
                Some(other) => Error::InvalidKey(format!(
                    "key {key:?} cannot be stored beside the key {other:?}: the layout gives both the name {path:?}"
                )),
                None => Error::Corrupt(format!("key {key:?} cannot be stored: {path:?} is no directory")),
            }
        }
        code => refused_new("rename a temporary file to", place.file(), code),
    }
}

/// Removes the entry. Returns how many of its folders, from the deepest, are gone.
///
/// The entry's directory is opened first and synced last, whatever another instance does to its name meanwhile: removed and made anew, it would be
/// another directory under the same path, whose sync says nothing of this one.
pub(crate) fn delete(place: &Place) -> Result<u32> {
    let above = match place.folder(place.depth()).map(disk::changeable).transpose()? {
        None => None,
        Some(Ok(directory)) => Some(directory),
        // There is no such folder, and so no such entry.
        Some(Err(ErrorCode::NoEntry | ErrorCode::NotDirectory)) => return gone(place, None),
        Some(Err(code)) => return Err(fault("remove", place.file(), code)),
    };
    let unlinked = match &above {
        None => disk::root()?.unlink_file_at(place.file()),
        Some(directory) => directory.unlink_file_at(place.name()),
    };
    match unlinked {
        Ok(()) | Err(ErrorCode::NoEntry | ErrorCode::NotDirectory) => {}
        // The name is that of a folder: there is no such leaf.
        Err(_) if matches!(disk::kind_of(place.file())?, Ok((Kind::Directory, _))) => return Ok(0),
        Err(code) => return Err(fault("remove", place.file(), code)),
    }
    gone(place, above)
}

/// Ends the delete of an entry that is no more, in its directory if there is one.
fn gone(place: &Place, above: Option<Descriptor>) -> Result<u32> {
    let removed = remove_empty_folders(place);
    if options::durable() {
        if let Some(directory) = &above {
            directory.sync().map_err(|code| fault("sync the directory", place.folder(place.depth()).unwrap_or("."), code))?;
        }
        // Some file systems do nothing to sync a directory that was removed (btrfs): what it was removed from is synced, too.
        if above.is_none() || removed > 0 {
            disk::sync_directory(place.folder(place.depth().saturating_sub(removed)))?;
        }
    }
    Ok(u32::try_from(removed).unwrap_or(u32::MAX))
}

/// Removes the folders that hold nothing, from the deepest up to the first that is not empty. Returns how many are gone, also those that were gone
/// before or never were, since a file has the name.
fn remove_empty_folders(place: &Place) -> usize {
    let Ok(root) = disk::root() else { return 0 };
    let folders = (1..=place.depth()).rev().filter_map(|depth| place.folder(depth));
    folders.take_while(|path| matches!(root.remove_directory_at(path), Ok(()) | Err(ErrorCode::NoEntry | ErrorCode::NotDirectory))).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_make_are_cleared_away() {
        assert!(is_temporary("0123456789abcdef.tmp"));
        for name in ["lock", "0123456789abcdef", "0123456789abcde.tmp", "0123456789abcdeg.tmp", ".tmp"] {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
