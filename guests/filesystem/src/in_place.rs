//! Puts without a temporary file, for a host with a journal: what is cut short is written again before anybody reads it.
//!
//! The rule: a value that is there is only written over where that needs no more room and nobody else has the file, under another name; whatever is unusual
//! is left to the put by a temporary file.

use cofferdam_guest::{Error, Result};
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags};

use crate::fault::fault;
use crate::layout::Place;
use crate::{disk, entry, write};

/// What file systems give room in.
const BLOCK: u64 = 4096;

/// Stores the value if that is simple; returns whether it was.
pub(crate) fn put(place: &Place, value: &[u8], known: usize) -> Result<bool> {
    let open = |flags| disk::root().map(|root| root.open_at(PathFlags::empty(), place.file(), flags, DescriptorFlags::WRITE));
    match open(OpenFlags::empty())? {
        Ok(file) => return overwrite(place, &file, value),
        Err(ErrorCode::NoEntry) => {}
        Err(_) => return Ok(false),
    }
    let new = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let mut made = open(new)?;
    if matches!(made, Err(ErrorCode::NoEntry)) {
        write::make_folders(place, known.saturating_sub(1))?;
        made = open(new)?;
    }
    let Ok(file) = made else { return Ok(false) };
    match entry::write(&file, value) {
        Ok(()) => Ok(true),
        Err(code) => {
            // It was not there before.
            let _ = disk::root()?.unlink_file_at(place.file());
            Err(fault("write", place.file(), code))
        }
    }
}

fn overwrite(place: &Place, file: &Descriptor, value: &[u8]) -> Result<bool> {
    let (Ok(there), length) = (file.stat(), entry::length(value)) else { return Ok(false) };
    let fits = there.size > 0 && length <= there.size.next_multiple_of(BLOCK);
    if there.type_ != DescriptorType::RegularFile || there.link_count != 1 || !fits {
        return Ok(false);
    }
    let shortened = |()| if length < there.size { file.set_size(length) } else { Ok(()) };
    // Neither the one value nor the other is there now. The host's journal has this one.
    let torn =
        |code| Error::Unavailable(format!("{:?} could not be written to its end: {}", place.file(), fault("write", place.file(), code)));
    entry::write(file, value).and_then(shortened).map_err(torn)?;
    Ok(true)
}
