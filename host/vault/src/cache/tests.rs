use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use cofferdam_backend::{Descriptor, Folder, Operation, Page, ScanPage};
use cofferdam_test_support::Memory;
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use super::*;

/// A storage that counts reads, holds calls back until told, and fails mutations on demand.
struct Slow {
    inner: Memory,
    reads: AtomicU32,
    /// A read has its value, and waits here before it returns it.
    read_gate: Semaphore,
    write_gate: Semaphore,
    fail: Mutex<Option<Error>>,
}

impl Slow {
    fn new() -> Arc<Slow> {
        let open = || Semaphore::new(1_000);
        Arc::new(Slow { inner: Memory::default(), reads: 0.into(), read_gate: open(), write_gate: open(), fail: Mutex::new(None) })
    }

    fn reads(&self) -> u32 {
        self.reads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Storage for Slow {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let value = self.inner.get(key).await;
        self.read_gate.acquire().await.unwrap().forget();
        value
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.write_gate.acquire().await.unwrap().forget();
        self.inner.put(key, value).await?;
        self.fail.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.inner.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        self.inner.batch(operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.inner.scan(segment, segments, cursor, limit).await
    }
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn some(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from(text))
}

#[tokio::test]
async fn a_second_read_comes_from_the_cache_also_of_what_is_missing() {
    let (cache, storage) = (Cache::new(1 << 20), Slow::new());
    for _ in 0..3 {
        assert_eq!(cache.get(&*storage, &key("a")).await.unwrap(), None);
    }
    assert_eq!(storage.reads(), 1);
    cache.put(&*storage, &key("a"), "1".into()).await.unwrap();
    assert_eq!(cache.get(&*storage, &key("a")).await.unwrap(), some("1"));
    cache.delete(&*storage, &key("a")).await.unwrap();
    assert_eq!(cache.get(&*storage, &key("a")).await.unwrap(), None);
    assert_eq!(storage.reads(), 1);
    cache.clear();
    assert_eq!(cache.get(&*storage, &key("a")).await.unwrap(), None);
    assert_eq!(storage.reads(), 2);
}

#[tokio::test]
async fn leases_and_what_is_read_around_the_barrier_are_not_cached() {
    let (cache, storage) = (Cache::new(1 << 20), Slow::new());
    for (at, name) in ["sys/expire/id/a", "core/raft/tls", "core/seal-config", "core/recovery-config"].into_iter().enumerate() {
        for _ in 0..2 {
            cache.get(&*storage, &key(name)).await.unwrap();
        }
        assert_eq!(storage.reads(), 2 * (at as u32 + 1), "{name}");
    }
    let off = Cache::new(0);
    off.put(&*storage, &key("a"), "1".into()).await.unwrap();
    assert_eq!(off.get(&*storage, &key("a")).await.unwrap(), some("1"));
    assert_eq!(storage.reads(), 9);
}

#[tokio::test]
async fn its_bytes_are_bounded() {
    let (cache, storage) = (Cache::new(100_000), Slow::new());
    for at in 0..1_000 {
        cache.put(&*storage, &key(&format!("k{at}")), vec![0; 1_000].into()).await.unwrap();
        storage.write_gate.add_permits(1);
    }
    let weight = cache.entries.as_ref().unwrap().weight();
    assert!((1..=100_000).contains(&weight), "{weight}");
}

#[tokio::test]
async fn a_read_that_overlaps_a_write_does_not_leave_the_old_value_behind() {
    let (cache, storage) = (Arc::new(Cache::new(1 << 20)), Slow::new());
    storage.inner.put(&key("a"), "old".into()).await.unwrap();
    storage.read_gate.forget_permits(1_000);
    let read = tokio::spawn({
        let (cache, storage) = (cache.clone(), storage.clone());
        async move { cache.get(&*storage, &key("a")).await }
    });
    while storage.reads() == 0 {
        tokio::task::yield_now().await;
    }
    // The read holds the old value; now it is overwritten, and the read ends.
    cache.put(&*storage, &key("a"), "new".into()).await.unwrap();
    storage.read_gate.add_permits(1_000);
    assert_eq!(read.await.unwrap().unwrap(), some("old"));
    assert_eq!(cache.get(&*storage, &key("a")).await.unwrap(), some("new"));
}

#[tokio::test]
async fn a_read_that_overlaps_a_clear_does_not_fill() {
    let (cache, storage) = (Arc::new(Cache::new(1 << 20)), Slow::new());
    storage.read_gate.forget_permits(1_000);
    let read = tokio::spawn({
        let (cache, storage) = (cache.clone(), storage.clone());
        async move { cache.get(&*storage, &key("a")).await }
    });
    while storage.reads() == 0 {
        tokio::task::yield_now().await;
    }
    cache.clear();
    storage.read_gate.add_permits(1_000);
    read.await.unwrap().unwrap();
    cache.get(&*storage, &key("a")).await.unwrap();
    assert_eq!(storage.reads(), 2);
}

#[tokio::test]
async fn two_writes_at_once_leave_the_answer_to_the_storage() {
    let (cache, storage) = (Arc::new(Cache::new(1 << 20)), Slow::new());
    storage.write_gate.forget_permits(1_000);
    let writes: Vec<_> = ["1", "2"]
        .map(|value| {
            let (cache, storage) = (cache.clone(), storage.clone());
            tokio::spawn(async move { cache.put(&*storage, &key("a"), value.into()).await })
        })
        .into();
    tokio::task::yield_now().await;
    storage.write_gate.add_permits(1_000);
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert_eq!(cache.get(&*storage, &key("a")).await.unwrap(), storage.inner.get(&key("a")).await.unwrap());
    assert_eq!(storage.reads(), 1);
}

#[tokio::test]
async fn a_failed_write_is_not_cached_and_the_storage_is_asked_again() {
    let (cache, storage) = (Cache::new(1 << 20), Slow::new());
    cache.put(&*storage, &key("a"), "1".into()).await.unwrap();
    *storage.fail.lock().unwrap() = Some(Error::Exhausted(String::new()));
    assert!(cache.put(&*storage, &key("a"), "2".into()).await.is_err());
    // This storage had done it before it failed, and only it knows.
    assert_eq!(cache.get(&*storage, &key("a")).await.unwrap(), some("2"));
    assert_eq!(cache.get(&*storage, &key("a")).await.unwrap(), some("2"));
    assert_eq!(storage.reads(), 1);
}

#[tokio::test]
async fn a_write_that_was_given_up_may_still_land_and_is_read_through() {
    let (cache, storage) = (Cache::new(1 << 20), Slow::new());
    *storage.fail.lock().unwrap() = Some(Error::TimedOut(Duration::from_secs(1)));
    storage.inner.put(&key("a"), "old".into()).await.unwrap();
    assert!(cache.put(&*storage, &key("a"), "old".into()).await.is_err());
    assert_eq!(cache.get(&*storage, &key("a")).await.unwrap(), some("old"));
    // Now it lands, around the cache.
    storage.inner.put(&key("a"), "late".into()).await.unwrap();
    assert_eq!(cache.get(&*storage, &key("a")).await.unwrap(), some("late"));

    // The same for one whose caller went away.
    *storage.fail.lock().unwrap() = None;
    storage.write_gate.forget_permits(1_000);
    let name = key("b");
    assert!(cache.put(&*storage, &name, "1".into()).now_or_never().is_none());
    assert_eq!(cache.get(&*storage, &name).await.unwrap(), None);
    storage.inner.put(&name, "late".into()).await.unwrap();
    assert_eq!(cache.get(&*storage, &name).await.unwrap(), some("late"));
}

#[tokio::test]
async fn after_a_write_that_was_given_up_its_key_is_not_written_until_it_cannot_land_any_more() {
    let (cache, storage) = (Cache::new(1 << 20), Slow::new());
    // The second is not cached.
    for name in ["a", "sys/expire/id/a"].map(key) {
        *storage.fail.lock().unwrap() = Some(Error::TimedOut(Duration::from_secs(1)));
        assert!(matches!(cache.put(&*storage, &name, "1".into()).await, Err(Error::TimedOut(_))));
        *storage.fail.lock().unwrap() = None;
        for refused in [cache.put(&*storage, &name, "2".into()).await, cache.delete(&*storage, &name).await] {
            match refused {
                Err(Error::Unavailable(text)) => assert!(text.contains(name.as_str()) && text.contains("try again in 120 s"), "{text}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(storage.inner.get(&name).await.unwrap(), some("1"));
        cache.clear();
        assert!(cache.put(&*storage, &name, "2".into()).await.is_err(), "a seal makes no difference");
        // Others can be.
        cache.put(&*storage, &key("b"), "2".into()).await.unwrap();
        cache.settle();
        cache.put(&*storage, &name, "2".into()).await.unwrap();
        assert_eq!(storage.inner.get(&name).await.unwrap(), some("2"));
    }
    // A write that was certainly not done stops nobody.
    *storage.fail.lock().unwrap() = Some(Error::Exhausted(String::new()));
    assert!(cache.put(&*storage, &key("a"), "3".into()).await.is_err());
    *storage.fail.lock().unwrap() = None;
    cache.put(&*storage, &key("a"), "4".into()).await.unwrap();
}

#[tokio::test]
async fn a_cache_is_idle_when_no_write_is_under_way() {
    let (cache, storage) = (Cache::new(1 << 20), Slow::new());
    assert!(cache.idle());
    storage.write_gate.forget_permits(1_000);
    let name = key("sys/expire/id/a");
    let mut write = Box::pin(cache.put(&*storage, &name, "1".into()));
    assert!((&mut write).now_or_never().is_none());
    assert!(!cache.idle());
    storage.write_gate.add_permits(1);
    write.await.unwrap();
    assert!(cache.idle());
}

/// A storage whose calls take as many turns of the scheduler as they are told.
struct Turns {
    inner: Memory,
    turns: Vec<u8>,
    calls: AtomicU32,
}

impl Turns {
    async fn wait(&self) {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) as usize;
        for _ in 0..self.turns[call % self.turns.len()] {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Storage for Turns {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.wait().await;
        let value = self.inner.get(key).await;
        self.wait().await;
        value
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.wait().await;
        self.inner.put(key, value).await?;
        self.wait().await;
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.wait().await;
        self.inner.delete(key).await?;
        self.wait().await;
        Ok(())
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.inner.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        self.inner.batch(operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.inner.scan(segment, segments, cursor, limit).await
    }
}

proptest::proptest! {
    #[test]
    fn however_calls_overlap_the_cache_ends_with_what_the_storage_has(
        operations in proptest::collection::vec((0u8..3, 0u8..2, 0u8..8), 1..24),
        turns in proptest::collection::vec(0u8..5, 1..16),
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let cache = Cache::new(1 << 20);
            let storage = Turns { inner: Memory::default(), turns, calls: 0.into() };
            let run = operations.iter().enumerate().map(|(at, &(operation, name, begin))| {
                let (cache, storage) = (&cache, &storage);
                async move {
                    for _ in 0..begin {
                        tokio::task::yield_now().await;
                    }
                    let name = key(&format!("k{name}"));
                    match operation {
                        0 => cache.put(storage, &name, at.to_string().into()).await.unwrap(),
                        1 => cache.delete(storage, &name).await.unwrap(),
                        _ => drop(cache.get(storage, &name).await.unwrap()),
                    }
                }
            });
            futures_util::future::join_all(run).await;
            for name in ["k0", "k1"] {
                let expected = storage.inner.get(&key(name)).await.unwrap();
                assert_eq!(cache.get(&storage, &key(name)).await.unwrap(), expected);
            }
        });
    }
}
