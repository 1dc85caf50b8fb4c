//! A storage backend in a hundred lines, for reading: what each call of the contract has to do, and what a backend may keep in memory.
//!
//! Instances share no memory and end at any time, so the map here is a copy. The truth is the journal in the granted directory.

use std::cell::RefCell;
use std::collections::BTreeMap;

use cofferdam_guest::journal::Journal;
use cofferdam_guest::storage::{Descriptor, Entry, Features, Guest, Operation, Page, ScanPage};
use cofferdam_guest::{Error, Limits, Result, Setting, Settings};

/// What all entries together may have: an instance holds them all, and half of its memory is for what comes and goes.
const CAPACITY: usize = 32 << 20;

#[derive(Default)]
struct Memory {
    entries: BTreeMap<String, Vec<u8>>,
    journal: Journal,
}

thread_local!(static MEMORY: RefCell<Memory> = RefCell::default());

impl Memory {
    /// Does this with the entries as they are now: first come the changes that this instance has not seen, its own as those of others.
    fn now<T>(work: impl FnOnce(&Memory) -> Result<T>) -> Result<T> {
        MEMORY.with_borrow_mut(|memory| {
            let Memory { entries, journal } = &mut *memory;
            journal.replay(|operation| match operation {
                Operation::Put(Entry { key, value }) => drop(entries.insert(key, value)),
                Operation::Delete(key) => drop(entries.remove(&key)),
            })?;
            work(memory)
        })
    }

    /// Makes the changes, all or none. They are durable when this returns without an error.
    fn change(operations: &[Operation]) -> Result<()> {
        let new: usize =
            operations.iter().map(|operation| if let Operation::Put(entry) = operation { size(&entry.key, &entry.value) } else { 0 }).sum();
        Memory::now(|memory| {
            let now: usize = memory.entries.iter().map(|(key, value)| size(key, value)).sum();
            if new > 0 && now + new > CAPACITY {
                return Err(Error::Exhausted(format!("the store holds at most {CAPACITY} bytes")));
            }
            memory.journal.append(operations)
        })
    }
}

fn size(key: &str, value: &[u8]) -> usize {
    key.len() + value.len()
}

impl Guest for Memory {
    fn open(settings: Vec<Setting>) -> Result<Descriptor> {
        // There is no setting: whatever the stanza holds is a mistake, and is named.
        Settings::new(settings).finish()?;
        Journal::default().check()?;
        Ok(Descriptor {
            name: "memory".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            features: Features::ATOMIC_BATCH | Features::ATOMIC_FOLDERS,
            limits: Limits { key: 1024, segment: 1024, value: 1 << 20, batch_operations: 64, batch_bytes: 2 << 20 },
        })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<()> {
        Settings::new(settings).finish()
    }

    fn get(key: String) -> Result<Option<Vec<u8>>> {
        Memory::now(|memory| Ok(memory.entries.get(&key).cloned()))
    }

    fn put(key: String, value: Vec<u8>, _known_folders: u32) -> Result<()> {
        Memory::change(&[Operation::Put(Entry { key, value })])
    }

    fn delete(key: String) -> Result<u32> {
        // Folders follow from the keys: there is no mark of one to be removed.
        Memory::change(&[Operation::Delete(key)]).map(|()| 0)
    }

    fn prune(_folder: String) -> Result<bool> {
        Err(Error::Unsupported("a folder has no mark to remove".to_owned()))
    }

    fn list_page(folder: String, after: String, limit: u32) -> Result<Page> {
        Memory::now(|memory| Ok(Page::of_keys(memory.entries.keys().map(String::as_str), &folder, &after, limit)))
    }

    fn batch(operations: Vec<Operation>) -> Result<Vec<u32>> {
        Memory::change(&operations).map(|()| vec![0; operations.len()])
    }

    fn scan(segment: u32, _segments: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
        Memory::now(|memory| ScanPage::of_entries(&memory.entries, segment, cursor, limit))
    }
}

cofferdam_guest::storage::export!(Memory);
