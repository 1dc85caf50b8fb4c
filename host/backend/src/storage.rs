//! Storage of entries, as the vault uses it.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, Folder, Key, Part, Result};

/// The names that [`Storage::list`] asks for at once: many, since a backend may have to read the whole folder for each page.
const LIST_PAGE: u32 = 8_192;

/// What a backend can do beyond the minimum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// A batch takes effect as a whole or not at all.
    pub atomic_batch: bool,
    /// A scan makes use of more than one segment.
    pub parallel_scan: bool,
    /// Puts and deletes of keys that share folders may run at the same time.
    pub atomic_folders: bool,
}

/// Sizes past which the backend refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest key, in bytes.
    pub key: u32,
    /// The longest segment of a key, in bytes.
    pub segment: u32,
    /// The longest value, in bytes.
    pub value: u64,
    /// The most operations in a batch.
    pub batch_operations: u32,
    /// The most bytes of keys and values in a batch.
    pub batch_bytes: u64,
}

impl Limits {
    /// Whether the key is within them; [`Error::TooLarge`] if not.
    pub fn check_key(&self, key: &Key) -> Result<()> {
        let text = key.as_str();
        fits(Part::Key, text.len() as u64, self.key.into())?;
        if text.len() as u64 > u64::from(self.segment) {
            let longest = text.split('/').map(str::len).max().unwrap_or(0);
            fits(Part::Segment, longest as u64, self.segment.into())?;
        }
        Ok(())
    }

    /// The same of a value.
    pub fn check_value(&self, value: &[u8]) -> Result<()> {
        fits(Part::Value, value.len() as u64, self.value)
    }

    /// The same of an operation.
    pub fn check(&self, operation: &Operation) -> Result<()> {
        self.check_key(operation.key())?;
        match operation {
            Operation::Put(_, value) => self.check_value(value),
            Operation::Delete(_) => Ok(()),
        }
    }

    /// The same of a batch, in which no key may stand twice.
    pub fn check_batch(&self, operations: &[Operation]) -> Result<()> {
        fits(Part::Batch, operations.len() as u64, self.batch_operations.into())?;
        let mut bytes = 0;
        let mut keys = Vec::with_capacity(operations.len());
        for operation in operations {
            self.check(operation)?;
            bytes += operation.key().as_str().len() as u64;
            if let Operation::Put(_, value) = operation {
                bytes += value.len() as u64;
            }
            keys.push(operation.key());
        }
        fits(Part::Batch, bytes, self.batch_bytes)?;
        keys.sort_unstable();
        match keys.array_windows().find(|[one, other]| one == other) {
            Some([twice, _]) => Err(Error::InvalidKey(format!("{twice:?} stands twice in one batch"))),
            None => Ok(()),
        }
    }
}

fn fits(part: Part, size: u64, limit: u64) -> Result<()> {
    if size > limit { Err(Error::TooLarge { part, size, limit }) } else { Ok(()) }
}

/// What a backend says of itself when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its name, for logs.
    pub name: String,
    /// The version of its guest.
    pub version: String,
    /// What it can do.
    pub features: Features,
    /// What it can hold.
    pub limits: Limits,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Names, sorted by bytes; those of folders end with `/`.
    pub names: Vec<String>,
    /// Whether there may be more after the last.
    pub more: bool,
}

/// A change of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Store the value.
    Put(Key, Bytes),
    /// Remove the entry.
    Delete(Key),
}

impl Operation {
    /// The key that it changes.
    pub fn key(&self) -> &Key {
        match self {
            Operation::Put(key, _) | Operation::Delete(key) => key,
        }
    }

    /// Makes the change in a storage, by itself.
    pub async fn apply(&self, storage: &dyn Storage) -> Result<()> {
        match self {
            Operation::Put(key, value) => storage.put(key, value.clone()).await,
            Operation::Delete(key) => storage.delete(key).await,
        }
    }
}

/// An entry as a scan delivers it. The key is text as stored: other servers may have written keys outside our grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Bytes,
}

/// A page of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// Entries in no order.
    pub entries: Vec<Entry>,
    /// Where the next page begins; none at the end.
    pub cursor: Option<Bytes>,
}

/// Entries by key. The contract's `storage` interface (wit/storage.wit) says what each call promises.
///
/// Dropping a returned future abandons the wait, never the consistency: a mutation may or may not have taken place.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// What the backend said of itself.
    fn descriptor(&self) -> &Descriptor;

    /// The value, or none.
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// Stores the value, in place of any other.
    async fn put(&self, key: &Key, value: Bytes) -> Result<()>;

    /// Removes the entry; one that is missing is a success.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// Names directly below the folder that sort after `after` (empty: all), at most `limit` (at least 1); may be fewer, with
    /// [`Page::more`] set.
    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page>;

    /// Applies the operations in order; as a whole only if [`Features::atomic_batch`].
    async fn batch(&self, operations: Vec<Operation>) -> Result<()>;

    /// A page of one of `segments` parts of everything that is stored.
    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage>;

    /// Forgets what it remembers of the store between calls. To be called whenever another server may have written, as on every change of leadership.
    fn forget(&self) {}

    /// All names directly below the folder, page by page.
    async fn list(&self, folder: &Folder) -> Result<Vec<String>> {
        let mut names = Vec::new();
        loop {
            let after = names.last().map_or("", String::as_str);
            let page = self.list_page(folder, after, LIST_PAGE).await?;
            names.extend(page.names);
            if !page.more {
                return Ok(names);
            }
        }
    }
}
