//! Every entry, for export: a walk of the directories in the order of their names' bytes, depth first.
//!
//! The cursor is a number that names the scan, and the path of the entry delivered last; from it any instance can go on. The instance that made
//! the page keeps its place in the walk, so that the next page need not read the directories again. That place is used only for the cursor it was
//! made with, number included: names read in an earlier scan never stand in for those of a later one.

use std::cell::Cell;

use cofferdam_guest::storage::{Entry, ScanPage};
use cofferdam_guest::{Error, Result};
use wasip2::filesystem::types::ErrorCode;
use wasip2::random::random::get_random_u64;

use crate::disk::{self, Kind};
use crate::entry;
use crate::layout::{Place, RESERVED, key_of, leaf_of};

/// A page ends once its values have this many bytes.
const PAGE_BYTES: usize = 4 << 20;

/// A page of a parallel scan ends after this many entries of other segments, so that no call takes long.
const PAGE_SKIPPED: usize = 100_000;

/// The most entries on a page, whatever the caller asked for.
const PAGE_ENTRIES: usize = 4_096;

/// A place in the walk that outlives a page is dropped past this many names, to keep memory small.
const KEPT_NAMES: usize = 1 << 17;

thread_local!(static PLACE: Cell<Option<(Vec<u8>, Walk)>> = const { Cell::new(None) });

/// The next page of a segment.
pub(crate) fn page(segment: u32, segments: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
    let limit = usize::try_from(limit).unwrap_or(PAGE_ENTRIES).clamp(1, PAGE_ENTRIES);
    let (number, mut walk) = match cursor {
        None => (get_random_u64().to_le_bytes(), Walk::from_start()?),
        Some(cursor) => resume(cursor)?,
    };
    let mut entries = Vec::new();
    let (mut bytes, mut skipped) = (0, 0);
    while let Some(path) = walk.next()? {
        let Some(key) = key_of(&path) else { continue };
        if part_of(&key, segments) != segment {
            skipped += 1;
        } else if let Some(value) = entry::get(&Place::at(&path))? {
            bytes += key.len() + value.len();
            entries.push(Entry { key, value });
        }
        if entries.len() >= limit || bytes >= PAGE_BYTES || skipped >= PAGE_SKIPPED {
            let cursor = [number.as_slice(), path.as_bytes()].concat();
            if walk.names() <= KEPT_NAMES {
                PLACE.set(Some((cursor.clone(), walk)));
            }
            return Ok(ScanPage { entries, cursor: Some(cursor) });
        }
    }
    Ok(ScanPage { entries, cursor: None })
}

fn resume(cursor: Vec<u8>) -> Result<([u8; 8], Walk)> {
    let foreign = || Error::Corrupt("the cursor of the scan is not one of this backend's".to_owned());
    let (number, path) = cursor.split_first_chunk::<8>().ok_or_else(foreign)?;
    if let Some((kept, walk)) = PLACE.take()
        && kept == cursor
    {
        return Ok((*number, walk));
    }
    let path = std::str::from_utf8(path).map_err(|_| foreign())?;
    Ok((*number, Walk::after(path)?))
}

/// To which of `segments` parts a key belongs: FNV-1a, of which all bits are mixed into those that decide.
fn part_of(key: &str, segments: u32) -> u32 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    u32::try_from(mixed % u64::from(segments.max(1))).unwrap_or_default()
}

/// A directory of the walk, with what is still to be visited in it.
struct Level {
    path: String,
    /// Sorted, the next one last.
    names: Vec<(String, Kind)>,
}

/// A walk in the order of names' bytes, level by level; a directory stands where its name sorts.
struct Walk {
    levels: Vec<Level>,
}

impl Walk {
    fn from_start() -> Result<Walk> {
        let mut walk = Walk { levels: Vec::new() };
        walk.enter(String::new(), "")?;
        Ok(walk)
    }

    /// The walk as it is when it has just delivered `path`, whether or not that is still there.
    fn after(path: &str) -> Result<Walk> {
        let mut walk = Walk { levels: Vec::new() };
        let mut directory = String::new();
        for name in path.split('/') {
            walk.enter(directory.clone(), name)?;
            directory = disk::join(&directory, name);
        }
        Ok(walk)
    }

    /// Reads the names of a directory that sort after `after`.
    fn enter(&mut self, path: String, after: &str) -> Result<()> {
        let mut names = Vec::new();
        disk::read_directory(&path, |kind, name| {
            let wanted = match kind {
                Kind::Directory => !(path.is_empty() && name == RESERVED),
                Kind::File => leaf_of(&name).is_some(),
                Kind::Link => true,
                Kind::Other => false,
            };
            if wanted && name.as_str() > after {
                names.push((name, kind));
            }
            true
        })?;
        names.sort_unstable_by(|a, b| b.cmp(a));
        names.dedup();
        self.levels.push(Level { path, names });
        Ok(())
    }

    /// The path of the next file that may be an entry.
    fn next(&mut self) -> Result<Option<String>> {
        while let Some(level) = self.levels.last_mut() {
            let Some((name, kind)) = level.names.pop() else {
                self.levels.pop();
                continue;
            };
            let path = disk::join(&level.path, &name);
            match kind {
                Kind::Directory => self.enter(path, "")?,
                Kind::Link if leads_to_a_directory(&path)? => {
                    return Err(Error::Corrupt(format!(
                        "{path:?} is a symbolic link to a directory, which a scan does not follow: put what it leads to in its place"
                    )));
                }
                Kind::Link if leaf_of(&name).is_none() => {}
                _ => return Ok(Some(path)),
            }
        }
        Ok(None)
    }

    /// How many names it keeps in memory.
    fn names(&self) -> usize {
        self.levels.iter().map(|level| level.names.len()).sum()
    }
}

fn leads_to_a_directory(path: &str) -> Result<bool> {
    match disk::kind_of(path)? {
        Ok((kind, _)) => Ok(kind == Kind::Directory),
        Err(ErrorCode::NoEntry) => Ok(false),
        Err(code) => Err(crate::fault::fault("follow the symbolic link", path, code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_like_size_and_stay_the_same() {
        for segments in [1, 2, 3, 8] {
            let mut counts = vec![0_u32; segments as usize];
            for number in 0..8_000 {
                counts[part_of(&format!("logical/7b5f/key-{number}"), segments) as usize] += 1;
            }
            let fair = 8_000 / segments;
            assert!(counts.iter().all(|count| count.abs_diff(fair) < fair / 5), "{counts:?}");
        }
        assert_eq!(part_of("core/mounts", 1_024), part_of("core/mounts", 1_024));
    }
}
