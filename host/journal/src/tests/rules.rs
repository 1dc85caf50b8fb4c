//! One rule each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Error, Key, Operation, Page, Result, ScanPage, Storage};
use cofferdam_test_support::native::Native;
use cofferdam_test_support::{Memory, one_by_one};
use tokio::sync::RwLock;

use super::{Disk, key, value};
use crate::{Folder, Journaled, Options, Place, recover};

const LONG: Options = Options { size: 1 << 30, age: Duration::from_secs(3_600) };

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn opened(disk: &Disk, storage: &Arc<Memory>, options: Options) -> Journaled {
    Journaled::open(storage.clone(), disk.place(), options).await.unwrap()
}

/// The storage after a loss of power, with what the journal brings back.
async fn after_a_cut(disk: &Disk) -> Result<(Arc<Memory>, usize)> {
    let image = disk.image();
    let storage = Arc::new(Memory::from_snapshot(image.entries.clone()));
    let disk = Disk::of(image, storage.clone(), None, 0);
    let count = recover(storage.as_ref(), &disk.place()).await?;
    Ok((storage, count))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_wait_together_share_a_sync() {
    let storage = Arc::new(Memory::default());
    let disk = Disk::new(storage.clone());
    let journaled = Arc::new(opened(&disk, &storage, LONG).await);
    let before = disk.with(|state| {
        state.held = true;
        state.syncs
    });
    let write = |number: usize| {
        let journaled = journaled.clone();
        tokio::spawn(async move { journaled.put(&key(&format!("k{number}")), text("v")).await })
    };
    let mut writes = vec![write(0)];
    while disk.with(|state| state.asked) == 0 {
        tokio::task::yield_now().await;
    }
    writes.extend((1..32).map(write));
    // Keys that share a turn come one after the other: a few of them may.
    while journaled.front().journal.waiting() < 20 {
        tokio::task::yield_now().await;
    }
    // None is acknowledged while the first sync has not ended.
    assert!(storage.snapshot().is_empty() && writes.iter().all(|write| !write.is_finished()));
    disk.with(|state| state.held = false);
    for write in writes {
        write.await.unwrap().unwrap();
    }
    let syncs = disk.with(|state| state.syncs) - before;
    assert!(syncs < 16, "{syncs}");
    let (storage, count) = after_a_cut(&disk).await.unwrap();
    assert_eq!((storage.snapshot().len(), count), (32, 32));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_journal_is_settled_and_its_file_used_again() {
    let storage = Arc::new(Memory::default());
    let disk = Disk::new(storage.clone());
    let journaled = opened(&disk, &storage, Options { size: 16 << 10, ..LONG }).await;
    for number in 0..400 {
        journaled.put(&key(&format!("k{}", number % 7)), text(&format!("{number}"))).await.unwrap();
    }
    journaled.close().await;
    assert!(disk.with(|state| state.settles) >= 3);
    assert!(matches!(journaled.put(&key("late"), text("v")).await, Err(Error::Unavailable(_))));
    // A clean end leaves nothing to do, and a storage that needs no journal.
    let image = disk.image();
    assert!(image.files.iter().all(Vec::is_empty));
    assert_eq!(image.entries, storage.snapshot());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_enough_is_settled_without_another_write() {
    let storage = Arc::new(Memory::default());
    let disk = Disk::new(storage.clone());
    let journaled = opened(&disk, &storage, Options { age: Duration::from_millis(10), ..LONG }).await;
    journaled.put(&key("k"), text("v")).await.unwrap();
    while disk.with(|state| state.settles) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(disk.image().entries.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_write_does_not_come_back() {
    let storage = Arc::new(Memory::default().with_value_limit(4));
    let disk = Disk::new(storage.clone());
    let journaled = opened(&disk, &storage, LONG).await;
    journaled.put(&key("k"), text("old")).await.unwrap();
    assert!(matches!(journaled.put(&key("k"), text("too long")).await, Err(Error::TooLarge { .. })));
    journaled.batch(vec![Operation::Put(key("a"), text("1")), Operation::Put(key("b"), text("2"))]).await.unwrap();
    journaled.batch(vec![Operation::Delete(key("a"))]).await.unwrap();
    let (storage, count) = after_a_cut(&disk).await.unwrap();
    assert_eq!((value(storage.as_ref(), "k").await.as_deref(), count), (Some("old"), 3));
    assert_eq!((value(storage.as_ref(), "a").await, value(storage.as_ref(), "b").await.as_deref()), (None, Some("2")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_cannot_be_settled_is_kept_and_stops_all_writes() {
    let storage = Arc::new(Memory::default());
    let disk = Disk::new(storage.clone());
    let journaled = opened(&disk, &storage, Options { size: 4 << 10, ..LONG }).await;
    disk.with(|state| state.fail_settling = true);
    journaled.put(&key("k"), text("v")).await.unwrap();
    let error = loop {
        match journaled.put(&key("other"), text("v")).await {
            Ok(()) => tokio::task::yield_now().await,
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("the test's disk") && error.contains("the disk fails"), "{error}");
    journaled.close().await;
    let (storage, _) = after_a_cut(&disk).await.unwrap();
    assert_eq!(value(storage.as_ref(), "k").await.as_deref(), Some("v"));
}

/// A storage that fails.
struct Failing {
    inner: Arc<Memory>,
    /// How many of the next writes do, having written half a value.
    left: AtomicUsize,
    /// There is no room for this key.
    full_for: Mutex<&'static str>,
    /// How many puts and deletes it was asked for.
    calls: AtomicUsize,
    /// Whoever has it keeps all writes from going on.
    gate: RwLock<()>,
}

impl Failing {
    fn tearing(inner: &Arc<Memory>, left: usize) -> Arc<Failing> {
        let (left, full_for, calls, gate) = (AtomicUsize::new(left), Mutex::new(""), AtomicUsize::new(0), RwLock::default());
        Arc::new(Failing { inner: inner.clone(), left, full_for, calls, gate })
    }

    fn full_for(inner: &Arc<Memory>, key: &'static str) -> Arc<Failing> {
        let failing = Failing::tearing(inner, 0);
        *failing.full_for.lock().unwrap() = key;
        failing
    }

    fn mend(&self) {
        *self.full_for.lock().unwrap() = "";
    }
}

#[async_trait]
impl Storage for Failing {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let _open = self.gate.read().await;
        self.calls.fetch_add(1, Ordering::SeqCst);
        if key.as_str() == *self.full_for.lock().unwrap() {
            return Err(Error::Exhausted("no room".to_owned()));
        }
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            return self.inner.put(key, value).await;
        }
        self.inner.put(key, value.slice(..value.len() / 2)).await?;
        Err(Error::TimedOut(Duration::from_secs(1)))
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.inner.delete(key).await
    }

    async fn list_page(&self, folder: &cofferdam_backend::Folder, after: &str, limit: u32) -> Result<Page> {
        self.inner.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        one_by_one(self, operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.inner.scan(segment, segments, cursor, limit).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_half_done_is_read_whole_and_ended() {
    let memory = Arc::new(Memory::default());
    let torn = Failing::tearing(&memory, 3);
    let disk = Disk::new(memory.clone());
    let journaled = Journaled::open(torn.clone(), disk.place(), LONG).await.unwrap();
    journaled.put(&key("k"), text("new!")).await.unwrap();
    assert!(matches!(journaled.front().settle(&[key("k")]).await, Err(Error::TimedOut(_))));
    assert_eq!(value(memory.as_ref(), "k").await.as_deref(), Some("ne"), "the control");
    assert_eq!(value(&journaled, "k").await.as_deref(), Some("new!"));
    assert!(journaled.scan(0, 1, None, 10).await.is_err(), "whoever reads the storage itself does not get half a value");
    journaled.close().await;
    assert_eq!((value(memory.as_ref(), "k").await.as_deref(), torn.left.load(Ordering::SeqCst)), (Some("new!"), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_stored_stops_all_writes_until_it_can() {
    let memory = Arc::new(Memory::default());
    let full = Failing::full_for(&memory, "k");
    let disk = Disk::new(memory.clone());
    let journaled = Journaled::open(full.clone(), disk.place(), Options { size: 4 << 10, ..LONG }).await.unwrap();
    journaled.put(&key("k"), text("new")).await.unwrap();
    let error = loop {
        match journaled.put(&key("other"), text("v")).await {
            Ok(()) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, Error::Exhausted(text) if text.contains("the test's disk") && text.contains("no room")), "{error}");
    assert_eq!(value(&journaled, "k").await.as_deref(), Some("new"));
    // After a crash it is the start that says so, and the journal is as it was.
    let image = disk.image();
    let again = Failing::full_for(&Arc::new(Memory::from_snapshot(image.entries.clone())), "k");
    let crashed = Disk::of(image, again.inner.clone(), None, 0);
    assert!(matches!(recover(again.as_ref(), &crashed.place()).await, Err(Error::Exhausted(_))));
    again.mend();
    recover(again.as_ref(), &crashed.place()).await.unwrap();
    assert_eq!(value(again.as_ref(), "k").await.as_deref(), Some("new"));

    full.mend();
    while journaled.put(&key("other"), text("w")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    journaled.close().await;
    assert_eq!((value(memory.as_ref(), "k").await.as_deref(), value(memory.as_ref(), "other").await.as_deref()), (Some("new"), Some("w")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_that_is_given_up_before_it_has_all_keeps_the_journal() {
    let memory = Arc::new(Memory::default());
    let disk = Disk::new(memory.clone());
    // The runtime that everything runs on ends.
    let (ended, storage) = (disk.clone(), memory.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let journaled = opened(&ended, &storage, LONG).await;
            journaled.put(&key("k"), text("v")).await.unwrap();
        });
    })
    .join()
    .unwrap();
    let (storage, _) = after_a_cut(&disk).await.unwrap();
    assert_eq!(value(storage.as_ref(), "k").await.as_deref(), Some("v"));
    assert_eq!((disk.with(|state| state.settles), memory.snapshot().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writes_of_a_key_the_storage_gets_few() {
    let memory = Arc::new(Memory::default());
    let counting = Failing::tearing(&memory, 0);
    let disk = Disk::new(memory.clone());
    let journaled = Journaled::open(counting.clone(), disk.place(), LONG).await.unwrap();
    for number in 0..100 {
        journaled.put(&key("k"), text(&format!("{number}"))).await.unwrap();
        journaled.put(&key("gone"), text("v")).await.unwrap();
        journaled.delete(&key("gone")).await.unwrap();
    }
    journaled.close().await;
    assert_eq!(value(memory.as_ref(), "k").await.as_deref(), Some("99"));
    assert_eq!((counting.calls.load(Ordering::SeqCst), memory.snapshot().len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_more_than_the_storage_takes_waits_for_it() {
    let memory = Arc::new(Memory::default());
    let slow = Failing::tearing(&memory, 0);
    let disk = Disk::new(memory.clone());
    let size = 16 << 10;
    let journaled = Arc::new(Journaled::open(slow.clone(), disk.place(), Options { size, ..LONG }).await.unwrap());
    let held = slow.gate.write().await;
    let writing = journaled.clone();
    let writes = tokio::spawn(async move {
        for number in 0..1_000 {
            writing.put(&key(&format!("k{number}")), text("v")).await.unwrap();
        }
    });
    let mut before = None;
    // Until nothing more is written.
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = disk.with(|state| state.syncs);
        if before.replace(now) == Some(now) {
            break;
        }
    }
    let pending = journaled.front().pending.before(u64::MAX).len();
    // A group of one takes 512 bytes.
    assert!((40..=2 * 2 * 16 * 2).contains(&pending) && !writes.is_finished(), "{pending}");
    assert_eq!(value(journaled.as_ref(), "k3").await.as_deref(), Some("v"));
    drop(held);
    writes.await.unwrap();
    journaled.close().await;
    assert_eq!(memory.snapshot().len(), 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_the_layout_gives_to_two_are_refused_to_the_second() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(Native::open(dir.path(), false).unwrap());
    let place: Arc<dyn Place> =
        Arc::new(Folder::new(std::fs::File::open(dir.path().join(".cofferdam")).unwrap().into(), "a directory", ()));
    let journaled = Journaled::open(storage, place, LONG).await.unwrap();
    let refused =
        |done: Result<()>, name: &str| assert!(matches!(&done, Err(Error::InvalidKey(text)) if text.contains(name)), "{name}: {done:?}");
    journaled.put(&key("a/leaf"), text("v")).await.unwrap();
    refused(journaled.put(&key("a/_leaf/x/y"), text("v")).await, "a/_leaf");
    journaled.put(&key("a/_folder/x"), text("v")).await.unwrap();
    refused(journaled.put(&key("a/folder"), text("v")).await, "a/_folder");
    refused(journaled.batch(vec![Operation::Put(key("b"), text("v")), Operation::Put(key("a/folder"), text("v"))]).await, "a/_folder");
    assert_eq!(value(&journaled, "b").await, None);
    let both = ["b/leaf", "b/_leaf/x"].map(|name| Operation::Put(key(name), text("v"))).to_vec();
    refused(journaled.batch(both).await, "_leaf");
    assert!(journaled.front().pending.is_empty(), "nothing that cannot be stored is kept");
    refused(journaled.put(&key(".cofferdam/x"), text("v")).await, ".cofferdam");
    // Whoever makes room may use it.
    journaled.delete(&key("a/leaf")).await.unwrap();
    journaled.put(&key("a/_leaf/x/y"), text("w")).await.unwrap();
    journaled.delete(&key("a/_folder/x")).await.unwrap();
    journaled.put(&key("a/folder"), text("w")).await.unwrap();
    journaled.close().await;
    assert_eq!((value(&journaled, "a/_leaf/x/y").await.as_deref(), value(&journaled, "a/folder").await.as_deref()), (Some("w"), Some("w")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_have_what_is_pending_and_not_what_is_to_be_deleted() {
    let storage = Arc::new(Memory::default());
    let disk = Disk::new(storage.clone());
    let journaled = opened(&disk, &storage, LONG).await;
    for name in ["a/x", "a/y/z", "b"] {
        journaled.put(&key(name), text("v")).await.unwrap();
    }
    let list = async |folder: &str| journaled.list(&cofferdam_backend::Folder::new(folder).unwrap()).await.unwrap();
    assert_eq!(list("a/").await, ["x", "y/"]);
    assert_eq!(storage.snapshot().len(), 2, "what lies elsewhere waits");
    journaled.delete(&key("a/x")).await.unwrap();
    assert_eq!((list("a/").await, list("").await), (vec!["y/".to_owned()], vec!["a/".to_owned(), "b".to_owned()]));
    journaled.put(&key("c"), text("v")).await.unwrap();
    assert_eq!(journaled.scan(0, 1, None, 10).await.unwrap().entries.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_read_while_a_write_of_it_waits_for_the_disk() {
    let storage = Arc::new(Memory::default());
    let disk = Disk::new(storage.clone());
    let journaled = Arc::new(opened(&disk, &storage, LONG).await);
    journaled.put(&key("k"), text("old")).await.unwrap();
    disk.with(|state| state.held = true);
    let writer = journaled.clone();
    let write = tokio::spawn(async move { writer.put(&key("k"), text("new")).await });
    while disk.with(|state| state.asked) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(value(journaled.as_ref(), "k").await.as_deref(), Some("old"));
    assert_eq!(journaled.scan(0, 1, None, 10).await.unwrap().entries.len(), 1);
    disk.with(|state| state.held = false);
    write.await.unwrap().unwrap();
    assert_eq!(value(journaled.as_ref(), "k").await.as_deref(), Some("new"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_comes_back_as_a_whole() {
    let storage = Arc::new(Memory::default().without_atomic_batch());
    let disk = Disk::new(storage.clone());
    let journaled = opened(&disk, &storage, LONG).await;
    assert!(journaled.descriptor().features.atomic_batch && !storage.descriptor().features.atomic_batch);
    journaled.batch(["a", "b", "c"].map(|name| Operation::Put(key(name), text("v"))).to_vec()).await.unwrap();
    assert_eq!(journaled.batch(Vec::new()).await, Ok(()));
    let twice = ["a", "a"].map(|name| Operation::Put(key(name), text("w"))).to_vec();
    assert!(matches!(journaled.batch(twice).await, Err(Error::InvalidKey(text)) if text.contains("twice")));
    let (storage, count) = after_a_cut(&disk).await.unwrap();
    assert_eq!((storage.snapshot().len(), count), (3, 3));
    // Of a group that was cut short nothing does.
    let mut image = disk.image();
    image.files[0][4096 + 24] ^= 1;
    assert_eq!(recover(storage.as_ref(), &Disk::of(image, storage.clone(), None, 0).place()).await, Ok(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_ended_also_if_nobody_waits_for_it() {
    let storage = Arc::new(Memory::default());
    let disk = Disk::new(storage.clone());
    let journaled = Arc::new(opened(&disk, &storage, LONG).await);
    disk.with(|state| state.held = true);
    let begun = journaled.clone();
    let write = tokio::spawn(async move { begun.put(&key("k"), text("v")).await });
    while disk.with(|state| state.asked) == 0 {
        tokio::task::yield_now().await;
    }
    write.abort();
    assert!(write.await.unwrap_err().is_cancelled());
    disk.with(|state| state.held = false);
    // It waits for all that is in the journal.
    journaled.close().await;
    assert_eq!(value(journaled.as_ref(), "k").await.as_deref(), Some("v"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_a_write_and_no_more() {
    let storage = Arc::new(Memory::default());
    let disk = Disk::new(storage.clone());
    let journaled = opened(&disk, &storage, LONG).await;
    disk.with(|state| state.full = true);
    let error = journaled.put(&key("k"), Bytes::from(vec![0; 1 << 16])).await.unwrap_err();
    assert!(matches!(&error, Error::Denied(text) if text.contains("cannot grow")), "{error}");
    disk.with(|state| state.full = false);
    journaled.put(&key("k"), text("v")).await.unwrap();
    assert_eq!(value(&journaled, "k").await.as_deref(), Some("v"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_told_from_a_write_that_was_cut_short() {
    let storage = Arc::new(Memory::default());
    let disk = Disk::new(storage.clone());
    let journaled = opened(&disk, &storage, LONG).await;
    for number in 0..3 {
        journaled.put(&key(&format!("k{number}")), text("v")).await.unwrap();
    }
    let image = disk.image();
    let damaged = async |at: usize| {
        let mut image = image.clone();
        image.files[0][at] ^= 1;
        let storage = Arc::new(Memory::default());
        recover(storage.as_ref(), &Disk::of(image, storage.clone(), None, 0).place()).await
    };
    assert_eq!(damaged(4096 + 2 * 512 + 24).await, Ok(2), "the last group is as if it had been cut short");
    for place in [4096, 4096 + 24, 4096 + 512 + 3] {
        assert!(matches!(damaged(place).await, Err(Error::Corrupt(text)) if text.contains("journal-0")), "byte {place}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_storage_refuses_after_a_crash_keeps_the_journal() {
    let storage = Arc::new(Memory::default());
    let disk = Disk::new(storage.clone());
    let journaled = opened(&disk, &storage, LONG).await;
    journaled.put(&key("k"), text("v")).await.unwrap();
    let image = disk.image();
    let other = Arc::new(Memory::default().with_value_limit(0));
    let crashed = Disk::of(image, other.clone(), None, 0);
    assert!(matches!(recover(other.as_ref(), &crashed.place()).await, Err(Error::TooLarge { .. })));
    assert_eq!(recover(storage.as_ref(), &crashed.place()).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_on_a_real_disk_hold_a_journal_and_are_empty_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let place = || -> Arc<dyn Place> {
        let directory = std::fs::File::open(dir.path()).unwrap();
        Arc::new(Folder::new(directory.into(), "a directory", ()))
    };
    let storage = Arc::new(Memory::default());
    let journaled = Journaled::open(storage.clone(), place(), LONG).await.unwrap();
    journaled.put(&key("k"), Bytes::from(vec![7; 3 << 20])).await.unwrap();
    journaled.delete(&key("gone")).await.unwrap();
    // As after a crash that lost all that was not synced.
    let lost = Memory::default();
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(dir.path().join("journal-0"), copy.path().join("journal-0")).unwrap();
    let copied: Arc<dyn Place> = Arc::new(Folder::new(std::fs::File::open(copy.path()).unwrap().into(), "a copy", ()));
    assert_eq!(recover(&lost, &copied).await, Ok(2));
    assert_eq!(recover(&lost, &copied).await, Ok(0));
    assert!(storage.snapshot().is_empty());
    journaled.close().await;
    assert_eq!(lost.snapshot(), storage.snapshot());
    for number in 0..2 {
        assert_eq!(std::fs::metadata(dir.path().join(format!("journal-{number}"))).unwrap().len(), 0);
    }
}
