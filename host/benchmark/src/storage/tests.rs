use super::Refusal;
use super::StorageArguments;
use super::measure;
use super::refuse_in_use;
use crate::report::Mode;
use crate::results::TOTAL;
use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::Descriptor;
use cofferdam_backend::Error;
use cofferdam_backend::Features;
use cofferdam_backend::Folder;
use cofferdam_backend::Held;
use cofferdam_backend::Key;
use cofferdam_backend::Limits;
use cofferdam_backend::Lock;
use cofferdam_backend::Operation;
use cofferdam_backend::Page;
use cofferdam_backend::Result;
use cofferdam_backend::ScanPage;
use cofferdam_backend::Storage;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A map; every so many gets one fails, and after so many calls the run is stopped.
struct Memory {
    entries: Mutex<BTreeMap<String, Bytes>>,
    descriptor: Descriptor,
    calls: AtomicU64,
    stop_after: u64,
    stop: Arc<AtomicBool>,
}

impl Memory {
    fn new(stop_after: u64) -> Arc<Self> {
        let limits = Limits { key: 500, segment: 250, value: 4_096, batch_operations: 1, batch_bytes: 4_096 };
        let descriptor = Descriptor { name: "memory".to_owned(), version: "1".to_owned(), features: Features::default(), limits };
        let (entries, calls) = (Mutex::default(), AtomicU64::new(0));
        Arc::new(Self { entries, descriptor, calls, stop_after, stop: Arc::default() })
    }

    fn call(&self) -> u64 {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if call >= self.stop_after {
            self.stop.store(true, Ordering::Relaxed);
        }
        call
    }
}

#[async_trait]
impl Storage for Memory {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        if self.call() % 7 == 6 {
            return Err(Error::Unavailable("the guest's own words".to_owned()));
        }
        Ok(self.entries.lock().unwrap().get(key.as_str()).cloned())
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.call();
        self.entries.lock().unwrap().insert(key.to_string(), value);
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.entries.lock().unwrap().remove(key.as_str());
        Ok(())
    }

    async fn list_page(&self, folder: &Folder, after: &str, _limit: u32) -> Result<Page> {
        self.call();
        let entries = self.entries.lock().unwrap();
        let below = entries.keys().filter_map(|key| key.strip_prefix(folder.as_str()));
        Ok(Page { names: below.filter(|name| *name > after).map(str::to_owned).collect(), more: false })
    }

    async fn batch(&self, _: Vec<Operation>) -> Result<()> {
        Err(Error::Unsupported("batch".to_owned()))
    }

    async fn scan(&self, _: u32, _: u32, _: Option<Bytes>, _: u32) -> Result<ScanPage> {
        Err(Error::Unsupported("scan".to_owned()))
    }
}

fn arguments(repeat: u32) -> StorageArguments {
    StorageArguments {
        config: vec![PathBuf::from("server.hcl")],
        duration: Duration::from_millis(20),
        workers: 3,
        keys: 250,
        value_size: 64,
        repeat,
        no_server_runs: false,
        save: None,
        html: None,
        report_mode: Mode::Terse,
    }
}

#[tokio::test]
async fn each_operation_is_measured_and_nothing_is_left() {
    let memory = Memory::new(u64::MAX);
    memory.put(&Key::new("logical/x").unwrap(), Bytes::from_static(b"y")).await.unwrap();
    let measured = measure(memory.clone(), "memory", &arguments(2), Arc::clone(&memory.stop)).await.unwrap();
    assert!(measured.left.is_none());
    assert_eq!(memory.entries.lock().unwrap().keys().collect::<Vec<_>>(), ["logical/x"]);
    let target = measured.target;
    let tests: Vec<&str> = target.tests().iter().map(|(test, _)| *test).collect();
    assert_eq!(tests, ["storage_delete", "storage_get", "storage_list", "storage_put"]);
    assert!(target.metrics.values().all(|metrics| metrics.requests > 0));
    assert_eq!(target.repetitions(TOTAL).count(), 2);
    let gets = &target.metrics["storage_get"];
    assert_eq!(gets.errors(), ["unavailable"], "the case, and no text of the guest");
    assert!(gets.success > 0.0 && gets.success < 1.0);
    assert!(target.metrics["storage_list"].bytes_in.total > 0 && target.metrics["storage_put"].bytes_out.mean > 63.0);
}

#[tokio::test]
async fn a_stopped_run_reports_what_there_is_and_cleans_up() {
    let memory = Memory::new(260);
    let measured = measure(memory.clone(), "memory", &arguments(1), Arc::clone(&memory.stop)).await.unwrap();
    assert!(memory.entries.lock().unwrap().is_empty());
    assert!(measured.target.details.unwrap().load.interrupted);
    assert_eq!(measured.target.metrics.keys().collect::<Vec<_>>(), ["storage_put", TOTAL]);
}

#[tokio::test]
async fn a_value_that_the_store_cannot_hold_is_refused() {
    let memory = Memory::new(u64::MAX);
    let arguments = StorageArguments { value_size: 5_000, ..arguments(1) };
    let error = measure(memory.clone(), "memory", &arguments, Arc::clone(&memory.stop)).await.unwrap_err();
    assert_eq!(error.to_string(), "--value-size: the storage holds values of at most 4096 bytes");
}

/// A lock that somebody holds until then.
struct Claimed(u64);

#[async_trait]
impl Lock for Claimed {
    async fn try_acquire(&self, _: &Key, _: Held, _: Option<Held>) -> Result<bool> {
        Ok(false)
    }

    async fn renew(&self, _: &Key, _: &str, _: u64) -> Result<bool> {
        Ok(false)
    }

    async fn release(&self, _: &Key, _: &str) -> Result<()> {
        Ok(())
    }

    async fn read(&self, _: &Key) -> Result<Option<Held>> {
        Ok(Some(Held { value: Bytes::new(), identity: "a".to_owned(), expires: self.0 }))
    }
}

#[tokio::test]
async fn a_store_in_use_is_left_alone() {
    let memory = Memory::new(u64::MAX);
    // Of seven reads one fails, which is an answer of its own.
    let refused = async |lock: Option<&dyn Lock>, alone: bool, calls: u64| {
        memory.calls.store(calls, Ordering::Relaxed);
        refuse_in_use(&*memory, lock, alone).await.err()
    };
    assert!(refused(None, false, 0).await.is_none());
    assert!(matches!(refused(Some(&Claimed(u64::MAX)), true, 0).await, Some(Refusal::Led)));
    assert!(refused(Some(&Claimed(1)), false, 0).await.is_none(), "a claim that has ended");
    memory.put(&Key::new("core/keyring").unwrap(), Bytes::new()).await.unwrap();
    assert!(matches!(refused(None, false, 0).await, Some(Refusal::Vault)));
    assert!(refused(None, true, 0).await.is_none());
    memory.put(&Key::new("core/migration").unwrap(), Bytes::new()).await.unwrap();
    assert!(matches!(refused(None, true, 0).await, Some(Refusal::Migrating)));
    assert!(matches!(refused(None, true, 6).await, Some(Refusal::Unknown(_))));
}
