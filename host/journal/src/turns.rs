//! Writes of one key take turns from their journal entry to their end: applied in another order than they are in the journal, a crash would bring back the
//! one that was overwritten. Nobody reads an entry while it is written, since below a journal it may be written over in place.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use cofferdam_backend::{Key, Operation};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

const TURNS: usize = 256;

pub(crate) struct Turns {
    locks: Vec<RwLock<()>>,
    /// Held by every write, and alone by who reads whatever is there.
    all: RwLock<()>,
    hasher: RandomState,
}

impl Turns {
    pub(crate) fn new() -> Turns {
        Turns { locks: (0..TURNS).map(|_| RwLock::new(())).collect(), all: RwLock::new(()), hasher: RandomState::new() }
    }

    fn number(&self, key: &Key) -> usize {
        // Less than the number of locks.
        usize::try_from(self.hasher.hash_one(key.as_str()) % TURNS as u64).unwrap_or(0)
    }

    /// The turn to write every key of the operations; they are taken in one order by all, so that nobody waits for each other.
    pub(crate) async fn to_write(&self, operations: &[Operation]) -> (RwLockReadGuard<'_, ()>, Vec<RwLockWriteGuard<'_, ()>>) {
        let numbers: BTreeSet<usize> = operations.iter().map(|operation| self.number(operation.key())).collect();
        let all = self.all.read().await;
        let mut held = Vec::with_capacity(numbers.len());
        for lock in numbers.into_iter().filter_map(|number| self.locks.get(number)) {
            held.push(lock.write().await);
        }
        (all, held)
    }

    /// The turn to read a key.
    pub(crate) async fn to_read(&self, key: &Key) -> Option<RwLockReadGuard<'_, ()>> {
        Some(self.locks.get(self.number(key))?.read().await)
    }

    /// The turn to read all that there is.
    pub(crate) async fn to_read_all(&self) -> RwLockWriteGuard<'_, ()> {
        self.all.write().await
    }
}
