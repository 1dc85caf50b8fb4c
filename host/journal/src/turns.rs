//! Writes of one key take turns from their journal entry to their end: applied in another order than they are in the journal, a crash would bring back the
//! one that was overwritten. Nobody reads an entry while it is written, since below a journal it may be written over in place.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use cofferdam_backend::{Key, Operation};
use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

const TURNS: usize = 256;

#[derive(Default)]
struct Turn {
    /// Held by a write from its journal entry on.
    order: Mutex<()>,
    /// Held by a write while it is applied, and shared by those who read.
    entry: RwLock<()>,
}

pub(crate) struct Turns {
    turns: Vec<Turn>,
    /// Shared by writes while they are applied, and held alone by who reads whatever is there.
    all: RwLock<()>,
    hasher: RandomState,
}

impl Turns {
    pub(crate) fn new() -> Turns {
        Turns { turns: (0..TURNS).map(|_| Turn::default()).collect(), all: RwLock::new(()), hasher: RandomState::new() }
    }

    fn number(&self, key: &Key) -> usize {
        // Less than the number of turns.
        usize::try_from(self.hasher.hash_one(key.as_str()) % TURNS as u64).unwrap_or(0)
    }

    /// Those of the keys, in one order for all, so that nobody waits for each other.
    fn of<'a>(&'a self, operations: &[Operation]) -> impl Iterator<Item = &'a Turn> {
        let numbers: BTreeSet<usize> = operations.iter().map(|operation| self.number(operation.key())).collect();
        numbers.into_iter().filter_map(|number| self.turns.get(number))
    }

    /// The turn to write every key of the operations.
    pub(crate) async fn to_write(&self, operations: &[Operation]) -> Vec<MutexGuard<'_, ()>> {
        let mut held = Vec::new();
        for turn in self.of(operations) {
            held.push(turn.order.lock().await);
        }
        held
    }

    /// The entries of these keys, for whoever has their turn: nobody reads them meanwhile.
    pub(crate) async fn alone(&self, operations: &[Operation]) -> (RwLockReadGuard<'_, ()>, Vec<RwLockWriteGuard<'_, ()>>) {
        let all = self.all.read().await;
        let mut held = Vec::new();
        for turn in self.of(operations) {
            held.push(turn.entry.write().await);
        }
        (all, held)
    }

    /// The turn to read a key.
    pub(crate) async fn to_read(&self, key: &Key) -> Option<RwLockReadGuard<'_, ()>> {
        Some(self.turns.get(self.number(key))?.entry.read().await)
    }

    /// The turn to read all that there is.
    pub(crate) async fn to_read_all(&self) -> RwLockWriteGuard<'_, ()> {
        self.all.write().await
    }
}
