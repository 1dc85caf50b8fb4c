//! Restoring a snapshot.
//!
//! The rule: before anything is changed the snapshot is known to be whole, to be of this seal, and to fit into the storage; from the first change to the last a mark stands in the
//! storage, with which no server opens it or makes another vault of it. A restore that was cut off is run again with the same file, whoever has it: nobody's token can be checked
//! until then, and the mark says which file it was.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use cofferdam_backend::{Error as Backend, Key, Limits};
use cofferdam_snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::super::{Core, SEAL_GRACE, to_the_end};
use super::{is_ours, replace};
use crate::keyring::{KEYRING_PATH, rfc3339_nano};
use crate::logical::{Error, Result};
use crate::seal::CONFIG_PATH;

/// The mark: plain JSON, of this server alone.
pub(crate) const MARKER_PATH: &str = "core/cofferdam/restore";
/// What is answered as long as it stands.
pub(crate) const CUT: &str = "the restore of a snapshot was cut off: the storage holds neither what was there before nor the whole snapshot. \
    Restore the same snapshot again, which needs no token now; or empty the storage and restore a backup";

/// How long a restore waits for writes that were given up and may still take effect: longer than any deadline of a backend's call.
const SETTLED: Duration = Duration::from_secs(150);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);
/// How many keys are named in a warning.
const NAMED: usize = 20;

/// The mark of a restore under way.
#[derive(Serialize, Deserialize)]
struct Marker {
    /// The digest of the snapshot's entries.
    sha256: String,
    /// When it was begun.
    started: String,
}

/// What came of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// How many entries are stored now.
    pub entries: u64,
    /// How many of the snapshot's are not, since this server's storages take no such keys.
    pub left_out: u64,
    /// Some of those keys.
    pub named: Vec<String>,
}

impl Core {
    /// Whether the restore of a snapshot was cut off here, so that it may be run again without a token.
    pub async fn restore_cut(&self) -> Result<bool> {
        Ok(self.active().is_err() && self.marker().await?.is_some())
    }

    /// `POST sys/storage/raft/snapshot`, with `force` `snapshot-force`: puts the snapshot in place of all that is stored, and seals the vault; one that a key service
    /// unseals is opened again.
    ///
    /// Runs to its end even if the caller goes away. [`Error::BadRequest`] for a snapshot that is not taken; then nothing is changed. The caller has seen to it that the
    /// token may do this, or that [`Core::restore_cut`].
    pub async fn restore(self: &Arc<Self>, snapshot: Snapshot, force: bool) -> Result<Restored> {
        let core = self.clone();
        to_the_end(async move { core.restore_now(Arc::new(snapshot), force).await }).await
    }

    async fn marker(&self) -> Result<Option<Marker>> {
        let Some(stored) = self.barrier.storage().get(&Key::new(MARKER_PATH)?).await? else { return Ok(None) };
        serde_json::from_slice(&stored).map(Some).map_err(|error| Error::Damaged(format!("{MARKER_PATH}: {error}")))
    }

    async fn restore_now(self: &Arc<Self>, snapshot: Arc<Snapshot>, force: bool) -> Result<Restored> {
        let _state = self.state.lock().await;
        let _turn = self.snapshots.lock().await;
        let hold = match self.active() {
            Ok(_) => {
                if !force {
                    self.unsealer().check_sums(&snapshot).await?;
                }
                self.fits(&snapshot).await?;
                self.still().await?;
                None
            }
            Err(error) => {
                let Some(marker) = self.marker().await? else { return Err(error) };
                if marker.sha256 != snapshot.digest() {
                    let text = format!("{CUT}. It is another snapshot than this: its entries have the SHA-256 {}", marker.sha256);
                    return Err(Error::BadRequest(text));
                }
                self.fits(&snapshot).await?;
                self.seal_now().await;
                match &self.ha {
                    Some(ha) => Some(ha.hold(&self.barrier).await?),
                    None => None,
                }
            }
        };
        let restored = self.replace(&snapshot).await;
        match hold {
            Some(hold) => hold.release(&self.barrier).await,
            None => self.seal_now().await,
        }
        let restored = restored.inspect_err(|error| tracing::error!(%error, "{CUT}"))?;
        tracing::info!(entries = restored.entries, left_out = restored.left_out, "snapshot restored; the vault is sealed");
        if self.unsealer().is_auto() {
            self.auto.want(true);
            if let Err(error) = self.unseal_by_service().await {
                tracing::warn!(%error, "what was restored could not be unsealed at once; this is tried again");
            }
        }
        Ok(restored)
    }

    /// Checks all that would make a restore fail halfway, or leave what nobody can open.
    async fn fits(&self, snapshot: &Arc<Snapshot>) -> Result<()> {
        let (given, limits) = (snapshot.clone(), self.barrier.storage().descriptor().limits);
        let config = blocking(move || examine(&given, &limits)).await?;
        self.unsealer().check_kind(&config)
    }

    /// Has nothing else write any more. One of several servers stays the one with the lock.
    async fn still(&self) -> Result<()> {
        // From here on new requests are refused.
        let active = self.set_active(None);
        if tokio::time::timeout(SEAL_GRACE, self.requests.write()).await.is_err() {
            tracing::warn!("restoring while requests are still under way after {SEAL_GRACE:?}");
        }
        if let Some(active) = active {
            active.close().await;
        }
        self.unsealer().seal();
        let settled = async {
            while !self.barrier.is_settled() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let late = |_| Error::Storage(Backend::Unavailable("earlier writes may still take effect; nothing was restored".to_owned()));
        match tokio::time::timeout(SETTLED, settled).await.map_err(late) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.seal_now().await;
                Err(error)
            }
        }
    }

    /// Deletes everything and stores the snapshot, between the mark and its removal.
    async fn replace(&self, snapshot: &Arc<Snapshot>) -> Result<Restored> {
        let storage = self.barrier.storage();
        storage.forget();
        let marker = Marker { sha256: snapshot.digest().to_owned(), started: rfc3339_nano(OffsetDateTime::now_utc()) };
        let marker = serde_json::to_vec(&marker).map_err(|error| Error::Internal(format!("{MARKER_PATH}: {error}")))?;
        let mark = Key::new(MARKER_PATH)?;
        replace::patiently(|| storage.put(&mark, marker.clone().into())).await?;
        // What tells the type of the seal stays till it is overwritten: a status wants it at any time.
        replace::clear(storage, |key| is_ours(key) || key == CONFIG_PATH).await?;
        let restored = replace::fill(storage, snapshot.clone()).await?;
        self.unsealer().restored().await?;
        replace::patiently(|| storage.delete(&mark)).await?;
        storage.forget();
        Ok(restored)
    }
}

/// Work that blocks, apart from the threads that serve requests.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Internal(format!("the reading of a snapshot ended: {error}")))?
}

/// What is wrong with a snapshot, for the client if it is the snapshot. A failure, as Vault has it.
pub(super) fn told(error: &cofferdam_snapshot::Error) -> Error {
    error.reason().map_or_else(|| Error::Internal(error.to_string()), |reason| Error::Refused(reason.to_owned()))
}

/// Looks through the entries: is it a vault, and does the storage take each of them? Returns the seal's configuration.
fn examine(snapshot: &Snapshot, limits: &Limits) -> Result<Vec<u8>> {
    let (mut config, mut keyring) = (None, false);
    for entry in snapshot.entries().map_err(|error| told(&error))? {
        let (key, value) = entry.map_err(|error| told(&error))?;
        if let Ok(key) = Key::new(&key) {
            let segment = key.as_str().split('/').map(str::len).max().unwrap_or(0);
            let sizes = [
                ("key", key.as_str().len(), u64::from(limits.key)),
                ("segment of its key", segment, u64::from(limits.segment)),
                ("value", value.len(), limits.value),
            ];
            if let Some((what, size, most)) = sizes.into_iter().find(|(_, size, most)| u64::try_from(*size).is_ok_and(|size| size > *most))
            {
                let text =
                    format!("this storage cannot take the entry {key:?} of the snapshot: its {what} has {size} bytes, at most {most}");
                return Err(Error::BadRequest(text));
            }
        }
        match key.as_str() {
            CONFIG_PATH => config = Some(value),
            KEYRING_PATH => keyring = true,
            _ => {}
        }
    }
    match config {
        Some(config) if keyring => Ok(config),
        _ => Err(Error::BadRequest(format!("the snapshot holds no vault: {CONFIG_PATH} or {KEYRING_PATH} is missing"))),
    }
}

impl Core {
    /// The archive in this file, checked as a whole; [`Error::Refused`] says what is wrong with it.
    pub async fn open_snapshot(file: File) -> Result<Snapshot> {
        blocking(move || Snapshot::of(file, "the snapshot").map_err(|error| told(&error))).await
    }
}

impl Restored {
    pub(super) fn leave_out(&mut self, key: String) {
        self.left_out += 1;
        if self.named.len() < NAMED {
            self.named.push(key);
        }
    }
}
