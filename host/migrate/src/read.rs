//! Reading an end: in parts, each page by page, from any cursor.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cofferdam_backend::{Entry, ScanPage, Storage};
use cofferdam_snapshot::{Entries, Snapshot};

use crate::end::{End, Held};
use crate::retry::Patience;
use crate::{Error, Result};

/// Entries on a page, at most. Backends make shorter ones where values are long.
pub(crate) const PAGE: u32 = 1_000;

/// A page of a snapshot ends once its values have this many bytes.
const PAGE_BYTES: usize = 4 << 20;

/// The most parts that are read at once: each costs memory, and a filesystem walks its directories once for each.
const SEGMENTS: usize = 8;

/// An end that is read.
pub(crate) struct Reader {
    name: String,
    from: From,
}

enum From {
    Storage(Arc<dyn Storage>),
    Snapshot(Arc<Archive>),
}

/// A snapshot, and where in it the last page ended.
struct Archive {
    snapshot: Snapshot,
    place: Mutex<Option<(u64, Entries)>>,
}

impl Reader {
    /// Opens the end. A snapshot is checked as a whole.
    pub(crate) async fn open(end: &End) -> Result<Reader> {
        let from = match &end.held {
            Held::Storage(storage) => From::Storage(Arc::clone(storage)),
            Held::Snapshot(path) => {
                let path: PathBuf = path.clone();
                let snapshot = blocking(move || Ok(Snapshot::open(path)?)).await?;
                From::Snapshot(Arc::new(Archive { snapshot, place: Mutex::default() }))
            }
        };
        Ok(Reader { name: end.name.clone(), from })
    }

    /// What is read, so that another run recognises it; of a snapshot also its content.
    pub(crate) fn identity(&self) -> String {
        match &self.from {
            From::Storage(_) => self.name.clone(),
            From::Snapshot(archive) => format!("{} sha256:{}", self.name, archive.snapshot.digest()),
        }
    }

    /// How many parts to read it in.
    pub(crate) fn segments(&self, parallel: usize) -> usize {
        match &self.from {
            From::Storage(storage) if storage.descriptor().features.parallel_scan => parallel.clamp(1, SEGMENTS),
            _ => 1,
        }
    }

    /// A page of a part.
    pub(crate) async fn page(
        &self,
        (segment, segments): (usize, usize),
        cursor: Option<Bytes>,
        patience: Patience<'_>,
    ) -> Result<ScanPage> {
        let [segment, segments] = [segment, segments].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        match &self.from {
            From::Storage(storage) => {
                let page = patience.persist(async || storage.scan(segment, segments, cursor.clone(), PAGE).await).await;
                page.map_err(|source| Error::Read { end: self.name.clone(), source })
            }
            From::Snapshot(archive) => {
                let archive = Arc::clone(archive);
                blocking(move || archive.page(cursor.as_deref())).await
            }
        }
    }
}

impl Archive {
    /// The cursor is how many entries came before.
    fn page(&self, cursor: Option<&[u8]>) -> Result<ScanPage> {
        let at = cursor.and_then(|cursor| cursor.try_into().ok()).map_or(0, u64::from_be_bytes);
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = match place.take() {
            Some((reached, entries)) if reached == at => entries,
            _ => {
                let mut entries = self.snapshot.entries()?;
                for _ in 0..at {
                    if let Some(Err(error)) = entries.next() {
                        return Err(error.into());
                    }
                }
                entries
            }
        };
        let (mut page, mut bytes) = (ScanPage::default(), 0);
        while page.entries.len() < PAGE as usize && bytes < PAGE_BYTES {
            let Some(entry) = entries.next() else { return Ok(page) };
            let (key, value) = entry?;
            bytes += value.len();
            page.entries.push(Entry { key, value: value.into() });
        }
        let reached = at + u64::try_from(page.entries.len()).unwrap_or_default();
        page.cursor = Some(Bytes::copy_from_slice(&reached.to_be_bytes()));
        *place = Some((reached, entries));
        Ok(page)
    }
}

/// Runs what blocks on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::Thread(error.to_string())))
}
