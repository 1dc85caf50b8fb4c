//! Puts without a temporary file, for a host with a journal: what is cut short is written again before anybody reads it.
//!
//! The rule: a value is only written over where that needs no more room and nobody else has the file, under another name; whatever is unusual, or new, is left
//! to the put by a temporary file.

use cofferdam_guest::{Error, Result};
use wasip2::filesystem::types::{DescriptorFlags, DescriptorType, OpenFlags, PathFlags};

use crate::fault::fault;
use crate::layout::Place;
use crate::{disk, entry};

/// What file systems give room in, at the least.
const BLOCK: u64 = 512;

/// Writes the value over the one that is there, if that is simple; returns whether it was.
pub(crate) fn put(place: &Place, value: &[u8]) -> Result<bool> {
    let Ok(file) = disk::root()?.open_at(PathFlags::empty(), place.file(), OpenFlags::empty(), DescriptorFlags::WRITE) else {
        return Ok(false);
    };
    let (Ok(there), length) = (file.stat(), entry::length(value)) else { return Ok(false) };
    let fits = there.size > 0 && length <= there.size.next_multiple_of(BLOCK);
    if there.type_ != DescriptorType::RegularFile || there.link_count != 1 || !fits {
        return Ok(false);
    }
    // Neither the one value nor the other is there now. The host's journal has this one.
    let torn =
        |code| Error::Unavailable(format!("{:?} could not be written to its end: {}", place.file(), fault("write", place.file(), code)));
    match entry::write(&file, value) {
        Ok(()) => {}
        Err(cut) if cut.written == 0 => return Err(fault("write", place.file(), cut.code)),
        Err(cut) => return Err(torn(cut.code)),
    }
    if length < there.size {
        file.set_size(length).map_err(torn)?;
    }
    Ok(true)
}
