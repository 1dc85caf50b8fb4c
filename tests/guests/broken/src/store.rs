//! Entries and locks in memory, and the log that all instances share.
//!
//! The truth is a log in the granted directory: a file for each change, written under a name of its own and then given the next number by a hard link.
//! Who finds the number taken reads what the other did, and decides anew. So each change is one step, whatever runs beside it and wherever it is cut
//! short. Nothing is synced: a loss of power is not among the checks that this guest is for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};

use cofferdam_guest::lock::Held;
use cofferdam_guest::{Error, Result};
use wasip2::filesystem::types::{ErrorCode, PathFlags};

use crate::disk;
use crate::mode::{Mode, is, pause};

/// One change. A step makes several at once.
#[derive(Clone)]
pub(crate) enum Change {
    Put(String, Vec<u8>),
    Delete(String),
    /// The folder is to be listed, where folders have marks.
    Mark(String),
    Hold(String, Held),
    Free(String),
}

/// What the log comes to.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) entries: BTreeMap<String, Vec<u8>>,
    pub(crate) locks: BTreeMap<String, Held>,
    /// Folders that a fault remembers.
    pub(crate) marks: BTreeSet<String>,
    /// How many files of the log are in it.
    applied: u64,
}

thread_local!(static STORE: RefCell<Store> = RefCell::default());

/// Looks at the store as it is now.
pub(crate) fn look<T>(look: impl FnOnce(&Store) -> Result<T>) -> Result<T> {
    STORE.with_borrow_mut(|store| {
        store.catch_up()?;
        look(store)
    })
}

/// Makes the changes that `decide` wants of the store as it is: all in one step, or none. `decide` is asked anew if another was faster.
pub(crate) fn change<T>(mut decide: impl FnMut(&Store) -> Result<(T, Vec<Change>)>) -> Result<T> {
    STORE.with_borrow_mut(|store| {
        loop {
            store.catch_up()?;
            let (came, changes) = decide(store)?;
            if changes.is_empty() {
                return Ok(came);
            }
            if changes.iter().all(in_memory) {
                changes.into_iter().for_each(|change| store.apply(change));
                return Ok(came);
            }
            let _busy = Busy::new()?;
            if append(store.applied, &encoded(&changes)).map_err(fault)? {
                store.catch_up()?;
                return Ok(came);
            }
        }
    })
}

/// Makes a store of which nothing is left.
pub(crate) fn begin_anew() -> Result<()> {
    disk::names().and_then(|names| names.iter().try_for_each(|name| disk::remove(name))).map_err(fault)
}

/// The file that says that somebody writes, where it is a fault to have one.
const BUSY: &str = "busy";

/// That somebody writes.
struct Busy(bool);

impl Busy {
    fn new() -> Result<Busy> {
        if !is(Mode::LeavesItsLockFile) {
            return Ok(Busy(false));
        }
        for _ in 0..20 {
            match disk::create(BUSY, b"") {
                Err(ErrorCode::Exist) => pause(),
                created => return created.map(|()| Busy(true)).map_err(fault),
            }
        }
        Err(Error::Unavailable("somebody else writes".to_owned()))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0 {
            let _ = disk::remove(BUSY);
        }
    }
}

/// Whether a change is kept from the log, which is a fault.
fn in_memory(change: &Change) -> bool {
    match change {
        Change::Hold(..) | Change::Free(_) => is(Mode::LocksInMemory),
        _ => is(Mode::WritesIntoMemory),
    }
}

/// Adds the file of that number to the log; false if there is one.
fn append(number: u64, bytes: &[u8]) -> Result<bool, ErrorCode> {
    let (root, new) = (disk::root()?, format!("{:016x}.new", RandomState::new().hash_one(number)));
    let linked = disk::create(&new, bytes).and_then(|()| match root.link_at(PathFlags::empty(), &new, root, &record(number)) {
        Err(ErrorCode::Exist) => Ok(false),
        linked => linked.map(|()| true),
    });
    // One that is left over is no part of the log.
    let _ = disk::remove(&new);
    linked
}

/// Whether folders are listed by marks.
pub(crate) fn has_marks() -> bool {
    is(Mode::ForgetsNothing) || is(Mode::MarksFoldersLate)
}

/// The folders of a key, the outermost first.
pub(crate) fn folders(key: &str) -> Vec<String> {
    key.match_indices('/').filter_map(|(at, _)| key.get(..=at)).map(str::to_owned).collect()
}

impl Store {
    fn catch_up(&mut self) -> Result<()> {
        while let Some(bytes) = disk::read(&record(self.applied)).map_err(fault)? {
            let changes = decoded(&bytes).ok_or_else(|| Error::Corrupt(format!("file {} of the log", self.applied)))?;
            changes.into_iter().for_each(|change| self.apply(change));
            self.applied += 1;
        }
        Ok(())
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Put(key, value) => {
                if is(Mode::KeepsEmptyFolders) {
                    self.marks.extend(folders(&key));
                }
                self.entries.insert(key, value);
            }
            Change::Delete(key) => {
                self.entries.remove(&key);
                let gone = folders(&key).into_iter().filter(|folder| self.is_empty(folder)).collect::<Vec<_>>();
                if is(Mode::FolderIsListedOnce) {
                    self.marks.extend(gone);
                } else if has_marks() {
                    self.marks.retain(|mark| !gone.contains(mark));
                }
            }
            Change::Mark(folder) => drop(self.marks.insert(folder)),
            Change::Hold(key, held) => drop(self.locks.insert(key, held)),
            Change::Free(key) => drop(self.locks.remove(&key)),
        }
    }

    /// Whether nothing is below the folder.
    pub(crate) fn is_empty(&self, folder: &str) -> bool {
        self.entries.range(folder.to_owned()..).next().is_none_or(|(key, _)| !key.starts_with(folder))
    }
}

fn record(number: u64) -> String {
    format!("{number:012}")
}

/// Changes as bytes: for each a byte that says which, then key, value and identity, each with its length before it, and the expiry.
fn encoded(changes: &[Change]) -> Vec<u8> {
    let none = || Held { value: Vec::new(), identity: String::new(), expires: 0 };
    let mut bytes = Vec::new();
    for change in changes {
        let (which, key, held) = match change {
            Change::Put(key, value) => (0, key, Held { value: value.clone(), ..none() }),
            Change::Delete(key) => (1, key, none()),
            Change::Mark(folder) => (2, folder, none()),
            Change::Hold(key, held) => (3, key, held.clone()),
            Change::Free(key) => (4, key, none()),
        };
        bytes.push(which);
        for field in [key.as_bytes(), &held.value, held.identity.as_bytes(), &held.expires.to_le_bytes()] {
            bytes.extend((field.len() as u64).to_le_bytes());
            bytes.extend(field);
        }
    }
    bytes
}

fn decoded(mut bytes: &[u8]) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    while let Some((which, rest)) = bytes.split_first() {
        bytes = rest;
        let key = String::from_utf8(field(&mut bytes)?.to_vec()).ok()?;
        let (value, identity) = (field(&mut bytes)?.to_vec(), String::from_utf8(field(&mut bytes)?.to_vec()).ok()?);
        let expires = u64::from_le_bytes(field(&mut bytes)?.try_into().ok()?);
        changes.push(match which {
            0 => Change::Put(key, value),
            1 => Change::Delete(key),
            2 => Change::Mark(key),
            3 => Change::Hold(key, Held { value, identity, expires }),
            4 => Change::Free(key),
            _ => return None,
        });
    }
    Some(changes)
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (field, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    Some(field)
}

/// The case tells the host what to do.
fn fault(code: ErrorCode) -> Error {
    let text = code.name().to_owned();
    match code {
        _ if is(Mode::OneCaseForAll) => Error::Unavailable(text),
        ErrorCode::Busy if is(Mode::DeniedWhenThrottled) => Error::Denied(text),
        ErrorCode::Busy => Error::Throttled(0),
        ErrorCode::Access | ErrorCode::NotPermitted | ErrorCode::ReadOnly => Error::Denied(text),
        ErrorCode::InsufficientSpace | ErrorCode::Quota => Error::Exhausted(text),
        _ if is(Mode::CorruptWhenLost) => Error::Corrupt(text),
        _ => Error::Unavailable(text),
    }
}
