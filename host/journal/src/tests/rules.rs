//! One rule each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Error, Key, Operation, Page, Result, ScanPage, Storage};
use cofferdam_test_support::Memory;

use super::{Disk, key, value};
use crate::{Folder, Journaled, Options, Place, recover};

const LONG: Options = Options { size: 1 << 30, age: Duration::from_secs(3_600), patience: Duration::from_secs(60) };

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
    while journaled.waiting() < 20 {
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
    full_for: &'static str,
}

impl Failing {
    fn tearing(inner: &Arc<Memory>, left: usize) -> Arc<Failing> {
        Arc::new(Failing { inner: inner.clone(), left: AtomicUsize::new(left), full_for: "" })
    }

    fn full_for(inner: &Arc<Memory>, key: &'static str) -> Arc<Failing> {
        Arc::new(Failing { inner: inner.clone(), left: AtomicUsize::new(0), full_for: key })
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
        if key.as_str() == self.full_for {
            return Err(Error::Exhausted("no room".to_owned()));
        }
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            return self.inner.put(key, value).await;
        }
        self.inner.put(key, value.slice(..value.len() / 2)).await?;
        Err(Error::TimedOut(Duration::from_secs(1)))
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }

    async fn list_page(&self, folder: &cofferdam_backend::Folder, after: &str, limit: u32) -> Result<Page> {
        self.inner.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        self.inner.batch(operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.inner.scan(segment, segments, cursor, limit).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_half_done_is_ended_before_anybody_reads_it() {
    let memory = Arc::new(Memory::default());
    let torn = Failing::tearing(&memory, 0);
    let disk = Disk::new(memory.clone());
    let journaled = Journaled::open(torn.clone(), disk.place(), LONG).await.unwrap();
    journaled.put(&key("k"), text("old!")).await.unwrap();
    torn.left.store(3, Ordering::SeqCst);
    assert!(matches!(journaled.put(&key("k"), text("new!")).await, Err(Error::TimedOut(_))));
    assert_eq!(value(memory.as_ref(), "k").await.as_deref(), Some("ne"), "the control");
    assert!(matches!(journaled.get(&key("k")).await, Err(Error::Unavailable(text)) if text.contains("half done")));
    assert!(journaled.scan(0, 1, None, 10).await.is_err());
    // Other keys are nobody's trouble.
    assert_eq!(value(&journaled, "other").await, None);
    let read = loop {
        match journaled.get(&key("k")).await {
            Ok(read) => break read,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert_eq!((read, torn.left.load(Ordering::SeqCst)), (Some(text("new!")), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_stays_half_done_stops_all_writes_and_is_ended_at_the_next_start() {
    let memory = Arc::new(Memory::default());
    let torn = Failing::tearing(&memory, 0);
    let disk = Disk::new(memory.clone());
    let options = Options { size: 4 << 10, patience: Duration::ZERO, ..LONG };
    let journaled = Journaled::open(torn.clone(), disk.place(), options).await.unwrap();
    torn.left.store(usize::MAX, Ordering::SeqCst);
    assert!(journaled.put(&key("k"), text("new!")).await.is_err());
    while !matches!(journaled.put(&key("other"), text("v")).await, Err(Error::Unavailable(text)) if text.contains("started again")) {
        tokio::task::yield_now().await;
    }
    assert!(matches!(journaled.get(&key("k")).await, Err(Error::Unavailable(text)) if text.contains("half done")));
    journaled.close().await;
    let (storage, _) = after_a_cut(&disk).await.unwrap();
    assert_eq!(value(storage.as_ref(), "k").await.as_deref(), Some("new!"));
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
async fn what_a_batch_did_before_it_was_refused_stays_and_the_rest_does_not_come() {
    let storage = Arc::new(Memory::default());
    let refusing = Failing::full_for(&storage, "b");
    let disk = Disk::new(storage.clone());
    let journaled = Journaled::open(refusing, disk.place(), LONG).await.unwrap();
    let batch = ["a", "b", "c"].map(|name| Operation::Put(key(name), text("v"))).to_vec();
    assert!(matches!(journaled.batch(batch).await, Err(Error::Exhausted(_))));
    assert_eq!(journaled.batch(Vec::new()).await, Ok(()));
    let twice = ["a", "a"].map(|name| Operation::Put(key(name), text("w"))).to_vec();
    assert!(matches!(journaled.batch(twice).await, Err(Error::InvalidKey(text)) if text.contains("twice")));
    let (storage, count) = after_a_cut(&disk).await.unwrap();
    assert_eq!((value(storage.as_ref(), "a").await.as_deref(), count), (Some("v"), 1));
    assert_eq!(storage.snapshot().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_kept_on_a_full_disk_too() {
    let storage = Arc::new(Memory::default());
    let refusing = Failing::full_for(&storage, "b");
    let disk = Disk::new(storage.clone());
    let journaled = Journaled::open(refusing, disk.place(), LONG).await.unwrap();
    journaled.put(&key("a"), text("v")).await.unwrap();
    disk.with(|state| state.full = true);
    let filling = loop {
        match journaled.put(&key("b"), Bytes::from(vec![0; 1 << 15])).await {
            Err(Error::Exhausted(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(filling, Err(Error::Denied(_))), "{filling:?}");
    let (storage, _) = after_a_cut(&disk).await.unwrap();
    assert_eq!(storage.snapshot().into_keys().collect::<Vec<_>>(), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_before_a_half_done_write_does_keeps_the_journal() {
    let memory = Arc::new(Memory::default());
    let torn = Failing::tearing(&memory, usize::MAX);
    let disk = Disk::new(memory.clone());
    // The runtime that its task is on ends in the middle of it.
    let ended = disk.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let journaled = Journaled::open(torn, ended.place(), Options { size: 4 << 10, ..LONG }).await.unwrap();
            assert!(journaled.put(&key("k"), text("new!")).await.is_err());
        });
    })
    .join()
    .unwrap();
    let (storage, _) = after_a_cut(&disk).await.unwrap();
    assert_eq!(value(storage.as_ref(), "k").await.as_deref(), Some("new!"));
    assert_eq!(disk.with(|state| state.settles), 0);
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
    assert_eq!(storage.snapshot().len(), 1);
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
async fn a_key_that_the_storage_refuses_holds_up_nothing() {
    let storage = Arc::new(Memory::default());
    let disk = Disk::new(storage.clone());
    let journaled = opened(&disk, &storage, LONG).await;
    journaled.put(&key("k"), text("v")).await.unwrap();
    let image = disk.image();
    let other = Arc::new(Memory::default().with_value_limit(0));
    let disk = Disk::of(image.clone(), other.clone(), None, 0);
    assert_eq!(recover(other.as_ref(), &disk.place()).await, Ok(1));
    // Any other error is one of the start, and leaves the journal as it is.
    let full = Failing::full_for(&Arc::default(), "k");
    let disk = Disk::of(image, full.inner.clone(), None, 0);
    assert!(matches!(recover(full.as_ref(), &disk.place()).await, Err(Error::Exhausted(_))));
    let (storage, count) = after_a_cut(&disk).await.unwrap();
    assert_eq!((storage.snapshot().len(), count), (1, 1));
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
    assert_eq!(lost.snapshot(), storage.snapshot());
    assert_eq!(recover(&lost, &copied).await, Ok(0));
    journaled.close().await;
    for number in 0..2 {
        assert_eq!(std::fs::metadata(dir.path().join(format!("journal-{number}"))).unwrap().len(), 0);
    }
}
