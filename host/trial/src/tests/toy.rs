//! A storage in memory with one fault, or none. Each opening has a memory of its own beside the store that all share.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Entry, Error, Features, Folder, Held, Key, Limits, Operation, Page, Part, Result, ScanPage, Storage};
use cofferdam_runtime::{ImportCall, PoolPolicy, Probe, Step, World};
use tokio::task::yield_now;

use super::fault::Fault;
use crate::{Info, OpenWith, OpenedStorage, Subject, SubjectError};

/// What all openings share.
#[derive(Default)]
pub(super) struct State {
    pub(super) entries: BTreeMap<String, Bytes>,
    pub(super) locks: BTreeMap<String, Held>,
    /// Folders that were left behind, or that are not shown any more.
    marks: BTreeSet<String>,
}

/// What one opening keeps.
#[derive(Default)]
pub(super) struct Memory {
    entries: BTreeMap<String, Option<Bytes>>,
    pub(super) locks: BTreeMap<String, Held>,
    cursors: BTreeSet<String>,
    known: BTreeSet<String>,
}

/// The subject.
pub(super) struct Toy {
    fault: Fault,
    state: Arc<Mutex<State>>,
    info: Info,
}

/// One opening.
pub(super) struct View {
    pub(super) fault: Fault,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) memory: Mutex<Memory>,
    ephemeral: bool,
    probe: Option<Arc<dyn Probe>>,
    descriptor: Descriptor,
}

impl Toy {
    pub(super) fn new(fault: Fault) -> Toy {
        Toy { fault, state: Arc::default(), info: Info::new("toy", World::StorageHa) }
    }
}

#[async_trait]
impl Subject for Toy {
    fn info(&self) -> &Info {
        &self.info
    }

    async fn storage(&self, open: OpenWith) -> Result<OpenedStorage, SubjectError> {
        if self.fault == Fault::DoesNotOpen {
            return Err(SubjectError("configuration: no such table".to_owned()));
        }
        if open.fresh {
            self.wipe().await?;
        }
        let view = Arc::new(View {
            fault: self.fault,
            state: Arc::clone(&self.state),
            memory: Mutex::default(),
            ephemeral: open.pool.is_some_and(|pool| pool.policy == PoolPolicy::Ephemeral),
            probe: open.probe,
            descriptor: Descriptor {
                name: "toy".to_owned(),
                version: "1.0.0".to_owned(),
                features: Features { atomic_batch: self.fault != Fault::BatchBackwards, parallel_scan: true, atomic_folders: true },
                limits: Limits { key: 2_000, segment: 300, value: 1 << 20, batch_operations: 64, batch_bytes: 1 << 22 },
            },
        });
        Ok(OpenedStorage { storage: view.clone(), lock: Some(view), backend: None })
    }

    async fn wipe(&self) -> Result<(), SubjectError> {
        *self.state.lock().unwrap() = State::default();
        Ok(())
    }
}

fn folders(key: &str) -> Vec<String> {
    key.match_indices('/').filter_map(|(at, _)| key.get(..=at)).map(str::to_owned).collect()
}

impl View {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// What precedes every call: others run, and the host may step in.
    async fn begin(&self) -> Result<()> {
        if self.is(Fault::Hangs) {
            std::future::pending::<()>().await;
        }
        yield_now().await;
        if self.ephemeral {
            *self.memory.lock().unwrap() = Memory::default();
        }
        self.import()
    }

    fn import(&self) -> Result<()> {
        let call = ImportCall { name: "toy", detail: "", earlier: 0 };
        match self.probe.as_ref().map(|probe| probe.import(call)) {
            Some(Step::Stop) => Err(Error::Breach("trap: stopped".to_owned())),
            _ => Ok(()),
        }
    }

    fn at(&self, key: &Key) -> String {
        if self.is(Fault::FoldsCase) { key.as_str().to_lowercase() } else { key.as_str().to_owned() }
    }

    /// The entries as this opening sees them.
    fn seen(&self) -> BTreeMap<String, Bytes> {
        let mut entries = self.state.lock().unwrap().entries.clone();
        for (key, value) in &self.memory.lock().unwrap().entries {
            match value {
                Some(value) => entries.insert(key.clone(), value.clone()),
                None => entries.remove(key),
            };
        }
        entries
    }

    fn set(&self, at: &str, value: Bytes) {
        if self.is(Fault::WritesIntoMemory) {
            self.memory.lock().unwrap().entries.insert(at.to_owned(), Some(value));
            return;
        }
        let mut state = self.state.lock().unwrap();
        if self.is(Fault::ForgetsNothing) {
            // It makes marks of folders only that it has not made before.
            let mut memory = self.memory.lock().unwrap();
            for folder in folders(at) {
                if memory.known.insert(folder.clone()) {
                    state.marks.insert(folder);
                }
            }
        }
        if self.is(Fault::KeepsEmptyFolders) {
            state.marks.extend(folders(at));
        }
        state.entries.insert(at.to_owned(), value);
    }

    async fn store(&self, at: &str, value: Bytes) -> Result<()> {
        let old = self.state.lock().unwrap().entries.get(at).cloned();
        match self.fault {
            Fault::EmptyValueIsNone if value.is_empty() => {}
            Fault::LargestValueIsRefused if value.len() as u64 > self.descriptor.limits.value / 2 => {
                let size = value.len() as u64;
                return Err(Error::TooLarge { part: Part::Value, size, limit: size - 1 });
            }
            Fault::LongerValueKeepsItsTail if old.as_ref().is_some_and(|old| old.len() > value.len()) => {
                let old = old.unwrap_or_default();
                self.set(at, [&value[..], &old[value.len()..]].concat().into());
            }
            Fault::PutHasAGap => {
                self.remove(at);
                for _ in 0..5 {
                    yield_now().await;
                }
                self.set(at, value);
            }
            Fault::PutInHalves => {
                let half = value.len() / 2;
                self.set(at, value.slice(..half));
                yield_now().await;
                let begun = self.state.lock().unwrap().entries.get(at).cloned().unwrap_or_default();
                self.set(at, [&begun[..], &value[half..]].concat().into());
            }
            _ => self.set(at, value),
        }
        Ok(())
    }

    fn remove(&self, at: &str) {
        if self.is(Fault::WritesIntoMemory) {
            self.memory.lock().unwrap().entries.insert(at.to_owned(), None);
            return;
        }
        let mut state = self.state.lock().unwrap();
        state.entries.remove(at);
        let gone: Vec<String> = folders(at).into_iter().filter(|folder| !state.entries.keys().any(|key| key.starts_with(folder))).collect();
        match self.fault {
            Fault::DeleteRemovesBelow => state.entries.retain(|key, _| !key.starts_with(&format!("{at}/"))),
            Fault::FolderIsListedOnce => state.marks.extend(gone),
            Fault::ForgetsNothing => state.marks.retain(|mark| !gone.contains(mark)),
            _ => {}
        }
    }

    /// The names below a folder, in the order in which this backend has them.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = self.seen();
        let state = self.state.lock().unwrap();
        let below = |key: &str| Some(key.strip_prefix(folder)?.split_inclusive('/').next()?.to_owned());
        let mut names: BTreeSet<String> = entries.keys().filter_map(|key| below(key)).collect();
        match self.fault {
            Fault::KeepsEmptyFolders => names.extend(state.marks.iter().filter_map(|mark| below(mark))),
            Fault::FolderIsListedOnce => names.retain(|name| !state.marks.contains(&format!("{folder}{name}"))),
            Fault::ForgetsNothing => names.retain(|name| !name.ends_with('/') || state.marks.contains(&format!("{folder}{name}"))),
            Fault::HidesLeafBesideFolder => {
                let all = names.clone();
                names.retain(|name| !all.contains(&format!("{name}/")));
            }
            Fault::ListsLocks => names.extend(state.locks.keys().filter_map(|key| below(key))),
            _ => {}
        }
        let mut names: Vec<String> = names.into_iter().collect();
        if self.is(Fault::SortsAsUtf16) {
            names.sort_by(|one, other| one.encode_utf16().cmp(other.encode_utf16()));
        }
        names
    }

    fn comes_after(&self, name: &str, after: &str) -> bool {
        match self.fault {
            Fault::AfterIsInclusive => name >= after,
            Fault::AfterWithoutSlash => name.trim_end_matches('/') > after.trim_end_matches('/'),
            Fault::SortsAsUtf16 => name.encode_utf16().cmp(after.encode_utf16()) == Ordering::Greater,
            _ => name > after,
        }
    }

    fn segment(&self, position: usize, key: &str, segments: u32) -> u32 {
        let sum = key.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        match self.fault {
            Fault::SegmentByPosition => position as u32 % segments,
            Fault::OneSegmentHasAll => 0,
            _ => sum % segments,
        }
    }
}

#[async_trait]
impl Storage for View {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.begin().await?;
        let at = self.at(key);
        let found = self.seen().get(&at).cloned();
        if self.is(Fault::CachesReads) {
            return Ok(self.memory.lock().unwrap().entries.entry(at).or_insert(found).clone());
        }
        Ok(found)
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.begin().await?;
        self.store(&self.at(key), value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.begin().await?;
        let at = self.at(key);
        if self.is(Fault::DeleteOfMissingFails) && !self.seen().contains_key(&at) {
            return Err(Error::Corrupt("there is no such entry".to_owned()));
        }
        self.remove(&at);
        if self.is(Fault::DeletePrunesLate)
            && let Some(above) = folders(&at).pop()
            && self.names(&above).is_empty()
        {
            yield_now().await;
            self.state.lock().unwrap().entries.retain(|key, _| !key.starts_with(&above));
        }
        Ok(())
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.begin().await?;
        let mut names = self.names(folder.as_str());
        if self.is(Fault::ListsFiveHundred) {
            names.truncate(500);
        }
        let exists = after.is_empty() || names.iter().any(|name| name == after);
        if exists || !self.is(Fault::AfterMustExist) {
            names.retain(|name| after.is_empty() || self.comes_after(name, after));
        }
        let more = names.len() > limit as usize;
        names.truncate(limit as usize);
        Ok(Page { names, more })
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        self.begin().await?;
        let pieces = matches!(self.fault, Fault::BatchInPieces | Fault::BatchBackwards);
        let mut operations = operations;
        if self.is(Fault::BatchBackwards) {
            operations.reverse();
        }
        if self.is(Fault::LargestBatchLosesItsLast) && operations.len() == 64 {
            operations.pop();
        }
        if !pieces {
            // As one that prepares everything, and then commits.
            operations.iter().try_for_each(|_| self.import())?;
        }
        for operation in operations {
            if pieces {
                yield_now().await;
                self.import()?;
            }
            match operation {
                Operation::Put(key, value) => self.store(&self.at(&key), value).await?,
                Operation::Delete(key) => {
                    if self.is(Fault::BatchEndsAtMissing) && !self.seen().contains_key(key.as_str()) {
                        return Err(Error::Conflict("nothing to remove".to_owned()));
                    }
                    self.remove(&self.at(&key));
                }
            }
        }
        Ok(())
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.begin().await?;
        let cursor = cursor.map(|cursor| String::from_utf8(cursor.to_vec()).unwrap());
        if let Some(cursor) = cursor.as_ref().filter(|_| self.is(Fault::CursorInMemory))
            && !self.memory.lock().unwrap().cursors.contains(cursor)
        {
            return Err(Error::Corrupt("unknown cursor".to_owned()));
        }
        let all = self.seen().into_iter().enumerate();
        let mine = all.filter(|(position, (key, _))| self.segment(*position, key, segments) == segment).map(|(_, entry)| entry);
        let mine = mine.filter(|(key, _)| !self.is(Fault::ScanSkipsDeepKeys) || key.matches('/').count() < 3);
        let by_position = self.is(Fault::CursorByPosition);
        let rest: Vec<(String, Bytes)> = match &cursor {
            Some(cursor) if by_position => mine.skip(cursor.parse().unwrap()).collect(),
            Some(cursor) => mine.filter(|(key, _)| key > cursor).collect(),
            None => mine.collect(),
        };
        let more = rest.len() > limit as usize;
        let entries: Vec<Entry> = rest.into_iter().take(limit as usize).map(|(key, value)| Entry { key, value }).collect();
        let next = if by_position {
            let before: usize = cursor.map_or(0, |cursor| cursor.parse().unwrap());
            (before + entries.len()).to_string()
        } else {
            entries.last().map(|entry| entry.key.clone()).unwrap_or_default()
        };
        self.memory.lock().unwrap().cursors.insert(next.clone());
        Ok(ScanPage { entries, cursor: more.then(|| next.into()) })
    }

    fn forget(&self) {}
}
