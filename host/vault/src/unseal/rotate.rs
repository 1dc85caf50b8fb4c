//! The care of the keyring while it is open: rotation on request or when due, and storing how much the newest key was used.
//!
//! The rule: a new key encrypts nothing before the keyring that holds it is stored, and a keyring never overwrites a newer one: after a write of
//! it that was given up, the barrier refuses further ones for as long as that one may take effect.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use super::take_over::upgrade;
use super::{Inner, Unsealer, lock};
use crate::keyring::{KEYRING_PATH, Keyring, Rotation};
use crate::logical::{Error, Result};
use crate::seal::MASTER_PATH;

/// How often the newest key is looked at.
pub const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(300);

impl Unsealer {
    /// Adds a key of the next term; what is written from now on is encrypted with it.
    pub async fn rotate(&self) -> Result<()> {
        let _work = self.inner.work.lock().await;
        self.inner.rotate().await
    }

    /// When the newest key is rotated without being asked. [`Error::Sealed`] while sealed.
    pub fn rotation(&self) -> Result<Rotation> {
        self.inner.barrier.with_keyring(|keyring| Ok(keyring.rotation().clone()))
    }

    /// Stores another rule for it.
    pub async fn set_rotation(&self, rotation: Rotation) -> Result<()> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        inner.settle().await?;
        let changed = inner.barrier.with_keyring(|keyring| keyring.with_rotation(rotation))?;
        inner.write(KEYRING_PATH, changed.to_stored()?).await?;
        inner.witness.soon();
        inner.barrier.replace(changed)
    }

    /// Stores how much the newest key was used, or rotates it if that is due. Runs every [`MAINTENANCE_INTERVAL`] by itself;
    /// worth a call before the process ends.
    pub async fn maintain(&self) -> Result<()> {
        self.inner.maintain().await
    }
}

impl Inner {
    async fn rotate(self: &Arc<Self>) -> Result<()> {
        if self.preparing.load(Ordering::SeqCst) {
            return Err(Error::Sealed);
        }
        self.settle().await?;
        let rotated = self.barrier.with_keyring(Keyring::rotated)?;
        self.write(KEYRING_PATH, rotated.to_stored()?).await?;
        self.witness.soon();
        // From here on the new key is safe. If the copy of the root key cannot be written, the next open writes it; it is
        // not wrong meanwhile, only under the earlier term.
        let master = rotated.seal(MASTER_PATH, &rotated.root_entry()?)?;
        let upgrade = if self.shared { Some(self.barrier.with_keyring(|before| upgrade(before, &rotated))?) } else { None };
        let status = rotated.status();
        self.barrier.replace(rotated)?;
        self.counted.store(0, Ordering::SeqCst);
        tracing::info!(term = status.term, "rotated the encryption key");
        self.write(MASTER_PATH, master).await?;
        if let Some((path, entry)) = upgrade {
            self.write(&path, entry).await?;
            self.delete_later(vec![path]);
        }
        Ok(())
    }

    pub(super) async fn maintain(self: &Arc<Self>) -> Result<()> {
        let _work = self.work.lock().await;
        if self.barrier.sealed() || self.preparing.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.settle().await?;
        let counted = self.counted.load(Ordering::SeqCst);
        let (due, used) =
            self.barrier.with_keyring(|keyring| Ok((keyring.rotation_due(OffsetDateTime::now_utc()), keyring.uncounted(counted))))?;
        match due {
            Some(reason) => {
                tracing::info!(reason, "rotating the encryption key");
                self.rotate().await?;
            }
            None if used => self.persist_keyring().await?,
            None => {}
        }
        self.witness_if_due().await;
        Ok(())
    }

    /// Stores the keyring with its encryptions as counted so far.
    pub(super) async fn persist_keyring(&self) -> Result<()> {
        let (stored, encryptions) = self.barrier.with_keyring(|keyring| {
            let encryptions = keyring.status().encryptions;
            Ok((keyring.to_stored()?, encryptions))
        })?;
        self.write(KEYRING_PATH, stored).await?;
        self.witness.soon();
        // Counted before it was stored: what was encrypted in between is stored the next time.
        self.counted.store(encryptions, Ordering::SeqCst);
        Ok(())
    }

    /// Starts the care of the keyring, in place of any earlier one. It ends with the [`Unsealer`].
    pub(super) fn start_maintenance(self: Arc<Self>) {
        let weak = Arc::downgrade(&self);
        let changed = self.witness.changed();
        let task = tokio::spawn(async move {
            let mut due = Instant::now() + MAINTENANCE_INTERVAL;
            loop {
                let early = tokio::time::timeout_at(due, changed.notified()).await.is_ok();
                let Some(inner) = weak.upgrade() else { return };
                if early {
                    let _work = inner.work.lock().await;
                    inner.witness_if_due().await;
                    continue;
                }
                due = Instant::now() + MAINTENANCE_INTERVAL;
                if let Err(error) = inner.maintain().await {
                    tracing::warn!(%error, "the keyring could not be stored; this is tried again");
                }
            }
        });
        if let Some(earlier) = lock(&self.maintenance).replace(task.abort_handle()) {
            earlier.abort();
        }
    }
}
