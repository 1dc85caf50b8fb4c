//! The calls of a storage guest, one type for each.

use std::sync::Arc;

use bytes::Bytes;
use cofferdam_backend::{Entry, Error, Folder, Key, Operation, Page, ScanPage};
use wasmtime::Store;

use super::due::Due;
use crate::breach::{Breach, contract};
use crate::folders::prune::{self, Pruning};
use crate::folders::{self, Folders, Path, Turn, beside, depth};
use crate::guest::Failure;
use crate::metrics;
use crate::pool::{Job, Pool};
use crate::since_v0_1::exports::storage as wit;
use crate::since_v0_1::{self, StorageContract, StorageExports};
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

/// A guest's answer, or how its call failed.
fn settled<T>(answer: wasmtime::Result<Result<T, since_v0_1::Error>>) -> Result<T, Failure> {
    Ok(answer??)
}

/// Whether a call that has failed so may take effect later.
fn unknown(failure: &Failure) -> bool {
    matches!(failure, Failure::Ended(_) | Failure::Refused(Error::Unavailable(_) | Error::TimedOut(_)))
}

pub(super) struct Put {
    folders: Arc<Folders>,
    turn: Turn,
    path: Path,
    value: Bytes,
}

impl Put {
    pub(super) async fn new(folders: &Arc<Folders>, key: &Key, value: Bytes) -> Put {
        let path = Path::new(folders, key);
        let turn = folders.share(std::iter::once(&path)).await;
        Put { folders: Arc::clone(folders), turn, path, value }
    }
}

impl Job<StorageContract> for Put {
    type Output = ();
    const OPERATION: metrics::Operation = metrics::Operation::Put;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<(), Failure> {
        // The turn comes first, so that it is dropped last.
        let Put { turn: _turn, folders, path, value } = self;
        let key = &path.key;
        if folders.atomic {
            let mut put = beside::Put::begin(&folders, key);
            exports.storage.call_put(&mut *store, key.as_str(), &value, put.known).await??;
            if !put.holds().await {
                exports.storage.call_put(store, key.as_str(), &value, 0).await??;
                put.end();
            }
            return Ok(());
        }
        let put = folders::Put::begin(&folders, &path).map_err(Failure::Refused)?;
        let answer = settled(exports.storage.call_put(store, key.as_str(), &value, put.known).await);
        match &answer {
            Ok(()) => put.end(),
            Err(failure) if unknown(failure) => drop(put),
            Err(_) => put.failed(),
        }
        answer
    }
}

pub(super) struct Delete {
    pub(super) folders: Arc<Folders>,
    pub(super) pool: Arc<Pool<StorageContract>>,
    pub(super) key: Key,
}

impl Job<StorageContract> for Delete {
    type Output = Due;
    const OPERATION: metrics::Operation = metrics::Operation::Delete;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<Due, Failure> {
        let Delete { folders, pool, key } = self;
        if folders.atomic {
            let delete = beside::Delete::begin(&folders, &key);
            let removed = exports.storage.call_delete(store, key.as_str()).await??;
            check_removed(&key, removed, true)?;
            delete.end(removed);
            return Ok(Due::nothing());
        }
        let path = Path::new(&folders, &key);
        let delete = prune::Delete::begin(&folders, &path);
        let removed = exports.storage.call_delete(store, key.as_str()).await??;
        drop(delete);
        check_removed(&key, removed, false)?;
        let suspects = folders.suspects(std::iter::once(&path));
        Ok(Due::new(pool, folders, suspects))
    }
}

pub(super) struct Prune(pub(super) Pruning);

impl Job<StorageContract> for Prune {
    /// Whether nothing was below the folder.
    type Output = bool;
    const OPERATION: metrics::Operation = metrics::Operation::Prune;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<bool, Failure> {
        let Prune(pruning) = self;
        let answer = settled(exports.storage.call_prune(store, pruning.folder()).await);
        match &answer {
            Ok(empty) => pruning.end(*empty),
            Err(failure) if unknown(failure) => drop(pruning),
            Err(_) => pruning.failed(),
        }
        answer
    }
}

/// Whether the guest's number of removed folders can be: without atomic folders it removes none.
fn check_removed(key: &Key, removed: u32, atomic: bool) -> Result<(), Breach> {
    let most = if atomic { depth(key) } else { 0 };
    if removed > most {
        return Err(contract(format!("delete: {removed} folders removed of a key of which {most} may be")));
    }
    Ok(())
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
    folders: Arc<Folders>,
    pool: Arc<Pool<StorageContract>>,
    turn: Turn,
    /// The keys, each with whether it is deleted.
    paths: Vec<(Path, bool)>,
    operations: Vec<wit::Operation>,
}

impl Batch {
    pub(super) async fn new(folders: &Arc<Folders>, pool: &Arc<Pool<StorageContract>>, operations: Vec<Operation>) -> Batch {
        let paths: Vec<(Path, bool)> =
            operations.iter().map(|operation| (Path::new(folders, operation.key()), matches!(operation, Operation::Delete(_)))).collect();
        let turn = folders.share(paths.iter().filter(|(_, delete)| !delete).map(|(path, _)| path)).await;
        let operations = operations
            .into_iter()
            .map(|operation| match operation {
                Operation::Put(key, value) => wit::Operation::Put(wit::Entry { key: key.as_str().to_owned(), value: value.into() }),
                Operation::Delete(key) => wit::Operation::Delete(key.as_str().to_owned()),
            })
            .collect();
        Batch { folders: Arc::clone(folders), pool: Arc::clone(pool), turn, paths, operations }
    }
}

impl Job<StorageContract> for Batch {
    type Output = Due;
    const OPERATION: metrics::Operation = metrics::Operation::Batch;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<Due, Failure> {
        // The turn comes first, so that it is dropped last.
        let Batch { turn: _turn, folders, pool, paths, operations } = self;
        let mut under_way = Vec::with_capacity(paths.len());
        for (path, delete) in &paths {
            match Mutation::begin(&folders, path, *delete) {
                Ok(mutation) => under_way.push(mutation),
                Err(error) => {
                    // Nothing was asked of the guest.
                    under_way.into_iter().for_each(Mutation::failed);
                    return Err(Failure::Refused(error));
                }
            }
        }
        let removed = match settled(exports.storage.call_batch(store, &operations).await) {
            Ok(removed) => removed,
            Err(failure) => {
                if !unknown(&failure) {
                    under_way.into_iter().for_each(Mutation::failed);
                }
                return Err(failure);
            }
        };
        if removed.len() != paths.len() {
            return Err(contract(format!("batch: {} answers to {} operations", removed.len(), paths.len())).into());
        }
        for (((Path { key, .. }, delete), removed), mutation) in paths.iter().zip(removed).zip(under_way) {
            if *delete {
                check_removed(key, removed, folders.atomic)?;
            } else if removed != 0 {
                return Err(contract(format!("batch: a put of {key:?} removed {removed} folders")).into());
            }
            mutation.end(removed);
        }
        let suspects = folders.suspects(paths.iter().filter(|(_, delete)| *delete).map(|(path, _)| path));
        Ok(Due::new(pool, folders, suspects))
    }
}

/// One operation of a batch under way.
enum Mutation<'a> {
    Beside(beside::Mutation<'a>),
    Put(folders::Put<'a>),
    Delete(prune::Delete<'a>),
}

impl<'a> Mutation<'a> {
    fn begin(folders: &'a Folders, path: &'a Path, delete: bool) -> Result<Mutation<'a>, Error> {
        Ok(match delete {
            _ if folders.atomic => Mutation::Beside(beside::Mutation::begin(folders, &path.key, delete)),
            true => Mutation::Delete(prune::Delete::begin(folders, path)),
            false => Mutation::Put(folders::Put::begin(folders, path)?),
        })
    }

    /// It is done, and has removed so many folders.
    fn end(self, removed: u32) {
        match self {
            Mutation::Beside(mutation) => mutation.end(removed),
            Mutation::Put(put) => put.end(),
            Mutation::Delete(delete) => drop(delete),
        }
    }

    /// The guest has refused; nothing of it will take effect later.
    fn failed(self) {
        if let Mutation::Put(put) = self {
            put.failed();
        }
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
