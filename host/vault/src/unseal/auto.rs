//! Unsealing by a key service: what it protects, and keeping that under the key of today.
//!
//! The rule: the service's guest is handed data-encryption keys and nothing else ([`crate::seal::blob`]); the recovery key is compared here, and decrypts nothing.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::situation::Situation;
use super::{Inner, Unsealer, lock};
use crate::crypto;
use crate::keyring::KEYRING_PATH;
use crate::logical::{Error, Result};
use crate::seal::config::SealConfig;
use crate::seal::copies::{RECOVERY_KEY, STORED_KEYS};
use crate::seal::{RECOVERY_CONFIG_PATH, STORED_KEYS_PATH, stored};
use crate::secret::Secret;

impl Unsealer {
    /// Whether a key service unseals.
    pub fn is_auto(&self) -> bool {
        self.inner.is_auto()
    }

    /// Opens the barrier by way of the key service. Returns whether it is open: not if there is no vault in the storage.
    pub async fn unseal_by_service(&self) -> Result<bool> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        if !inner.initialized().await? {
            inner.witness_nothing().await?;
            return Ok(false);
        }
        if inner.barrier.sealed() {
            inner.check_whole().await?;
            inner.settle_journal().await?;
            match inner.situation(true).await? {
                Situation::Settled { config, .. } => {
                    inner.open_with_service(config).await?;
                    inner.look_at_recovery().await;
                }
                Situation::Pending(_) => return Err(Error::Refused("cannot auto-unseal during seal migration".to_owned())),
            }
        }
        Ok(true)
    }
}

impl Inner {
    pub(super) async fn open_with_service(self: &Arc<Self>, config: SealConfig) -> Result<()> {
        let root = self.stored_root().await?;
        self.open_with(root, None, config).await.map_err(|error| match error {
            // No client has given a wrong key.
            Error::BadRequest(text) => Error::Damaged(format!(
                "{KEYRING_PATH}: {text}: it does not belong to {STORED_KEYS_PATH}, which the key service decrypted: the storage was changed or restored in part"
            )),
            other => other,
        })
    }

    /// Says so where the recovery key is one of no shares, as OpenBao can make it: this server opens such a vault, and Vault does not start on it.
    async fn look_at_recovery(&self) {
        if let Ok(Some(config)) = self.recovery_config().await
            && config.counts().0 == 0
        {
            tracing::warn!(
                "{RECOVERY_CONFIG_PATH} says that the recovery key has no shares: nobody can agree to a rekey, a new root token or another seal, and Vault does not start on \
                 this store; make a recovery key with: coffer operator rekey -init -target=recovery -key-shares=N -key-threshold=T"
            );
        }
    }

    /// The root key as the key service gives it.
    pub(super) async fn stored_root(&self) -> Result<Secret> {
        match self.open_kept(&STORED_KEYS).await? {
            Some(plain) => stored::parse(&plain),
            None => Err(Error::Damaged(format!("{STORED_KEYS_PATH} is gone: restore it from a backup"))),
        }
    }

    /// The entries that hold the root key under the key service.
    pub(super) async fn sealed_root(&self, root: &Secret) -> Result<Vec<(String, Vec<u8>)>> {
        self.seal_kept(&STORED_KEYS, &stored::plain(root)?).await
    }

    /// The entries that hold the recovery key under the key service.
    pub(super) async fn sealed_recovery(&self, key: &Secret) -> Result<Vec<(String, Vec<u8>)>> {
        self.seal_kept(&RECOVERY_KEY, key.expose()).await
    }

    /// The recovery key; none if there is none.
    pub(super) async fn stored_recovery(&self) -> Result<Option<Zeroizing<Vec<u8>>>> {
        self.open_kept(&RECOVERY_KEY).await
    }

    /// How the recovery key is shared out. [`Error::BadRequest`] if there is none.
    pub(super) async fn needed_recovery_config(&self) -> Result<SealConfig> {
        let config = self.recovery_config().await?.filter(|config| config.counts().0 > 0);
        config.ok_or_else(|| Error::bad_request("recovery seal configuration not found: this vault has no recovery key"))
    }

    /// Whether this is the recovery key; [`Error::BadRequest`] with the field's text if not.
    pub(super) async fn verify_recovery_key(&self, key: &Secret) -> Result<()> {
        let stored = self.stored_recovery().await?.ok_or_else(|| Error::bad_request("no recovery key found"))?;
        if crypto::same(&stored, key.expose()) {
            return Ok(());
        }
        Err(Error::bad_request("failed to verify recovery key: recovery key does not match submitted values"))
    }

    /// Whether this is the unseal key of the open barrier; [`Error::BadRequest`] if not. A legacy store has no root key of its own.
    pub(super) async fn verify_unseal_key(&self, key: &Secret) -> Result<()> {
        let root = match self.read(STORED_KEYS_PATH).await? {
            Some(blob) => stored::open(key, &blob)?,
            None => Secret::from_slice(key.expose())?,
        };
        self.barrier.with_keyring(|keyring| {
            if crypto::same(keyring.root().expose(), root.expose()) {
                Ok(())
            } else {
                Err(Error::bad_request("unseal key verification failed"))
            }
        })
    }

    /// Closes the barrier again that could not be opened as a whole.
    pub(super) fn close(&self) {
        self.barrier.seal();
        *lock(&self.config) = None;
    }
}
