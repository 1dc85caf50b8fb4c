//! What this host remembers of the vault it opened last, so that an older one is told from it, or an emptied storage, or another vault.
//!
//! The storage authenticates each entry and not their age: whoever keeps it can give back what it held before, with keys that were rotated and shares that were revoked since. The
//! rule: a vault is opened, and one is made, only if nothing in it is older than what this host saw last.
//!
//! What only grows, in every vault and with every server of the field: the keyring's newest term, and within a term the count of its encryptions. Which stored keys and which
//! configuration of the seal are newer cannot be seen from them, so a counter behind the barrier ([`COUNTER_PATH`]) is increased with each change of them: with the
//! same count they are the same, with a higher one another server has changed them. Another program (Vault, OpenBao) does not count: what it changes of the seal is refused
//! once, and to be accepted by the operator.
//!
//! What it does not tell: an older state that this host has not seen the end of (it looks at every unseal and take-over, every change of the seal, and as often as
//! the keyring is stored, each five minutes with writes); single entries of data that are older than the rest; anything in the time in which only other hosts without
//! such a file were active.

mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::Inner;
use super::journal::Change;
use crate::core::{CLUSTER, Cluster};
use crate::crypto;
use crate::keyring::{KEYRING_PATH, Keyring};
use crate::logical::{Error, Result};
use crate::seal::copies::{RECOVERY_KEY, STORED_KEYS};
use crate::seal::{CONFIG_PATH, RECOVERY_CONFIG_PATH, RECOVERY_KEY_PATH, STORED_KEYS_PATH, StateOptions};

/// How many changes of the seal's entries there were: JSON, behind the barrier. Of this server's alone, and only where a host remembers.
pub(super) const COUNTER_PATH: &str = "core/cofferdam/seal-changes";

/// The entries whose bytes are remembered by their digests.
const WATCHED: [&str; 6] =
    [CONFIG_PATH, STORED_KEYS_PATH, RECOVERY_CONFIG_PATH, RECOVERY_KEY_PATH, STORED_KEYS.copies, RECOVERY_KEY.copies];

/// How often entries are read until none was changed meanwhile.
const LOOKS: usize = 5;

/// What is remembered of a vault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Its id; none as long as it has none.
    cluster_id: Option<String>,
    /// The keyring's newest term.
    term: u32,
    /// The encryptions with it, as stored.
    encryptions: u64,
    /// The changes of the seal, as counted.
    changes: u64,
    /// By entry: the hash (SHA-256, hex) of what is stored; nothing of entries that are not there.
    digests: BTreeMap<String, String>,
}

#[derive(Default, Serialize, Deserialize)]
struct Counter {
    changes: u64,
}

/// What a server has to remember by.
#[derive(Default)]
pub(super) struct Witness {
    options: Option<StateOptions>,
    /// Whether the operator's consent to an older vault is used up.
    accepted: AtomicBool,
    /// Something was stored that is to be remembered.
    changed: Arc<Notify>,
    due: AtomicBool,
}

impl Witness {
    pub(super) fn new(options: Option<StateOptions>) -> Witness {
        Witness { options, ..Witness::default() }
    }

    /// Has it looked at soon what was stored just now.
    pub(super) fn soon(&self) {
        if self.options.is_some() {
            self.due.store(true, Ordering::SeqCst);
            self.changed.notify_one();
        }
    }

    /// What tells that something is to be looked at.
    pub(super) fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    fn may_accept(&self, options: &StateOptions) -> bool {
        options.accept_rollback && !self.accepted.load(Ordering::SeqCst)
    }
}

impl Seen {
    /// How the vault now seen is not one that followed on this one; none if it may be.
    fn refuses(&self, now: &Seen) -> Option<String> {
        if self.cluster_id.is_some() && self.cluster_id != now.cluster_id {
            let name = |id: &Option<String>| id.clone().unwrap_or_else(|| "none".to_owned());
            return Some(format!("the cluster id is {}, and was {}: it is another vault", name(&now.cluster_id), name(&self.cluster_id)));
        }
        if now.term < self.term {
            return Some(format!("the newest term of {KEYRING_PATH} is {}, and was {}: it is an older one", now.term, self.term));
        }
        if now.term == self.term && now.encryptions < self.encryptions {
            return Some(format!(
                "the encryptions of term {} in {KEYRING_PATH} are {}, and were {}: it is an older one",
                now.term, now.encryptions, self.encryptions
            ));
        }
        if now.changes < self.changes {
            return Some(format!(
                "the changes of the seal in {COUNTER_PATH} are {}, and were {}: it is an older one",
                now.changes, self.changes
            ));
        }
        if now.changes == self.changes
            && let Some(path) = WATCHED.into_iter().find(|path| self.digests.get(*path) != now.digests.get(*path))
        {
            return Some(format!(
                "{path} is not what it was, and no server of this program has changed it: it is an older one, or Vault or OpenBao have changed it"
            ));
        }
        None
    }
}

impl Inner {
    /// Whether the vault that this keyring is of may be opened; from now on it is remembered. Does nothing where nothing is remembered.
    pub(super) async fn witness(&self, keyring: &Keyring) -> Result<()> {
        let Some(options) = &self.witness.options else { return Ok(()) };
        self.witness.due.store(false, Ordering::SeqCst);
        let now = self.seen(keyring).await?;
        let accept = self.witness.may_accept(options);
        let before = match file::read(&options.path).await {
            Err(error) if accept => {
                tracing::warn!(%error, "--accept-rollback: writing the state file anew");
                None
            }
            before => before?,
        };
        match before.as_ref().and_then(|before| before.refuses(&now)) {
            None => {}
            Some(differs) if accept => {
                tracing::warn!(file = %options.path.display(), differs, "--accept-rollback: taking the vault as it is")
            }
            Some(differs) => return Err(Error::Damaged(refusal(options, &differs))),
        }
        if before.is_none() {
            tracing::info!(file = %options.path.display(), "remembering this vault in a new state file");
        }
        if before.as_ref() != Some(&now) {
            file::write(&options.path, &now).await?;
        }
        self.witness.accepted.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Remembers what was stored since; what is wrong is only told, for the vault is open. The caller holds `work`.
    pub(super) async fn witness_open(&self) {
        if self.witness.options.is_none() {
            return;
        }
        let done = match self.open_keyring() {
            Ok(keyring) => self.witness(&keyring).await,
            Err(_) => return,
        };
        if let Err(error) = done {
            tracing::error!(%error, "this host cannot remember what is stored now; it does not seal the vault, but a restart may be refused");
        }
    }

    /// Remembers what was stored since the last look, if anything was. The caller holds `work`.
    pub(super) async fn witness_if_due(&self) {
        if self.witness.due.load(Ordering::SeqCst) {
            self.witness_open().await;
        }
    }

    /// Whether there may be no vault in the storage: not if this host remembers one.
    pub(super) async fn witness_nothing(&self) -> Result<()> {
        let Some(options) = &self.witness.options else { return Ok(()) };
        if self.witness.may_accept(options) || file::read(&options.path).await?.is_none() {
            return Ok(());
        }
        Err(Error::Damaged(refusal(options, "there is no vault in it, and there was one")))
    }

    /// The change, with the count of changes, if the barrier is open.
    pub(super) async fn counted_open(&self, change: Change) -> Result<Change> {
        match self.open_keyring() {
            Ok(keyring) => self.counted(change, &keyring).await,
            Err(Error::Sealed) => Ok(change),
            Err(error) => Err(error),
        }
    }

    fn open_keyring(&self) -> Result<Keyring> {
        self.barrier.with_keyring(|keyring| keyring.with_rotation(keyring.rotation().clone()))
    }

    /// Begins the count, where this host remembers. The barrier is open and this server may write.
    pub(super) async fn begin_count(&self) -> Result<()> {
        if self.witness.options.is_some() && self.read(COUNTER_PATH).await?.is_none() {
            self.barrier.put(COUNTER_PATH, &counter(0)?).await?;
        }
        Ok(())
    }

    /// The change, with the count of changes. Not counted where no host remembers any. For whoever changes the seal while the barrier is closed.
    pub(super) async fn counted(&self, change: Change, keyring: &Keyring) -> Result<Change> {
        let stored = self.read(COUNTER_PATH).await?;
        if stored.is_none() && self.witness.options.is_none() || change.touches(COUNTER_PATH) {
            return Ok(change);
        }
        let changes = self.changes(keyring).await?.saturating_add(1);
        Ok(change.put(COUNTER_PATH, keyring.seal(COUNTER_PATH, &counter(changes)?)?))
    }

    async fn changes(&self, keyring: &Keyring) -> Result<u64> {
        let Some(stored) = self.read(COUNTER_PATH).await? else { return Ok(0) };
        let plain = keyring.open(COUNTER_PATH, &stored)?;
        let counter: Counter = serde_json::from_slice(&plain).map_err(|error| Error::Damaged(format!("{COUNTER_PATH}: {error}")))?;
        Ok(counter.changes)
    }

    /// What there is to remember now.
    async fn seen(&self, keyring: &Keyring) -> Result<Seen> {
        // The active server may be changing it: what is read between two equal counts belongs together.
        let mut changes = self.changes(keyring).await?;
        for _ in 0..LOOKS {
            let seen = self.seen_once(keyring, changes).await?;
            let again = self.changes(keyring).await?;
            if again == changes {
                return Ok(seen);
            }
            changes = again;
        }
        Err(Error::Damaged(format!("{COUNTER_PATH} is never twice the same: what belongs together cannot be read")))
    }

    async fn seen_once(&self, keyring: &Keyring, changes: u64) -> Result<Seen> {
        let mut digests = BTreeMap::new();
        for path in WATCHED {
            if let Some(stored) = self.read(path).await? {
                digests.insert(path.to_owned(), crypto::sha256_hex(&[&stored]));
            }
        }
        let cluster_id = match self.read(CLUSTER).await? {
            Some(stored) => {
                let cluster: Cluster = serde_json::from_slice(&keyring.open(CLUSTER, &stored)?)
                    .map_err(|error| Error::Damaged(format!("{CLUSTER}: {error}")))?;
                Some(cluster.id)
            }
            None => None,
        };
        let Some(stored) = self.read(KEYRING_PATH).await? else { return Err(Error::Damaged(format!("{KEYRING_PATH} is gone"))) };
        let stored = Keyring::from_stored(keyring.root().clone(), &stored).map_err(|error| match error {
            Error::BadRequest(text) => Error::Damaged(format!("{KEYRING_PATH}: {text}")),
            other => other,
        })?;
        let status = stored.status();
        Ok(Seen { cluster_id, term: status.term, encryptions: status.encryptions, changes, digests })
    }
}

fn counter(changes: u64) -> Result<Vec<u8>> {
    serde_json::to_vec(&Counter { changes }).map_err(|error| Error::Internal(format!("{COUNTER_PATH}: {error}")))
}

fn refusal(options: &StateOptions, differs: &str) -> String {
    format!(
        "the storage does not hold the vault that this host remembers in {}: {differs}. If the storage was restored from a backup on purpose, start the server once \
         with --accept-rollback; else somebody has tampered with it",
        options.path.display()
    )
}
