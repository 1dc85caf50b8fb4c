//! Storages that need no component: entries in memory, entries in files as the filesystem guest lays them out, a storage that is cut off after a
//! number of writes, and one that several servers share.

pub mod native;
mod shared;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Entry, Error, Features, Folder, Key, Limits, Operation, Page, Part, Result, ScanPage, Storage};

pub use shared::{Hold, Link, Node, Shared};

/// A batch as a storage does it that has nothing better: one operation after the other, until an error.
pub async fn one_by_one(storage: &impl Storage, operations: Vec<Operation>) -> Result<()> {
    for operation in operations {
        operation.apply(storage).await?;
    }
    Ok(())
}

/// Entries in memory. Clones share them.
#[derive(Clone)]
pub struct Memory {
    entries: Arc<Mutex<BTreeMap<String, Bytes>>>,
    descriptor: Descriptor,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            entries: Arc::default(),
            descriptor: Descriptor {
                name: "memory".to_owned(),
                version: "0.0.0".to_owned(),
                features: Features { atomic_batch: true, parallel_scan: false, atomic_folders: true },
                limits: Limits { key: 4096, segment: 254, value: 1 << 24, batch_operations: 128, batch_bytes: 1 << 26 },
            },
        }
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, operations: Vec<Operation>) {
        let mut entries = self.lock();
        for operation in operations {
            match operation {
                Operation::Put(key, value) => entries.insert(key.as_str().to_owned(), value),
                Operation::Delete(key) => entries.remove(key.as_str()),
            };
        }
    }

    /// A copy of everything stored.
    pub fn snapshot(&self) -> BTreeMap<String, Bytes> {
        self.lock().clone()
    }

    /// The same entries in a storage that applies a batch one operation after the other.
    #[must_use]
    pub fn without_atomic_batch(mut self) -> Memory {
        self.descriptor.features.atomic_batch = false;
        self
    }

    /// The same entries in a storage that takes no value of more bytes.
    #[must_use]
    pub fn with_value_limit(mut self, bytes: u64) -> Memory {
        self.descriptor.limits.value = bytes;
        self
    }

    fn fits(&self, value: &Bytes) -> Result<()> {
        let (size, limit) = (value.len() as u64, self.descriptor.limits.value);
        if size > limit { Err(Error::TooLarge { part: Part::Value, size, limit }) } else { Ok(()) }
    }

    /// A storage of its own that begins with these entries.
    pub fn from_snapshot(entries: BTreeMap<String, Bytes>) -> Memory {
        Memory { entries: Arc::new(Mutex::new(entries)), ..Memory::default() }
    }
}

#[async_trait]
impl Storage for Memory {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        Ok(self.lock().get(key.as_str()).cloned())
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.fits(&value)?;
        self.lock().insert(key.as_str().to_owned(), value);
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.lock().remove(key.as_str());
        Ok(())
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        let mut names: Vec<String> = Vec::new();
        for key in self.lock().keys() {
            if let Some(rest) = key.strip_prefix(folder.as_str()) {
                names.push(rest.split_once('/').map_or_else(|| rest.to_owned(), |(first, _)| format!("{first}/")));
            }
        }
        names.sort();
        names.dedup();
        names.retain(|name| name.as_str() > after);
        let more = names.len() > limit as usize;
        names.truncate(limit as usize);
        Ok(Page { names, more })
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        for operation in &operations {
            if let Operation::Put(_, value) = operation {
                self.fits(value)?;
            }
        }
        self.apply(operations);
        Ok(())
    }

    async fn scan(&self, segment: u32, _: u32, _: Option<Bytes>, _: u32) -> Result<ScanPage> {
        if segment > 0 {
            return Ok(ScanPage::default());
        }
        let entries = self.lock().iter().map(|(key, value)| Entry { key: key.clone(), value: value.clone() }).collect();
        Ok(ScanPage { entries, cursor: None })
    }
}

/// A storage whose connection is cut after a number of mutations: every later call fails, and changes nothing. An atomic batch is one mutation.
#[derive(Clone)]
pub struct Cut {
    inner: Memory,
    left: Arc<AtomicI64>,
    /// Whether the first mutation after the cut takes effect, though it fails.
    late: bool,
}

impl Cut {
    /// Lets `mutations` of them through, then none.
    pub fn after(inner: Memory, mutations: i64) -> Cut {
        Cut { inner, left: Arc::new(AtomicI64::new(mutations)), late: false }
    }

    /// Lets `mutations` of them through, then one more without an answer, then none.
    pub fn losing_the_answer_after(inner: Memory, mutations: i64) -> Cut {
        Cut { late: true, ..Cut::after(inner, mutations) }
    }

    /// Sets how many further mutations get through.
    pub fn allow(&self, mutations: i64) {
        self.left.store(mutations, Ordering::SeqCst);
    }

    /// How many mutations are left; negative once it is cut.
    pub fn left(&self) -> i64 {
        self.left.load(Ordering::SeqCst)
    }

    async fn spend(&self, mutation: impl Future<Output = Result<()>>) -> Result<()> {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1.. => return mutation.await,
            0 if self.late => mutation.await?,
            _ => {}
        }
        Err(Error::Unavailable("cut off".to_owned()))
    }

    fn alive(&self) -> Result<()> {
        if self.left() >= 0 { Ok(()) } else { Err(Error::Unavailable("cut off".to_owned())) }
    }
}

#[async_trait]
impl Storage for Cut {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.alive()?;
        self.inner.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.spend(self.inner.put(key, value)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.spend(self.inner.delete(key)).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.alive()?;
        self.inner.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        if self.descriptor().features.atomic_batch {
            return self.spend(self.inner.batch(operations)).await;
        }
        one_by_one(self, operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.alive()?;
        self.inner.scan(segment, segments, cursor, limit).await
    }
}
