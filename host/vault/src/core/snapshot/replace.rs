//! Everything in a storage replaced by the entries of a snapshot: with several writes at once, and patience with a backend that wants less.

use std::sync::Arc;
use std::time::Duration;

use cofferdam_backend::{Error as Backend, Key, Storage};
use cofferdam_snapshot::Snapshot;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::is_ours;
use super::restore::{Restored, told};
use crate::logical::{Error, Result};
use crate::seal::CONFIG_PATH;

/// Writes under way at once.
const AT_ONCE: usize = 8;
/// Entries that are asked for at once.
const PAGE: u32 = 256;
/// How often a write is tried, and the pause after the first failure; it doubles.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });
/// Rounds over the storage: entries that nobody writes any more are gone after the first.
const ROUNDS: usize = 10;

/// Does it again for as long as the backend says that it may work later.
pub(super) async fn patiently<F: Future<Output = cofferdam_backend::Result<()>>>(mut work: impl FnMut() -> F) -> Result<()> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match work().await {
            Err(Backend::Throttled(wanted)) => tokio::time::sleep(pause.max(wanted)).await,
            Err(Backend::Unavailable(_) | Backend::Busy(_) | Backend::TimedOut(_) | Backend::Breach(_)) => tokio::time::sleep(pause).await,
            done => return Ok(done?),
        }
        pause *= 2;
    }
    Ok(work().await?)
}

/// Writes under way.
#[derive(Default)]
struct Writes(JoinSet<Result<()>>);

impl Writes {
    async fn begin(&mut self, write: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
        if self.0.len() >= AT_ONCE {
            self.one().await?;
        }
        self.0.spawn(write);
        Ok(())
    }

    async fn one(&mut self) -> Result<()> {
        match self.0.join_next().await {
            None => Ok(()),
            Some(done) => done.map_err(|error| Error::Internal(format!("a write of the restore ended: {error}")))?,
        }
    }

    async fn end(mut self) -> Result<()> {
        while !self.0.is_empty() {
            self.one().await?;
        }
        Ok(())
    }
}

/// Deletes every entry but those that are kept, and those that no key of ours names: nothing here reads them.
pub(super) async fn clear(storage: &Arc<dyn Storage>, keep: impl Fn(&str) -> bool) -> Result<()> {
    for _ in 0..ROUNDS {
        let (mut found, mut cursor) = (false, None);
        loop {
            let page = storage.scan(0, 1, cursor, PAGE).await?;
            let mut writes = Writes::default();
            for entry in page.entries {
                let Ok(key) = Key::new(&entry.key) else { continue };
                if keep(&entry.key) {
                    continue;
                }
                found = true;
                let storage = storage.clone();
                writes.begin(async move { patiently(|| storage.delete(&key)).await }).await?;
            }
            writes.end().await?;
            match page.cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        if !found {
            return Ok(());
        }
    }
    Err(Error::Refused("entries come back as they are deleted: something else writes to the storage".to_owned()))
}

/// Stores the entries.
pub(super) async fn fill(storage: &Arc<dyn Storage>, snapshot: Arc<Snapshot>) -> Result<Restored> {
    let (out, mut entries) = mpsc::channel(AT_ONCE);
    let read = tokio::task::spawn_blocking(move || {
        for entry in snapshot.entries().map_err(|error| told(&error))? {
            if out.blocking_send(entry.map_err(|error| told(&error))?).is_err() {
                break;
            }
        }
        Ok::<(), Error>(())
    });
    let (mut restored, mut writes) = (Restored::default(), Writes::default());
    while let Some((text, value)) = entries.recv().await {
        if is_ours(&text) {
            continue;
        }
        let Ok(key) = Key::new(&text) else {
            restored.leave_out(text);
            continue;
        };
        restored.entries += 1;
        let (storage, value) = (storage.clone(), bytes::Bytes::from(value));
        let write = async move { patiently(|| storage.put(&key, value.clone())).await };
        if text == CONFIG_PATH {
            write.await?;
        } else {
            writes.begin(write).await?;
        }
    }
    writes.end().await?;
    read.await.map_err(|error| Error::Internal(format!("the reading of a snapshot ended: {error}")))??;
    Ok(restored)
}
