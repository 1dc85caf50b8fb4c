//! A map in memory, and the log that makes it last.
//!
//! Instances share no memory and end at any time, so what one of them remembers is a copy. The truth is a log in the granted directory: a
//! file for each change, written and synced under a name of its own, then given the next number by a hard link. No two instances get
//! one number: who comes second reads what the first did and takes the next. Before each call an instance reads what others have added.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::ops::Bound;

pub(crate) use cofferdam_guest::storage::Entry;
use cofferdam_guest::storage::{Operation, Page, ScanPage};
use cofferdam_guest::{Error, Result};

/// Where the host shows the directory that the operator granted.
const DIRECTORY: &str = "/data";
/// What all entries together may have: an instance holds them all, and half of its memory is for what comes and goes.
const CAPACITY: usize = 32 << 20;
/// What the entries of one page of a scan have, unless the first alone has more.
const PAGE: usize = 4 << 20;

/// The entries by key.
pub(crate) type Entries = BTreeMap<String, Vec<u8>>;

#[derive(Default)]
struct Store {
    entries: Entries,
    /// How many changes of the log are in `entries`.
    applied: u64,
}

thread_local!(static STORE: RefCell<Store> = RefCell::default());

/// Whether there is a directory to keep a log in.
pub(crate) fn check() -> Result<()> {
    let granted = fs::read_dir(DIRECTORY).map(drop);
    granted
        .map_err(|error| Error::Denied(format!("{DIRECTORY}: {error}; the plugin block needs a grant \"directory\" that may be written")))
}

/// Looks at the entries as they are now.
pub(crate) fn read<T>(look: impl FnOnce(&Entries) -> T) -> Result<T> {
    STORE.with_borrow_mut(|store| store.catch_up().map(|()| look(&store.entries)))
}

/// Makes the changes, all or none. They are durable when this returns without an error.
pub(crate) fn change(operations: &[Operation]) -> Result<()> {
    STORE.with_borrow_mut(|store| {
        store.catch_up()?;
        store.has_room(operations)?;
        let file = format!("{DIRECTORY}/{:016x}.new", RandomState::new().hash_one(store.applied));
        let done = write(&file, &encoded(operations)).map_err(fault).and_then(|()| store.append(&file));
        // One that is left over by an end in between is no part of the log.
        let _ = fs::remove_file(&file);
        done
    })
}

impl Store {
    fn catch_up(&mut self) -> Result<()> {
        loop {
            let record = match fs::read(record(self.applied)) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                record => record.map_err(fault)?,
            };
            let operations = decoded(&record).ok_or_else(|| Error::Corrupt(format!("change {} of the log", self.applied)))?;
            for operation in operations {
                match operation {
                    Operation::Put(Entry { key, value }) => drop(self.entries.insert(key, value)),
                    Operation::Delete(key) => drop(self.entries.remove(&key)),
                }
            }
            self.applied += 1;
        }
    }

    fn append(&mut self, file: &str) -> Result<()> {
        loop {
            match fs::hard_link(file, record(self.applied)) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => self.catch_up()?,
                linked => break linked.map_err(fault)?,
            }
        }
        File::open(DIRECTORY).and_then(|directory| directory.sync_all()).map_err(fault)?;
        self.catch_up()
    }

    fn has_room(&self, operations: &[Operation]) -> Result<()> {
        let new: usize =
            operations.iter().map(|operation| if let Operation::Put(entry) = operation { size(&entry.key, &entry.value) } else { 0 }).sum();
        let now: usize = self.entries.iter().map(|(key, value)| size(key, value)).sum();
        if new == 0 || now + new <= CAPACITY { Ok(()) } else { Err(Error::Exhausted(format!("the store holds at most {CAPACITY} bytes"))) }
    }
}

/// The names directly below the folder. Keys sort as their names do, so that equal names are neighbours.
pub(crate) fn names(entries: &Entries, folder: &str, after: &str, limit: usize) -> Page {
    let below = entries.range(folder.to_owned()..).map_while(|(key, _)| key.strip_prefix(folder));
    let mut names: Vec<&str> = below.filter_map(|rest| rest.split_inclusive('/').next()).filter(|name| *name > after).collect();
    names.dedup();
    let more = names.len() > limit;
    Page { names: names.into_iter().take(limit).map(str::to_owned).collect(), more }
}

/// Entries after that key. The cursor is the last one's key, which stays good whatever is written meanwhile.
pub(crate) fn entries(entries: &Entries, after: &str, limit: usize) -> ScanPage {
    let mut total = 0;
    let fits = |entry: &(&String, &Vec<u8>)| {
        let first = total == 0;
        total += size(entry.0, entry.1);
        first || total <= PAGE
    };
    let rest = entries.range::<str, _>((Bound::Excluded(after), Bound::Unbounded)).take(limit).take_while(fits);
    let entries: Vec<Entry> = rest.map(|(key, value)| Entry { key: key.clone(), value: value.clone() }).collect();
    ScanPage { cursor: entries.last().map(|entry| entry.key.clone().into_bytes()), entries }
}

fn size(key: &str, value: &[u8]) -> usize {
    key.len() + value.len()
}

fn record(number: u64) -> String {
    format!("{DIRECTORY}/{number:012}")
}

fn write(file: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(file)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A change as bytes: for each operation a byte that says which, then key and value, each with its length before it.
fn encoded(operations: &[Operation]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for operation in operations {
        let (is_put, key, value): (_, _, &[u8]) = match operation {
            Operation::Put(entry) => (true, &entry.key, &entry.value),
            Operation::Delete(key) => (false, key, &[]),
        };
        bytes.push(u8::from(is_put));
        for field in [key.as_bytes(), value] {
            bytes.extend((field.len() as u64).to_le_bytes());
            bytes.extend(field);
        }
    }
    bytes
}

fn decoded(mut bytes: &[u8]) -> Option<Vec<Operation>> {
    let mut operations = Vec::new();
    while let Some((is_put, rest)) = bytes.split_first() {
        bytes = rest;
        let (key, value) = (String::from_utf8(field(&mut bytes)?.to_vec()).ok()?, field(&mut bytes)?.to_vec());
        operations.push(if *is_put == 1 { Operation::Put(Entry { key, value }) } else { Operation::Delete(key) });
    }
    Some(operations)
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (field, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    Some(field)
}

/// The case tells the host what to do.
fn fault(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::Denied(error.to_string()),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Exhausted(error.to_string()),
        _ => Error::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(keys: &[&str]) -> Entries {
        keys.iter().map(|key| ((*key).to_owned(), key.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_change_is_read_as_it_was_written_and_half_of_one_is_not() {
        let change = [
            Operation::Put(Entry { key: "a/ä".to_owned(), value: vec![0; 300] }),
            Operation::Delete("b".to_owned()),
            Operation::Put(Entry { key: "c".to_owned(), value: Vec::new() }),
        ];
        let bytes = encoded(&change);
        assert_eq!(encoded(&decoded(&bytes).unwrap()), bytes);
        assert!(decoded(&bytes[..bytes.len() - 1]).is_none());
        assert!(decoded(&[1, 255, 255, 255, 255, 255, 255, 255, 255]).is_none());
    }

    #[test]
    fn names_are_sorted_and_paged() {
        let entries = store(&["foo", "foo-1", "foo/a", "foo/b/c", "foo/b/d", "goo/a"]);
        let page = |folder, after, limit| names(&entries, folder, after, limit).names;
        assert_eq!(page("", "", 9), ["foo", "foo-1", "foo/", "goo/"]);
        assert_eq!(page("foo/", "", 9), ["a", "b/"]);
        assert_eq!(page("", "foo", 1), ["foo-1"]);
        assert!(names(&entries, "", "foo", 1).more && !names(&entries, "", "foo", 3).more);
        assert!(page("fo/", "", 9).is_empty());
    }

    #[test]
    fn a_scan_ends() {
        let all = store(&["a", "b/c", "d"]);
        let first = entries(&all, "", 2);
        assert_eq!((first.entries.len(), first.cursor.as_deref()), (2, Some(&b"b/c"[..])));
        assert_eq!(entries(&all, "b/c", 2).entries.len(), 1);
        assert!(entries(&all, "d", 2).cursor.is_none());
    }
}
