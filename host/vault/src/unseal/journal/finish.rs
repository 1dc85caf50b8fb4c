//! What becomes of a change that is written down: it is carried out, or read through.
//!
//! Entries that are neither as they were before the change nor as they are to be were changed by somebody who knows nothing of it: then it is past.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{JOURNAL_PATH, Journal, Step, hash};
use crate::logical::{Error, Result};
use crate::unseal::{Inner, lock};

/// A change that was cut off and overtaken, kept for whoever has to find out what happened.
pub(super) const SET_ASIDE_PATH: &str = "core/cofferdam/seal-journal-set-aside";

/// The entries of an unfinished change as they will be.
pub(in crate::unseal) type Overlay = BTreeMap<String, Option<Bytes>>;

/// How the entries stand to a change that is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Each is as before, or as it is to be.
    Due,
    /// It was not begun, or it was carried out; and somebody has gone on from there.
    Past,
    /// It was begun and not ended, and somebody has gone on from there.
    Torn,
}

impl Step {
    fn after(&self) -> Result<Option<Bytes>> {
        let after = self.after.as_ref().map(|after| STANDARD.decode(after)).transpose();
        let after = after.map_err(|error| Error::Damaged(format!("{JOURNAL_PATH}: {}: {error}", self.path)))?;
        Ok(after.map(Bytes::from))
    }
}

impl Journal {
    pub(in crate::unseal) fn overlay(&self) -> Result<Overlay> {
        self.changes.iter().map(|step| Ok((step.path.clone(), step.after()?))).collect()
    }
}

impl Inner {
    /// Carries out what is written down. For whoever may write, before anything else is read or written of the seal: from then on the entries in the storage
    /// are those that count. The caller holds `work`.
    pub(in crate::unseal) async fn finish_journal(&self) -> Result<()> {
        let Some(stored) = self.stored(JOURNAL_PATH).await? else {
            lock(&self.overlay).clear();
            // One that was given up may come yet.
            if self.barrier.is_settled() {
                *lock(&self.abandoned) = None;
            }
            return Ok(());
        };
        let journal = Journal::parse(&stored)?;
        if lock(&self.abandoned).as_ref() == Some(&journal.id) {
            lock(&self.overlay).clear();
            // As long as it cannot be deleted, it is known for what it is.
            match self.remove(JOURNAL_PATH).await {
                Ok(()) => *lock(&self.abandoned) = None,
                Err(error) => tracing::warn!(%error, "{JOURNAL_PATH}, which was given up, could not be deleted; this is tried again"),
            }
            return Ok(());
        }
        match self.standing(&journal).await? {
            Standing::Due => self.carry_out(&journal).await?,
            Standing::Past => tracing::warn!("deleting {JOURNAL_PATH}: another server has changed the entries since it was written"),
            Standing::Torn => {
                tracing::error!(
                    "a change of the seal's entries was cut off, and another server has changed some of them since: it is not carried out; \
                     what it was is kept in {SET_ASIDE_PATH}"
                );
                self.write(SET_ASIDE_PATH, stored.to_vec()).await?;
            }
        }
        self.remove(JOURNAL_PATH).await?;
        lock(&self.overlay).clear();
        Ok(())
    }

    async fn carry_out(&self, journal: &Journal) -> Result<()> {
        for step in &journal.changes {
            let after = step.after()?;
            if self.stored(&step.path).await? != after {
                match after {
                    Some(value) => self.write(&step.path, value.to_vec()).await?,
                    None => self.remove(&step.path).await?,
                }
            }
        }
        Ok(())
    }

    async fn standing(&self, journal: &Journal) -> Result<Standing> {
        let (mut moved, mut begun, mut open) = (false, false, false);
        for step in &journal.changes {
            let found = hash(self.stored(&step.path).await?.as_ref());
            let after = hash(step.after()?.as_ref());
            match (found == step.before, found == after) {
                (true, true) => {}
                (true, false) => open = true,
                (false, true) => begun = true,
                (false, false) => moved = true,
            }
        }
        Ok(match (moved, begun && open) {
            (false, _) => Standing::Due,
            (true, false) => Standing::Past,
            (true, true) => Standing::Torn,
        })
    }

    /// Reads what is written down, for a server that may not carry it out. It is of now: whoever may write goes on, so it is read anew before entries are read
    /// that belong together. The caller holds `work`.
    pub(in crate::unseal) async fn read_journal(&self) -> Result<()> {
        let mut found = Overlay::new();
        if let Some(stored) = self.stored(JOURNAL_PATH).await? {
            let journal = Journal::parse(&stored)?;
            let overlay = journal.overlay()?;
            if self.standing(&journal).await? == Standing::Due {
                found = overlay;
            }
        }
        *lock(&self.overlay) = found;
        Ok(())
    }
}
