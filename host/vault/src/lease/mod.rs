//! Leases: how long tokens live.
//!
//! A lease is an entry of the storage, and its end is in memory too, so that a request finds out without a read whether its token has
//! expired, and so that one task knows what ends next. The rule: the storage is changed first, then memory. A lease that cannot be read has
//! not ended: whom it is for is refused until someone revokes. Who revokes is
//! [`token::Store`](crate::token::Store), since what ends with a lease is a token and its children.

pub mod clock;
pub mod entry;
pub mod ttl;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt as _, TryStreamExt as _};
use time::OffsetDateTime;
use tokio::sync::Notify;

use clock::{Clock, Time};
pub use entry::{Auth, Lease};

use crate::barrier::Change;
use crate::logical::{Error, Result};
use crate::view::View;

/// Reads under way at a time while all leases are loaded.
const CONCURRENT: usize = 32;

/// What memory knows of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When it was made.
    pub issue: Time,
    /// When it ends; zero for never.
    pub expire: Time,
    /// When it was last renewed.
    pub last_renewal: Time,
    /// Whether it can be renewed.
    pub renewable: bool,
}

impl From<&Lease> for Times {
    fn from(lease: &Lease) -> Times {
        Times { issue: lease.issue_time, expire: lease.expire_time, last_renewal: lease.last_renewal_time, renewable: lease.renewable() }
    }
}

#[derive(Default)]
struct Index {
    /// By id: the times, none if what is stored cannot be read; and where in the queue it stands.
    leases: HashMap<Arc<str>, (Option<Times>, Option<OffsetDateTime>)>,
    /// Those that end, soonest first.
    queue: BTreeSet<(OffsetDateTime, Arc<str>)>,
}

impl Index {
    /// None if it is not known. [`Error::Damaged`] for one that cannot be read.
    fn get(&self, id: &str) -> Option<Result<Times>> {
        let (times, _) = self.leases.get(id)?;
        Some(times.ok_or_else(|| Error::Damaged(format!("lease {id}: could not be read when the leases were loaded"))))
    }

    fn insert(&mut self, id: &str, times: Option<Times>, due: Option<OffsetDateTime>) {
        self.remove(id);
        let id: Arc<str> = id.into();
        if let Some(due) = due {
            self.queue.insert((due, id.clone()));
        }
        self.leases.insert(id, (times, due));
    }

    fn remove(&mut self, id: &str) {
        if let Some((id, (_, Some(due)))) = self.leases.remove_entry(id) {
            self.queue.remove(&(due, id));
        }
    }
}

/// The leases of a vault.
pub struct Leases {
    /// `sys/expire/id/`
    view: View,
    /// `sys/expire/token/`: the leases of secrets by their tokens, which only other servers write.
    tokens: View,
    clock: Clock,
    index: Mutex<Index>,
    /// Whether every stored lease is in the index.
    loaded: AtomicBool,
    /// Told when something ends sooner than anything before.
    sooner: Notify,
}

impl Leases {
    /// The leases in the view of `sys/expire/`. None is loaded yet; those that are asked for are read.
    pub fn new(view: &View, clock: Clock) -> Leases {
        Leases {
            view: view.sub("id/"),
            tokens: view.sub("token/"),
            clock,
            index: Mutex::default(),
            loaded: AtomicBool::new(false),
            sooner: Notify::new(),
        }
    }

    /// Where these leases have the time from.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads every stored lease. Those that cannot be read are remembered as such, with a word in the log.
    pub async fn load(&self) -> Result<()> {
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let (below, names): (Vec<String>, Vec<String>) =
                self.view.list(&folder).await?.into_iter().map(|name| format!("{folder}{name}")).partition(|name| name.ends_with('/'));
            folders.extend(below);
            let reads = futures_util::stream::iter(names.into_iter().map(|id| async move {
                match self.times(&id).await {
                    Err(Error::Damaged(text)) => {
                        tracing::error!(lease = id, "a lease cannot be read; what it is for is refused until it is revoked: {text}");
                        let mut index = self.index();
                        if index.get(&id).is_none() {
                            index.insert(&id, None, None);
                        }
                    }
                    Err(other) => return Err(other),
                    Ok(_) => {}
                }
                Ok(())
            }));
            reads.buffer_unordered(CONCURRENT).try_collect::<()>().await?;
        }
        self.loaded.store(true, Ordering::Release);
        self.sooner.notify_one();
        Ok(())
    }

    /// Stores a lease, new or changed.
    pub async fn put(&self, lease: &Lease) -> Result<()> {
        self.view.batch(vec![self.change(lease)?]).await?;
        self.stored(lease);
        Ok(())
    }

    /// What [`Leases::put`] writes, for a batch with other entries. [`Leases::stored`] is to be told before these can be found, and if the batch fails
    /// [`Leases::not_stored`].
    pub(crate) fn change(&self, lease: &Lease) -> Result<Change> {
        self.view.change(&lease.lease_id, Some(&lease.to_stored()?))
    }

    /// The lease is in the storage as it is here.
    pub(crate) fn stored(&self, lease: &Lease) {
        let mut index = self.index();
        index.insert(&lease.lease_id, Some(Times::from(lease)), lease.expire_time.get());
        let first = index.queue.first().is_some_and(|(_, id)| **id == *lease.lease_id);
        drop(index);
        if first {
            self.sooner.notify_one();
        }
    }

    /// A new lease is not in the storage, or it is unknown whether it is; then it is found when the leases are loaded.
    pub(crate) fn not_stored(&self, lease: &Lease) {
        self.index().remove(&lease.lease_id);
    }

    /// Removes a lease; a missing one is a success.
    pub async fn delete(&self, id: &str) -> Result<()> {
        self.view.delete(id).await?;
        self.index().remove(id);
        Ok(())
    }

    /// The lease as stored.
    pub async fn get(&self, id: &str) -> Result<Option<Lease>> {
        match self.view.get(id).await? {
            Some(bytes) => Lease::from_stored(id, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// The times of a lease, from memory once all are loaded. [`Error::Damaged`] for one that cannot be read.
    pub async fn times(&self, id: &str) -> Result<Option<Times>> {
        if let Some(times) = self.index().get(id) {
            return times.map(Some);
        }
        if self.loaded.load(Ordering::Acquire) {
            return Ok(None);
        }
        let Some(lease) = self.get(id).await? else { return Ok(None) };
        let times = Times::from(&lease);
        let mut index = self.index();
        // One that was put meanwhile is newer than what was read.
        if let Some(newer) = index.get(id) {
            return newer.map(Some);
        }
        index.insert(id, Some(times), times.expire.get());
        Ok(Some(times))
    }

    /// Whether a lease has ended, from the storage, which memory is put right by. A missing one has not: it is gone.
    pub async fn ended(&self, id: &str) -> Result<bool> {
        let lease = self.get(id).await?;
        let mut index = self.index();
        match &lease {
            Some(lease) => index.insert(id, Some(Times::from(lease)), lease.expire_time.get()),
            None => index.remove(id),
        }
        Ok(lease.is_some_and(|lease| lease.expire_time.passed(self.clock.now())))
    }

    /// The names directly below a folder of leases (empty, or ending in `/`).
    pub async fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.view.list(folder).await
    }

    /// All leases whose id begins with `prefix`, once all are loaded; in no order.
    pub async fn below(&self, prefix: &str) -> Result<Vec<String>> {
        if !self.loaded.load(Ordering::Acquire) {
            self.load().await?;
        }
        Ok(self.index().leases.keys().filter(|id| id.starts_with(prefix)).map(|id| id.to_string()).collect())
    }

    /// Whether there is a lease of this id, readable or not.
    pub async fn known(&self, id: &str) -> Result<bool> {
        match self.times(id).await {
            Ok(times) => Ok(times.is_some()),
            Err(Error::Damaged(_)) => Ok(true),
            Err(other) => Err(other),
        }
    }

    /// Removes what says that a lease of a secret is a token's, both by their salted names.
    pub async fn unlink(&self, token: &str, lease: &str) -> Result<()> {
        self.tokens.delete(&format!("{token}/{lease}")).await
    }

    /// Those that have ended and are not tried again.
    pub fn given_up(&self) -> Vec<String> {
        let now = self.clock.now();
        let index = self.index();
        let over = index.leases.iter().filter(|(_, (times, due))| due.is_none() && times.is_some_and(|times| times.expire.passed(now)));
        let mut ids: Vec<String> = over.map(|(id, _)| id.to_string()).collect();
        ids.sort();
        ids
    }

    /// How many leases memory knows: all, once they are loaded.
    pub(crate) fn count(&self) -> usize {
        self.index().leases.len()
    }

    /// A lease that has ended, the one that ended first; or when the next one ends.
    pub fn due(&self) -> Result<Arc<str>, Option<OffsetDateTime>> {
        let now = self.clock.now();
        match self.index().queue.first() {
            Some((expire, id)) if *expire <= now => Ok(id.clone()),
            Some((expire, _)) => Err(Some(*expire)),
            None => Err(None),
        }
    }

    /// Puts off the end of a lease in memory only, after its revocation failed; none: until the leases are loaded again.
    pub fn postpone(&self, id: &str, until: Option<OffsetDateTime>) {
        let mut index = self.index();
        if let Some(Ok(times)) = index.get(id) {
            index.insert(id, Some(times), until);
        }
    }

    /// Returns when something ends sooner than before.
    pub async fn changed(&self) {
        self.sooner.notified().await;
    }
}
