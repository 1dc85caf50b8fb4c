//! A pass over all of an end: counting, copying or summing up.
//!
//! The parts are read side by side. In each the next page is read while the last is written, and a page counts only when all of it was dealt with.

use bytes::Bytes;
use cofferdam_backend::{Entry, ScanPage};
use futures_util::future::{try_join, try_join_all};

use crate::board::{Board, Taken};
use crate::read::Reader;
use crate::retry::Patience;
use crate::state::SKIPPED;
use crate::write::{Refused, Writer};
use crate::{Error, Result};

/// What of the keys a migration is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// Keys that sort before it are left alone.
    pub(crate) start: Option<&'a str>,
}

impl Scope<'_> {
    pub(crate) fn takes(&self, key: &str) -> bool {
        !SKIPPED.contains(&key) && self.start.is_none_or(|start| key >= start)
    }
}

/// A pass.
pub(crate) struct Pass<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) scope: Scope<'a>,
    pub(crate) patience: Patience<'a>,
}

impl Pass<'_> {
    /// Every page of a part from the cursor on, with the cursor after it.
    async fn part(
        &self,
        segment: (usize, usize),
        cursor: Option<Bytes>,
        mut page: impl AsyncFnMut(Vec<Entry>, Option<Bytes>) -> Result<()>,
    ) -> Result<()> {
        let read = async |cursor| self.reader.page(segment, cursor, self.patience).await;
        let mut next = read(cursor).await?;
        loop {
            let ScanPage { mut entries, cursor } = next;
            entries.retain(|entry| self.scope.takes(&entry.key));
            let dealing = page(entries, cursor.clone());
            match cursor {
                None => return dealing.await,
                Some(cursor) => ((), next) = try_join(dealing, read(Some(cursor))).await?,
            }
        }
    }

    /// What is there; of it, what the writer has no key for, and what is too large for it.
    pub(crate) async fn survey(&self, segments: usize, writer: Option<&Writer>) -> Result<Taken> {
        let part = async |number| {
            let mut found = Taken::default();
            self.part((number, segments), None, async |entries, _| {
                for entry in &entries {
                    match writer.map_or(Ok(()), |writer| writer.fits(entry)) {
                        Ok(()) => found.copied.add(&entry.key, &entry.value),
                        Err(Refused::Key(reason)) => found.left_out.push(&entry.key, reason),
                        Err(Refused::Size(reason)) => found.too_large.push(&entry.key, reason),
                    }
                }
                self.count(&entries);
                Ok(())
            })
            .await?;
            Ok::<_, Error>(found)
        };
        let mut all = Taken::default();
        for part in try_join_all((0..segments).map(part)).await? {
            all.copied.merge(&part.copied);
            all.left_out.merge(part.left_out);
            all.too_large.merge(part.too_large);
        }
        Ok(all)
    }

    /// Copies what the board says is not copied yet.
    pub(crate) async fn copy(&self, board: &Board<'_>, writer: &Writer) -> Result<()> {
        let segments = board.state().segments.len();
        let part = async |number| {
            let Some(cursor) = board.place(number) else { return Ok(()) };
            self.part((number, segments), cursor, async |entries, cursor| {
                let taken = self.take(entries, writer).await?;
                board.moved(number, cursor.as_ref(), taken);
                Ok(())
            })
            .await
        };
        try_join_all((0..segments).map(part)).await?;
        Ok(())
    }

    async fn take(&self, entries: Vec<Entry>, writer: &Writer) -> Result<Taken> {
        let written = writer.write(entries, self.patience).await?;
        let mut taken = Taken::default();
        for entry in &written.done {
            tracing::debug!(path = %entry.key, "copied key");
            taken.copied.add(&entry.key, &entry.value);
        }
        for (key, refused) in written.refused {
            match refused {
                Refused::Key(reason) => taken.left_out.push(&key, reason),
                Refused::Size(reason) => taken.too_large.push(&key, reason),
            }
        }
        self.count(&written.done);
        Ok(taken)
    }

    fn count(&self, entries: &[Entry]) {
        let bytes: usize = entries.iter().map(|entry| entry.key.len() + entry.value.len()).sum();
        let number = |number: usize| u64::try_from(number).unwrap_or_default();
        self.patience.progress.add(number(entries.len()), number(bytes));
    }
}
