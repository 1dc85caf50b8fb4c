//! The storage with a journal before it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Error, Folder, Key, Operation, Page, Result, ScanPage, Storage};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use crate::commit::Journal;
use crate::medium::Place;
use crate::pending::Pending;
use crate::settle::Front;
use crate::turns::Turns;
use crate::{Options, recover};

/// A storage whose writes are durable by a journal. What is below it need not sync anything, and may write values over one another in place.
/// A batch comes to the storage one write at a time, and after a crash as a whole or not at all.
pub struct Journaled {
    front: Arc<Front>,
    descriptor: Descriptor,
    place: Arc<dyn Place>,
    /// Shared by writes; alone who writes below a folder that could be a leaf's name.
    gate: RwLock<()>,
    settling: JoinHandle<()>,
}

impl Journaled {
    /// Applies what a crash left in the journals, and begins a new one. Nothing else may use the storage from now on.
    pub async fn open(inner: Arc<dyn Storage>, place: Arc<dyn Place>, options: Options) -> Result<Journaled> {
        recover(inner.as_ref(), &place).await?;
        let name = place.name();
        let pending = Arc::new(Pending::default());
        let journal = Journal::begin(place.clone(), pending.clone(), options)
            .map_err(|error| Error::Denied(format!("the journal in {name} cannot be begun: {error}")))?;
        let due = journal.due();
        let mut descriptor = inner.descriptor().clone();
        descriptor.features.atomic_batch = true;
        let front = Arc::new(Front { inner, pending, turns: Turns::new(), journal });
        let settling = tokio::spawn(front.clone().run(due));
        Ok(Journaled { front, descriptor, place, gate: RwLock::default(), settling })
    }

    /// Sees everything to the disk and empties the journal. What is written after it fails.
    pub async fn close(&self) {
        self.front.journal.end().await;
    }

    /// The journal and what is before the storage.
    #[cfg(test)]
    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    async fn write(&self, operations: Vec<Operation>) -> Result<()> {
        // Whether the storage takes a key is asked before, as nothing that was acknowledged can be taken back.
        let beside: Vec<Key> = operations.iter().flat_map(|operation| beside(operation.key())).collect();
        if beside.is_empty() {
            let _shared = self.gate.read().await;
            self.free(&operations)?;
            return self.front.journal.commit(operations).await;
        }
        let _alone = self.gate.write().await;
        if let Some(both) = operations.iter().find(|operation| matches!(operation, Operation::Put(..)) && beside.contains(operation.key()))
        {
            return Err(taken(both.key(), &format!("_{}", both.key().leaf())));
        }
        self.front.settle(&beside).await?;
        self.free(&operations)?;
        let keys: Vec<Key> = operations.iter().map(|operation| operation.key().clone()).collect();
        self.front.journal.commit(operations).await?;
        // So that whoever comes next finds the folder, or that it is gone. If not, it is tried again with all that is pending.
        let _ = self.front.settle(&keys).await;
        Ok(())
    }

    /// Fails if a place that is new has the name of something else.
    fn free(&self, operations: &[Operation]) -> Result<()> {
        for operation in operations {
            let key = operation.key();
            if matches!(operation, Operation::Delete(_)) || matches!(self.front.pending.value(key), Some(Some(_))) {
                continue;
            }
            match self.place.taken(key) {
                Ok(None) => {}
                Ok(Some(name)) => return Err(taken(key, &name)),
                Err(error) => return Err(Error::Denied(format!("the place of key {:?} cannot be looked at: {error}", key.as_str()))),
            }
        }
        Ok(())
    }
}

fn taken(key: &Key, name: &str) -> Error {
    Error::InvalidKey(format!("key {:?} cannot be stored: the layout gives the name {name:?} to something else", key.as_str()))
}

/// The leaves whose files would have the names of the key's folders.
fn beside(key: &Key) -> Vec<Key> {
    let leaf = |folder: &str| {
        let folder = folder.trim_end_matches('/');
        let (above, name) = folder.rsplit_once('/').unwrap_or(("", folder));
        let name = name.strip_prefix('_')?;
        Key::new(if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") }).ok()
    };
    key.folders().filter_map(leaf).collect()
}

impl Drop for Journaled {
    fn drop(&mut self) {
        self.settling.abort();
    }
}

#[async_trait]
impl Storage for Journaled {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        if let Some(value) = self.front.pending.value(key) {
            return Ok(value);
        }
        let _turn = self.front.turns.to_read(key).await;
        self.front.inner.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let operation = Operation::Put(key.clone(), value);
        self.descriptor().limits.check(&operation)?;
        self.write(vec![operation]).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.descriptor().limits.check_key(key)?;
        self.write(vec![Operation::Delete(key.clone())]).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.front.settle(&self.front.pending.below(folder)).await?;
        self.front.inner.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        if operations.is_empty() {
            return Ok(());
        }
        self.descriptor().limits.check_batch(&operations)?;
        self.write(operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.front.settle(&self.front.pending.before(self.front.pending.next())).await?;
        let _turn = self.front.turns.to_read_all().await;
        self.front.inner.scan(segment, segments, cursor, limit).await
    }

    fn forget(&self) {
        self.front.inner.forget();
    }
}
