//! Holding the lock for one piece of work: for an initialisation, of which there must be one at a time.

use std::sync::Arc;

use cofferdam_backend::{BootInstant, Fence, Fencing};

use super::contender::Contender;
use super::renewal::{Loss, renew};
use super::{Ha, Task};
use crate::barrier::Barrier;
use crate::logical::{Error, Result};

/// The lock, held and renewed.
pub(crate) struct Hold {
    ha: Arc<Ha>,
    fence: Fence,
    renewal: Task<Loss>,
}

impl Ha {
    /// Takes the lock. One that somebody has left is waited for.
    pub(crate) async fn hold(self: &Arc<Self>, barrier: &Barrier) -> Result<Hold> {
        let options = &self.options;
        let end = BootInstant::now().after(options.times.silence() + 2 * (options.times.step() + options.times.retry));
        let mut contender = Contender::new(self);
        loop {
            if let Some(held) = contender.look().await
                && let Some(claim) = contender.contend(barrier, held).await
            {
                options.lease.begin(claim.fence.clone(), claim.end);
                let renewal = Task::spawn(renew(self.clone(), claim.fence.clone()));
                return Ok(Hold { ha: self.clone(), fence: claim.fence, renewal });
            }
            if BootInstant::now() >= end {
                return Err(Error::bad_request(
                    "another server of this storage holds its lock (core/lock): it initializes the vault, or is active; or the lock cannot be read",
                ));
            }
            tokio::time::sleep(options.times.retry).await;
        }
    }

    /// Removes the lock, if no write of this server can take effect any more: after that another server leads at once. Otherwise the lock gets old,
    /// as after a crash. Returns whether it was removed.
    pub(super) async fn release(&self, barrier: &Barrier, fence: &Fence) -> bool {
        // With strict fencing the store itself sees to it.
        if self.options.lease.fencing() != Fencing::Strict && !barrier.is_settled() {
            tracing::warn!("the lock of the storage is not released, since writes under way may still take effect; it gets old instead");
            return false;
        }
        let released = self.step(self.options.lock.release(&fence.key, &fence.identity)).await;
        if let Err(error) = &released {
            tracing::warn!(%error, "the lock of the storage was not released; another server takes it over once it is old");
        }
        released.is_ok()
    }
}

impl Hold {
    /// Gives the lock back.
    pub(crate) async fn release(self, barrier: &Barrier) {
        drop(self.renewal);
        self.ha.options.lease.end();
        self.ha.release(barrier, &self.fence).await;
    }
}
