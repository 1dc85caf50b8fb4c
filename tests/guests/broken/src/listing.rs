//! Listings and scans.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use cofferdam_guest::storage::{Entry, Page, ScanPage};
use cofferdam_guest::{Error, Result};

use crate::mode::{Mode, is, mode};
use crate::store::{Store, has_marks};

/// What the entries of one page of a scan have, unless the first alone has more.
const PAGE: usize = 4 << 20;

thread_local! {
    /// The cursors that this instance has given.
    static CURSORS: RefCell<BTreeSet<String>> = RefCell::default();
}

/// The names directly below the folder.
pub(crate) fn names(store: &Store, folder: &str, after: &str, limit: usize) -> Page {
    let mut names: Vec<String> = all(store, folder).into_iter().collect();
    if is(Mode::SortsAsUtf16) {
        names.sort_by(|one, other| by_utf16(one, other));
    }
    if is(Mode::ListsFiveHundred) {
        names.truncate(500);
    }
    if !is(Mode::AfterMustExist) || names.iter().any(|name| name == after) {
        names.retain(|name| after.is_empty() || comes_after(name, after));
    }
    let more = names.len() > limit;
    names.truncate(limit);
    Page { names, more }
}

fn by_utf16(one: &str, other: &str) -> Ordering {
    one.encode_utf16().cmp(other.encode_utf16())
}

fn comes_after(name: &str, after: &str) -> bool {
    match mode() {
        Mode::AfterIsInclusive => name >= after,
        Mode::AfterWithoutSlash => name.trim_end_matches('/') > after.trim_end_matches('/'),
        Mode::SortsAsUtf16 => by_utf16(name, after) == Ordering::Greater,
        _ => name > after,
    }
}

fn all(store: &Store, folder: &str) -> BTreeSet<String> {
    let below = |key: &str| Some(key.strip_prefix(folder)?.split_inclusive('/').next()?.to_owned());
    let keys = store.entries.range(folder.to_owned()..).take_while(|(key, _)| key.starts_with(folder));
    let mut names: BTreeSet<String> = keys.filter_map(|(key, _)| below(key)).collect();
    match mode() {
        Mode::KeepsEmptyFolders => names.extend(store.marks.iter().filter_map(|mark| below(mark))),
        Mode::FolderIsListedOnce => names.retain(|name| !store.marks.contains(&format!("{folder}{name}"))),
        _ if has_marks() => names.retain(|name| !name.ends_with('/') || store.marks.contains(&format!("{folder}{name}"))),
        Mode::HidesLeafBesideFolder => {
            let all = names.clone();
            names.retain(|name| !all.contains(&format!("{name}/")));
        }
        Mode::ListsLocks => names.extend(store.locks.keys().filter_map(|key| below(key))),
        _ => {}
    }
    names
}

/// A page of the entries of a segment, in the order of their keys. The cursor is the last one's key, which stays good whatever is written meanwhile.
pub(crate) fn entries(store: &Store, part: (u32, u32), cursor: Option<String>, skip: usize, limit: usize) -> Result<ScanPage> {
    if let Some(cursor) = cursor.as_ref().filter(|_| is(Mode::CursorInMemory))
        && !CURSORS.with_borrow(|cursors| cursors.contains(cursor))
    {
        return Err(Error::Corrupt("this cursor is not known".to_owned()));
    }
    let mine = store.entries.iter().enumerate().filter(|(position, (key, _))| segment(*position, key, part.1) == part.0);
    let mine = mine.map(|(_, entry)| entry).filter(|(key, _)| !is(Mode::ScanSkipsDeepKeys) || key.matches('/').count() < 3);
    let by_position = is(Mode::CursorByPosition);
    let (after, before) = match cursor {
        Some(cursor) if by_position => (None, cursor.parse().unwrap_or_default()),
        after => (after, 0),
    };
    let mut rest = mine.skip(before).filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after)).skip(skip).peekable();
    let (mut entries, mut size) = (Vec::new(), 0);
    while entries.len() < limit
        && let Some((key, value)) = rest.next_if(|(key, value)| size == 0 || size + key.len() + value.len() <= PAGE)
    {
        size += key.len() + value.len();
        entries.push(Entry { key: key.clone(), value: value.clone() });
    }
    let last = entries.last().map(|entry| entry.key.clone()).filter(|_| rest.peek().is_some());
    let cursor = last.map(|last| if by_position { (before + entries.len()).to_string() } else { last });
    if is(Mode::CursorInMemory) {
        CURSORS.with_borrow_mut(|cursors| cursors.extend(cursor.clone()));
    }
    Ok(ScanPage { entries, cursor: cursor.map(String::into_bytes) })
}

fn segment(position: usize, key: &str, segments: u32) -> u32 {
    let sum = key.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    match mode() {
        Mode::SegmentByPosition => u32::try_from(position).unwrap_or(0) % segments,
        Mode::OneSegmentHasAll => 0,
        _ => sum % segments,
    }
}
