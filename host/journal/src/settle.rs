//! From memory to the storage.
//!
//! The rule: nobody is told that this failed, since all of it was acknowledged. It is tried until it is done, and meanwhile nothing new is written.

use std::sync::Arc;
use std::time::Duration;

use cofferdam_backend::{Key, Operation, Result, Storage};
use tokio::sync::watch;

use crate::commit::Journal;
use crate::pending::Pending;
use crate::turns::Turns;

/// How many writes go to the storage in one call: it is quicker than one by one, and who reads one of the keys waits for all.
const TOGETHER: usize = 32;

/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What is before a storage.
pub(crate) struct Front {
    pub(crate) inner: Arc<dyn Storage>,
    pub(crate) pending: Arc<Pending>,
    pub(crate) turns: Turns,
    pub(crate) journal: Journal,
}

impl Front {
    /// Sees what the journal is to be rid of to the storage, as long as there is anything.
    pub(crate) async fn run(self: Arc<Self>, mut due: watch::Receiver<u64>) {
        while due.changed().await.is_ok() {
            let mut pause = PAUSES.0;
            loop {
                // Later ones of the same journal may have come since.
                let number = *due.borrow_and_update();
                let Err(error) = self.settle(&self.pending.before(number)).await else { break };
                tracing::error!(%error, "what the journal holds cannot be stored, and nothing more is written until it can");
                self.journal.stuck(Some(&error));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            self.journal.stuck(None);
        }
    }

    /// Sees what is pending of these keys to the storage.
    pub(crate) async fn settle(&self, keys: &[Key]) -> Result<()> {
        let mut failed = Ok(());
        for keys in keys.chunks(TOGETHER) {
            let _alone = self.turns.alone(keys).await;
            // Only now: nobody else may be about to store something older.
            let writes = self.pending.of(keys);
            failed = self.store(&writes).await.and(failed);
        }
        failed
    }

    async fn store(&self, writes: &[(u64, Operation)]) -> Result<()> {
        let operations: Vec<Operation> = writes.iter().map(|(_, operation)| operation.clone()).collect();
        if operations.len() > 1
            && self.inner.descriptor().limits.check_batch(&operations).is_ok()
            && self.inner.batch(operations).await.is_ok()
        {
            self.pending.applied(writes);
            return Ok(());
        }
        // One that fails does not keep the others.
        let mut failed = Ok(());
        for write in writes {
            match write.1.apply(self.inner.as_ref()).await {
                Ok(()) => self.pending.applied([write]),
                Err(error) => failed = Err(error),
            }
        }
        failed
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if !self.pending.is_empty() {
            self.journal.keep();
        }
    }
}
