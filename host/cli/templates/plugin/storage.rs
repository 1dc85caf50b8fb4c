//! @NAME@: a storage backend for Cofferdam.
//!
//! This file is the contract, [`store`] the engine behind it. As it was made, `store` is a stub: a map in memory, with a log in the granted directory that
//! makes it last. It keeps every promise of the contract and `coffer plugin test` passes, but it holds little and its log only grows.
//!
//! Replace `store` by your engine and go through FILL IN below. What each call promises is written in `wit/storage.wit`.

mod store;

use cofferdam_guest::storage::{Descriptor, Features, Guest, Operation, Page, ScanPage};
use cofferdam_guest::{Error, Limits, Result, Setting, Settings};

use store::Entry;

struct Backend;

impl Guest for Backend {
    /// Once per backend, before anything else. May send, and may create what is missing.
    fn open(settings: Vec<Setting>) -> Result<Descriptor> {
        configure(settings)?;
        // FILL IN: whether your engine answers and lets you in. Say what the operator must change: `denied`, `configuration`.
        store::check()?;
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
        store::read(|entries| entries.get(&key).cloned())
    }

    /// FILL IN: durable when it returns. An engine that keeps marks for folders makes those beyond `_known_folders` first.
    fn put(key: String, value: Vec<u8>, _known_folders: u32) -> Result<()> {
        store::change(&[Operation::Put(Entry { key, value })])
    }

    /// FILL IN: with marks for folders, how many of the key's were found empty and removed. To remove what is not there is a success.
    fn delete(key: String) -> Result<u32> {
        store::change(&[Operation::Delete(key)]).map(|()| 0)
    }

    /// FILL IN, if folders have marks and `ATOMIC_FOLDERS` is not claimed: remove that of an empty one.
    fn prune(_folder: String) -> Result<bool> {
        Err(Error::Unsupported("a folder has no mark to remove".to_owned()))
    }

    /// FILL IN: names sorted by their bytes, a folder with its slash; only what sorts after `after`.
    fn list_page(folder: String, after: String, limit: u32) -> Result<Page> {
        store::read(|entries| store::names(entries, &folder, &after, limit as usize))
    }

    /// FILL IN: in their order, and all or none with `ATOMIC_BATCH`.
    fn batch(operations: Vec<Operation>) -> Result<Vec<u32>> {
        store::change(&operations).map(|()| vec![0; operations.len()])
    }

    /// FILL IN: every entry, for export. A cursor is good for every instance, and after a restart.
    fn scan(segment: u32, _segments: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
        // Without `PARALLEL_SCAN` the first part may hold everything.
        if segment > 0 {
            return Ok(ScanPage { entries: Vec::new(), cursor: None });
        }
        let after = String::from_utf8(cursor.unwrap_or_default()).map_err(|_| Error::Corrupt("the cursor is none of ours".to_owned()))?;
        store::read(|entries| store::entries(entries, &after, limit as usize))
    }
}

/// Reads the stanza. A name that is not asked for is an error that says so.
fn configure(settings: Vec<Setting>) -> Result<()> {
    let settings = Settings::new(settings);
    // FILL IN: let endpoint = settings.required("endpoint")?; and keep it in a thread_local.
    settings.finish()
}

cofferdam_guest::storage::export!(Backend);
