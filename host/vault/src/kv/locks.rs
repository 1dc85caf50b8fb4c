//! A lock for every key, so that writers of one key wait for each other and those of others do not.
//!
//! The rule: a key's lock is one of a fixed number, chosen by its hash; one task holds at most one of them.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

const SHARDS: usize = 256;

/// The locks of one engine.
pub(crate) struct Locks {
    shards: Vec<RwLock<()>>,
    hasher: RandomState,
    /// Used only if the list were empty, which it is not.
    spare: RwLock<()>,
}

impl Locks {
    pub(crate) fn new() -> Locks {
        Locks { shards: (0..SHARDS).map(|_| RwLock::new(())).collect(), hasher: RandomState::new(), spare: RwLock::new(()) }
    }

    fn of(&self, key: &str) -> &RwLock<()> {
        let shard = self.hasher.hash_one(key) % SHARDS as u64;
        usize::try_from(shard).ok().and_then(|shard| self.shards.get(shard)).unwrap_or(&self.spare)
    }

    /// Waits until nobody writes the key.
    pub(crate) async fn read(&self, key: &str) -> RwLockReadGuard<'_, ()> {
        self.of(key).read().await
    }

    /// Waits until nobody reads or writes the key.
    pub(crate) async fn write(&self, key: &str) -> RwLockWriteGuard<'_, ()> {
        self.of(key).write().await
    }
}
