//! A part of a store that is ours: what was written is remembered, so that all of it and nothing else is removed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Entry, Error, Folder, Held, Key, Lock, Operation, Page, Result, ScanPage, Storage};

use crate::case::held;

/// Removes every entry.
pub(crate) async fn empty(storage: &dyn Storage) -> Result<()> {
    let mut cursor = None;
    let mut keys = Vec::new();
    loop {
        let page = storage.scan(0, 1, cursor, 1_000).await?;
        keys.extend(page.entries.into_iter().map(|entry| entry.key));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    for key in keys {
        storage.delete(&Key::new(&key)?).await?;
    }
    Ok(())
}

/// What was written, and below which folder of the store.
pub(crate) struct Part {
    /// Empty, or with a trailing slash.
    base: String,
    keys: Mutex<BTreeSet<Key>>,
    locks: Mutex<BTreeSet<Key>>,
}

impl Part {
    /// Nothing yet.
    pub(crate) fn new(base: String) -> Arc<Part> {
        Arc::new(Part { base, keys: Mutex::default(), locks: Mutex::default() })
    }

    /// Whether there may be anything to remove.
    pub(crate) fn is_used(&self) -> bool {
        !held(&self.keys).is_empty() || !held(&self.locks).is_empty()
    }

    /// The folder, with a trailing slash; empty for the whole store.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Forgets what was written.
    pub(crate) fn forget(&self) {
        held(&self.keys).clear();
        held(&self.locks).clear();
    }

    fn key(&self, key: &Key) -> Result<Key> {
        if self.base.is_empty() { Ok(key.clone()) } else { Ok(Key::new(format!("{}{key}", self.base))?) }
    }

    /// What every write passes: it is remembered before it is sent.
    fn writes(&self, key: &Key) -> Result<Key> {
        let key = self.key(key)?;
        held(&self.keys).insert(key.clone());
        Ok(key)
    }

    /// Removes all that was written, from the store as it is without us between.
    pub(crate) async fn remove(&self, storage: &dyn Storage, lock: Option<&dyn Lock>) -> Result<()> {
        let keys: Vec<Key> = held(&self.keys).iter().cloned().collect();
        for key in keys {
            match storage.delete(&key).await {
                // It was refused as well when it was to be written.
                Ok(()) | Err(Error::InvalidKey(_) | Error::TooLarge { .. }) => held(&self.keys).remove(&key),
                Err(error) => return Err(error),
            };
        }
        let locks: Vec<Key> = held(&self.locks).iter().cloned().collect();
        for (key, lock) in locks.into_iter().filter_map(|key| Some((key, lock?))) {
            if let Some(found) = lock.read(&key).await? {
                lock.release(&key, &found.identity).await?;
            }
            held(&self.locks).remove(&key);
        }
        Ok(())
    }
}

/// A storage seen through a part.
pub(crate) struct OwnStorage {
    inner: Arc<dyn Storage>,
    part: Arc<Part>,
    descriptor: Descriptor,
}

impl OwnStorage {
    pub(crate) fn new(inner: Arc<dyn Storage>, part: Arc<Part>) -> OwnStorage {
        let mut descriptor = inner.descriptor().clone();
        let base = u32::try_from(part.base.len()).unwrap_or(u32::MAX);
        descriptor.limits.key = descriptor.limits.key.saturating_sub(base);
        OwnStorage { inner, part, descriptor }
    }
}

#[async_trait]
impl Storage for OwnStorage {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.inner.get(&self.part.key(key)?).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.inner.put(&self.part.writes(key)?, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(&self.part.key(key)?).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        if self.part.base.is_empty() {
            return self.inner.list_page(folder, after, limit).await;
        }
        self.inner.list_page(&Folder::new(format!("{}{folder}", self.part.base))?, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        let own = |operation| match operation {
            Operation::Put(key, value) => Ok(Operation::Put(self.part.writes(&key)?, value)),
            Operation::Delete(key) => Ok(Operation::Delete(self.part.key(&key)?)),
        };
        self.inner.batch(operations.into_iter().map(own).collect::<Result<_>>()?).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        let mut page = self.inner.scan(segment, segments, cursor, limit).await?;
        let ours = |entry: Entry| Some(Entry { key: entry.key.strip_prefix(&self.part.base)?.to_owned(), value: entry.value });
        page.entries = page.entries.into_iter().filter_map(ours).collect();
        Ok(page)
    }

    fn forget(&self) {
        self.inner.forget();
    }
}

/// A lock seen through a part.
pub(crate) struct OwnLock {
    inner: Arc<dyn Lock>,
    part: Arc<Part>,
}

impl OwnLock {
    pub(crate) fn new(inner: Arc<dyn Lock>, part: Arc<Part>) -> OwnLock {
        OwnLock { inner, part }
    }
}

#[async_trait]
impl Lock for OwnLock {
    async fn try_acquire(&self, key: &Key, claim: Held, seen: Option<Held>) -> Result<bool> {
        let key = self.part.key(key)?;
        let acquired = self.inner.try_acquire(&key, claim, seen).await;
        // After an error it may be ours; what another program holds is not.
        if !matches!(acquired, Ok(false) | Err(Error::InvalidKey(_) | Error::TooLarge { .. })) {
            held(&self.part.locks).insert(key);
        }
        acquired
    }

    async fn renew(&self, key: &Key, identity: &str, expires: u64) -> Result<bool> {
        self.inner.renew(&self.part.key(key)?, identity, expires).await
    }

    async fn release(&self, key: &Key, identity: &str) -> Result<()> {
        self.inner.release(&self.part.key(key)?, identity).await
    }

    async fn read(&self, key: &Key) -> Result<Option<Held>> {
        self.inner.read(&self.part.key(key)?).await
    }

    fn now(&self) -> SystemTime {
        self.inner.now()
    }
}
