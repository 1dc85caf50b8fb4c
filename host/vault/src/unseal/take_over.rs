//! The keyring where several servers share a storage: how the one that takes over gets that of today, and what it leaves for the others.
//!
//! While another server was active it may have rotated the keyring, or given it another root key. The rule: a copy of the root key is a
//! hint, and counts only if it opens `core/keyring`; Vault, which believes it, is locked out by a wrong one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Inner, Unsealer, lock};
use crate::crypto;
use crate::keyring::{KEYRING_PATH, Keyring, json};
use crate::logical::{Error, Result};
use crate::seal::{MASTER_PATH, ROOT_KEY_PATH, STORED_KEYS_PATH, stored};
use crate::secret::Secret;

/// Below it, under a term: the key of the next term, encrypted with that term's, for servers that know the former only.
const UPGRADES: &str = "core/upgrade/";
/// How long such a key is left for the others; Vault's standbys look every 10 s.
const UPGRADE_KEPT: Duration = Duration::from_secs(120);

/// Why a server cannot take over.
#[derive(Debug)]
pub(crate) enum TakeOver {
    /// Its keys do not open the store any more; they have to be given again.
    Keys(Error),
    /// For now.
    Failed(Error),
}

impl Unsealer {
    /// Gets the keyring of today, puts right the copies of the keys, and begins the care of the keyring. For the server that holds the
    /// lock of a shared storage.
    pub(crate) async fn take_over(&self) -> Result<(), TakeOver> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        inner.check_whole().await.map_err(TakeOver::Failed)?;
        inner.finish_journal().await.map_err(TakeOver::Failed)?;
        // New keys that this server has sent in an earlier leadership. If nothing is known of them yet, the next change asks again.
        if let Err(error) = inner.settle().await {
            tracing::info!(%error, "taking over");
        }
        let keyring = inner.reload().await.map_err(|error| match error {
            Error::Damaged(_) | Error::BadRequest(_) => TakeOver::Keys(error),
            other => TakeOver::Failed(other),
        })?;
        // Before the keys of later terms are spread, and the copies of the keys put right.
        let keyring = inner.settle_seal(keyring).await?;
        inner.adopt(keyring).await.map_err(TakeOver::Failed)
    }

    /// Reads an entry as another server wrote it just now, around the cache. For a standby.
    pub(crate) async fn peek(&self, path: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let inner = &self.inner;
        let Some(stored) = inner.read(path).await? else { return Ok(None) };
        match inner.barrier.with_keyring(|keyring| keyring.open(path, &stored)) {
            Err(Error::Damaged(_)) => {}
            other => return other.map(Some),
        }
        // Written with a key that this server does not know yet, perhaps.
        let _work = inner.work.lock().await;
        inner.settle_journal().await?;
        let keyring = inner.reload().await?;
        let plain = keyring.open(path, &stored)?;
        inner.barrier.replace(keyring)?;
        Ok(Some(plain))
    }
}

impl Inner {
    async fn adopt(self: &Arc<Self>, keyring: Keyring) -> Result<()> {
        self.witness(&keyring).await?;
        self.counted.store(keyring.status().encryptions, Ordering::SeqCst);
        let kek = lock(&self.kek).clone();
        let kek = match kek {
            Some(kek) if self.is_unseal_key(&kek, &keyring).await? => Some(kek),
            // Another server has been given other shares, and has written its unseal key's copy itself.
            _ => None,
        };
        self.repair(&keyring, kek.as_deref()).await?;
        // That one may have another number of shares, too.
        *lock(&self.config) = Some(self.load_config().await?);
        self.barrier.unseal(keyring);
        self.begin_count().await?;
        self.renew_seal().await?;
        self.witness_if_due().await;
        self.clone().start_maintenance();
        let left: Vec<String> = self.barrier.list(UPGRADES).await?.into_iter().map(|name| format!("{UPGRADES}{name}")).collect();
        if !left.is_empty() {
            self.delete_later(left);
        }
        Ok(())
    }

    async fn is_unseal_key(&self, kek: &Secret, keyring: &Keyring) -> Result<bool> {
        let Some(blob) = self.read(STORED_KEYS_PATH).await? else { return Ok(false) };
        Ok(stored::open(kek, &blob).is_ok_and(|root| crypto::same(root.expose(), keyring.root().expose())))
    }

    /// The keyring as it is stored now. [`Error::Damaged`] if this server has no key for it.
    async fn reload(&self) -> Result<Keyring> {
        let Some(stored) = self.read(KEYRING_PATH).await? else {
            return Err(Error::Damaged(format!("{KEYRING_PATH} is gone")));
        };
        let root = self.barrier.with_keyring(|keyring| Ok(keyring.root().clone()))?;
        match Keyring::from_stored(root, &stored) {
            Err(Error::BadRequest(_)) => {}
            other => return other,
        }
        let known = self.follow_upgrades().await?;
        for path in [MASTER_PATH, ROOT_KEY_PATH] {
            let Some(entry) = self.read(path).await? else { continue };
            let Ok(root) = known.open(path, &entry).and_then(|plain| json::parse_root(&plain)) else { continue };
            if let Ok(keyring) = Keyring::from_stored(Arc::new(root), &stored) {
                tracing::info!("another server has given {KEYRING_PATH} a new root key; it was found in {path}");
                return Ok(keyring);
            }
        }
        Err(Error::Damaged(format!(
            "{KEYRING_PATH} opens neither with the root key of this server nor with what {MASTER_PATH} or {ROOT_KEY_PATH} hold: \
             another server has changed the root key; unseal this one again, with the shares of today"
        )))
    }

    /// The keyring in memory, with the keys of later terms as far as the others left them.
    async fn follow_upgrades(&self) -> Result<Keyring> {
        let mut known = self.barrier.with_keyring(|keyring| keyring.with_rotation(keyring.rotation().clone()))?;
        loop {
            let path = format!("{UPGRADES}{}", known.status().term);
            let Some(entry) = self.read(&path).await? else { return Ok(known) };
            match known.open(&path, &entry).and_then(|plain| known.upgraded(&plain)) {
                Ok(Some(next)) => known = next,
                _ => return Ok(known),
            }
        }
    }

    /// Deletes these entries once every other server has seen them, unless this one ceases to be the active one.
    pub(super) fn delete_later(self: &Arc<Self>, paths: Vec<String>) {
        let (weak, epoch) = (Arc::downgrade(self), self.barrier.epoch());
        tokio::spawn(async move {
            tokio::time::sleep(UPGRADE_KEPT).await;
            for path in paths {
                let Some(inner) = weak.upgrade() else { return };
                if let Err(error) = inner.barrier.delete_of(epoch, &path).await {
                    tracing::debug!(%error, "{path} is left to whoever is active next");
                    return;
                }
            }
        });
    }
}

/// What tells the other servers of the newest key: the entry's path and ciphertext.
pub(super) fn upgrade(before: &Keyring, after: &Keyring) -> Result<(String, Vec<u8>)> {
    let path = format!("{UPGRADES}{}", before.status().term);
    let entry = before.seal(&path, &after.newest_entry()?)?;
    Ok((path, entry))
}
