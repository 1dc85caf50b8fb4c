//! The cache in front of the storage. It holds ciphertext, as the storage does, and that an entry is missing.
//!
//! The rule: it never answers what the storage would not have answered since the last mutation through it. Mutations write
//! through. A read fills the cache only if no mutation of its shard was under way at any time between the read's begin and end.
//! A mutation whose outcome is unknown may still take effect, and would undo what was acknowledged after it: as long as it may, its key is
//! neither cached nor mutated.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cofferdam_backend::{Error, Key, Operation, Result, Storage};
use quick_cache::Weighter;
use quick_cache::sync::Cache as Entries;
use tracing::Instrument;

use crate::measure;

/// How long a mutation that was given up may still take effect: longer than any deadline of a backend's call.
const UNKNOWN_FOR: Duration = Duration::from_secs(120);
/// What an entry costs beside key and value.
const OVERHEAD: u64 = 96;
const SHARDS: usize = 256;
/// The counters of mutations, by Vault's names.
const WRITE: &str = "vault_cache_write";
const DELETE: &str = "vault_cache_delete";
/// Entries that other servers change, or that are read once: leases, and what is read around the barrier.
const NEVER: [&str; 4] = ["sys/expire/", "core/raft/tls", "core/seal-config", "core/recovery-config"];

/// By key: the ciphertext, or that there is none.
type Map = Entries<Key, Option<Bytes>, Weight>;

/// A bounded cache of a storage's entries, and the one way to mutate them. Listings are not cached.
pub(crate) struct Cache {
    entries: Option<Map>,
    /// By a key's hash: the first one, and the others.
    shards: (Mutex<Shard>, Vec<Mutex<Shard>>),
    hasher: RandomState,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Option<Bytes>> for Weight {
    fn weight(&self, key: &Key, value: &Option<Bytes>) -> u64 {
        OVERHEAD + (key.as_str().len() + value.as_ref().map_or(0, Bytes::len)) as u64
    }
}

/// What says whether a read may fill the cache, and whether a key may be mutated.
#[derive(Default)]
struct Shard {
    /// Changes when a mutation begins or ends.
    epoch: u64,
    /// Mutations under way.
    mutations: u32,
    /// The keys of those that were given up, and until when they may take effect. Nearly always empty.
    unknown: HashMap<Key, Instant>,
}

impl Shard {
    /// How long a mutation of the key that was given up may still take effect.
    fn unknown(&mut self, key: &Key) -> Option<Duration> {
        if self.unknown.is_empty() {
            return None;
        }
        let now = Instant::now();
        self.unknown.retain(|_, until| *until > now);
        self.unknown.get(key).map(|until| until.duration_since(now))
    }

    fn quiet(&mut self, key: &Key) -> bool {
        self.mutations == 0 && self.unknown(key).is_none()
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
        let others = std::iter::repeat_with(Mutex::default).take(SHARDS - 1).collect();
        Cache { entries, shards: (Mutex::default(), others), hasher: RandomState::new() }
    }

    /// The entries, if this key's may be among them.
    fn entries(&self, key: &Key) -> Option<&Map> {
        self.entries.as_ref().filter(|_| !NEVER.iter().any(|prefix| key.as_str().starts_with(prefix)))
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        let index = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        self.shards.1.get(index).unwrap_or(&self.shards.0)
    }

    fn all_shards(&self) -> impl Iterator<Item = &Mutex<Shard>> {
        std::iter::once(&self.shards.0).chain(&self.shards.1)
    }

    /// Whether no mutation is under way.
    pub(crate) fn idle(&self) -> bool {
        self.all_shards().all(|shard| lock(shard).mutations == 0)
    }

    /// Whether, besides, none that was given up may still take effect.
    pub(crate) fn settled(&self) -> bool {
        let now = Instant::now();
        self.all_shards().all(|shard| {
            let shard = lock(shard);
            shard.mutations == 0 && shard.unknown.values().all(|until| *until <= now)
        })
    }

    /// As if every mutation that was given up could take effect no more.
    #[cfg(test)]
    pub(crate) fn settle(&self) {
        self.all_shards().for_each(|shard| lock(shard).unknown.clear());
    }

    /// Forgets everything, also what is being read.
    pub(crate) fn clear(&self) {
        for shard in self.all_shards() {
            lock(shard).epoch += 1;
        }
        if let Some(entries) = &self.entries {
            entries.clear();
        }
    }

    /// The entry's ciphertext, or none.
    pub(crate) async fn get(&self, storage: &dyn Storage, key: &Key) -> Result<Option<Bytes>> {
        let Some(entries) = self.entries(key) else { return storage.get(key).await };
        let span = measure::cache("get");
        if let Some(value) = entries.get(key) {
            measure::hit(&span, true);
            metrics::counter!("vault_cache_hit").increment(1);
            return Ok(value);
        }
        measure::hit(&span, false);
        metrics::counter!("vault_cache_miss").increment(1);
        let shard = self.shard(key);
        let epoch = {
            let mut shard = lock(shard);
            shard.quiet(key).then_some(shard.epoch)
        };
        let value = storage.get(key).instrument(span).await?;
        let shard = lock(shard);
        if epoch == Some(shard.epoch) {
            // Inserted under the shard's lock, before any mutation can begin.
            entries.insert(key.clone(), value.clone());
        }
        Ok(value)
    }

    /// Stores the ciphertext. [`Error::Unavailable`] while an earlier mutation of the key that was given up may still take effect.
    pub(crate) async fn put(&self, storage: &dyn Storage, key: &Key, value: Bytes) -> Result<()> {
        let mutation = Mutation::begin(self.entries(key), self.shard(key), key, WRITE)?;
        let result = storage.put(key, value.clone()).instrument(measure::cache("put")).await;
        mutation.end(&result, Some(value));
        result
    }

    /// Removes the entry. Errors as [`Cache::put`]'s.
    pub(crate) async fn delete(&self, storage: &dyn Storage, key: &Key) -> Result<()> {
        let mutation = Mutation::begin(self.entries(key), self.shard(key), key, DELETE)?;
        let result = storage.delete(key).instrument(measure::cache("delete")).await;
        mutation.end(&result, None);
        result
    }

    /// Changes several entries in one batch of the storage's. Errors as [`Cache::put`]'s.
    pub(crate) async fn batch(&self, storage: &dyn Storage, operations: Vec<Operation>) -> Result<()> {
        let keys: Vec<(Key, Option<Bytes>)> = operations
            .iter()
            .map(|operation| match operation {
                Operation::Put(key, value) => (key.clone(), Some(value.clone())),
                Operation::Delete(key) => (key.clone(), None),
            })
            .collect();
        let mut mutations = Vec::with_capacity(keys.len());
        for (key, value) in &keys {
            match Mutation::begin(self.entries(key), self.shard(key), key, if value.is_some() { WRITE } else { DELETE }) {
                Ok(mutation) => mutations.push(mutation),
                Err(error) => {
                    // None of those before it is sent.
                    mutations.into_iter().for_each(|mutation| mutation.end(&Err(Error::Conflict(String::new())), None));
                    return Err(error);
                }
            }
        }
        let result = storage.batch(operations).instrument(measure::cache("batch")).await;
        for (mutation, (_, value)) in mutations.into_iter().zip(&keys) {
            mutation.end(&result, value.clone());
        }
        result
    }
}

/// A mutation under way. Dropped without [`Mutation::end`], its outcome is unknown.
struct Mutation<'a> {
    entries: Option<&'a Map>,
    shard: &'a Mutex<Shard>,
    key: &'a Key,
    /// The shard's epoch while no other mutation of it begins or ends; none if one was under way already.
    alone: Option<u64>,
    unknown: bool,
}

impl<'a> Mutation<'a> {
    fn begin(entries: Option<&'a Map>, shard: &'a Mutex<Shard>, key: &'a Key, counter: &'static str) -> Result<Mutation<'a>> {
        let mut state = lock(shard);
        if let Some(left) = state.unknown(key) {
            let seconds = left.as_secs() + 1;
            return Err(Error::Unavailable(format!("an earlier write of {key} may still take effect; try again in {seconds} s")));
        }
        let alone = state.mutations == 0;
        state.epoch += 1;
        state.mutations += 1;
        if let Some(entries) = entries {
            metrics::counter!(counter).increment(1);
            entries.remove(key);
        }
        Ok(Mutation { entries, shard, key, alone: alone.then_some(state.epoch), unknown: true })
    }

    fn end(mut self, result: &Result<()>, value: Option<Bytes>) {
        match result {
            Ok(()) => {
                self.unknown = false;
                let shard = lock(self.shard);
                // Of two mutations at once nobody knows which one the storage did last.
                if let Some(entries) = self.entries.filter(|_| self.alone == Some(shard.epoch)) {
                    entries.insert(self.key.clone(), value);
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
            shard.unknown.insert(self.key.clone(), Instant::now() + UNKNOWN_FOR);
        }
    }
}

#[cfg(test)]
mod tests;
