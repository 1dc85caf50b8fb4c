//! New keys on their way into the storage.
//!
//! The rule: while it is not known whether a new root key is stored, the keyring is not written, for it would be under the wrong one; and as soon as it is known, the
//! keyring in memory follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cofferdam_backend::Error as Backend;

use super::super::journal::Change;
use super::super::{Inner, lock, split};
use super::{Target, texts};
use crate::keyring::KEYRING_PATH;
use crate::logical::{Error, Result};
use crate::seal::config::SealConfig;
use crate::seal::{CONFIG_PATH, MASTER_PATH, RECOVERY_CONFIG_PATH, ROOT_KEY_PATH, SHAMIR_KEK_PATH, STORED_KEYS_PATH, stored};
use crate::secret::Secret;

/// A new unseal or recovery key and its shares.
pub(crate) struct NewKey {
    key: Option<Arc<Secret>>,
    shares: Vec<Secret>,
    counts: (u8, u8),
}

impl NewKey {
    /// A random key, shared out: how many shares, how many of them needed.
    pub(super) fn make(counts: (u8, u8)) -> Result<NewKey> {
        let key = Secret::random()?;
        let shares = split(Secret::from_slice(key.expose())?, counts.0, counts.1)?;
        Ok(NewKey { key: Some(Arc::new(key)), shares, counts })
    }

    /// Where a key service holds the key, nobody gets any.
    pub(super) fn none() -> NewKey {
        NewKey { key: None, shares: Vec::new(), counts: (1, 1) }
    }

    /// The shares.
    pub(crate) fn shares(&self) -> &[Secret] {
        &self.shares
    }

    /// The key itself.
    pub(super) fn key(&self) -> Option<&Arc<Secret>> {
        self.key.as_ref()
    }
}

/// New keys that were sent to the storage.
pub(super) struct Sent {
    /// An entry of the change, by which it is known again.
    mark: (String, Vec<u8>),
    /// The new root key, if there is one.
    root: Option<Arc<Secret>>,
    /// The new unseal key, if there is one.
    kek: Option<Arc<Secret>>,
    /// The configuration of the new shares, if they are the unseal key's.
    config: Option<SealConfig>,
    stored: AtomicBool,
}

impl Sent {
    /// Whether the storage is known to have them.
    pub(super) fn stored(&self) -> bool {
        self.stored.load(Ordering::SeqCst)
    }
}

impl Inner {
    /// Before the keyring or an entry of the seal is written: finishes what was begun, and finds out what became of new keys whose storing had no answer.
    /// [`Backend::Unavailable`] as long as that cannot be known. The caller holds `work`.
    pub(in crate::unseal) async fn settle(&self) -> Result<()> {
        self.rekeys.tidy();
        self.finish_journal().await?;
        let Some(sent) = lock(&self.rekeys.unsure).clone() else { return Ok(()) };
        let (path, value) = &sent.mark;
        if self.read(path).await?.is_some_and(|stored| stored == *value) {
            self.take_up(&sent)
        } else if self.barrier.is_settled() {
            tracing::info!("the new keys whose storing had no answer were not stored");
        } else {
            let text = "it is not known yet whether new keys are stored: the storage gave no answer".to_owned();
            return Err(Error::Storage(Backend::Unavailable(text)));
        }
        *lock(&self.rekeys.unsure) = None;
        Ok(())
    }

    /// What is in memory follows what is stored.
    fn take_up(&self, sent: &Sent) {
        sent.stored.store(true, Ordering::SeqCst);
        if let Some(root) = &sent.root {
            let replaced = self.barrier.with_keyring(|keyring| keyring.with_root(root.clone())).and_then(|keyring| {
                self.counted.store(keyring.status().encryptions, Ordering::SeqCst);
                self.barrier.replace(keyring)
            });
            if let Err(error) = replaced {
                tracing::info!(%error, "the vault was sealed while its new keys were stored; it opens with them");
            }
        }
        if let (Some(kek), true) = (&sent.kek, self.shared && !self.barrier.sealed()) {
            *lock(&self.kek) = Some(kek.clone());
        }
        if let (Some(config), false) = (&sent.config, self.barrier.sealed()) {
            *lock(&self.config) = Some(config.clone());
        }
    }

    /// Stores a new key, and with an unseal key a new root key. `nonce` names the rekey. An error says that nothing changed, or that this is not known.
    pub(super) async fn store_key(&self, target: Target, new: &NewKey, nonce: &str) -> Result<()> {
        let (change, sent) = match (target, new.key()) {
            (Target::Root, Some(key)) => {
                let config = shared_out(self.load_config().await?.handed_on(false), new.counts);
                let change = Change::new().put(CONFIG_PATH, config.to_stored()?);
                self.root_change(change, Some(key), Some(config)).await?
            }
            (Target::Root, None) => self.root_change(Change::new(), None, None).await?,
            (Target::Recovery, key) => self.recovery_change(key, new.counts).await?,
        };
        let sent = Arc::new(sent);
        if let Some(made) = lock(self.rekeys.of(target)).as_mut().and_then(|rekeying| rekeying.made.as_mut()) {
            made.sent = Some(sent.clone());
        }
        self.send(change, sent).await.map_err(|error| error.unwrap_or_else(|| texts::unknown(nonce)))
    }

    /// Stores a new root key under the unseal key of today.
    pub(in crate::unseal) async fn store_root_alone(&self) -> Result<()> {
        let kek = if self.is_auto() { None } else { Some(self.unseal_key().await?) };
        let (change, sent) = self.root_change(Change::new(), kek.as_ref(), None).await?;
        let unknown = || Error::Storage(Backend::Unavailable("it is not known whether the new root key is stored".to_owned()));
        self.send(change, Arc::new(sent)).await.map_err(|error| error.unwrap_or_else(unknown))?;
        tracing::info!("rotated the root key");
        Ok(())
    }

    /// Makes the change. Without an error's text it is not known whether it was made.
    async fn send(&self, change: Change, sent: Arc<Sent>) -> Result<(), Option<Error>> {
        *lock(&self.rekeys.unsure) = Some(sent.clone());
        match self.make(change).await {
            Ok(()) => {
                self.take_up(&sent);
                *lock(&self.rekeys.unsure) = None;
                Ok(())
            }
            Err(error) => match self.settle().await {
                Ok(()) if sent.stored() => Ok(()),
                Ok(()) => Err(Some(error)),
                Err(unsettled) => {
                    tracing::error!(%error, %unsettled, "it is not known whether new keys are stored");
                    Err(None)
                }
            },
        }
    }

    /// The unseal key, from its copy behind the barrier, which another server may have left out of date.
    async fn unseal_key(&self) -> Result<Arc<Secret>> {
        let how = "replace the root key with the shares, by sys/rotate/root/init";
        let Some(copy) = self.barrier.get(SHAMIR_KEK_PATH).await? else {
            return Err(Error::Refused(format!("{SHAMIR_KEK_PATH} is missing: {how}")));
        };
        let key = Secret::from_slice(&copy)?;
        if self.read(STORED_KEYS_PATH).await?.is_none() || self.verify_unseal_key(&key).await.is_err() {
            return Err(Error::Refused(format!("{SHAMIR_KEK_PATH} is not the unseal key: {how}")));
        }
        Ok(Arc::new(key))
    }

    /// A new root key: sealed by the unseal key, or by the key service, and the keyring under it.
    async fn root_change(&self, change: Change, kek: Option<&Arc<Secret>>, config: Option<SealConfig>) -> Result<(Change, Sent)> {
        let root = Arc::new(Secret::random()?);
        let entries = match kek {
            Some(kek) => vec![(STORED_KEYS_PATH.to_owned(), stored::seal(kek, &root)?)],
            None => self.sealed_root(&root).await?,
        };
        let mark = mark(&entries)?;
        let keyring = self.barrier.with_keyring(|keyring| keyring.with_root(root.clone()))?;
        let mut change = change
            .put_all(entries)
            .put(KEYRING_PATH, keyring.to_stored()?)
            .put(MASTER_PATH, keyring.seal(MASTER_PATH, &keyring.root_entry()?)?)
            .delete(ROOT_KEY_PATH);
        if let Some(kek) = kek {
            change = change.put(SHAMIR_KEK_PATH, keyring.seal(SHAMIR_KEK_PATH, kek.expose())?);
        }
        Ok((change, Sent { mark, root: Some(root), kek: kek.cloned(), config, stored: AtomicBool::new(false) }))
    }

    async fn recovery_change(&self, key: Option<&Arc<Secret>>, counts: (u8, u8)) -> Result<(Change, Sent)> {
        let key = key.ok_or_else(|| Error::Internal("there is no new recovery key".to_owned()))?;
        let config = match self.recovery_config().await? {
            Some(config) => shared_out(config.handed_on(true), counts),
            None => SealConfig::recovery(counts.0.into(), counts.1.into())?,
        };
        let entries = self.sealed_recovery(key).await?;
        let mark = mark(&entries)?;
        let change = Change::new().put_all(entries).put(RECOVERY_CONFIG_PATH, config.to_stored()?);
        Ok((change, Sent { mark, root: None, kek: None, config: None, stored: AtomicBool::new(false) }))
    }
}

/// The same configuration for other shares.
fn shared_out(mut config: SealConfig, (shares, threshold): (u8, u8)) -> SealConfig {
    (config.secret_shares, config.secret_threshold) = (shares.into(), threshold.into());
    config
}

/// The first entry: nobody else writes these bytes, which begin with what is random.
fn mark(entries: &[(String, Vec<u8>)]) -> Result<(String, Vec<u8>)> {
    entries.first().cloned().ok_or_else(|| Error::Internal("the seal keeps nothing".to_owned()))
}
