//! The cache in front of the storage. It holds ciphertext, as the storage does, and that an entry is missing.
//!
//! The rule: it never answers what the storage would not have answered since the last mutation through it. Mutations write
//! through. A read fills the cache only if no mutation of its shard was under way at any time between the read's begin and end.
//! A mutation whose outcome is unknown may still take effect later, so its shard is not filled for a while.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cofferdam_backend::{Error, Key, Result, Storage};
use quick_cache::Weighter;
use quick_cache::sync::Cache as Entries;

/// How long a mutation that was given up may still take effect: longer than any deadline of a backend's call.
const UNKNOWN_FOR: Duration = Duration::from_secs(120);
/// What an entry costs beside key and value.
const OVERHEAD: u64 = 96;
const SHARDS: usize = 256;
/// Entries that other servers change, or that are read once: leases, and what is read around the barrier.
const NEVER: [&str; 4] = ["sys/expire/", "core/raft/tls", "core/seal-config", "core/recovery-config"];

/// By key: the ciphertext, or that there is none.
type Map = Entries<Key, Option<Bytes>, Weight>;

/// A bounded cache of a storage's entries. Listings are not cached.
pub(crate) struct Cache {
    entries: Option<Map>,
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Option<Bytes>> for Weight {
    fn weight(&self, key: &Key, value: &Option<Bytes>) -> u64 {
        OVERHEAD + (key.as_str().len() + value.as_ref().map_or(0, Bytes::len)) as u64
    }
}

/// What says whether a read may fill the cache.
#[derive(Default)]
struct Shard {
    /// Changes when a mutation begins or ends.
    epoch: u64,
    /// Mutations under way.
    mutations: u32,
    /// Until when one that was given up may take effect.
    unknown_until: Option<Instant>,
}

impl Shard {
    fn quiet(&mut self) -> bool {
        if self.unknown_until.is_some_and(|until| until <= Instant::now()) {
            self.unknown_until = None;
        }
        self.mutations == 0 && self.unknown_until.is_none()
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    /// A cache that holds up to `bytes`; zero turns it off.
    pub(crate) fn new(bytes: u64) -> Cache {
        let items = usize::try_from(bytes / 1024).unwrap_or(usize::MAX).max(16);
        let entries = (bytes > 0).then(|| Entries::with_weighter(items, bytes, Weight));
        Cache { entries, shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(), hasher: RandomState::new() }
    }

    fn shard(&self, key: &Key) -> Option<(&Map, &Mutex<Shard>)> {
        if NEVER.iter().any(|prefix| key.as_str().starts_with(prefix)) {
            return None;
        }
        let index = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        Some((self.entries.as_ref()?, self.shards.get(index)?))
    }

    /// Forgets everything, also what is being read.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            lock(shard).epoch += 1;
        }
        if let Some(entries) = &self.entries {
            entries.clear();
        }
    }

    /// The entry's ciphertext, or none.
    pub(crate) async fn get(&self, storage: &dyn Storage, key: &Key) -> Result<Option<Bytes>> {
        let Some((entries, shard)) = self.shard(key) else { return storage.get(key).await };
        if let Some(value) = entries.get(key) {
            metrics::counter!("vault_cache_hit").increment(1);
            return Ok(value);
        }
        metrics::counter!("vault_cache_miss").increment(1);
        let epoch = {
            let mut shard = lock(shard);
            shard.quiet().then_some(shard.epoch)
        };
        let value = storage.get(key).await?;
        let shard = lock(shard);
        if epoch == Some(shard.epoch) {
            // Inserted under the shard's lock, before any mutation can begin.
            entries.insert(key.clone(), value.clone());
        }
        Ok(value)
    }

    /// Stores the ciphertext.
    pub(crate) async fn put(&self, storage: &dyn Storage, key: &Key, value: Bytes) -> Result<()> {
        let Some((entries, shard)) = self.shard(key) else { return storage.put(key, value).await };
        let mutation = Mutation::begin(entries, shard, key);
        let result = storage.put(key, value.clone()).await;
        mutation.end(&result, Some(value));
        result
    }

    /// Removes the entry.
    pub(crate) async fn delete(&self, storage: &dyn Storage, key: &Key) -> Result<()> {
        let Some((entries, shard)) = self.shard(key) else { return storage.delete(key).await };
        let mutation = Mutation::begin(entries, shard, key);
        let result = storage.delete(key).await;
        mutation.end(&result, None);
        result
    }
}

/// A mutation under way. Dropped without [`Mutation::end`], its outcome is unknown.
struct Mutation<'a> {
    entries: &'a Map,
    shard: &'a Mutex<Shard>,
    key: &'a Key,
    /// The shard's epoch while no other mutation of it begins or ends; none if one was under way already.
    alone: Option<u64>,
    unknown: bool,
}

impl<'a> Mutation<'a> {
    fn begin(entries: &'a Map, shard: &'a Mutex<Shard>, key: &'a Key) -> Mutation<'a> {
        metrics::counter!("vault_cache_write").increment(1);
        let mut state = lock(shard);
        let quiet = state.quiet();
        state.epoch += 1;
        state.mutations += 1;
        entries.remove(key);
        Mutation { entries, shard, key, alone: quiet.then_some(state.epoch), unknown: true }
    }

    fn end(mut self, result: &Result<()>, value: Option<Bytes>) {
        match result {
            Ok(()) => {
                self.unknown = false;
                let shard = lock(self.shard);
                // Of two mutations at once nobody knows which one the storage did last.
                if self.alone == Some(shard.epoch) {
                    self.entries.insert(self.key.clone(), value);
                }
            }
            Err(Error::TimedOut(_) | Error::Unavailable(_) | Error::Breach(_)) => {}
            Err(_) => self.unknown = false,
        }
    }
}

impl Drop for Mutation<'_> {
    fn drop(&mut self) {
        let mut shard = lock(self.shard);
        shard.epoch += 1;
        shard.mutations = shard.mutations.saturating_sub(1);
        if self.unknown {
            shard.unknown_until = Instant::now().checked_add(UNKNOWN_FOR);
        }
    }
}

#[cfg(test)]
mod tests;
