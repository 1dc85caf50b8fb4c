//! Migration from one seal to another, authorised by the shares of the old one.
//!
//! From Shamir's shares to a key service the unseal key becomes the recovery key, from a key service to Shamir's shares the recovery key becomes the unseal key; between
//! key services both keys are encrypted anew. The rule: it is one [`Change`], made by the server that may write; until then the store opens with the old seal, from
//! then on with the new one, and the shares stay those that they were.
//!
//! The entries end as Vault and OpenBao leave them, with two exceptions: the unseal key's copy (`core/shamir-kek`) goes and comes with Shamir's shares, where they forget it;
//! and `core/recovery-key` goes with the recovery key, where they leave it: it holds what is the unseal key from then on, so that the key service that was given up would
//! open the vault for good.

pub(crate) mod offline;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::journal::Change;
use super::situation::{Old, Pending, Situation};
use super::{Inner, TakeOver, Unsealer, combine, lock};
use crate::crypto;
use crate::keyring::{KEYRING_PATH, Keyring};
use crate::logical::{Error, Result};
use crate::seal::blob::Header;
use crate::seal::config::SealConfig;
use crate::seal::copies::{RECOVERY_KEY, STORED_KEYS};
use crate::seal::{
    CONFIG_PATH, MASTER_PATH, RECOVERY_CONFIG_PATH, RECOVERY_KEY_PATH, ROOT_KEY_PATH, SHAMIR_KEK_PATH, STORED_KEYS_PATH, stored,
};
use crate::secret::Secret;

/// What a server knows of migrations.
#[derive(Default)]
pub(super) struct Slot {
    /// Of stored keys with this hash, whether the new one of two key services of one type opens them.
    pub(super) judged: Mutex<Option<(String, bool)>>,
    /// The key of the old seal's shares, from the unseal until this server may write.
    authorised: Mutex<Option<Arc<Secret>>>,
    /// Whether it was said that there is one to be done.
    told: AtomicBool,
}

impl Slot {
    /// Forgets the shares.
    pub(super) fn clear(&self) {
        *lock(&self.authorised) = None;
    }

    /// Whether this server migrates as soon as it may write.
    pub(super) fn is_authorised(&self) -> bool {
        lock(&self.authorised).is_some()
    }
}

/// What the migration makes of the store.
struct Migrated {
    change: Change,
    /// Under the root key that counts from then on.
    keyring: Keyring,
    /// The unseal key; none under a key service.
    kek: Option<Secret>,
    config: SealConfig,
}

impl Unsealer {
    /// Fails if nobody said how the stored seal becomes the configured one. Writes nothing, and asks no key service.
    pub(crate) async fn check_seal(&self) -> Result<()> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        if inner.initialized().await? {
            inner.read_journal().await?;
            inner.situation(false).await?;
        }
        Ok(())
    }

    /// Whether the store has to be migrated before it opens with the seal that is configured. Says so once.
    pub(crate) async fn migration_pending(&self) -> Result<bool> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        if !inner.initialized().await? {
            inner.witness_nothing().await?;
            return Ok(false);
        }
        inner.settle_journal().await?;
        let Situation::Pending(pending) = inner.situation(true).await? else {
            inner.migration.told.store(false, Ordering::SeqCst);
            return Ok(false);
        };
        let (from, to) = (pending.old.kind(), inner.kind());
        if inner.migration.told.swap(true, Ordering::SeqCst) {
            tracing::debug!("cannot auto-unseal during seal migration");
        } else {
            tracing::warn!(
                from_barrier_type = from,
                to_barrier_type = to,
                "entering seal migration mode; Vault will not automatically unseal even if using an autoseal"
            );
            match inner.old_shares(&pending).await {
                Ok(_) => tracing::warn!(
                    "to migrate, unseal with the old seal's {} and -migrate",
                    match pending.old {
                        Old::Shamir => "unseal keys",
                        Old::Service(_) => "recovery keys",
                    }
                ),
                Err(error) => tracing::warn!(%error, "nobody can authorise the migration by shares"),
            }
        }
        Ok(true)
    }
}

impl Inner {
    /// Takes one part of the key that authorises a migration. Returns whether the barrier is open now; where the storage is shared, whoever gets its lock migrates.
    pub(super) async fn unseal_and_migrate(self: &Arc<Self>, part: &[u8], pending: Pending) -> Result<bool> {
        let shares = self.old_shares(&pending).await?;
        let (_, threshold) = shares.counts();
        let Some(parts) = self.add_part(part, threshold)? else { return Ok(false) };
        let key = combine(&parts, threshold)?;
        let root = self.old_root(&pending, &key).await?;
        if self.shared {
            self.open_with(root, None, pending.config).await?;
            *lock(&self.migration.authorised) = Some(Arc::new(key));
            return Ok(true);
        }
        let Some(stored) = self.read(KEYRING_PATH).await? else { return Err(Error::bad_request("Vault is not initialized")) };
        let keyring = Keyring::from_stored(Arc::new(root), &stored)?;
        // Before it is changed.
        self.witness(&keyring).await?;
        let Migrated { keyring, kek, config, .. } = self.migrate(&pending, &key, &shares, keyring).await?;
        self.open_with(Secret::from_slice(keyring.root().expose())?, kek.as_ref(), config).await?;
        Ok(true)
    }

    /// Migrates what this server was authorised to, for the one that holds the lock of a shared storage. Gives the keyring that counts; fails on a server whose seal is not
    /// that of the store: it would write what the store's seal cannot open.
    pub(super) async fn settle_seal(&self, keyring: Keyring) -> Result<Keyring, TakeOver> {
        let situation = self.situation(true).await.map_err(|error| match error {
            Error::Refused(_) => TakeOver::Keys(error),
            other => TakeOver::Failed(other),
        })?;
        let authorised = lock(&self.migration.authorised).clone();
        let (pending, key) = match (situation, authorised) {
            (Situation::Settled { .. }, authorised) => {
                if let Some(key) = authorised {
                    tracing::info!("migration is already performed");
                    // The recovery key may be the unseal key by now; that is found out before it is used.
                    *lock(&self.kek) = (!self.is_auto()).then_some(key);
                    self.migration.clear();
                }
                return Ok(keyring);
            }
            (Situation::Pending(_), None) => return Err(TakeOver::Keys(not_asked_for())),
            (Situation::Pending(pending), Some(key)) => (pending, key),
        };
        let migrated = async {
            let shares = self.old_shares(&pending).await?;
            // Another server may have given out other shares since.
            let root = self.old_root(&pending, &key).await?;
            if !crypto::same(root.expose(), keyring.root().expose()) {
                return Err(Error::bad_request("the root key was changed by another server"));
            }
            self.witness(&keyring).await?;
            self.migrate(&pending, &key, &shares, keyring).await
        };
        let Migrated { keyring, kek, .. } = migrated.await.map_err(|error| match error {
            Error::BadRequest(_) => TakeOver::Keys(error),
            other => TakeOver::Failed(other),
        })?;
        *lock(&self.kek) = kek.map(Arc::new);
        self.migration.clear();
        Ok(keyring)
    }

    async fn migrate(&self, pending: &Pending, key: &Secret, shares: &SealConfig, keyring: Keyring) -> Result<Migrated> {
        tracing::info!("seal migration initiated");
        let (from, to) = (pending.old.kind(), self.kind());
        match (&pending.old, self.is_auto()) {
            (Old::Shamir, _) => tracing::info!(to, "migrating from shamir to auto-unseal"),
            (Old::Service(_), false) => tracing::info!(from, "migrating from one auto-unseal to shamir"),
            (Old::Service(_), true) => tracing::info!(from, to, "migrating from one auto-unseal to another"),
        }
        let made = async {
            let mut migrated = self.migrated(pending, Some(key), Some(shares), keyring).await?;
            self.make(std::mem::take(&mut migrated.change)).await?;
            Ok(migrated)
        };
        match made.await {
            Ok(migrated) => {
                // For a status; what is stored from now on is asked about anew.
                *lock(&self.migration.judged) = Some((String::new(), true));
                tracing::info!("seal migration complete");
                Ok(migrated)
            }
            Err(error) => {
                tracing::error!(%error, "seal migration error");
                Err(error)
            }
        }
    }

    /// What the migration makes of the store. `key` becomes, or stays, the key that `shares` are of: that of the old seal's shares, or a new one.
    async fn migrated(&self, pending: &Pending, key: Option<&Secret>, shares: Option<&SealConfig>, keyring: Keyring) -> Result<Migrated> {
        let mut change = Change::new();
        // Whoever held enough shares could have had the root key; and a plugin has seen one that its service encrypted itself.
        let seen = match &pending.old {
            Old::Shamir => true,
            Old::Service(_) => match self.read(STORED_KEYS_PATH).await? {
                Some(blob) => Header::of(STORED_KEYS_PATH, &blob)?.direct,
                None => false,
            },
        };
        let keyring = if seen { keyring.with_root(Arc::new(Secret::random()?))? } else { keyring };
        let (config, kek) = if self.is_auto() {
            if let Some(key) = key {
                change = change.put_all(self.sealed_recovery(key).await?);
            }
            change = change.put_all(self.sealed_root(keyring.root()).await?);
            let mut config = if let Old::Shamir = pending.old { SealConfig::auto(self.kind()) } else { pending.config.clone() };
            self.kind().clone_into(&mut config.kind);
            (config, None)
        } else {
            let (Some(key), Some(shares)) = (key, shares) else {
                return Err(Error::Internal("a migration to Shamir's shares without a key".to_owned()));
            };
            change = change.put(STORED_KEYS_PATH, stored::seal(key, keyring.root())?);
            (shares.handed_on(false), Some(Secret::from_slice(key.expose())?))
        };
        if !self.has_several() {
            // Of several key services that are given up, or of which one is left.
            for kept in [&STORED_KEYS, &RECOVERY_KEY] {
                change = change.delete(kept.copies);
            }
        }
        // In this order, which counts only where the storage cannot write them at once: what has to fit together is written together, and which seal it is comes last.
        let master = keyring.seal(MASTER_PATH, &keyring.root_entry()?)?;
        let copy = kek.as_ref().map(|kek| keyring.seal(SHAMIR_KEK_PATH, kek.expose())).transpose()?;
        if seen {
            change = change.put(KEYRING_PATH, keyring.to_stored()?).put(MASTER_PATH, master).delete(ROOT_KEY_PATH);
        }
        change = match copy {
            Some(copy) => change
                .put(SHAMIR_KEK_PATH, copy)
                .put(CONFIG_PATH, config.to_stored()?)
                .delete(RECOVERY_CONFIG_PATH)
                .delete(RECOVERY_KEY_PATH),
            None => {
                if let (Old::Shamir, Some(shares)) = (&pending.old, shares) {
                    change = change.put(RECOVERY_CONFIG_PATH, shares.handed_on(true).to_stored()?);
                }
                change.put(CONFIG_PATH, config.to_stored()?).delete(SHAMIR_KEK_PATH)
            }
        };
        let change = self.counted(change, &keyring).await?;
        Ok(Migrated { change, keyring, kek, config })
    }
}

/// The store has to be migrated, and nobody said so.
pub(super) fn not_asked_for() -> Error {
    Error::Refused("migrate option not provided and seal migration is pending".to_owned())
}

/// The opposite.
pub(super) fn nothing_to_migrate() -> Error {
    Error::Refused("can't perform a seal migration, no migration seal found".to_owned())
}
