//! A line through the time of a storage: all entries as they were at one moment, read while writers go on.
//!
//! A scan shows entries as they are when it comes by. So whoever changes an entry while a line is followed first hands over the entry as it was, and the scan leaves
//! out what was handed over. The rule: no entry is changed before it is either handed over or known to be; if it cannot be, the line is lost, and the change is made
//! all the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Entry, Error, Folder, Key, Operation, Page, Result, ScanPage, Storage};
use tokio::sync::{OnceCell, RwLock, mpsc};

/// The most that the keys may take that are changed while a line is followed, in bytes.
const MOST: usize = 64 << 20;
/// What a key takes besides its text.
const OVERHEAD: usize = 128;

/// A storage through whose time a line can be drawn. Everything that writes to the storage writes through this.
pub(crate) struct Lined {
    storage: Arc<dyn Storage>,
    /// Held shared by every change, exclusively while a line is drawn or ended: so each change is on one side of it.
    gate: RwLock<()>,
    line: Mutex<Option<Arc<Line>>>,
}

/// What is remembered of a line.
struct Line {
    /// Takes the entries as they were.
    out: mpsc::Sender<Entry>,
    state: Mutex<State>,
    most: usize,
}

#[derive(Default)]
struct State {
    /// The keys that were changed since; set once the entry was handed over.
    changed: HashMap<Key, Arc<OnceCell<()>>>,
    bytes: usize,
    lost: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    /// Sees to it that the entry as it was at the line is handed over.
    async fn keep(&self, storage: &dyn Storage, key: &Key) {
        let handed = {
            let mut state = lock(&self.state);
            if state.lost.is_some() {
                return;
            }
            match state.changed.get(key) {
                Some(handed) => handed.clone(),
                None => {
                    state.bytes += key.as_str().len() + OVERHEAD;
                    if state.bytes > self.most {
                        state.lose("too many entries were changed meanwhile");
                        return;
                    }
                    state.changed.entry(key.clone()).or_default().clone()
                }
            }
        };
        let hand = || async {
            if let Some(value) = storage.get(key).await? {
                // Nobody takes it any more: then the line is given up.
                drop(self.out.send(Entry { key: key.as_str().to_owned(), value }).await);
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = handed.get_or_try_init(hand).await {
            lock(&self.state).lose(&format!("an entry that was to be changed could not be read before: {error}"));
        }
    }

    /// Whether the entry was handed over, as it was, so that the scan's does not count.
    fn handed(&self, key: &str) -> bool {
        let Ok(key) = Key::new(key) else { return false };
        lock(&self.state).changed.get(&key).is_some_and(|handed| handed.initialized())
    }

    fn check(&self) -> Result<()> {
        match &lock(&self.state).lost {
            None => Ok(()),
            Some(reason) => Err(Error::Unavailable(format!("{reason}; take the snapshot again"))),
        }
    }
}

impl State {
    fn lose(&mut self, reason: &str) {
        self.lost.get_or_insert_with(|| reason.to_owned());
        self.changed = HashMap::new();
    }
}

/// A line that is followed. Dropped, it is given up.
pub(crate) struct Following<'a> {
    lined: &'a Lined,
    line: Arc<Line>,
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        *lock(&self.lined.line) = None;
    }
}

impl Lined {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Lined {
        Lined { storage, gate: RwLock::default(), line: Mutex::default() }
    }

    /// Draws a line: no change is under way at this moment. The entries as they are now come out of `out`, in no order, some more than once. There must be no other line.
    pub(super) async fn draw(&self, limit: Duration, out: mpsc::Sender<Entry>) -> Result<Following<'_>> {
        self.draw_within(limit, out, MOST).await
    }

    pub(super) async fn draw_within(&self, limit: Duration, out: mpsc::Sender<Entry>, most: usize) -> Result<Following<'_>> {
        let line = Arc::new(Line { out, state: Mutex::default(), most });
        let _gate = tokio::time::timeout(limit, self.gate.write())
            .await
            .map_err(|_| Error::Unavailable(format!("writes were under way for {} s; take the snapshot again", limit.as_secs())))?;
        *lock(&self.line) = Some(line.clone());
        Ok(Following { lined: self, line })
    }

    /// Makes a change of these keys.
    async fn change(&self, keys: Vec<Key>, work: impl Future<Output = Result<()>> + Send) -> Result<()> {
        let _gate = self.gate.read().await;
        let line = lock(&self.line).clone();
        if let Some(line) = line {
            for key in &keys {
                line.keep(&*self.storage, key).await;
            }
        }
        work.await
    }
}

impl Following<'_> {
    /// Hands over a part of all entries.
    pub(super) async fn follow(&self, segment: u32, segments: u32, page: u32) -> Result<()> {
        let mut cursor = None;
        loop {
            let ScanPage { entries, cursor: next } = self.lined.storage.scan(segment, segments, cursor, page).await?;
            self.line.check()?;
            for entry in entries {
                // One that is being handed over is still as it was.
                if !self.line.handed(&entry.key) && self.line.out.send(entry).await.is_err() {
                    return Err(Error::Unavailable("the snapshot was given up".to_owned()));
                }
            }
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Ends the line once everything was followed: what is being handed over still is.
    pub(super) async fn end(self) -> Result<()> {
        let _gate = self.lined.gate.write().await;
        *lock(&self.lined.line) = None;
        self.line.check()
    }
}

#[async_trait]
impl Storage for Lined {
    fn descriptor(&self) -> &Descriptor {
        self.storage.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.storage.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.change(vec![key.clone()], self.storage.put(key, value)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.change(vec![key.clone()], self.storage.delete(key)).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.storage.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        let keys = operations.iter().map(|operation| operation.key().clone()).collect();
        self.change(keys, self.storage.batch(operations)).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.storage.scan(segment, segments, cursor, limit).await
    }

    fn forget(&self) {
        self.storage.forget();
    }
}
