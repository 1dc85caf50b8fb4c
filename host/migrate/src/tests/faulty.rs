//! A storage in memory with small pages and parts, that can be cut, stalled, throttled, limited and picky.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Entry, Error, Folder, Key, Operation, Page, Result, ScanPage, Storage};
use cofferdam_test_support::Memory;
use tokio::sync::watch;

/// What happens to mutations when the budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// They fail.
    Cut,
    /// They are never answered, and done or not.
    Stall { late: bool },
}

#[derive(Clone)]
pub(super) struct Faulty {
    pub(super) memory: Memory,
    pub(super) descriptor: Descriptor,
    pub(super) page: usize,
    budget: Arc<AtomicI64>,
    after: After,
    /// Every so many calls one is throttled.
    throttled: u64,
    calls: Arc<AtomicU64>,
    spent: Arc<watch::Sender<bool>>,
    /// The disk is full.
    full: bool,
}

impl Faulty {
    pub(super) fn new(entries: BTreeMap<String, Bytes>) -> Faulty {
        let memory = Memory::from_snapshot(entries);
        let mut descriptor = memory.descriptor().clone();
        descriptor.features.parallel_scan = true;
        descriptor.features.atomic_batch = false;
        descriptor.limits.batch_operations = 4;
        Faulty {
            memory,
            descriptor,
            page: 5,
            budget: Arc::new(AtomicI64::new(i64::MAX)),
            after: After::Cut,
            throttled: 0,
            calls: Arc::default(),
            spent: Arc::new(watch::Sender::new(false)),
            full: false,
        }
    }

    /// The same entries, cut after so many mutations.
    pub(super) fn cut(&self, mutations: i64, after: After) -> Faulty {
        Faulty { budget: Arc::new(AtomicI64::new(mutations)), after, spent: Arc::new(watch::Sender::new(false)), ..self.clone() }
    }

    /// The same entries on a full disk.
    pub(super) fn full(&self) -> Faulty {
        Faulty { full: true, ..self.clone() }
    }

    pub(super) fn throttled(&self, every: u64) -> Faulty {
        Faulty { throttled: every, ..self.clone() }
    }

    pub(super) fn snapshot(&self) -> BTreeMap<String, Bytes> {
        self.memory.snapshot()
    }

    /// Waits until the budget is spent.
    pub(super) async fn stalled(&self) {
        let mut spent = self.spent.subscribe();
        let _ = spent.wait_for(|spent| *spent).await;
    }

    pub(super) fn was_cut(&self) -> bool {
        *self.spent.borrow()
    }

    async fn call(&self) -> Result<()> {
        tokio::task::yield_now().await;
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if self.throttled > 0 && call.is_multiple_of(self.throttled) {
            return Err(Error::Throttled(Duration::from_millis(1)));
        }
        Ok(())
    }

    async fn mutate(&self, operation: Operation) -> Result<()> {
        if let Operation::Put(key, _) = &operation
            && key.as_str().starts_with("reserved/")
        {
            return Err(Error::InvalidKey("it is reserved".to_owned()));
        }
        if self.full && operation.key().as_str().starts_with("logical/") {
            return Err(Error::Exhausted("no space left".to_owned()));
        }
        if self.budget.fetch_sub(1, Ordering::SeqCst) > 0 {
            return self.memory.batch(vec![operation]).await;
        }
        match self.after {
            After::Cut => {
                self.spent.send_replace(true);
                Err(Error::Unavailable("cut off".to_owned()))
            }
            After::Stall { late } => {
                if late && !self.spent.send_replace(true) {
                    self.memory.batch(vec![operation]).await?;
                }
                self.spent.send_replace(true);
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Storage for Faulty {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.call().await?;
        self.memory.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.call().await?;
        self.mutate(Operation::Put(key.clone(), value)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.call().await?;
        self.mutate(Operation::Delete(key.clone())).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.memory.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        self.call().await?;
        let mut keys: Vec<&str> = operations.iter().map(|operation| operation.key().as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert!(keys.len() == operations.len() && keys.len() <= 4, "{operations:?}");
        for operation in operations {
            self.mutate(operation).await?;
        }
        Ok(())
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, _: u32) -> Result<ScanPage> {
        self.call().await?;
        let after = cursor.map(|cursor| String::from_utf8(cursor.to_vec()).unwrap());
        let mine = |key: &str| key.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte)) % segments == segment;
        let mut all = self.memory.snapshot().into_iter().filter(|(key, _)| mine(key) && after.as_ref().is_none_or(|after| key > after));
        let entries: Vec<Entry> = all.by_ref().take(self.page).map(|(key, value)| Entry { key, value }).collect();
        let cursor = all.next().and(entries.last()).map(|last| Bytes::from(last.key.clone()));
        Ok(ScanPage { entries, cursor })
    }
}
