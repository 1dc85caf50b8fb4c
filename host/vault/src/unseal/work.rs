//! Whose turn it is to read and change the seal's entries and the keyring.
//!
//! The rule: what was begun before a seal or a loss of leadership writes nothing after it. It may have waited for a key service meanwhile, and another server may have led.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

use crate::barrier::Barrier;
use crate::logical::{Error, Result};

/// One turn at a time.
pub(super) struct Work {
    turn: Mutex<()>,
    barrier: Arc<Barrier>,
    /// The barrier's epoch in which the turn of now began.
    begun: AtomicU64,
}

impl Work {
    pub(super) fn new(barrier: Arc<Barrier>) -> Work {
        Work { turn: Mutex::default(), begun: AtomicU64::new(barrier.epoch()), barrier }
    }

    /// Waits for the turn. It lasts as long as what is returned.
    pub(super) async fn lock(&self) -> MutexGuard<'_, ()> {
        let turn = self.turn.lock().await;
        self.begun.store(self.barrier.epoch(), Ordering::SeqCst);
        turn
    }

    /// The turn, if it is free.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, ()>> {
        let turn = self.turn.try_lock().ok()?;
        self.begun.store(self.barrier.epoch(), Ordering::SeqCst);
        Some(turn)
    }

    /// Whether what holds the turn may still write: not after a seal or a loss of leadership since it began.
    pub(super) fn check(&self) -> Result<()> {
        if self.begun.load(Ordering::SeqCst) == self.barrier.epoch() {
            return Ok(());
        }
        Err(if self.barrier.sealed() { Error::Sealed } else { Error::LeadershipLost })
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::Change;
    use super::super::tests::{made, open, over};
    use super::*;

    async fn refused_after(batches: bool, cut: impl FnOnce(&Barrier)) -> Error {
        let (storage, parts) = made().await;
        let storage = if batches { storage } else { storage.without_atomic_batch() };
        let unsealer = over(storage.clone());
        open(&unsealer, &parts).await;
        let change = || Change::new().put("core/x", b"x".to_vec());
        {
            let _work = unsealer.inner.work.lock().await;
            unsealer.inner.make(change()).await.unwrap();
        }
        let before = storage.snapshot();
        let _work = unsealer.inner.work.lock().await;
        // As it is when a key service answers late.
        cut(&unsealer.inner.barrier);
        let other = || Change::new().put("core/x", b"y".to_vec());
        let refused = unsealer.inner.make(other()).await.unwrap_err();
        assert!(unsealer.inner.write("core/x", b"z".to_vec()).await.is_err() && unsealer.inner.remove("core/x").await.is_err());
        assert_eq!(storage.snapshot(), before);
        refused
    }

    #[tokio::test]
    async fn what_began_before_the_leadership_was_lost_writes_nothing_after_it() {
        assert!(matches!(refused_after(true, Barrier::leave).await, Error::LeadershipLost));
        assert!(matches!(refused_after(false, Barrier::leave).await, Error::LeadershipLost));
    }

    #[tokio::test]
    async fn what_began_before_a_seal_writes_nothing_after_it() {
        assert!(matches!(refused_after(true, Barrier::seal).await, Error::Sealed));
    }
}
