//! [`Lock`] on top of a guest, on an instance of its own.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Error, Held, Key, Limits, Lock, Result};
use wasmtime::Store;

use crate::breach::contract;
use crate::guest::Failure;
use crate::metrics::Operation;
use crate::pool::{Job, Pool};
use crate::since_v0_1::exports::lock as wit;
use crate::since_v0_1::{StorageContract, StorageExports};
use crate::state::State;
use crate::stats::PoolStats;

/// The longest identity of a holder, in bytes.
const IDENTITY: usize = 128;

/// The lock of a storage backend.
pub struct LockBackend {
    pool: Arc<Pool<StorageContract>>,
    limits: Limits,
}

impl LockBackend {
    pub(crate) fn new(pool: Arc<Pool<StorageContract>>, limits: Limits) -> LockBackend {
        LockBackend { pool, limits }
    }

    /// Adds its instances to the counts.
    pub(crate) fn count(&self, stats: &mut PoolStats) {
        self.pool.count(stats);
    }
}

/// The exports of a component that was found to have them.
fn lock(exports: &StorageExports) -> Result<&wit::Guest, Failure> {
    exports.lock.as_ref().ok_or_else(|| Failure::Refused(Error::Unsupported("lock".to_owned())))
}

fn to_guest(held: Held) -> wit::Held {
    wit::Held { value: held.value.into(), identity: held.identity, expires: held.expires }
}

fn check_identity(identity: &str) -> Result<()> {
    if (1..=IDENTITY).contains(&identity.len()) {
        Ok(())
    } else {
        Err(Error::Unsupported(format!("an identity of {} bytes: 1 to {IDENTITY} are allowed", identity.len())))
    }
}

struct TryAcquire {
    key: Key,
    claim: wit::Held,
    seen: Option<wit::Held>,
}

impl Job<StorageContract> for TryAcquire {
    type Output = bool;
    const OPERATION: Operation = Operation::Lock;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<bool, Failure> {
        Ok(lock(exports)?.call_try_acquire(store, self.key.as_str(), &self.claim, self.seen.as_ref()).await??)
    }
}

struct Renew {
    key: Key,
    identity: String,
    expires: u64,
}

impl Job<StorageContract> for Renew {
    type Output = bool;
    const OPERATION: Operation = Operation::Lock;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<bool, Failure> {
        Ok(lock(exports)?.call_renew(store, self.key.as_str(), &self.identity, self.expires).await??)
    }
}

struct Release {
    key: Key,
    identity: String,
}

impl Job<StorageContract> for Release {
    type Output = ();
    const OPERATION: Operation = Operation::Lock;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<(), Failure> {
        Ok(lock(exports)?.call_release(store, self.key.as_str(), &self.identity).await??)
    }
}

struct Read(Key);

impl Job<StorageContract> for Read {
    type Output = Option<Held>;
    const OPERATION: Operation = Operation::Lock;

    async fn run(self, store: &mut Store<State>, exports: &StorageExports) -> Result<Option<Held>, Failure> {
        let Some(wit::Held { value, identity, expires }) = lock(exports)?.call_read(store, self.0.as_str()).await?? else {
            return Ok(None);
        };
        // Empty if the holder, which may be another program, stored none.
        if identity.len() > IDENTITY {
            return Err(contract(format!("lock: an identity of {} bytes, at most {IDENTITY} are allowed", identity.len())).into());
        }
        Ok(Some(Held { value: Bytes::from(value), identity, expires }))
    }
}

#[async_trait]
impl Lock for LockBackend {
    async fn try_acquire(&self, key: &Key, claim: Held, seen: Option<Held>) -> Result<bool> {
        self.limits.check_key(key)?;
        check_identity(&claim.identity)?;
        let job = TryAcquire { key: key.clone(), claim: to_guest(claim), seen: seen.map(to_guest) };
        self.pool.call(async { job }).await
    }

    async fn renew(&self, key: &Key, identity: &str, expires: u64) -> Result<bool> {
        self.limits.check_key(key)?;
        let job = Renew { key: key.clone(), identity: identity.to_owned(), expires };
        self.pool.call(async { job }).await
    }

    async fn release(&self, key: &Key, identity: &str) -> Result<()> {
        self.limits.check_key(key)?;
        let job = Release { key: key.clone(), identity: identity.to_owned() };
        self.pool.call(async { job }).await
    }

    async fn read(&self, key: &Key) -> Result<Option<Held>> {
        self.limits.check_key(key)?;
        self.pool.call(async { Read(key.clone()) }).await
    }

    fn now(&self) -> SystemTime {
        self.pool.guest.now()
    }
}
