//! The prunes that a delete leaves to be done.
//!
//! The rule: what is due is done. It runs in a task of its own, also when whoever deleted has gone away since.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use cofferdam_backend::{Error, Result};
use tokio::runtime::Handle;
use tracing::Instrument;

use super::jobs::Prune;
use crate::folders::Folders;
use crate::folders::prune::{Deferred, Suspects};
use crate::pool::Pool;
use crate::since_v0_1::StorageContract;

/// The pools that serve one store, oldest first: what is due outlives the backend that has left it.
#[derive(Default)]
pub(crate) struct Pools(Mutex<Vec<Weak<Pool<StorageContract>>>>);

impl Pools {
    pub(super) fn add(&self, pool: &Arc<Pool<StorageContract>>) {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// The oldest: a newer one may not have been taken into service.
    fn any(&self) -> Option<Arc<Pool<StorageContract>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().find_map(Weak::upgrade)
    }
}

/// Prunes that are due. Dropped, they are done all the same.
pub(super) struct Due(Option<Sweep>);

struct Sweep {
    pool: Arc<Pool<StorageContract>>,
    folders: Arc<Folders>,
    suspects: Suspects,
}

impl Due {
    pub(super) fn nothing() -> Due {
        Due(None)
    }

    pub(super) fn new(pool: Arc<Pool<StorageContract>>, folders: Arc<Folders>, suspects: Suspects) -> Due {
        Due((!suspects.is_empty()).then_some(Sweep { pool, folders, suspects }))
    }

    /// Does them. Their error is the delete's.
    pub(super) async fn settle(mut self) -> Result<()> {
        let Some(sweep) = self.0.take() else { return Ok(()) };
        // The task is never aborted: it ends by itself, or with the tokio runtime.
        tokio::spawn(sweep.run().in_current_span())
            .await
            .unwrap_or_else(|error| Err(Error::Unavailable(format!("folders were not pruned: {error}"))))
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        if let (Some(sweep), Ok(handle)) = (self.0.take(), Handle::try_current()) {
            handle.spawn(sweep.run());
        }
    }
}

impl Sweep {
    async fn run(self) -> Result<()> {
        let Sweep { pool, folders, suspects } = self;
        let (result, deferred) = sweep(&pool, &folders, suspects).await;
        if let Some(deferred) = deferred {
            tokio::spawn(later(folders, deferred));
        }
        result
    }
}

async fn sweep(pool: &Arc<Pool<StorageContract>>, folders: &Arc<Folders>, suspects: Suspects) -> (Result<()>, Option<Deferred>) {
    folders.sweep(suspects, pool.guest.pool.wait, |pruning| pool.call(async { Prune(pruning) })).await
}

/// Prunes when no put that was given up can take effect any more.
async fn later(folders: Arc<Folders>, deferred: Deferred) {
    let mut next = Some(deferred);
    while let Some(deferred) = next {
        tokio::time::sleep_until(deferred.until.into()).await;
        let suspects = deferred.resume(&folders);
        let Some(pool) = folders.pools.any() else { return };
        let result;
        (result, next) = sweep(&pool, &folders, suspects).await;
        if let Err(error) = result {
            tracing::warn!(backend = pool.guest.backend, %error, "a folder may stay in listings although nothing is left below it, until the next delete there");
        }
    }
}
