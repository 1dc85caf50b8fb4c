//! The entries that are worked on, and their removal.

use super::StorageError;
use bytes::Bytes;
use cofferdam_backend::Error;
use cofferdam_backend::Folder;
use cofferdam_backend::Key;
use cofferdam_backend::Storage;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::stream;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// The folder of all runs.
const ALL: &str = "coffer-bench/";
/// Entries of a folder, as a listing shows them.
const FOLDER: u32 = 100;
/// Removals in flight.
const REMOVALS: usize = 16;
/// How often a removal is tried again, and how long is waited at first; each wait is twice the one before.
const TRIES: u32 = 8;
const WAIT: Duration = Duration::from_millis(100);

pub(super) struct Ground {
    storage: Arc<dyn Storage>,
    prefix: String,
    keys: Vec<Key>,
    folders: Vec<Folder>,
    value: Bytes,
}

impl Ground {
    pub(super) fn new(storage: Arc<dyn Storage>, keys: u32, value_size: u32) -> Result<Self, StorageError> {
        let fail = |invalid: cofferdam_backend::InvalidKey| StorageError::Measuring(invalid.to_string());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let prefix = format!("{ALL}{since:x}-{:x}/", std::process::id());
        let key = |number: u32| Key::new(format!("{prefix}{:04}/{number:07}", number / FOLDER)).map_err(fail);
        let folder = |number: u32| Folder::new(format!("{prefix}{number:04}/")).map_err(fail);
        // What a vault stores is ciphertext: nothing that a store could compress.
        let mut random = Random::new(1);
        let value: Vec<u8> = (0..value_size).map(|_| random.byte()).collect();
        Ok(Self {
            keys: (0..keys).map(key).collect::<Result<_, _>>()?,
            folders: (0..keys.div_ceil(FOLDER)).map(folder).collect::<Result<_, _>>()?,
            storage,
            value: value.into(),
            prefix,
        })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub(super) fn value(&self) -> &Bytes {
        &self.value
    }

    pub(super) fn some_key(&self, random: &mut Random) -> Result<&Key, Error> {
        random.of(&self.keys).ok_or_else(|| Error::Unsupported("there are no entries".to_owned()))
    }

    pub(super) fn some_folder(&self, random: &mut Random) -> Result<&Folder, Error> {
        random.of(&self.folders).ok_or_else(|| Error::Unsupported("there are no folders".to_owned()))
    }

    /// Removes every entry. Those of keys that were never written are removed in vain, which is no error.
    pub(super) async fn clear(&self) -> Result<(), StorageError> {
        let fail = |source| StorageError::Backend { what: "removing the entries that the run wrote", source };
        stream::iter(&self.keys).map(Ok).try_for_each_concurrent(REMOVALS, |key| self.remove(key)).await.map_err(fail)
    }

    async fn remove(&self, key: &Key) -> Result<(), Error> {
        let mut wait = WAIT;
        for _ in 1..TRIES {
            match self.storage.delete(key).await {
                Err(Error::Unavailable(_) | Error::Busy(_) | Error::TimedOut(_)) => {}
                Err(Error::Throttled(least)) => wait = wait.max(least),
                done => return done,
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        self.storage.delete(key).await
    }
}

/// Numbers that need not be unpredictable, without a lock between workers: xorshift.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
        all.get(usize::try_from(self.next() % count).ok()?)
    }
}
