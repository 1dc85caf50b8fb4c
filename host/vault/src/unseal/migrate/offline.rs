//! Migration without the shares of the old seal, where that is a key service that can be reached: for an offline command, and the only way where there is no
//! recovery key.
//!
//! The rule: new shares are shown before anything is written. So a cut leaves either the old seal, which the key service opens, or shares that somebody has.

use std::sync::Arc;

use super::Migrated;
use crate::keyring::{KEYRING_PATH, Keyring};
use crate::logical::{Error, Result};
use crate::seal::config::SealConfig;
use crate::secret::Secret;
use crate::unseal::situation::{Old, Situation};
use crate::unseal::{Inner, Unsealer, split};

/// A migration that is ready to be made.
pub(crate) struct Prepared {
    /// The type of the old seal.
    pub(crate) from: String,
    /// The type of the new one.
    pub(crate) to: String,
    /// The shares of the new unseal key; none if the new seal is a key service.
    pub(crate) shares: Vec<Secret>,
    /// Whether there was a recovery key, whose shares are good for nothing from then on if there are new ones, and stay good otherwise.
    pub(crate) recovery: bool,
    migrated: Migrated,
}

impl Unsealer {
    /// Prepares the migration by way of the key service that is given up. `counts` are the number of new shares and the threshold, wanted if the new seal is
    /// Shamir's and only then. None if there is nothing to migrate. Writes nothing but what an earlier change left unfinished; the vault is sealed.
    pub(crate) async fn reshare(&self, counts: Option<(i64, i64)>) -> Result<Option<Prepared>> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        if !inner.initialized().await? {
            return Err(Error::bad_request("Vault is not initialized"));
        }
        inner.check_whole().await?;
        inner.finish_journal().await?;
        match inner.situation(true).await? {
            Situation::Settled { .. } => Ok(None),
            Situation::Pending(pending) => inner.prepare_reshare(pending, counts).await.map(Some),
        }
    }

    /// Makes it. After an error it may be made nevertheless: then the shares that were shown count.
    pub(crate) async fn commit_reshare(&self, prepared: Prepared) -> Result<()> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        inner.make(prepared.migrated.change).await
    }
}

impl Inner {
    async fn prepare_reshare(&self, pending: crate::unseal::situation::Pending, counts: Option<(i64, i64)>) -> Result<Prepared> {
        let Old::Service(old) = &pending.old else {
            return Err(Error::bad_request(
                "the vault is under Shamir's shares, which nothing but the shares opens: start the server with the new configuration, and give them by \
                 `coffer operator unseal -migrate`",
            ));
        };
        let root = self.root_of(old).await?;
        let recovery = self.old_recovery(old).await?;
        let Some(stored) = self.read(KEYRING_PATH).await? else { return Err(Error::Damaged(format!("{KEYRING_PATH} is gone"))) };
        let keyring = Keyring::from_stored(Arc::new(root), &stored)?;
        self.witness(&keyring).await?;
        let (from, to) = (pending.old.kind().to_owned(), self.kind().to_owned());
        let has_recovery = recovery.is_some();
        let (migrated, shares) = match (self.is_auto(), counts) {
            (true, None) => (self.migrated(&pending, recovery.as_ref(), None, keyring).await?, Vec::new()),
            (true, Some(_)) => {
                return Err(Error::bad_request(format!("the new seal is {to}, which has no shares: leave their number and threshold out")));
            }
            (false, None) => {
                return Err(Error::bad_request(
                    "the new seal is Shamir's: say how many shares there are to be, and how many of them are needed",
                ));
            }
            (false, Some((shares, threshold))) => {
                let config = SealConfig::shamir(shares, threshold)?;
                let key = Secret::random()?;
                let migrated = self.migrated(&pending, Some(&key), Some(&config), keyring).await?;
                let (shares, threshold) = config.counts();
                (migrated, split(key, shares, threshold)?)
            }
        };
        Ok(Prepared { from, to, shares, recovery: has_recovery, migrated })
    }
}
