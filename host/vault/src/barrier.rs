//! The barrier: what is above it is plain, what is below it is encrypted and bound to its key.
//!
//! The rule: nothing passes while sealed, nothing that began before a seal passes after the next unseal, nor from one leadership into the
//! next, and the storage and the cache in front of it see ciphertext only.

pub(crate) mod frame;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;
use cofferdam_backend::{Error as Backend, Folder, Key, Operation, Page, Storage};
use zeroize::Zeroizing;

use crate::cache::Cache;
use crate::keyring::Keyring;
use crate::logical::{Error, Result};
use crate::measure::{self, Access};

/// Bytes of ciphertext that are cached unless configured.
pub const DEFAULT_CACHE_BYTES: u64 = 64 << 20;

/// How long an unseal waits for the writes that a seal has overtaken: longer than any deadline of a backend's call.
const OVERTAKEN: Duration = Duration::from_secs(120);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);

/// A storage behind encryption. It begins sealed.
pub struct Barrier {
    storage: Arc<dyn Storage>,
    cache: Cache,
    gate: RwLock<Gate>,
}

/// A change of one entry that a batch is to make, encrypted already.
pub(crate) struct Change(Operation);

impl Change {
    /// What it counts for among the operations and bytes of a batch.
    fn size(&self) -> u64 {
        let value = match &self.0 {
            Operation::Put(_, value) => value.len(),
            Operation::Delete(_) => 0,
        };
        (self.0.key().as_str().len() + value) as u64
    }
}

#[derive(Default)]
struct Gate {
    /// Counts the seals, and the losses of leadership.
    epoch: u64,
    keyring: Option<Keyring>,
}

impl Barrier {
    /// A sealed barrier with a cache of the usual size.
    #[cfg(test)]
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Arc<Barrier> {
        Barrier::with_cache(storage, DEFAULT_CACHE_BYTES)
    }

    /// A sealed barrier that caches up to `bytes` of ciphertext; zero for none.
    pub fn with_cache(storage: Arc<dyn Storage>, bytes: u64) -> Arc<Barrier> {
        Arc::new(Barrier { storage, cache: Cache::new(bytes), gate: RwLock::default() })
    }

    /// Whether there is no keyring.
    pub fn sealed(&self) -> bool {
        self.gate().keyring.is_none()
    }

    fn gate(&self) -> RwLockReadGuard<'_, Gate> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate_mut(&self) -> RwLockWriteGuard<'_, Gate> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an access is good for: until the next seal, or loss of leadership.
    pub(crate) fn epoch(&self) -> u64 {
        self.gate().epoch
    }

    /// What is below, neither decrypted nor cached.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Calls `f` with the keyring, which cannot be wiped meanwhile: `f` must be short.
    pub(crate) fn with_keyring<T>(&self, f: impl FnOnce(&Keyring) -> Result<T>) -> Result<T> {
        f(self.gate().keyring.as_ref().ok_or(Error::Sealed)?)
    }

    /// The same, and [`Error::Sealed`] too if there was a seal since this epoch.
    fn with_keyring_of<T>(&self, epoch: u64, f: impl FnOnce(&Keyring) -> Result<T>) -> Result<T> {
        let gate = self.gate();
        f(gate.keyring.as_ref().filter(|_| gate.epoch == epoch).ok_or(Error::Sealed)?)
    }

    /// Waits until no write is under way. Needed before [`Barrier::unseal`]: one from before the seal must not take effect after it.
    pub(crate) async fn idle(&self) -> Result<()> {
        let idle = async {
            while !self.cache.idle() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(OVERTAKEN, idle).await.map_err(|_| {
            Error::Storage(Backend::Unavailable("writes from before the seal are still under way; unseal again later".to_owned()))
        })
    }

    /// Opens the barrier.
    pub(crate) fn unseal(&self, keyring: Keyring) {
        let mut gate = self.gate_mut();
        // Another server may have written since this one was sealed.
        self.cache.clear();
        gate.keyring = Some(keyring);
    }

    /// Puts a keyring in place of another; a barrier that was sealed meanwhile stays so.
    pub(crate) fn replace(&self, keyring: Keyring) -> Result<()> {
        *self.gate_mut().keyring.as_mut().ok_or(Error::Sealed)? = keyring;
        Ok(())
    }

    /// Ends whatever began before, as a seal does, but keeps the keyring: for a server that goes on as a standby.
    pub(crate) fn leave(&self) {
        let mut gate = self.gate_mut();
        gate.epoch += 1;
        self.cache.clear();
    }

    /// Whether no write is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.cache.idle()
    }

    /// Whether, besides, none that was given up may still take effect.
    pub(crate) fn is_settled(&self) -> bool {
        self.cache.settled()
    }

    /// Wipes keyring and cache.
    pub(crate) fn seal(&self) {
        let mut gate = self.gate_mut();
        gate.keyring = None;
        gate.epoch += 1;
        self.cache.clear();
    }

    /// The entry, decrypted, or none. [`Error::Damaged`] names the key if it does not decrypt.
    pub async fn get(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        self.get_of(self.epoch(), key).await
    }

    /// Encrypts and stores.
    pub async fn put(&self, key: &str, plain: &[u8]) -> Result<()> {
        self.put_of(self.epoch(), key, plain).await
    }

    /// Deletes; a missing entry is a success.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.delete_of(self.epoch(), key).await
    }

    /// All names directly below the folder (empty, or ending in `/`).
    pub async fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.list_of(self.epoch(), folder).await
    }

    /// [`Barrier::get`] for something that began in this epoch; as the further ones.
    pub(crate) async fn get_of(&self, epoch: u64, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let get = async {
            let key = Key::new(key)?;
            self.with_keyring_of(epoch, |_| Ok(()))?;
            match self.cache.get(&*self.storage, &key).await? {
                None => Ok(None),
                Some(stored) => self.with_keyring_of(epoch, |keyring| keyring.open(key.as_str(), &stored)).map(Some),
            }
        };
        measure::barrier(Access::Get, key, get).await
    }

    pub(crate) async fn put_of(&self, epoch: u64, key: &str, plain: &[u8]) -> Result<()> {
        let put = async {
            let key = Key::new(key)?;
            let stored = self.with_keyring_of(epoch, |keyring| keyring.seal(key.as_str(), plain))?;
            Ok(self.cache.put(&*self.storage, &key, Bytes::from(stored)).await?)
        };
        measure::barrier(Access::Put, key, put).await
    }

    /// What [`Barrier::put_of`] does, or without a value [`Barrier::delete_of`], to be done by [`Barrier::batch_of`].
    pub(crate) fn change_of(&self, epoch: u64, key: &str, plain: Option<&[u8]>) -> Result<Change> {
        let key = Key::new(key)?;
        self.with_keyring_of(epoch, |keyring| {
            Ok(Change(match plain {
                Some(plain) => Operation::Put(key.clone(), Bytes::from(keyring.seal(key.as_str(), plain)?)),
                None => Operation::Delete(key),
            }))
        })
    }

    /// Whether a batch is one write of the storage's. If not, it would be a run of writes with more to do for each than there is for a single one.
    pub(crate) fn batches(&self) -> bool {
        self.storage.descriptor().features.atomic_batch
    }

    /// Makes the changes in their order, of which no two are of one key: together where [`Barrier::batches`], as far as the storage's limits go,
    /// and else one after the other. After an error the first of them may be made.
    pub(crate) async fn batch_of(&self, epoch: u64, changes: Vec<Change>) -> Result<()> {
        let limits = self.storage.descriptor().limits;
        let most = if self.batches() { usize::try_from(limits.batch_operations).unwrap_or(usize::MAX) } else { 1 };
        let (mut run, mut bytes) = (Vec::new(), 0);
        for change in changes {
            let size = change.size();
            if !run.is_empty() && (run.len() >= most || bytes + size > limits.batch_bytes) {
                self.make(epoch, std::mem::take(&mut run)).await?;
                bytes = 0;
            }
            bytes += size;
            run.push(change.0);
        }
        self.make(epoch, run).await
    }

    /// Makes changes that fit into a batch. A single one is none, also for the storage's limits.
    async fn make(&self, epoch: u64, mut run: Vec<Operation>) -> Result<()> {
        let Some(first) = run.first().map(|operation| operation.key().clone()) else { return Ok(()) };
        let parts: Vec<Access> = run
            .iter()
            .map(|operation| match operation {
                Operation::Put(..) => Access::Put,
                Operation::Delete(_) => Access::Delete,
            })
            .collect();
        let make = async {
            self.with_keyring_of(epoch, |_| Ok(()))?;
            let storage = &*self.storage;
            let made = match run.pop() {
                Some(Operation::Put(key, value)) if run.is_empty() => self.cache.put(storage, &key, value).await,
                Some(Operation::Delete(key)) if run.is_empty() => self.cache.delete(storage, &key).await,
                last => {
                    run.extend(last);
                    self.cache.batch(storage, run).await
                }
            };
            Ok(made?)
        };
        measure::barrier_batch(&parts, first.as_str(), make).await
    }

    /// Encrypts what is handed out and not stored, for no key.
    pub(crate) fn seal_loose(&self, epoch: u64, plain: &[u8]) -> Result<Vec<u8>> {
        self.with_keyring_of(epoch, |keyring| keyring.seal("", plain))
    }

    /// Decrypts what [`Barrier::seal_loose`] encrypted, or another server under a key of this keyring. Of stored entries none is taken.
    pub(crate) fn open_loose(&self, epoch: u64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        if !frame::bound(sealed) {
            return Err(Error::Damaged("not an encrypted entry that is bound to where it belongs".to_owned()));
        }
        self.with_keyring_of(epoch, |keyring| keyring.open("", sealed))
    }

    pub(crate) async fn delete_of(&self, epoch: u64, key: &str) -> Result<()> {
        let delete = async {
            let key = Key::new(key)?;
            self.with_keyring_of(epoch, |_| Ok(()))?;
            Ok(self.cache.delete(&*self.storage, &key).await?)
        };
        measure::barrier(Access::Delete, key, delete).await
    }

    pub(crate) async fn list_of(&self, epoch: u64, folder: &str) -> Result<Vec<String>> {
        let list = async {
            let folder = Folder::new(folder)?;
            self.with_keyring_of(epoch, |_| Ok(()))?;
            Ok(self.storage.list(&folder).await?)
        };
        measure::barrier(Access::List, folder, list).await
    }

    /// A page of the names directly below the folder that sort after `after`.
    pub(crate) async fn list_page_of(&self, epoch: u64, folder: &str, after: &str, limit: u32) -> Result<Page> {
        let list = async {
            let folder = Folder::new(folder)?;
            self.with_keyring_of(epoch, |_| Ok(()))?;
            Ok(self.storage.list_page(&folder, after, limit).await?)
        };
        measure::barrier(Access::List, folder, list).await
    }

    /// Stores what is encrypted already, or must not be.
    pub(crate) async fn put_stored(&self, key: &str, stored: Vec<u8>) -> Result<()> {
        Ok(self.cache.put(&*self.storage, &Key::new(key)?, Bytes::from(stored)).await?)
    }

    /// Deletes, sealed or not.
    pub(crate) async fn delete_stored(&self, key: &str) -> Result<()> {
        Ok(self.cache.delete(&*self.storage, &Key::new(key)?).await?)
    }

    /// Changes several entries in one batch, sealed or not; none is encrypted here.
    pub(crate) async fn batch_stored(&self, operations: Vec<Operation>) -> Result<()> {
        Ok(self.cache.batch(&*self.storage, operations).await?)
    }

    /// As if no write that was given up could take effect any more.
    #[cfg(test)]
    pub(crate) fn settle(&self) {
        self.cache.settle();
    }
}

#[cfg(test)]
mod tests;
