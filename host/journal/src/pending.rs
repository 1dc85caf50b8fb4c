//! What the journal has and the storage has not yet.
//!
//! The rule: whoever reads looks here first. A write comes here when it is durable, in the order of the journal, and leaves when the storage has it, or
//! a later one of the same key is here.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cofferdam_backend::{Folder, Key, Operation};

/// Writes by key, the last of each.
#[derive(Default)]
pub(crate) struct Pending(Mutex<State>);

#[derive(Default)]
struct State {
    writes: BTreeMap<Key, Write>,
    next: u64,
}

struct Write {
    number: u64,
    operation: Operation,
    /// As long as anybody has one of them, the journal that the write is in is kept.
    _held: Sender<Infallible>,
}

impl Pending {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what has become durable together.
    pub(crate) fn add(&self, operations: impl IntoIterator<Item = Operation>, held: &Sender<Infallible>) {
        let mut state = self.state();
        for operation in operations {
            let write = Write { number: state.next, operation, _held: held.clone() };
            state.next += 1;
            state.writes.insert(write.operation.key().clone(), write);
        }
    }

    /// What is to be read of the key, if it is here; none inside if it is to be deleted.
    pub(crate) fn value(&self, key: &Key) -> Option<Option<Bytes>> {
        Some(match &self.state().writes.get(key)?.operation {
            Operation::Put(_, value) => Some(value.clone()),
            Operation::Delete(_) => None,
        })
    }

    /// All that comes from now on has this number or a higher one.
    pub(crate) fn next(&self) -> u64 {
        self.state().next
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state().writes.is_empty()
    }

    /// The keys of what has a lower number, in their order.
    pub(crate) fn before(&self, number: u64) -> Vec<Key> {
        self.state().writes.values().filter(|write| write.number < number).map(|write| write.operation.key().clone()).collect()
    }

    /// The keys below a folder, in their order.
    pub(crate) fn below(&self, folder: &Folder) -> Vec<Key> {
        let prefix = folder.as_str();
        let state = self.state();
        let keys = |range: &mut dyn Iterator<Item = (&Key, &Write)>| range.map(|(key, _)| key.clone()).collect();
        let Ok(first) = Key::new(prefix.trim_end_matches('/')) else { return keys(&mut state.writes.iter()) };
        let range = state.writes.range(first..).take_while(|(key, _)| key.as_str() <= prefix || key.as_str().starts_with(prefix));
        keys(&mut range.filter(|(key, _)| key.as_str().starts_with(prefix)))
    }

    /// What is here of these keys, with its numbers.
    pub(crate) fn of(&self, keys: &[Key]) -> Vec<(u64, Operation)> {
        let state = self.state();
        keys.iter().filter_map(|key| state.writes.get(key)).map(|write| (write.number, write.operation.clone())).collect()
    }

    /// The storage has these. What was written since stays.
    pub(crate) fn applied<'a>(&self, writes: impl IntoIterator<Item = &'a (u64, Operation)>) {
        let mut state = self.state();
        for (number, operation) in writes {
            if state.writes.get(operation.key()).is_some_and(|write| write.number == *number) {
                state.writes.remove(operation.key());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn put(key: &str) -> Operation {
        Operation::Put(Key::new(key).unwrap(), Bytes::from_static(b"v"))
    }

    #[test]
    fn a_folder_has_what_is_below_it_and_not_its_neighbours() {
        let pending = Pending::default();
        let (held, _quiet) = mpsc::channel();
        pending.add(["a", "a b/x", "a-", "a.", "a/b", "a/b/c", "a0", "b"].map(put), &held);
        let below = |folder| pending.below(&Folder::new(folder).unwrap()).iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(below("a/"), ["a/b", "a/b/c"]);
        assert_eq!(below("a/b/"), ["a/b/c"]);
        assert_eq!(below("").len(), 8);
        assert!(below("c/").is_empty());
    }

    #[test]
    fn what_was_written_again_stays_and_holds_its_own_journal_only() {
        let pending = Pending::default();
        let (first, first_quiet) = mpsc::channel();
        pending.add([put("k")], &first);
        drop(first);
        let old = pending.of(&[Key::new("k").unwrap()]);
        assert_eq!(first_quiet.try_recv(), Err(mpsc::TryRecvError::Empty));
        let (second, second_quiet) = mpsc::channel();
        let target = pending.next();
        pending.add([Operation::Delete(Key::new("k").unwrap())], &second);
        drop(second);
        assert_eq!(first_quiet.try_recv(), Err(mpsc::TryRecvError::Disconnected));
        assert!(pending.before(target).is_empty());
        pending.applied(&old);
        assert_eq!(pending.value(&Key::new("k").unwrap()), Some(None));
        assert_eq!(second_quiet.try_recv(), Err(mpsc::TryRecvError::Empty));
        pending.applied(&pending.of(&[Key::new("k").unwrap()]));
        assert!(pending.is_empty());
        assert_eq!(second_quiet.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }
}
