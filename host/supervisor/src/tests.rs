//! Scripted backends on paused time: what is shown does not depend on how fast the machine is.

mod reloads;
mod troubles;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Error, Folder, Held, Key, Lock, Operation, Page, Result, ScanPage, Storage};
use cofferdam_test_support::Memory;
use tokio::sync::RwLock;

use crate::{Generation, OpenFailure, Options, StorageGeneration, SupervisedStorage};

/// What all generations of a test share.
#[derive(Clone)]
struct Script(Arc<Inner>);

struct Inner {
    memory: Memory,
    /// Every call fails so.
    failure: Mutex<Option<Error>>,
    /// Only puts do.
    puts_only: AtomicBool,
    opening: Mutex<Option<OpenFailure>>,
    opens: AtomicU32,
    calls: AtomicU32,
    alive: AtomicU32,
    /// Puts wait here while a test holds it alone.
    gate: RwLock<()>,
}

/// One generation.
struct Scripted {
    script: Script,
    sha256: String,
    descriptor: Descriptor,
    /// Where it keeps entries: the shared memory, or another.
    memory: Memory,
    locks: bool,
    forgotten: AtomicU32,
}

impl Script {
    fn new() -> Script {
        Script(Arc::new(Inner {
            memory: Memory::default(),
            failure: Mutex::default(),
            puts_only: AtomicBool::new(false),
            opening: Mutex::default(),
            opens: AtomicU32::new(0),
            calls: AtomicU32::new(0),
            alive: AtomicU32::new(0),
            gate: RwLock::default(),
        }))
    }

    fn fail(&self, failure: Option<Error>) {
        *self.0.failure.lock().unwrap() = failure;
    }

    fn fail_opening(&self, failure: Option<OpenFailure>) {
        *self.0.opening.lock().unwrap() = failure;
    }

    fn opens(&self) -> u32 {
        self.0.opens.load(Ordering::SeqCst)
    }

    /// Calls that reached a generation.
    fn calls(&self) -> u32 {
        self.0.calls.load(Ordering::SeqCst)
    }

    fn alive(&self) -> u32 {
        self.0.alive.load(Ordering::SeqCst)
    }

    fn generation(&self, sha256: &str) -> Scripted {
        self.0.alive.fetch_add(1, Ordering::SeqCst);
        let memory = self.0.memory.clone();
        let descriptor = memory.descriptor().clone();
        Scripted { script: self.clone(), sha256: sha256.to_owned(), descriptor, memory, locks: true, forgotten: AtomicU32::new(0) }
    }

    fn supervised(&self) -> SupervisedStorage<Scripted> {
        SupervisedStorage::new("storage/scripted", self.generation("one"), key("core/probe"), Options::default())
    }

    async fn call(&self, put: bool) -> Result<()> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        match &*self.0.failure.lock().unwrap() {
            Some(failure) if put || !self.0.puts_only.load(Ordering::SeqCst) => Err(failure.clone()),
            _ => Ok(()),
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.script.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Generation for Scripted {
    fn sha256(&self) -> &str {
        &self.sha256
    }

    async fn again(self: Arc<Self>) -> Result<Self, OpenFailure> {
        self.script.0.opens.fetch_add(1, Ordering::SeqCst);
        match self.script.0.opening.lock().unwrap().clone() {
            Some(failure) => Err(failure),
            None => Ok(self.script.generation(&self.sha256)),
        }
    }
}

impl StorageGeneration for Scripted {
    fn storage(&self) -> &dyn Storage {
        self
    }

    fn lock(&self) -> Option<&dyn Lock> {
        self.locks.then_some(self as &dyn Lock)
    }
}

#[async_trait]
impl Storage for Scripted {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.script.call(false).await?;
        self.memory.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.script.call(true).await?;
        let _passed = self.script.0.gate.read().await;
        self.memory.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.script.call(true).await?;
        self.memory.delete(key).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.script.call(false).await?;
        self.memory.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        self.script.call(true).await?;
        self.memory.batch(operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.script.call(false).await?;
        self.memory.scan(segment, segments, cursor, limit).await
    }

    fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }
}

/// Its answers tell which generation gave them.
#[async_trait]
impl Lock for Scripted {
    async fn try_acquire(&self, _: &Key, _: Held, _: Option<Held>) -> Result<bool> {
        self.script.call(false).await.map(|()| true)
    }

    async fn renew(&self, _: &Key, _: &str, _: u64) -> Result<bool> {
        self.script.call(false).await.map(|()| true)
    }

    async fn release(&self, _: &Key, _: &str) -> Result<()> {
        self.script.call(false).await
    }

    async fn read(&self, _: &Key) -> Result<Option<Held>> {
        self.script.call(false).await?;
        Ok(Some(Held { value: Bytes::new(), identity: self.sha256.clone(), expires: 0 }))
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn breach() -> Error {
    Error::Breach("trap: words of the guest".to_owned())
}

/// Reads once, `times` over.
async fn reads(storage: &SupervisedStorage<Scripted>, times: usize) -> Vec<&'static str> {
    let mut cases = Vec::new();
    for _ in 0..times {
        cases.push(storage.get(&key("a")).await.map_or_else(|error| error.case(), |_| "ok"));
    }
    cases
}

/// Lets time pass in small steps, so that what is due in it happens in its order.
async fn pass(seconds: u64) {
    for _ in 0..seconds * 4 {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
