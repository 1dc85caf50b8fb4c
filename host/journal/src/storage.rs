//! The storage with a journal before it.

use std::sync::Arc;
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
pub struct Journaled(Arc<Shared>);

struct Shared {
    inner: Arc<dyn Storage>,
    journal: Journal,
    turns: Turns,
    options: Options,
}

impl Journaled {
    /// Applies what a crash left in the journals, and begins a new one. Nothing else may use the storage from now on.
    pub async fn open(inner: Arc<dyn Storage>, place: Arc<dyn Place>, options: Options) -> Result<Journaled> {
        recover(inner.as_ref(), &place).await?;
        let name = place.name();
        let journal =
            Journal::begin(place, options).map_err(|error| Error::Denied(format!("the journal in {name} cannot be begun: {error}")))?;
        Ok(Journaled(Arc::new(Shared { inner, journal, turns: Turns::new(), options })))
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

    async fn write(&self, write: Write) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        // In a task of its own: whoever asked may go away, but a write that was begun must be ended before the next of its key.
        tokio::spawn(self.0.clone().write(write, answer));
        answered.await.unwrap_or_else(|_| Err(Error::Unavailable("the write was not ended: the server ends".to_owned())))
    }
}

/// What is written by one call.
enum Write {
    One(Operation),
    Batch(Vec<Operation>),
}

impl Write {
    fn operations(&self) -> &[Operation] {
        match self {
            Write::One(operation) => std::slice::from_ref(operation),
            Write::Batch(operations) => operations,
        }
    }
}

impl Shared {
    async fn write(self: Arc<Self>, write: Write, answer: oneshot::Sender<Result<()>>) {
        let _turn = self.turns.to_write(write.operations()).await;
        let ticket = match self.journal.commit(Submission::of(write.operations())).await {
            Ok(ticket) => ticket,
            Err(error) => return drop(answer.send(Err(error))),
        };
        let _alone = self.turns.alone(write.operations()).await;
        let error = match self.apply(&write).await {
            Ok(()) => return drop(answer.send(Ok(()))),
            Err(error) => error,
        };
        if refused(&error) {
            // It is told to have failed, and must not come back.
            let aborted = self.journal.commit(Submission::abort(ticket.number)).await;
            return drop(answer.send(aborted.and(Err(error))));
        }
        let said = error.to_string();
        drop(answer.send(Err(error)));
        // Half of it may stand where the value before it did. As long as that is so the journal keeps it, and nobody sees the key.
        if !self.mended(&write).await {
            self.journal.keep(&said);
        }
    }

    async fn apply(&self, write: &Write) -> Result<()> {
        match write {
            Write::One(Operation::Put(key, value)) => self.inner.put(key, value.clone()).await,
            Write::One(Operation::Delete(key)) => self.inner.delete(key).await,
            Write::Batch(operations) => self.inner.batch(operations.clone()).await,
        }
    }

    /// Tries again what may be half done; returns whether it is done.
    async fn mended(&self, write: &Write) -> bool {
        let begin = Instant::now();
        let (mut pause, longest) = PAUSES;
        while begin.elapsed() < self.options.patience {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
            if self.apply(write).await.is_ok() {
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
        self.0.inner.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.write(Write::One(Operation::Put(key.clone(), value))).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.write(Write::One(Operation::Delete(key.clone()))).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.0.inner.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        self.write(Write::Batch(operations)).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        let _turn = self.0.turns.to_read_all().await;
        self.0.inner.scan(segment, segments, cursor, limit).await
    }

    fn forget(&self) {
        self.0.inner.forget();
    }
}
