//! The storage with a journal before it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Error, Folder, Key, Operation, Page, Result, ScanPage, Storage};
use tokio::sync::oneshot;

use crate::commit::Journal;
use crate::format::Submission;
use crate::medium::Place;
use crate::turns::Turns;
use crate::{Options, recover};

/// The first pause before what may be half done is done again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// A storage whose writes are durable by a journal. What is below it need not sync anything, and may write values over one another in place.
/// A batch is done one operation after the other: the storage must be one of which nobody expects more.
pub struct Journaled(Arc<Shared>);

struct Shared {
    inner: Arc<dyn Storage>,
    journal: Journal,
    turns: Turns,
    /// Keys of which a value may be there in part.
    torn: Mutex<BTreeSet<String>>,
    options: Options,
}

impl Journaled {
    /// Applies what a crash left in the journals, and begins a new one. Nothing else may use the storage from now on.
    pub async fn open(inner: Arc<dyn Storage>, place: Arc<dyn Place>, options: Options) -> Result<Journaled> {
        recover(inner.as_ref(), &place).await?;
        let name = place.name();
        let journal =
            Journal::begin(place, options).map_err(|error| Error::Denied(format!("the journal in {name} cannot be begun: {error}")))?;
        Ok(Journaled(Arc::new(Shared { inner, journal, turns: Turns::new(), torn: Mutex::default(), options })))
    }

    /// Sees everything to the disk and empties the journal. What is written after it fails.
    pub async fn close(&self) {
        self.0.journal.end().await;
    }

    /// How many writes wait for the next sync.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.0.journal.waiting()
    }

    async fn one(&self, operation: Operation) -> Result<()> {
        // What the storage does not take is not for the journal.
        self.descriptor().limits.check(&operation)?;
        self.write(vec![operation]).await
    }

    async fn write(&self, operations: Vec<Operation>) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        // In a task of its own: whoever asked may go away, but a write that was begun must be ended before the next of its key.
        tokio::spawn(self.0.clone().write(operations, answer));
        answered.await.unwrap_or_else(|_| Err(Error::Unavailable("the write was not ended: the server ends".to_owned())))
    }

    /// Fails if what is there of a key, or of any, may be half a value.
    fn whole(&self, key: Option<&Key>) -> Result<()> {
        let torn = self.0.torn();
        match key.map_or(torn.first().map(String::as_str), |key| torn.get(key.as_str()).map(String::as_str)) {
            Some(key) => Err(Error::Unavailable(format!("a write of the key {key:?} failed half done, and is tried again"))),
            None => Ok(()),
        }
    }
}

/// Keeps the journal if what is in it was neither applied nor taken back: its task has ended before its time.
struct Begun<'a> {
    journal: &'a Journal,
    ended: bool,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.journal.keep("a write was cut off");
        }
    }
}

impl Shared {
    async fn write(self: Arc<Self>, operations: Vec<Operation>, answer: oneshot::Sender<Result<()>>) {
        let _turn = self.turns.to_write(&operations).await;
        let ticket = match self.journal.commit(operations.iter().map(Submission::of)).await {
            Ok(ticket) => ticket,
            Err(error) => return drop(answer.send(Err(error))),
        };
        // Dropped before the ticket is.
        let mut begun = Begun { journal: &self.journal, ended: false };
        for (number, operation) in (ticket.first..).zip(&operations) {
            let alone = self.turns.alone(std::slice::from_ref(operation)).await;
            let Err(error) = operation.apply(self.inner.as_ref()).await else { continue };
            let end = ticket.first + u64::try_from(operations.len()).unwrap_or(0);
            if refused(&error) {
                // It is told to have failed, and must not come back, nor must what was not tried any more.
                let error = match self.journal.abort(number..end).await {
                    Ok(()) => {
                        begun.ended = true;
                        error
                    }
                    Err(failed) => Error::Unavailable(format!("{error}; and that cannot be written down: {failed}")),
                };
                return drop(answer.send(Err(error)));
            }
            // Half of it may stand where the value before it did. Until it is done again nobody sees it, and the journal keeps it.
            self.torn().insert(operation.key().as_str().to_owned());
            drop(alone);
            drop(answer.send(Err(error)));
            if self.journal.abort(number + 1..end).await.is_ok() && self.mended(operation).await {
                self.torn().remove(operation.key().as_str());
                begun.ended = true;
            }
            return;
        }
        begun.ended = true;
        drop(answer.send(Ok(())));
    }

    fn torn(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.torn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries again what may be half done; returns whether it is done.
    async fn mended(&self, operation: &Operation) -> bool {
        let begin = Instant::now();
        let (mut pause, longest) = PAUSES;
        while begin.elapsed() < self.options.patience {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
            let _alone = self.turns.alone(std::slice::from_ref(operation)).await;
            if operation.apply(self.inner.as_ref()).await.is_ok() {
                return true;
            }
        }
        false
    }
}

/// Whether nothing was done: the storage said so, and was there to say it.
fn refused(error: &Error) -> bool {
    !matches!(error, Error::TimedOut(_) | Error::Breach(_) | Error::Unavailable(_))
}

#[async_trait]
impl Storage for Journaled {
    fn descriptor(&self) -> &Descriptor {
        self.0.inner.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let _turn = self.0.turns.to_read(key).await;
        self.whole(Some(key))?;
        self.0.inner.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.one(Operation::Put(key.clone(), value)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.one(Operation::Delete(key.clone())).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.0.inner.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        if operations.is_empty() {
            return Ok(());
        }
        self.descriptor().limits.check_batch(&operations)?;
        self.write(operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        let _turn = self.0.turns.to_read_all().await;
        self.whole(None)?;
        self.0.inner.scan(segment, segments, cursor, limit).await
    }

    fn forget(&self) {
        self.0.inner.forget();
    }
}
