//! The calls of a storage guest, one type for each.

use std::sync::Arc;

use bytes::Bytes;
use cofferdam_backend::{Entry, Folder, Key, Operation, Page, ScanPage};
use wasmtime::Store;

use crate::breach::{Breach, contract};
use crate::folders::beside::{self, Mutation};
use crate::folders::{Folders, Turn, depth};
use crate::guest::Failure;
use crate::metrics;
use crate::pool::Job;
use crate::since_v0_1::exports::storage as wit;
use crate::since_v0_1::{StorageContract, StorageExports};
use crate::state::State;

/// The longest cursor of a scan, in bytes.
const CURSOR: usize = 4 << 10;

pub(super) struct Get(pub(super) Key);

impl Job<StorageContract> for Get {
    type Output = Option<Bytes>;
    const OPERATION: metrics::Operation = metrics::Operation::Get;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<Option<Bytes>, Failure> {
        Ok(exports.storage.call_get(store, self.0.as_str()).await??.map(Bytes::from))
    }
}

/// What mutations hold while they run.
struct Held {
    folders: Arc<Folders>,
    turn: Turn,
}

pub(super) struct Put {
    held: Held,
    key: Key,
    value: Bytes,
    known: u32,
}

impl Put {
    pub(super) async fn new(folders: &Arc<Folders>, key: &Key, value: Bytes) -> Put {
        let turn = folders.put(key).await;
        // Of atomic folders the put asks when it is entered.
        let known = if folders.atomic { 0 } else { folders.known(key) };
        Put { known, held: Held { folders: Arc::clone(folders), turn }, key: key.clone(), value }
    }
}

impl Job<StorageContract> for Put {
    type Output = ();
    const OPERATION: metrics::Operation = metrics::Operation::Put;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<(), Failure> {
        let Put { held, key, value, known } = self;
        if held.folders.atomic {
            let mut put = beside::Put::begin(&held.folders, &key);
            exports.storage.call_put(&mut *store, key.as_str(), &value, put.known).await??;
            if !put.holds().await {
                exports.storage.call_put(store, key.as_str(), &value, 0).await??;
                put.end();
            }
            return Ok(());
        }
        exports.storage.call_put(store, key.as_str(), &value, known).await??;
        held.folders.established(&held.turn, &key, known);
        Ok(())
    }
}

pub(super) struct Delete {
    held: Held,
    key: Key,
    known: u32,
}

impl Delete {
    pub(super) async fn new(folders: &Arc<Folders>, key: &Key) -> Delete {
        let turn = folders.delete(key).await;
        let known = if folders.atomic { 0 } else { folders.doubt(key) };
        Delete { known, held: Held { folders: Arc::clone(folders), turn }, key: key.clone() }
    }
}

impl Job<StorageContract> for Delete {
    type Output = ();
    const OPERATION: metrics::Operation = metrics::Operation::Delete;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<(), Failure> {
        let Delete { held, key, known } = self;
        if held.folders.atomic {
            let delete = beside::Delete::begin(&held.folders, &key);
            let removed = exports.storage.call_delete(store, key.as_str()).await??;
            check_removed(&key, removed)?;
            delete.end(removed);
            return Ok(());
        }
        let removed = exports.storage.call_delete(store, key.as_str()).await??;
        let remain = check_removed(&key, removed)?;
        held.folders.learn(&held.turn, &key, remain.min(known));
        Ok(())
    }
}

/// How many of the key's folders are left, if the guest's number can be.
fn check_removed(key: &Key, removed: u32) -> Result<u32, Breach> {
    let depth = depth(key);
    depth.checked_sub(removed).ok_or_else(|| contract(format!("delete: {removed} folders removed of a key that has {depth}")))
}

pub(super) struct ListPage {
    pub(super) folder: Folder,
    pub(super) after: String,
    pub(super) limit: u32,
}

impl Job<StorageContract> for ListPage {
    type Output = Page;
    const OPERATION: metrics::Operation = metrics::Operation::List;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<Page, Failure> {
        let page = exports.storage.call_list_page(store, self.folder.as_str(), &self.after, self.limit).await??;
        check_page(&page, &self.after, self.limit)?;
        Ok(Page { names: page.names, more: page.more })
    }
}

/// A page's names: as many as were asked for at most, in order, none twice, none that a caller could mistake.
fn check_page(page: &wit::Page, after: &str, limit: u32) -> Result<(), Breach> {
    if page.names.len() > limit as usize {
        return Err(contract(format!("list-page: {} names, at most {limit} were asked for", page.names.len())));
    }
    if page.more && page.names.is_empty() {
        return Err(contract("list-page: an empty page that promises more"));
    }
    let mut last = after;
    for name in &page.names {
        let segment = name.strip_suffix('/').unwrap_or(name);
        if matches!(segment, "" | "." | "..") || segment.contains('/') {
            return Err(contract(format!("list-page: {:?} is no name", crate::log::bounded(name))));
        }
        if name.as_str() <= last {
            let (name, last) = (crate::log::bounded(name), crate::log::bounded(last));
            return Err(contract(format!("list-page: {name:?} stands after {last:?}: names must ascend, none twice")));
        }
        last = name;
    }
    Ok(())
}

pub(super) struct Batch {
    held: Held,
    /// The keys, each with whether it is deleted.
    keys: Vec<(Key, bool)>,
    operations: Vec<wit::Operation>,
}

impl Batch {
    pub(super) async fn new(folders: &Arc<Folders>, operations: Vec<Operation>) -> Batch {
        let turn = folders.batch(operations.iter().map(|operation| (operation.key(), matches!(operation, Operation::Delete(_))))).await;
        let keys = operations
            .iter()
            .map(|operation| match operation {
                Operation::Put(key, _) => (key.clone(), false),
                Operation::Delete(key) => {
                    if !folders.atomic {
                        folders.doubt(key);
                    }
                    (key.clone(), true)
                }
            })
            .collect();
        let operations = operations
            .into_iter()
            .map(|operation| match operation {
                Operation::Put(key, value) => wit::Operation::Put(wit::Entry { key: key.as_str().to_owned(), value: value.into() }),
                Operation::Delete(key) => wit::Operation::Delete(key.as_str().to_owned()),
            })
            .collect();
        Batch { held: Held { folders: Arc::clone(folders), turn }, keys, operations }
    }
}

impl Job<StorageContract> for Batch {
    type Output = ();
    const OPERATION: metrics::Operation = metrics::Operation::Batch;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<(), Failure> {
        let folders = &self.held.folders;
        let keys = self.keys.iter().filter(|_| folders.atomic);
        let mut under_way = keys.map(|(key, delete)| Mutation::begin(folders, key, *delete)).collect::<Vec<_>>().into_iter();
        let removed = exports.storage.call_batch(store, &self.operations).await??;
        if removed.len() != self.keys.len() {
            return Err(contract(format!("batch: {} answers to {} operations", removed.len(), self.keys.len())).into());
        }
        // Deletes beside puts of one batch may have taken each other's folders: nothing is learned of a batch that deletes.
        let deletes = self.keys.iter().any(|(_, delete)| *delete);
        for ((key, delete), removed) in self.keys.iter().zip(removed) {
            if *delete {
                check_removed(key, removed)?;
            } else if removed != 0 {
                return Err(contract(format!("batch: a put of {key:?} removed {removed} folders")).into());
            } else if !deletes && !folders.atomic {
                folders.established(&self.held.turn, key, 0);
            }
            if let Some(mutation) = under_way.next() {
                mutation.end(removed);
            }
        }
        Ok(())
    }
}

pub(super) struct Scan {
    pub(super) segment: u32,
    pub(super) segments: u32,
    pub(super) cursor: Option<Bytes>,
    pub(super) limit: u32,
}

impl Job<StorageContract> for Scan {
    type Output = ScanPage;
    const OPERATION: metrics::Operation = metrics::Operation::Scan;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<ScanPage, Failure> {
        let page = exports.storage.call_scan(store, self.segment, self.segments, self.cursor.as_deref(), self.limit).await??;
        if page.entries.len() > self.limit as usize {
            return Err(contract(format!("scan: {} entries, at most {} were asked for", page.entries.len(), self.limit)).into());
        }
        if let Some(cursor) = &page.cursor
            && cursor.len() > CURSOR
        {
            return Err(contract(format!("scan: a cursor of {} bytes, at most {CURSOR} are allowed", cursor.len())).into());
        }
        let entries = page.entries.into_iter().map(|entry| Entry { key: entry.key, value: entry.value.into() }).collect();
        Ok(ScanPage { entries, cursor: page.cursor.map(Bytes::from) })
    }
}
