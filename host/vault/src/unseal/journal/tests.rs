//! Changes that are cut off, overtaken, or left without an answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use cofferdam_backend::{Descriptor, Folder, Page, ScanPage, Storage};
use cofferdam_test_support::{Cut, Memory};
use proptest::prelude::*;

use super::finish::SET_ASIDE_PATH;
use super::*;
use crate::seal::SealOptions;
use crate::unseal::Unsealer;
use crate::unseal::tests::{over, put};

const NAMES: [&str; 5] = ["core/hsm/a", "core/keyring-of-test", "core/config", "core/deep/er/d", "core/e"];

type Entries = BTreeMap<String, Bytes>;

/// The entries, without the change that is written down.
fn data(storage: &Memory) -> Entries {
    storage.snapshot().into_iter().filter(|(path, _)| path != JOURNAL_PATH).collect()
}

fn entries(of: &[(usize, u8)]) -> Entries {
    of.iter().map(|(name, value)| (NAMES[*name].to_owned(), Bytes::from(vec![*value; 3]))).collect()
}

fn change(of: &[(usize, Option<u8>)]) -> Change {
    of.iter().fold(Change::new(), |change, (name, value)| match value {
        Some(value) => change.put(NAMES[*name], vec![*value; 3]),
        None => change.delete(NAMES[*name]),
    })
}

fn changed(before: &Entries, of: &[(usize, Option<u8>)]) -> Entries {
    let mut after = before.clone();
    for (name, value) in of {
        match value {
            Some(value) => after.insert(NAMES[*name].to_owned(), Bytes::from(vec![*value; 3])),
            None => after.remove(NAMES[*name]),
        };
    }
    after
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Cut at any write, and the recovery too, the entries are all as before or all as they are to be, and as they are to be if it was acknowledged.
    #[test]
    fn a_change_is_made_as_a_whole_or_not_at_all(
        stored in prop::collection::vec((0..NAMES.len(), 0_u8..3), 0..5),
        steps in prop::collection::vec((0..NAMES.len(), prop::option::of(0_u8..3)), 1..6),
        atomic: bool, late: bool, again_late: bool,
        cuts in 0_i64..9, again in 0_i64..9,
    ) {
        let before = entries(&stored);
        let after = changed(&before, &steps);
        let mut storage = Memory::from_snapshot(before.clone());
        if !atomic {
            storage = storage.without_atomic_batch();
        }
        let cut = |writes, late| if late { Cut::losing_the_answer_after(storage.clone(), writes) } else { Cut::after(storage.clone(), writes) };
        block_on(async {
            let made = over(cut(cuts, late)).inner.make(change(&steps)).await.is_ok();
            let _ = over(cut(again, again_late)).inner.finish_journal().await;
            // One that may not write reads what the next one that may is going to leave.
            let standby = Unsealer::new(crate::barrier::Barrier::new(Arc::new(storage.clone())), true, SealOptions::default());
            standby.inner.settle_journal().await.unwrap();
            let mut read = Entries::new();
            for name in NAMES {
                if let Some(value) = standby.inner.read(name).await.unwrap() {
                    read.insert(name.to_owned(), value);
                }
            }
            over(storage.clone()).inner.finish_journal().await.unwrap();
            let left = storage.snapshot();
            prop_assert_eq!(&read, &left);
            prop_assert!(left == after || !made && left == before, "{:?}", left);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn it_is_one_batch_where_the_storage_has_them_and_the_change_fits() {
    let steps: Vec<_> = (0..NAMES.len()).map(|name| (name, Some(1))).collect();
    let cut = Cut::after(Memory::default(), 1);
    over(cut.clone()).inner.make(change(&steps)).await.unwrap();
    assert_eq!(cut.left(), 0);
    // Written down, each entry, and struck out.
    let cut = Cut::after(Memory::default().without_atomic_batch(), i64::try_from(NAMES.len()).unwrap() + 2);
    over(cut.clone()).inner.make(change(&steps)).await.unwrap();
    assert_eq!(cut.left(), 0);
    let many = (0..129).fold(Change::new(), |change, number| change.put(&format!("core/{number}"), vec![1]));
    let storage = Memory::default();
    over(storage.clone()).inner.make(many).await.unwrap();
    assert_eq!(storage.snapshot().len(), 129);
}

#[tokio::test]
async fn entries_are_written_in_the_order_of_the_change_and_once() {
    let steps = [(4, Some(1)), (0, Some(1)), (2, None), (0, Some(2))];
    for (cuts, expected) in [(1, vec![]), (2, vec![(4, 1)]), (3, vec![(4, 1)]), (4, vec![(4, 1), (0, 2)])] {
        let storage = Memory::default().without_atomic_batch();
        put(&storage, NAMES[2], vec![9; 3]).await;
        over(Cut::after(storage.clone(), cuts)).inner.make(change(&steps)).await.unwrap();
        let mut expected = entries(&expected);
        if cuts < 3 {
            expected.insert(NAMES[2].to_owned(), Bytes::from(vec![9; 3]));
        }
        assert_eq!(data(&storage), expected, "{cuts}");
    }
}

/// A store with a change of entries 0, 1 and 2, written down and carried out so far.
async fn begun(writes: i64) -> Memory {
    let storage = Memory::from_snapshot(entries(&[(0, 0), (1, 0), (2, 0)])).without_atomic_batch();
    over(Cut::after(storage.clone(), 1 + writes)).inner.make(change(&[(0, Some(1)), (1, Some(1)), (2, None)])).await.unwrap();
    assert!(storage.snapshot().contains_key(JOURNAL_PATH));
    storage
}

#[tokio::test]
async fn what_another_server_has_gone_on_from_is_not_changed() {
    // Not begun, or carried out; then another server, which knows nothing of it, has written one of the entries.
    for (writes, name) in [(0, 1), (3, 0), (3, 2)] {
        let storage = begun(writes).await;
        put(&storage, NAMES[name], vec![7; 3]).await;
        let expected = data(&storage);
        over(storage.clone()).inner.finish_journal().await.unwrap();
        assert_eq!(storage.snapshot(), expected, "{writes}");
    }
}

#[tokio::test]
async fn a_change_that_was_overtaken_in_its_middle_is_kept() {
    let storage = begun(1).await;
    put(&storage, NAMES[1], vec![7; 3]).await;
    let (expected, journal) = (data(&storage), storage.snapshot()[JOURNAL_PATH].clone());
    over(storage.clone()).inner.finish_journal().await.unwrap();
    let mut after = storage.snapshot();
    assert_eq!(after.remove(SET_ASIDE_PATH), Some(journal));
    assert_eq!(after, expected);
}

#[tokio::test]
async fn what_cannot_be_read_stops_everything_and_is_left() {
    let storage = begun(1).await;
    for damaged in [&b"{"[..], br#"{"id":"x","changes":[{"path":"core/a","before":null,"after":"%%"}]}"#] {
        put(&storage, JOURNAL_PATH, damaged.to_vec()).await;
        let before = storage.snapshot();
        let unsealer = over(storage.clone());
        assert!(matches!(unsealer.inner.finish_journal().await, Err(Error::Damaged(text)) if text.contains(JOURNAL_PATH)));
        assert!(matches!(unsealer.inner.make(change(&[(0, Some(5))])).await, Err(Error::Damaged(_))));
        assert!(matches!(unsealer.inner.read_journal().await, Err(Error::Damaged(_))));
        assert_eq!(storage.snapshot(), before);
    }
}

#[tokio::test]
async fn the_entries_of_a_change_count_before_they_are_written() {
    let storage = Memory::from_snapshot(entries(&[(0, 0), (2, 0)])).without_atomic_batch();
    let cut = Cut::after(storage.clone(), 1);
    let unsealer = over(cut.clone());
    unsealer.inner.make(change(&[(0, Some(1)), (1, Some(1)), (2, None)])).await.unwrap();
    cut.allow(0);
    for (name, expected) in [(0, Some(1)), (1, Some(1)), (2, None)] {
        assert_eq!(unsealer.inner.read(NAMES[name]).await.unwrap(), expected.map(|value| Bytes::from(vec![value; 3])));
    }
    assert_eq!(data(&storage), entries(&[(0, 0), (2, 0)]));
    // The connection is back, and what was cut off can take effect no more.
    cut.allow(100);
    unsealer.inner.barrier.settle();
    unsealer.inner.make(change(&[(3, Some(1))])).await.unwrap();
    assert_eq!(storage.snapshot(), entries(&[(0, 1), (1, 1), (3, 1)]));
}

#[tokio::test]
async fn a_standby_does_not_keep_what_it_read() {
    let storage = begun(0).await;
    let standby = Unsealer::new(crate::barrier::Barrier::new(Arc::new(storage.clone())), true, SealOptions::default());
    standby.inner.settle_journal().await.unwrap();
    assert_eq!(standby.inner.read(NAMES[0]).await.unwrap().unwrap()[..], [1; 3]);
    // The active server finishes it, and goes on.
    over(storage.clone()).inner.finish_journal().await.unwrap();
    put(&storage, NAMES[0], vec![2; 3]).await;
    standby.inner.settle_journal().await.unwrap();
    assert_eq!(standby.inner.read(NAMES[0]).await.unwrap().unwrap()[..], [2; 3]);
}

/// A storage that gives no answer to so many writes: they take effect at once, or when they are told to.
#[derive(Clone)]
struct Mute {
    inner: Memory,
    silent: Arc<AtomicI64>,
    /// Whether they take effect at once.
    at_once: bool,
    held: Arc<std::sync::Mutex<Vec<Operation>>>,
}

impl Mute {
    fn new(inner: &Memory, at_once: bool) -> Mute {
        Mute { inner: inner.clone(), silent: Arc::new(AtomicI64::new(1)), at_once, held: Arc::default() }
    }

    async fn land(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap());
        self.inner.batch(held).await.unwrap();
    }

    async fn mutate(&self, operations: Vec<Operation>) -> cofferdam_backend::Result<()> {
        if self.silent.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return self.inner.batch(operations).await;
        }
        self.held.lock().unwrap().extend(operations);
        if self.at_once {
            self.land().await;
        }
        Err(Backend::TimedOut(std::time::Duration::from_secs(30)))
    }
}

#[async_trait]
impl Storage for Mute {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn get(&self, key: &Key) -> cofferdam_backend::Result<Option<Bytes>> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> cofferdam_backend::Result<()> {
        self.mutate(vec![Operation::Put(key.clone(), value)]).await
    }

    async fn delete(&self, key: &Key) -> cofferdam_backend::Result<()> {
        self.mutate(vec![Operation::Delete(key.clone())]).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> cofferdam_backend::Result<Page> {
        self.inner.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> cofferdam_backend::Result<()> {
        self.mutate(operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> cofferdam_backend::Result<ScanPage> {
        self.inner.scan(segment, segments, cursor, limit).await
    }
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_found_to_be_made() {
    let before = entries(&[(0, 0), (1, 0)]);
    let steps = [(0, Some(1)), (1, None)];
    for atomic in [true, false] {
        let memory = Memory::from_snapshot(before.clone());
        let memory = if atomic { memory } else { memory.without_atomic_batch() };
        let unsealer = over(Mute::new(&memory, true));
        unsealer.inner.make(change(&steps)).await.unwrap();
        assert_eq!(data(&memory), entries(&[(0, 1)]));
        unsealer.inner.barrier.settle();
        unsealer.inner.finish_journal().await.unwrap();
        assert_eq!(memory.snapshot(), entries(&[(0, 1)]));
    }
}

#[tokio::test]
async fn a_change_that_comes_after_it_was_given_up_is_never_carried_out() {
    let before = entries(&[(0, 0), (1, 0)]);
    let steps = [(0, Some(1)), (1, None)];
    let memory = Memory::from_snapshot(before.clone()).without_atomic_batch();
    let mute = Mute::new(&memory, false);
    let unsealer = over(mute.clone());
    let refused = |made: Result<()>| matches!(made, Err(Error::Storage(Backend::TimedOut(_) | Backend::Unavailable(_))));
    assert!(refused(unsealer.inner.make(change(&steps)).await));
    // As long as it may come, nothing else is written down: it could take its place.
    assert!(refused(unsealer.inner.make(change(&steps)).await));
    unsealer.inner.finish_journal().await.unwrap();
    mute.land().await;
    assert!(memory.snapshot().contains_key(JOURNAL_PATH));
    unsealer.inner.finish_journal().await.unwrap();
    assert_eq!(data(&memory), before);
    assert!(refused(unsealer.inner.make(change(&steps)).await));
    unsealer.inner.barrier.settle();
    unsealer.inner.finish_journal().await.unwrap();
    assert_eq!(memory.snapshot(), before);
    unsealer.inner.make(change(&steps)).await.unwrap();
    assert_eq!(memory.snapshot(), entries(&[(0, 1)]));
}

#[tokio::test]
async fn a_change_that_was_given_up_and_never_came_is_forgotten() {
    let memory = Memory::default().without_atomic_batch();
    let unsealer = over(Mute::new(&memory, false));
    assert!(unsealer.inner.make(change(&[(0, Some(1))])).await.is_err());
    unsealer.inner.barrier.settle();
    unsealer.inner.make(change(&[(0, Some(2))])).await.unwrap();
    assert_eq!(memory.snapshot(), entries(&[(0, 2)]));
}
