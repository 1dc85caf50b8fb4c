//! A storage backend in a hundred lines, for reading: what each call of the contract has to do, and what a backend may keep in memory.
//!
//! This file is the contract; [`store`] is the engine behind it: a map in memory, and the log that makes it last.

mod store;

use cofferdam_guest::storage::{Descriptor, Features, Guest, Operation, Page, ScanPage};
use cofferdam_guest::{Error, Limits, Result, Setting, Settings};

use store::Entry;

struct Memory;

impl Guest for Memory {
    fn open(settings: Vec<Setting>) -> Result<Descriptor> {
        // There is no setting: whatever the stanza holds is a mistake, and is named.
        Settings::new(settings).finish()?;
        store::check()?;
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
        store::read(|entries| entries.get(&key).cloned())
    }

    fn put(key: String, value: Vec<u8>, _known_folders: u32) -> Result<()> {
        store::change(&[Operation::Put(Entry { key, value })])
    }

    fn delete(key: String) -> Result<u32> {
        // Folders follow from the keys: there is no mark of one to be removed.
        store::change(&[Operation::Delete(key)]).map(|()| 0)
    }

    fn prune(_folder: String) -> Result<bool> {
        Err(Error::Unsupported("a folder has no mark to remove".to_owned()))
    }

    fn list_page(folder: String, after: String, limit: u32) -> Result<Page> {
        store::read(|entries| store::names(entries, &folder, &after, limit as usize))
    }

    fn batch(operations: Vec<Operation>) -> Result<Vec<u32>> {
        store::change(&operations).map(|()| vec![0; operations.len()])
    }

    fn scan(segment: u32, _segments: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
        // Without the feature `parallel-scan` the first part may hold everything.
        if segment > 0 {
            return Ok(ScanPage { entries: Vec::new(), cursor: None });
        }
        let after = String::from_utf8(cursor.unwrap_or_default()).map_err(|_| Error::Corrupt("the cursor is none of ours".to_owned()))?;
        store::read(|entries| store::entries(entries, &after, limit as usize))
    }
}

cofferdam_guest::storage::export!(Memory);
