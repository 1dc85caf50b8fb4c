//! Storage of entries, as the vault uses it.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Folder, Key, Result};

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
