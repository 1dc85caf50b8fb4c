//! Writes without a temporary file, for a host with a journal: what is cut short is written again before anybody reads it.
//!
//! The rule: a file is only written over if nobody else has it, under another name; whatever is unusual is left to the put by a temporary file.

use cofferdam_guest::Result;
use cofferdam_guest::storage::{Entry, Operation};
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags};

use crate::fault::fault;
use crate::layout::Place;
use crate::{disk, entry, write};

/// Stores the value in the file that is there, or in a new one, if that is simple; returns whether it was.
pub(crate) fn put(place: &Place, value: &[u8]) -> Result<bool> {
    store(existing(place)?, place, value)
}

fn store(found: Found, place: &Place, value: &[u8]) -> Result<bool> {
    match found {
        Found::File(file, size) => fill(&file, place, value, size)?,
        Found::Nothing => match created(place)? {
            Some(file) => fill(&file, place, value, 0)?,
            None => return Ok(false),
        },
        Found::Other => return Ok(false),
    }
    Ok(true)
}

/// Does all of them; who asked sees to it that none is read meanwhile.
///
/// The file of an entry that goes becomes that of one that comes: a file system takes much longer to remove a file and make another than to rename one.
pub(crate) fn batch(operations: Vec<Operation>) -> Result<Vec<u32>> {
    let mut removed = vec![0; operations.len()];
    let (mut puts, mut deletes) = (Vec::new(), Vec::new());
    for (operation, removed) in operations.into_iter().zip(&mut removed) {
        match operation {
            Operation::Put(Entry { key, value }) => puts.push((Place::of(&key)?, value)),
            Operation::Delete(key) => deletes.push((Place::of(&key)?, removed)),
        }
    }
    for (place, value) in puts {
        let found = existing(&place)?;
        let mut done = false;
        if matches!(found, Found::Nothing)
            && let Some((old, removed)) = deletes.pop()
        {
            done = take_over(&old, &place, &value)?;
            *removed = write::delete(&old)?;
        }
        if !done && !store(found, &place, &value)? {
            write::put(&place, &value, 0)?;
        }
    }
    for (place, removed) in deletes {
        *removed = write::delete(&place)?;
    }
    Ok(removed)
}

/// What is at an entry's place.
enum Found {
    /// A file of which this is the only name, and its size.
    File(Descriptor, u64),
    Nothing,
    Other,
}

fn existing(place: &Place) -> Result<Found> {
    let opened = disk::root()?.open_at(PathFlags::empty(), place.file(), OpenFlags::empty(), DescriptorFlags::WRITE);
    Ok(match opened.map(|file| (file.stat(), file)) {
        Ok((Ok(there), file)) if there.type_ == DescriptorType::RegularFile && there.link_count == 1 => Found::File(file, there.size),
        Err(ErrorCode::NoEntry) => Found::Nothing,
        _ => Found::Other,
    })
}

/// A new file, if there is nothing that keeps it from being made.
fn created(place: &Place) -> Result<Option<Descriptor>> {
    let root = disk::root()?;
    let create = || root.open_at(PathFlags::empty(), place.file(), OpenFlags::CREATE | OpenFlags::EXCLUSIVE, DescriptorFlags::WRITE);
    let mut file = create();
    if matches!(file, Err(ErrorCode::NoEntry)) {
        write::make_folders(place, 0)?;
        file = create();
    }
    Ok(file.ok())
}

/// Gives the file of one entry to another, which has none, and the value to that; returns whether it did.
fn take_over(old: &Place, new: &Place, value: &[u8]) -> Result<bool> {
    let Found::File(file, size) = existing(old)? else { return Ok(false) };
    let root = disk::root()?;
    let mut renamed = root.rename_at(old.file(), root, new.file());
    if matches!(renamed, Err(ErrorCode::NoEntry)) {
        write::make_folders(new, 0)?;
        renamed = root.rename_at(old.file(), root, new.file());
    }
    if renamed.is_err() {
        return Ok(false);
    }
    fill(&file, new, value, size)?;
    Ok(true)
}

/// Writes the value over the bytes that are there.
fn fill(file: &Descriptor, place: &Place, value: &[u8], size: u64) -> Result<()> {
    let mut written = entry::write(file, value);
    if written.is_ok() && entry::length(value) < size {
        written = file.set_size(entry::length(value));
    }
    // The case tells the host why; that half a value may be there it knows.
    written.map_err(|code| fault("write", place.file(), code))
}
