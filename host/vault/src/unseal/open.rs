//! Opening the barrier with the unseal key, and putting right what other servers left wrong beside it.
//!
//! Vault and OpenBao keep a copy of the root key behind the barrier, under different names, and believe it: a copy that is out of date
//! locks them out of the store for good. The rule: of the two names only Vault's exists, which both read, and it is right at
//! every open. The key that the copies are checked against is the one that opened the keyring.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::init::MARKER_PATH;
use super::{Inner, Unsealer, lock};
use crate::crypto;
use crate::keyring::{KEYRING_PATH, Keyring, json};
use crate::logical::{Error, Result};
use crate::seal::config::SealConfig;
use crate::seal::{CONFIG_PATH, MASTER_PATH, ROOT_KEY_PATH, SHAMIR_KEK_PATH, STORED_KEYS_PATH, stored};
use crate::secret::Secret;

impl Unsealer {
    /// Starts the care of the keyring, in place of any earlier one.
    pub(super) fn start_maintenance(&self) {
        self.inner.clone().start_maintenance();
    }
}

impl Inner {
    /// Opens the barrier with the key that Shamir's shares gave.
    pub(super) async fn open(self: &Arc<Self>, unseal_key: &Secret, config: SealConfig) -> Result<()> {
        let (root, kek) = match self.read(STORED_KEYS_PATH).await? {
            Some(blob) => (stored::open(unseal_key, &blob)?, Some(unseal_key)),
            None => {
                tracing::warn!("{STORED_KEYS_PATH} is missing: taking the unseal key for the root key, as Vault did before 1.3");
                (Secret::from_slice(unseal_key.expose())?, None)
            }
        };
        self.open_with(root, kek, config).await
    }

    /// Opens the barrier with the root key; `kek` is the unseal key, if there is one.
    pub(super) async fn open_with(self: &Arc<Self>, root: Secret, kek: Option<&Secret>, config: SealConfig) -> Result<()> {
        let Some(keyring) = self.read(KEYRING_PATH).await? else { return Err(Error::bad_request("Vault is not initialized")) };
        let keyring = Keyring::from_stored(Arc::new(root), &keyring)?;
        self.witness(&keyring).await?;
        if self.shared {
            *lock(&self.kek) = kek.map(|kek| Secret::from_slice(kek.expose())).transpose()?.map(Arc::new);
        } else {
            self.counted.store(keyring.status().encryptions, Ordering::SeqCst);
            self.repair(&keyring, kek).await?;
        }
        self.barrier.idle().await?;
        *lock(&self.config) = Some(config);
        self.barrier.unseal(keyring);
        if !self.shared {
            let cared = async {
                self.begin_count().await?;
                self.renew_seal().await
            };
            cared.await.inspect_err(|_| self.close())?;
            self.witness_if_due().await;
            self.clone().start_maintenance();
        }
        Ok(())
    }

    /// Puts right the copies of root key and, if it is given, unseal key. Nothing is written that is right already.
    pub(super) async fn repair(&self, keyring: &Keyring, kek: Option<&Secret>) -> Result<()> {
        if self.read(MARKER_PATH).await?.is_some() {
            tracing::info!("deleting {MARKER_PATH}, which an initialisation has left that did not make this vault");
            self.remove(MARKER_PATH).await?;
        }
        // Without stored keys it is a store of before 1.3, as Vault takes it to be.
        if let (Some(_), Some(stored)) = (self.read(STORED_KEYS_PATH).await?, self.read(CONFIG_PATH).await?)
            && let Some(right) = SealConfig::for_vault(&stored)?
        {
            tracing::info!("adding to {CONFIG_PATH} that the root key is stored, which OpenBao leaves out and Vault wants to find");
            self.write(CONFIG_PATH, right).await?;
        }
        // Neither name is better than a wrong one, so the one that must not be goes first.
        if self.read(ROOT_KEY_PATH).await?.is_some() {
            tracing::info!("deleting {ROOT_KEY_PATH}, which Vault would leave out of date; {MASTER_PATH} takes its place");
            self.remove(ROOT_KEY_PATH).await?;
        }
        let is_root = |plain: &[u8]| json::parse_root(plain).is_ok_and(|copy| crypto::same(copy.expose(), keyring.root().expose()));
        if !self.holds(keyring, MASTER_PATH, is_root).await? {
            tracing::info!("writing {MASTER_PATH}, which was missing or out of date");
            self.write(MASTER_PATH, keyring.seal(MASTER_PATH, &keyring.root_entry()?)?).await?;
        }
        if self.is_auto() && self.read(SHAMIR_KEK_PATH).await?.is_some() {
            tracing::info!("deleting {SHAMIR_KEK_PATH}, which is left of Shamir's shares");
            self.remove(SHAMIR_KEK_PATH).await?;
        }
        let Some(kek) = kek else { return Ok(()) };
        if !self.holds(keyring, SHAMIR_KEK_PATH, |plain| crypto::same(plain, kek.expose())).await? {
            tracing::info!("writing {SHAMIR_KEK_PATH}, which was missing or out of date");
            self.write(SHAMIR_KEK_PATH, keyring.seal(SHAMIR_KEK_PATH, kek.expose())?).await?;
        }
        Ok(())
    }

    /// Whether the entry is there, opens, and is right. One that does not open was written under keys that are gone.
    async fn holds(&self, keyring: &Keyring, path: &str, right: impl Fn(&[u8]) -> bool) -> Result<bool> {
        let Some(stored) = self.read(path).await? else { return Ok(false) };
        Ok(keyring.open(path, &stored).is_ok_and(|plain| right(&plain)))
    }
}
