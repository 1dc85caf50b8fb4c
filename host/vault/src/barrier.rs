//! The barrier: what is above it is plain, what is below it is encrypted and bound to its key.
//!
//! The rule: nothing passes while sealed, and the storage and the cache in front of it see ciphertext only.

pub(crate) mod frame;

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use cofferdam_backend::{Folder, Key, Page, Storage};
use zeroize::Zeroizing;

use crate::cache::Cache;
use crate::keyring::Keyring;
use crate::logical::{Error, Result};

/// Bytes of ciphertext that are cached unless configured.
pub const DEFAULT_CACHE_BYTES: u64 = 64 << 20;

/// A storage behind encryption. It begins sealed.
pub struct Barrier {
    storage: Arc<dyn Storage>,
    cache: Cache,
    keyring: RwLock<Option<Keyring>>,
}

impl Barrier {
    /// A sealed barrier with a cache of the usual size.
    pub fn new(storage: Arc<dyn Storage>) -> Arc<Barrier> {
        Barrier::with_cache(storage, DEFAULT_CACHE_BYTES)
    }

    /// A sealed barrier that caches up to `bytes` of ciphertext; zero for none.
    pub fn with_cache(storage: Arc<dyn Storage>, bytes: u64) -> Arc<Barrier> {
        Arc::new(Barrier { storage, cache: Cache::new(bytes), keyring: RwLock::new(None) })
    }

    /// Whether there is no keyring.
    pub fn sealed(&self) -> bool {
        self.keyring.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// What is below, neither decrypted nor cached.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Calls `f` with the keyring, which cannot be wiped meanwhile: `f` must be short.
    pub(crate) fn with_keyring<T>(&self, f: impl FnOnce(&Keyring) -> Result<T>) -> Result<T> {
        f(self.keyring.read().unwrap_or_else(PoisonError::into_inner).as_ref().ok_or(Error::Sealed)?)
    }

    /// Opens the barrier.
    pub(crate) fn unseal(&self, keyring: Keyring) {
        let mut slot = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
        // Another server may have written since this one was sealed.
        self.cache.clear();
        *slot = Some(keyring);
    }

    /// Puts a keyring in place of another; a barrier that was sealed meanwhile stays so.
    pub(crate) fn replace(&self, keyring: Keyring) -> Result<()> {
        let mut slot = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
        *slot.as_mut().ok_or(Error::Sealed)? = keyring;
        Ok(())
    }

    /// Wipes keyring and cache.
    pub(crate) fn seal(&self) {
        let mut slot = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
        *slot = None;
        self.cache.clear();
    }

    /// The entry, decrypted, or none. [`Error::Damaged`] names the key if it does not decrypt.
    pub async fn get(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let key = Key::new(key)?;
        self.with_keyring(|_| Ok(()))?;
        match self.cache.get(&*self.storage, &key).await? {
            None => Ok(None),
            Some(stored) => self.with_keyring(|keyring| keyring.open(key.as_str(), &stored)).map(Some),
        }
    }

    /// Encrypts and stores.
    pub async fn put(&self, key: &str, plain: &[u8]) -> Result<()> {
        let key = Key::new(key)?;
        let stored = self.with_keyring(|keyring| keyring.seal(key.as_str(), plain))?;
        Ok(self.cache.put(&*self.storage, &key, Bytes::from(stored)).await?)
    }

    /// Deletes; a missing entry is a success.
    pub async fn delete(&self, key: &str) -> Result<()> {
        let key = Key::new(key)?;
        self.with_keyring(|_| Ok(()))?;
        Ok(self.cache.delete(&*self.storage, &key).await?)
    }

    /// Stores what is encrypted already, or must not be.
    pub(crate) async fn put_stored(&self, key: &str, stored: Vec<u8>) -> Result<()> {
        Ok(self.cache.put(&*self.storage, &Key::new(key)?, Bytes::from(stored)).await?)
    }

    /// Deletes, sealed or not.
    pub(crate) async fn delete_stored(&self, key: &str) -> Result<()> {
        Ok(self.cache.delete(&*self.storage, &Key::new(key)?).await?)
    }

    /// A page of the names directly below the folder (empty, or ending in `/`) that sort after `after`.
    pub async fn list_page(&self, folder: &str, after: &str, limit: u32) -> Result<Page> {
        let folder = Folder::new(folder)?;
        self.with_keyring(|_| Ok(()))?;
        Ok(self.storage.list_page(&folder, after, limit).await?)
    }

    /// All names directly below the folder.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let folder = Folder::new(folder)?;
        self.with_keyring(|_| Ok(()))?;
        Ok(self.storage.list(&folder).await?)
    }
}

#[cfg(test)]
mod tests;
