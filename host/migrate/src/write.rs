//! Writing an end: batches side by side into a storage; one entry after the other into a snapshot.
//!
//! An entry that the end cannot hold is no error of the writer's: it is told apart from what failed, and named.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cofferdam_backend::{Entry, Key, Limits, Operation, Part, Storage};
use cofferdam_snapshot::{MAX_ENTRY, Meta};
use futures_util::future::try_join_all;
use tokio::sync::Semaphore;

use crate::end::{End, Held};
use crate::read::blocking;
use crate::retry::Patience;
use crate::{Error, Result};

/// Why an end cannot hold an entry.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It has no such keys.
    Key(String),
    /// It is too large.
    Size(String),
}

/// An end that is written.
pub(crate) struct Writer {
    name: String,
    to: To,
}

enum To {
    Storage { storage: Arc<dyn Storage>, turns: Semaphore },
    Snapshot { path: PathBuf, writer: Arc<Mutex<Option<cofferdam_snapshot::Writer>>> },
}

/// What became of a page.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) done: Vec<Entry>,
    pub(crate) refused: Vec<(String, Refused)>,
}

impl Writer {
    pub(crate) fn new(end: &End, parallel: usize) -> Writer {
        let to = match &end.held {
            Held::Storage(storage) => To::Storage { storage: Arc::clone(storage), turns: Semaphore::new(parallel.max(1)) },
            Held::Snapshot(path) => To::Snapshot { path: path.clone(), writer: Arc::default() },
        };
        Writer { name: end.name.clone(), to }
    }

    fn failed(&self, source: cofferdam_backend::Error) -> Error {
        Error::Write { end: self.name.clone(), source }
    }

    /// Whether the end can hold the entry, as far as can be said without trying.
    pub(crate) fn fits(&self, entry: &Entry) -> Result<(), Refused> {
        let limits = match &self.to {
            To::Storage { storage, .. } => storage.descriptor().limits,
            // The longest entry that a server reads from a snapshot.
            To::Snapshot { .. } => {
                let whole = u64::try_from(entry.key.len() + entry.value.len()).unwrap_or(u64::MAX);
                return fits(Part::Value, whole, MAX_ENTRY.saturating_sub(FRAME));
            }
        };
        let key = Key::new(&entry.key).map_err(|error| Refused::Key(error.to_string()))?;
        let checked = limits.check_key(&key).and_then(|()| limits.check_value(&entry.value));
        checked.map_err(|error| Refused::Size(error.to_string()))
    }

    /// Begins a snapshot.
    pub(crate) async fn begin(&self) -> Result<()> {
        if let To::Snapshot { path, writer } = &self.to {
            let (path, writer) = (path.clone(), Arc::clone(writer));
            blocking(move || {
                *writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(cofferdam_snapshot::Writer::create(path, Meta::default())?);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Ends a snapshot: it appears under its name.
    pub(crate) async fn finish(&self) -> Result<()> {
        if let To::Snapshot { writer, .. } = &self.to {
            let writer = writer.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(writer) = writer {
                blocking(move || Ok(writer.finish()?)).await?;
            }
        }
        Ok(())
    }

    /// Writes a page. What is done is as durable as the end keeps anything; a snapshot's entries are so once it is finished.
    pub(crate) async fn write(&self, entries: Vec<Entry>, patience: Patience<'_>) -> Result<Written> {
        let mut written = Written::default();
        let mut fitting = Vec::with_capacity(entries.len());
        for entry in entries {
            match self.fits(&entry) {
                Ok(()) => fitting.push(entry),
                Err(refused) => written.refused.push((entry.key, refused)),
            }
        }
        match &self.to {
            To::Snapshot { writer, .. } => {
                let writer = Arc::clone(writer);
                let put = blocking(move || {
                    let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(writer) = writer.as_mut() else { return Err(Error::Thread("the snapshot is not open".to_owned())) };
                    for entry in &fitting {
                        writer.put(&entry.key, entry.value.to_vec())?;
                    }
                    Ok(fitting)
                });
                written.done = put.await?;
            }
            To::Storage { storage, turns } => {
                let batches = batches(fitting, storage.descriptor().limits);
                let one = async |batch| {
                    // Never closed; the count of turns is all that it is for.
                    let _turn = turns.acquire().await;
                    self.batch(storage.as_ref(), batch, patience).await
                };
                for part in try_join_all(batches.into_iter().map(one)).await? {
                    written.done.extend(part.done);
                    written.refused.extend(part.refused);
                }
            }
        }
        Ok(written)
    }

    async fn batch(&self, storage: &dyn Storage, batch: Vec<Entry>, patience: Patience<'_>) -> Result<Written> {
        let operations: Vec<Operation> = batch.iter().map(operation).collect::<Result<_, _>>().map_err(|error| self.failed(error))?;
        match patience.persist(async || storage.batch(operations.clone()).await).await {
            Ok(()) => return Ok(Written { done: batch, refused: Vec::new() }),
            Err(error) if refused(&error).is_none() => return Err(self.failed(error)),
            Err(_) => {}
        }
        // One of them does not fit by a rule that only the backend knows: each by itself shows which.
        let mut written = Written::default();
        for entry in batch {
            let alone = [operation(&entry).map_err(|error| self.failed(error))?];
            match patience.persist(async || storage.batch(alone.to_vec()).await).await {
                Ok(()) => written.done.push(entry),
                Err(error) => match refused(&error) {
                    Some(why) => written.refused.push((entry.key, why)),
                    None => return Err(self.failed(error)),
                },
            }
        }
        Ok(written)
    }
}

/// What a snapshot adds to an entry's key and value, at most.
const FRAME: u64 = 64;

fn fits(part: Part, size: u64, limit: u64) -> Result<(), Refused> {
    if size > limit {
        return Err(Refused::Size(cofferdam_backend::Error::TooLarge { part, size, limit }.to_string()));
    }
    Ok(())
}

/// Why the entry is refused, if it is the entry's fault.
fn refused(error: &cofferdam_backend::Error) -> Option<Refused> {
    match error {
        cofferdam_backend::Error::InvalidKey(_) => Some(Refused::Key(error.to_string())),
        cofferdam_backend::Error::TooLarge { .. } => Some(Refused::Size(error.to_string())),
        _ => None,
    }
}

fn operation(entry: &Entry) -> cofferdam_backend::Result<Operation> {
    Ok(Operation::Put(Key::new(&entry.key)?, Bytes::clone(&entry.value)))
}

/// The entries in batches that the backend takes; no key stands twice in one.
fn batches(entries: Vec<Entry>, limits: Limits) -> Vec<Vec<Entry>> {
    let most = usize::try_from(limits.batch_operations.max(1)).unwrap_or(1);
    let (mut batches, mut batch, mut keys, mut bytes) = (Vec::new(), Vec::new(), HashSet::new(), 0_u64);
    for entry in entries {
        let size = u64::try_from(entry.key.len() + entry.value.len()).unwrap_or(u64::MAX);
        if batch.len() >= most || bytes.saturating_add(size) > limits.batch_bytes || keys.contains(&entry.key) {
            batches.push(std::mem::take(&mut batch));
            keys.clear();
            bytes = 0;
        }
        bytes += size;
        keys.insert(entry.key.clone());
        batch.push(entry);
    }
    batches.push(batch);
    batches.retain(|batch| !batch.is_empty());
    batches
}
