//! @NAME@: a storage backend for Cofferdam.
//!
//! As it was made, the engine is a stub: a map in memory, with a journal in the granted directory that makes it last. It keeps every promise of the
//! contract and `coffer plugin test` passes, but it holds little and its journal only grows.
//!
//! Put your engine in the place of `Stub` and go through FILL IN below. What each call promises is written in `wit/storage.wit`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use cofferdam_guest::journal::Journal;
use cofferdam_guest::storage::{Descriptor, Entry, Features, Guest, Operation, Page, ScanPage};
use cofferdam_guest::{Error, Limits, Result, Setting, Settings};

struct Backend;

impl Guest for Backend {
    /// Once per backend, before anything else. May send, and may create what is missing.
    fn open(settings: Vec<Setting>) -> Result<Descriptor> {
        configure(settings)?;
        // FILL IN: whether your engine answers and lets you in. Say what the operator must change: `denied`, `configuration`.
        Journal::default().check()?;
        Ok(Descriptor {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // FILL IN: only what holds also when an instance is stopped in the middle of a call. None is needed.
            features: Features::ATOMIC_BATCH | Features::ATOMIC_FOLDERS,
            // FILL IN: what your engine takes. The host checks these before it calls, and refuses a secret that is larger.
            limits: Limits { key: 1024, segment: 1024, value: 1 << 20, batch_operations: 64, batch_bytes: 2 << 20 },
        })
    }

    /// On every instance before its first other call. Prepares memory and sends nothing.
    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<()> {
        configure(settings)
    }

    fn get(key: String) -> Result<Option<Vec<u8>>> {
        Stub::now(|stub| Ok(stub.entries.get(&key).cloned()))
    }

    /// FILL IN: durable when it returns. An engine that keeps marks for folders makes those beyond `_known_folders` first.
    fn put(key: String, value: Vec<u8>, _known_folders: u32) -> Result<()> {
        Stub::change(&[Operation::Put(Entry { key, value })])
    }

    /// FILL IN: with marks for folders, how many of the key's were found empty and removed. To remove what is not there is a success.
    fn delete(key: String) -> Result<u32> {
        Stub::change(&[Operation::Delete(key)]).map(|()| 0)
    }

    /// FILL IN, if folders have marks and `ATOMIC_FOLDERS` is not claimed: remove that of an empty one.
    fn prune(_folder: String) -> Result<bool> {
        Err(Error::Unsupported("a folder has no mark to remove".to_owned()))
    }

    /// FILL IN: names sorted by their bytes, a folder with its slash; only what sorts after `after`.
    fn list_page(folder: String, after: String, limit: u32) -> Result<Page> {
        Stub::now(|stub| Ok(Page::of_keys(stub.entries.keys().map(String::as_str), &folder, &after, limit)))
    }

    /// FILL IN: in their order, and all or none with `ATOMIC_BATCH`.
    fn batch(operations: Vec<Operation>) -> Result<Vec<u32>> {
        Stub::change(&operations).map(|()| vec![0; operations.len()])
    }

    /// FILL IN: every entry, for export. A cursor is good for every instance, and after a restart.
    fn scan(segment: u32, _segments: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
        Stub::now(|stub| ScanPage::of_entries(&stub.entries, segment, cursor, limit))
    }
}

/// Reads the stanza. A name that is not asked for is an error that says so.
fn configure(settings: Vec<Setting>) -> Result<()> {
    let settings = Settings::new(settings);
    // FILL IN: let endpoint = settings.required("endpoint")?; and keep it in a thread_local.
    settings.finish()
}

/// What all entries together may have: an instance holds them all, and half of its memory is for what comes and goes.
const CAPACITY: usize = 32 << 20;

/// The stub. Instances share no memory and end at any time, so its map is a copy; the truth is the journal.
#[derive(Default)]
struct Stub {
    entries: BTreeMap<String, Vec<u8>>,
    journal: Journal,
}

thread_local!(static STUB: RefCell<Stub> = RefCell::default());

impl Stub {
    /// Does this with the entries as they are now: first come the changes that this instance has not seen, its own as those of others.
    fn now<T>(work: impl FnOnce(&Stub) -> Result<T>) -> Result<T> {
        STUB.with_borrow_mut(|stub| {
            let Stub { entries, journal } = &mut *stub;
            journal.replay(|operation| match operation {
                Operation::Put(Entry { key, value }) => drop(entries.insert(key, value)),
                Operation::Delete(key) => drop(entries.remove(&key)),
            })?;
            work(stub)
        })
    }

    /// Makes the changes, all or none. They are durable when this returns without an error.
    fn change(operations: &[Operation]) -> Result<()> {
        let new: usize =
            operations.iter().map(|operation| if let Operation::Put(entry) = operation { size(&entry.key, &entry.value) } else { 0 }).sum();
        Stub::now(|stub| {
            let now: usize = stub.entries.iter().map(|(key, value)| size(key, value)).sum();
            if new > 0 && now + new > CAPACITY {
                return Err(Error::Exhausted(format!("the store holds at most {CAPACITY} bytes")));
            }
            stub.journal.append(operations)
        })
    }
}

fn size(key: &str, value: &[u8]) -> usize {
    key.len() + value.len()
}

cofferdam_guest::storage::export!(Backend);
