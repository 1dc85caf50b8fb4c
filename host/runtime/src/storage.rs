//! [`Storage`] on top of a guest: checks what goes in against the backend's limits and what comes out against the contract.

mod due;
mod jobs;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Error, Folder, Key, Lock, Operation, Page, Result, ScanPage, Storage};

pub(crate) use self::due::Pools;
use self::jobs::{Batch, Delete, Get, ListPage, Put, Scan};
use crate::folders::Folders;
use crate::guest::{Guest, OpenError};
use crate::inspect::World;
use crate::limits::StorageConfig;
use crate::load::Component;
use crate::lock::LockBackend;
use crate::pool::Pool;
use crate::since_v0_1::{StorageContract, descriptor};
use crate::stats::{About, Stats};

/// The most segments of a scan that the contract knows.
const SCAN_SEGMENTS: u32 = 1_024;

/// A storage backend run by a guest.
pub struct StorageBackend {
    pool: Arc<Pool<StorageContract>>,
    descriptor: Descriptor,
    folders: Arc<Folders>,
    lock: Option<Arc<LockBackend>>,
}

impl StorageBackend {
    /// Opens the component. After another of the same store it shares what that one knows of folders, and the locks on them: calls of both run side by side.
    pub(crate) async fn open(
        component: &Component,
        config: StorageConfig,
        previous: Option<&StorageBackend>,
    ) -> Result<Arc<StorageBackend>, OpenError> {
        let found = component.inspect().world;
        if found == World::Seal {
            return Err(OpenError::World { name: component.name().to_owned(), wanted: "storage", found });
        }
        let guest = Guest::<StorageContract>::link(component, config)?;
        let (pool, descriptor) = Pool::open(guest, descriptor).await?;
        let lock = pool.guest.contract.has_lock().then(|| Arc::new(LockBackend::new(pool.beside(1), descriptor.limits)));
        let (atomic, unknown) = (descriptor.features.atomic_folders, pool.guest.limits.unknown);
        let folders = match previous {
            None => Folders::new(atomic, unknown),
            Some(previous) => previous
                .folders
                .shared(atomic, unknown)
                .map_err(|reason| OpenError::Options { backend: pool.guest.backend.clone(), reason })?,
        };
        folders.pools.add(&pool);
        Ok(Arc::new(StorageBackend { pool, folders, descriptor, lock }))
    }

    /// The backend's lock, if it is fit for several servers. Its calls have an instance of their own and never wait behind those of entries.
    pub fn lock(&self) -> Option<Arc<dyn Lock>> {
        self.lock.clone().map(|lock| lock as Arc<dyn Lock>)
    }

    /// What it is and what it was given.
    pub fn about(&self) -> &About {
        &self.pool.guest.about
    }

    /// What it has done since it was opened.
    pub fn stats(&self) -> Stats {
        let mut stats = self.pool.guest.tally.read();
        self.pool.count(&mut stats.pool);
        if let Some(lock) = &self.lock {
            lock.count(&mut stats.pool);
        }
        stats
    }
}

#[async_trait]
impl Storage for StorageBackend {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.descriptor.limits.check_key(key)?;
        self.pool.call(async { Get(key.clone()) }).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.descriptor.limits.check_key(key)?;
        self.descriptor.limits.check_value(&value)?;
        self.pool.call(async { Put::new(&self.folders, key, value).await }).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.descriptor.limits.check_key(key)?;
        let job = Delete { folders: Arc::clone(&self.folders), pool: Arc::clone(&self.pool), key: key.clone() };
        self.pool.call(async { job }).await?.settle().await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        let job = ListPage { folder: folder.clone(), after: after.to_owned(), limit: limit.max(1) };
        self.pool.call(async { job }).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        if operations.is_empty() {
            return Ok(());
        }
        self.descriptor.limits.check_batch(&operations)?;
        self.pool.call(async { Batch::new(&self.folders, &self.pool, operations).await }).await?.settle().await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        if segment >= segments || segments > SCAN_SEGMENTS {
            return Err(Error::Unsupported(format!(
                "segment {segment} of {segments}: a scan has 1 to {SCAN_SEGMENTS} segments, counted from 0"
            )));
        }
        self.pool.call(async { Scan { segment, segments, cursor, limit: limit.max(1) } }).await
    }

    fn forget(&self) {
        self.folders.forget();
    }
}
