//! Changes of several of the seal's entries that take effect as a whole.
//!
//! Where the storage has atomic batches, a change is one. Elsewhere it is written down first, in one entry that holds all of it: from then on the change counts as made,
//! and only then the entries themselves are written. Whoever opens the store after a cut finishes what it finds written down; a standby, which may not
//! write, reads through it. The rules: nothing else writes an entry of an unfinished change; a change that was answered with an error is never carried out
//! by this process later; and nothing that is written down is thrown away while entries of it are missing.
//!
//! What is written down is what the storage would be handed anyway: ciphertext, and configurations that are plain.

mod finish;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cofferdam_backend::{Error as Backend, Key, Operation};
use serde::{Deserialize, Serialize};

pub(super) use self::finish::Overlay;
use super::{Inner, lock};
use crate::crypto;
use crate::logical::{Error, Result};

/// The change under way: plain JSON, a [`Journal`]. Of this server's alone; Vault and OpenBao ignore it.
pub(super) const JOURNAL_PATH: &str = "core/cofferdam/seal-journal";

/// Several entries to be written or deleted, in this order where they cannot be at once.
#[derive(Debug, Default)]
pub(crate) struct Change(Vec<(String, Option<Vec<u8>>)>);

impl Change {
    /// None yet.
    pub(crate) fn new() -> Change {
        Change::default()
    }

    /// Whether it changes this entry.
    pub(crate) fn touches(&self, path: &str) -> bool {
        self.0.iter().any(|(changed, _)| changed == path)
    }

    /// Whether it changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes an entry. Of an entry that is named twice the last counts: no key stands twice in a batch.
    #[must_use]
    pub(crate) fn put(self, path: &str, value: Vec<u8>) -> Change {
        self.with(path, Some(value))
    }

    /// Writes several.
    #[must_use]
    pub(crate) fn put_all(self, entries: Vec<(String, Vec<u8>)>) -> Change {
        entries.into_iter().fold(self, |change, (path, value)| change.put(&path, value))
    }

    /// Makes another one's changes, too.
    #[must_use]
    pub(crate) fn and(mut self, other: Change) -> Change {
        self.0.extend(other.0);
        self
    }

    /// Deletes an entry.
    #[must_use]
    pub(crate) fn delete(self, path: &str) -> Change {
        self.with(path, None)
    }

    fn with(mut self, path: &str, value: Option<Vec<u8>>) -> Change {
        self.0.retain(|(known, _)| known != path);
        self.0.push((path.to_owned(), value));
        self
    }

    fn operations(&self) -> Result<Vec<Operation>> {
        let operation = |(path, value): &(String, Option<Vec<u8>>)| {
            let key = Key::new(path)?;
            Ok(value.as_ref().map_or_else(|| Operation::Delete(key.clone()), |value| Operation::Put(key.clone(), value.clone().into())))
        };
        self.0.iter().map(operation).collect()
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Journal {
    /// Names it.
    id: String,
    changes: Vec<Step>,
}

#[derive(Serialize, Deserialize)]
struct Step {
    path: String,
    /// The hash (SHA-256, hex) of what is replaced; none if there is nothing.
    before: Option<String>,
    /// What takes its place, in base 64; none if nothing does.
    after: Option<String>,
}

fn hash(value: Option<&Bytes>) -> Option<String> {
    value.map(|value| crypto::sha256_hex(&[value]))
}

impl Journal {
    pub(super) fn parse(stored: &[u8]) -> Result<Journal> {
        serde_json::from_slice(stored).map_err(|error| {
            Error::Damaged(format!(
                "{JOURNAL_PATH}: {error}: a change of the seal's entries was cut off and cannot be finished; restore the storage from a backup"
            ))
        })
    }

    fn to_stored(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::Internal(format!("{JOURNAL_PATH}: {error}")))
    }
}

/// Whether after this error the storage may hold the change nevertheless, or get it yet.
fn unknown(error: &Error) -> bool {
    matches!(error, Error::Storage(Backend::TimedOut(_) | Backend::Unavailable(_) | Backend::Breach(_)))
}

impl Inner {
    /// Makes the change. An error means that it was not made, or that this cannot be known: the storage may still get a batch that it did not answer
    /// ([`Barrier::is_settled`](crate::barrier::Barrier::is_settled) tells until when), but this process carries out nothing that was written down. The caller holds `work`.
    pub(super) async fn make(&self, change: Change) -> Result<()> {
        self.finish_journal().await?;
        let change = self.counted_open(change).await?;
        self.make_counted(change).await?;
        self.witness.soon();
        Ok(())
    }

    async fn make_counted(&self, change: Change) -> Result<()> {
        if lock(&self.abandoned).is_some() {
            let text = "an earlier change of the seal's entries had no answer and may still reach the storage; try again in two minutes";
            return Err(Error::Storage(Backend::Unavailable(text.to_owned())));
        }
        if self.fits_a_batch(&change) {
            return self.make_at_once(change).await;
        }
        let mut changes = Vec::with_capacity(change.0.len());
        for (path, after) in change.0 {
            let before = self.stored(&path).await?;
            if before.as_deref() != after.as_deref() {
                changes.push(Step { path, before: hash(before.as_ref()), after: after.map(|after| STANDARD.encode(after)) });
            }
        }
        let journal = Journal { id: crypto::uuid(), changes };
        let overlay = journal.overlay()?;
        self.write_down(journal).await?;
        *lock(&self.overlay) = overlay;
        if let Err(error) = self.finish_journal().await {
            tracing::warn!(%error, "a change of the seal's entries is written down and not yet carried out everywhere; this is tried again");
        }
        Ok(())
    }

    fn fits_a_batch(&self, change: &Change) -> bool {
        let descriptor = self.barrier.storage().descriptor();
        let size: usize = change.0.iter().map(|(path, value)| path.len() + value.as_ref().map_or(0, Vec::len)).sum();
        descriptor.features.atomic_batch
            && u32::try_from(change.0.len()).is_ok_and(|count| count <= descriptor.limits.batch_operations)
            && u64::try_from(size).is_ok_and(|size| size <= descriptor.limits.batch_bytes)
    }

    async fn make_at_once(&self, change: Change) -> Result<()> {
        self.work.check()?;
        match self.barrier.batch_stored(change.operations()?).await {
            Err(error) if unknown(&error) && self.holds_all(&change).await => Ok(()),
            made => made,
        }
    }

    /// Whether the storage has a change whose answer was lost.
    async fn holds_all(&self, change: &Change) -> bool {
        for (path, value) in &change.0 {
            match self.stored(path).await {
                Ok(stored) if stored.as_deref() == value.as_deref() => {}
                _ => return false,
            }
        }
        true
    }

    /// Writes the journal: with it the change is made. Without an answer the storage is asked; if that does not help, the change is given up, and this
    /// process remembers never to carry it out. That cannot be left to a deletion, which the writing could overtake.
    async fn write_down(&self, journal: Journal) -> Result<()> {
        let stored = journal.to_stored()?;
        match self.write(JOURNAL_PATH, stored.clone()).await {
            Err(error) if unknown(&error) => {
                if matches!(self.stored(JOURNAL_PATH).await, Ok(Some(found)) if *found == *stored) {
                    return Ok(());
                }
                tracing::warn!(%error, "a change of the seal's entries was given up: {JOURNAL_PATH} could not be written");
                *lock(&self.abandoned) = Some(journal.id);
                Err(error)
            }
            written => written,
        }
    }

    /// The entry in the storage, whatever is written down.
    async fn stored(&self, path: &str) -> Result<Option<Bytes>> {
        Ok(self.barrier.storage().get(&Key::new(path)?).await?)
    }
}
