//! Who reads an entry of the storage and who changes it take turns, since below a journal values may be written over in place; and who changes one reads
//! what is to be written only then, so that an older value never comes after a newer one.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use cofferdam_backend::Key;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

const TURNS: usize = 1024;

pub(crate) struct Turns {
    turns: Vec<RwLock<()>>,
    /// Shared by who changes entries, and held alone by who reads whatever is there.
    all: RwLock<()>,
    hasher: RandomState,
}

impl Turns {
    pub(crate) fn new() -> Turns {
        Turns { turns: (0..TURNS).map(|_| RwLock::default()).collect(), all: RwLock::new(()), hasher: RandomState::new() }
    }

    fn number(&self, key: &Key) -> usize {
        // Less than the number of turns.
        usize::try_from(self.hasher.hash_one(key.as_str()) % TURNS as u64).unwrap_or(0)
    }

    /// The turn to change these keys: nobody else reads or changes them meanwhile.
    pub(crate) async fn alone(&self, keys: &[Key]) -> (RwLockReadGuard<'_, ()>, Vec<RwLockWriteGuard<'_, ()>>) {
        let all = self.all.read().await;
        // In one order for all, so that nobody waits for each other.
        let numbers: BTreeSet<usize> = keys.iter().map(|key| self.number(key)).collect();
        let mut held = Vec::with_capacity(numbers.len());
        for turn in numbers.into_iter().filter_map(|number| self.turns.get(number)) {
            held.push(turn.write().await);
        }
        (all, held)
    }

    /// The turn to read a key.
    pub(crate) async fn to_read(&self, key: &Key) -> Option<RwLockReadGuard<'_, ()>> {
        Some(self.turns.get(self.number(key))?.read().await)
    }

    /// The turn to read all that there is.
    pub(crate) async fn to_read_all(&self) -> RwLockWriteGuard<'_, ()> {
        self.all.write().await
    }
}
