//! A storage, and its lock, that go on while what runs them is replaced.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Error, Folder, Held, Key, Lock, Operation, Page, Result, ScanPage, Storage};

use crate::compatible::differences;
use crate::generation::{OpenFailure, StorageGeneration};
use crate::options::Options;
use crate::status::Status;
use crate::supervisor::{Checked, Replaced, Supervisor};

/// A storage under supervision. Its descriptor is that of its first generation: what was promised once holds.
pub struct SupervisedStorage<G: StorageGeneration> {
    supervisor: Arc<Supervisor<G>>,
    descriptor: Arc<Descriptor>,
}

/// Its lock. Taken and renewed through whichever generation runs: leadership does not hang on one of them.
pub struct SupervisedLock<G: StorageGeneration>(Arc<Supervisor<G>>);

impl<G: StorageGeneration> SupervisedStorage<G> {
    /// Supervises it from now on under this name, which is for logs, metrics and clients. The check of a generation reads `probe`: an entry that is there
    /// and seldom changes, which another generation must read as the one before it does.
    pub fn new(name: impl Into<String>, first: G, probe: Key, options: Options) -> SupervisedStorage<G> {
        let descriptor = Arc::new(first.storage().descriptor().clone());
        let (promised, locks) = (Arc::clone(&descriptor), first.lock().is_some());
        let check = move |new: Arc<G>, old: Option<Arc<G>>| -> Checked {
            let (promised, probe) = (Arc::clone(&promised), probe.clone());
            Box::pin(async move {
                let mut differences = differences(&promised, new.storage().descriptor());
                if locks && new.lock().is_none() {
                    differences.push("it has no lock, and had one".to_owned());
                }
                if !differences.is_empty() {
                    let differences = differences.join("; ");
                    return Err(OpenFailure::refused(format!("it cannot take over without a restart of the server: {differences}")));
                }
                same(&*new, old.as_deref(), &probe).await
            })
        };
        let supervisor = Supervisor::new(name.into(), first, options, Box::new(check), |generation| generation.storage().forget());
        SupervisedStorage { supervisor, descriptor }
    }

    /// The lock, if the first generation had one: then every later one has.
    pub fn lock(&self) -> Option<Arc<SupervisedLock<G>>> {
        self.current().lock().is_some().then(|| Arc::new(SupervisedLock(Arc::clone(&self.supervisor))))
    }

    /// The generation that runs.
    pub fn current(&self) -> Arc<G> {
        self.supervisor.current()
    }

    /// How it fares.
    pub fn status(&self) -> Status {
        self.supervisor.status()
    }

    /// Has what `open` gives take over, if it is compatible and reads what the one before it reads. A failure changes nothing.
    pub async fn replace<F: Future<Output = Result<G, OpenFailure>>>(
        &self,
        open: impl FnOnce(Arc<G>) -> F,
    ) -> Result<Replaced, OpenFailure> {
        self.supervisor.replace(open).await
    }
}

/// Whether both read the same. Read twice where they differ: the entry may have been written in between.
async fn same<G: StorageGeneration>(new: &G, old: Option<&G>, probe: &Key) -> Result<(), OpenFailure> {
    let read = async |generation: &G| generation.storage().get(probe).await;
    for _ in 0..2 {
        let found = read(new).await.map_err(|error| OpenFailure::of(&format!("a read of {probe}"), &error))?;
        let Some(old) = old else { return Ok(()) };
        match read(old).await {
            Ok(there) if there == found => return Ok(()),
            Ok(_) => {}
            // There is nothing to compare with, and perhaps that is why it is replaced.
            Err(_) => return Ok(()),
        }
    }
    Err(OpenFailure::refused(format!("it does not read {probe} as the running one does: it stores elsewhere, or otherwise")))
}

#[async_trait]
impl<G: StorageGeneration> Storage for SupervisedStorage<G> {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let slot = self.supervisor.enter()?;
        let result = slot.generation.storage().get(key).await;
        self.supervisor.leave(&slot, result)
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let slot = self.supervisor.enter()?;
        let result = slot.generation.storage().put(key, value).await;
        self.supervisor.leave(&slot, result)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let slot = self.supervisor.enter()?;
        let result = slot.generation.storage().delete(key).await;
        self.supervisor.leave(&slot, result)
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        let slot = self.supervisor.enter()?;
        let result = slot.generation.storage().list_page(folder, after, limit).await;
        self.supervisor.leave(&slot, result)
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        let slot = self.supervisor.enter()?;
        let result = slot.generation.storage().batch(operations).await;
        self.supervisor.leave(&slot, result)
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        let slot = self.supervisor.enter()?;
        let result = slot.generation.storage().scan(segment, segments, cursor, limit).await;
        self.supervisor.leave(&slot, result)
    }

    fn forget(&self) {
        self.current().storage().forget();
    }
}

/// Every generation that takes over has a lock if the first had one.
fn held<G: StorageGeneration>(generation: &G) -> Result<&dyn Lock> {
    generation.lock().ok_or_else(|| Error::Unsupported("lock".to_owned()))
}

#[async_trait]
impl<G: StorageGeneration> Lock for SupervisedLock<G> {
    async fn try_acquire(&self, key: &Key, claim: Held, seen: Option<Held>) -> Result<bool> {
        let slot = self.0.enter()?;
        let result = held(&*slot.generation)?.try_acquire(key, claim, seen).await;
        self.0.leave(&slot, result)
    }

    async fn renew(&self, key: &Key, identity: &str, expires: u64) -> Result<bool> {
        let slot = self.0.enter()?;
        let result = held(&*slot.generation)?.renew(key, identity, expires).await;
        self.0.leave(&slot, result)
    }

    async fn release(&self, key: &Key, identity: &str) -> Result<()> {
        let slot = self.0.enter()?;
        let result = held(&*slot.generation)?.release(key, identity).await;
        self.0.leave(&slot, result)
    }

    async fn read(&self, key: &Key) -> Result<Option<Held>> {
        let slot = self.0.enter()?;
        let result = held(&*slot.generation)?.read(key).await;
        self.0.leave(&slot, result)
    }

    fn now(&self) -> SystemTime {
        self.0.current().lock().map_or_else(SystemTime::now, Lock::now)
    }
}
