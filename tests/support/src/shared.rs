//! One store that several servers share, with a lock, and a faulty link from each server to it.
//!
//! What a server sends may be held on its way, before or after the server's last look at its lease; its answers may be lost; the link may be cut.
//! What was sent takes effect even if nobody waits for the answer any more. The store counts what must never happen: a mutation that takes effect
//! though another server has taken the lock since it was sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Error, Fencing, Folder, Held, Key, Lease, Lock, Operation, Page, Result, ScanPage, Storage};
use tokio::sync::watch;

use crate::Memory;

/// The store.
#[derive(Clone, Default)]
pub struct Shared {
    memory: Memory,
    locks: Arc<Mutex<Locks>>,
}

#[derive(Default)]
struct Locks {
    held: BTreeMap<String, Held>,
    /// Which server made up an identity.
    servers: HashMap<String, u64>,
    acquisitions: u64,
    overtaken: u64,
}

/// Where mutations of data are held on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nowhere.
    None,
    /// Before the server's last look at its lease.
    BeforeSend,
    /// After it.
    AfterSend,
}

/// A server's link to the store, to break.
pub struct Link {
    server: u64,
    cut: AtomicBool,
    cut_lock: AtomicBool,
    lost_answers: AtomicI64,
    data_delay: AtomicU64,
    lock_delay: AtomicU64,
    hold: watch::Sender<Hold>,
    /// Seconds by which the server's clock is wrong.
    skew: AtomicI64,
    lease: Arc<Lease>,
}

/// The store as one server sees it: both [`Storage`] and [`Lock`].
#[derive(Clone)]
pub struct Node {
    shared: Shared,
    link: Arc<Link>,
}

fn cut_off() -> Error {
    Error::Unavailable("cut off".to_owned())
}

impl Shared {
    /// A server's view, with a lease of its own.
    pub fn node(&self, fencing: Fencing) -> Node {
        static SERVERS: AtomicU64 = AtomicU64::new(1);
        let link = Link {
            server: SERVERS.fetch_add(1, Ordering::SeqCst),
            cut: AtomicBool::new(false),
            cut_lock: AtomicBool::new(false),
            lost_answers: AtomicI64::new(0),
            data_delay: AtomicU64::new(0),
            lock_delay: AtomicU64::new(0),
            hold: watch::Sender::new(Hold::None),
            skew: AtomicI64::new(0),
            lease: Lease::new(fencing),
        };
        Node { shared: self.clone(), link: Arc::new(link) }
    }

    fn locks(&self) -> MutexGuard<'_, Locks> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is stored, without locks.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The lock under this key.
    pub fn held(&self, key: &str) -> Option<Held> {
        self.locks().held.get(key).cloned()
    }

    /// Puts a lock there as another program would.
    pub fn put_lock(&self, key: &str, held: Held) {
        self.locks().held.insert(key.to_owned(), held);
    }

    /// How often a lock was acquired.
    pub fn acquisitions(&self) -> u64 {
        self.locks().acquisitions
    }

    /// Mutations that took effect though another server held the lock.
    pub fn overtaken(&self) -> u64 {
        self.locks().overtaken
    }
}

impl Link {
    /// Lets nothing through, or everything again.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// The same for steps on locks only.
    pub fn cut_lock(&self, cut: bool) {
        self.cut_lock.store(cut, Ordering::SeqCst);
    }

    /// Loses the answers to so many further steps that change a lock.
    pub fn lose_answers(&self, steps: i64) {
        self.lost_answers.store(steps, Ordering::SeqCst);
    }

    /// Makes each mutation, and each step on a lock, take longer.
    pub fn delay(&self, data: Duration, lock: Duration) {
        let millis = |delay: Duration| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.data_delay.store(millis(data), Ordering::SeqCst);
        self.lock_delay.store(millis(lock), Ordering::SeqCst);
    }

    /// Holds mutations, or lets them go on.
    pub fn hold(&self, hold: Hold) {
        self.hold.send_replace(hold);
    }

    /// Sets the server's clock wrong by so many seconds.
    pub fn skew(&self, seconds: i64) {
        self.skew.store(seconds, Ordering::SeqCst);
    }

    async fn pass(&self, hold: Hold) {
        let mut held = self.hold.subscribe();
        // The sender lives as long as the link.
        drop(held.wait_for(|now| *now != hold).await);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }
}

impl Node {
    /// The link, to break.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The server's lease.
    pub fn lease(&self) -> &Arc<Lease> {
        &self.link.lease
    }

    /// Sends a mutation. It goes on if the caller does not.
    async fn send(&self, operations: Vec<Operation>) -> Result<()> {
        let node = self.clone();
        let sent = tokio::spawn(async move { node.mutate(operations).await });
        sent.await.unwrap_or_else(|error| Err(Error::Unavailable(error.to_string())))
    }

    async fn mutate(&self, operations: Vec<Operation>) -> Result<()> {
        let link = &self.link;
        let fence = link.lease.fence();
        tokio::time::sleep(Duration::from_millis(link.data_delay.load(Ordering::SeqCst))).await;
        link.pass(Hold::BeforeSend).await;
        if link.is_cut() {
            return Err(cut_off());
        }
        if link.lease.remaining().is_none() {
            return Err(Error::Denied("no lease".to_owned()));
        }
        link.pass(Hold::AfterSend).await;
        {
            let mut locks = self.shared.locks();
            // As the store decides it: in one step with the mutation.
            if let Some(fence) = fence
                && locks.held.get(fence.key.as_str()).is_none_or(|held| held.identity != fence.identity)
            {
                return Err(Error::Conflict("the lock is another's".to_owned()));
            }
            let holder = locks.held.values().next().and_then(|held| locks.servers.get(&held.identity)).copied();
            if holder.is_some_and(|holder| holder != link.server) {
                locks.overtaken += 1;
            }
            self.shared.memory.apply(operations);
        }
        if link.is_cut() { Err(cut_off()) } else { Ok(()) }
    }

    async fn step<T>(&self, changes: bool, step: impl FnOnce(&mut Locks) -> T) -> Result<T> {
        let link = &self.link;
        let cut = || link.is_cut() || link.cut_lock.load(Ordering::SeqCst);
        let delay = || tokio::time::sleep(Duration::from_millis(link.lock_delay.load(Ordering::SeqCst) / 2));
        delay().await;
        if cut() {
            return Err(cut_off());
        }
        let done = step(&mut self.shared.locks());
        delay().await;
        let lost = changes && link.lost_answers.fetch_sub(1, Ordering::SeqCst) > 0;
        if cut() || lost { Err(cut_off()) } else { Ok(done) }
    }
}

#[async_trait]
impl Storage for Node {
    fn descriptor(&self) -> &Descriptor {
        self.shared.memory.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        if self.link.is_cut() { Err(cut_off()) } else { self.shared.memory.get(key).await }
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.send(vec![Operation::Put(key.clone(), value)]).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.send(vec![Operation::Delete(key.clone())]).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        if self.link.is_cut() { Err(cut_off()) } else { self.shared.memory.list_page(folder, after, limit).await }
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        self.send(operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        if self.link.is_cut() { Err(cut_off()) } else { self.shared.memory.scan(segment, segments, cursor, limit).await }
    }
}

#[async_trait]
impl Lock for Node {
    async fn try_acquire(&self, key: &Key, claim: Held, seen: Option<Held>) -> Result<bool> {
        let server = self.link.server;
        self.step(true, |locks| {
            let same = |a: &Held, b: &Held| a.identity == b.identity && a.expires == b.expires;
            let unchanged = match (locks.held.get(key.as_str()), &seen) {
                (None, None) => true,
                (Some(held), Some(seen)) => same(held, seen),
                _ => false,
            };
            if unchanged {
                locks.servers.insert(claim.identity.clone(), server);
                locks.held.insert(key.as_str().to_owned(), claim);
                locks.acquisitions += 1;
            }
            unchanged
        })
        .await
    }

    async fn renew(&self, key: &Key, identity: &str, expires: u64) -> Result<bool> {
        self.step(true, |locks| {
            let held = locks.held.get_mut(key.as_str()).filter(|held| held.identity == identity);
            held.map(|held| held.expires = expires).is_some()
        })
        .await
    }

    async fn release(&self, key: &Key, identity: &str) -> Result<()> {
        self.step(true, |locks| {
            if locks.held.get(key.as_str()).is_some_and(|held| held.identity == identity) {
                locks.held.remove(key.as_str());
            }
        })
        .await
    }

    async fn read(&self, key: &Key) -> Result<Option<Held>> {
        self.step(false, |locks| locks.held.get(key.as_str()).cloned()).await
    }

    fn now(&self) -> SystemTime {
        let skew = self.link.skew.load(Ordering::SeqCst);
        let by = Duration::from_secs(skew.unsigned_abs());
        if skew < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
    }
}
