//! A storage as checks use it: keys are plain text, each operation is noted in the script, and an error of the backend ends the check.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cofferdam_backend::{Error, Folder, Key, Limits, Operation, Page, Storage};

use crate::case::{Ended, ensure};
use crate::script::{self, Script};

/// A storage, and the script that its operations are noted in.
#[derive(Clone)]
pub struct Store {
    storage: Arc<dyn Storage>,
    script: Arc<Script>,
    /// What its lines begin with, where a check has several.
    by: String,
}

/// The most entries or names, and bytes of values, that are taken of one scan or listing: far more than any check writes. What goes on without end must
/// not use up the memory of whoever tries it.
const MOST: (usize, usize) = (200_000, 512 << 20);

/// Why a scan or listing is not gone on with, if it has delivered this much.
pub(crate) fn endless(count: usize, bytes: usize) -> Option<String> {
    (count > MOST.0 || bytes > MOST.1)
        .then(|| format!("it has no end: {count} entries or names with {bytes} bytes of values, and more, where far less was written"))
}

/// The text as a key. A key of a check's own that is none is the check's fault, and fails it all the same.
pub(crate) fn key(text: &str) -> Result<Key, Ended> {
    Key::new(text).map_err(|error| Ended::failed(error.to_string()))
}

fn folder(text: &str) -> Result<Folder, Ended> {
    Folder::new(text).map_err(|error| Ended::failed(error.to_string()))
}

/// An error with its case.
pub(crate) fn said(error: &Error) -> String {
    format!("{} ({error})", error.case())
}

impl Store {
    /// A storage whose operations are noted in the script.
    pub fn new(storage: Arc<dyn Storage>, script: Arc<Script>) -> Store {
        Store { storage, script, by: String::new() }
    }

    /// The same, with its name before each of its lines.
    #[must_use]
    pub fn named(mut self, name: &str) -> Store {
        self.by = format!("{name}: ");
        self
    }

    /// The storage itself, for operations that are not to be noted.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The backend's limits.
    pub fn limits(&self) -> Limits {
        self.storage.descriptor().limits
    }

    fn note(&self, line: String) {
        self.script.note(self.by.clone() + &line);
    }

    /// Notes an operation with what came of it; an error ends the check.
    fn came<T>(&self, operation: &str, result: Result<T, Error>, shown: impl FnOnce(&T) -> String) -> Result<T, Ended> {
        self.script.came(&format!("{}{operation}", self.by), result.map_err(|error| said(&error)), shown)
    }

    fn wrong(&self, operation: &str, expected: &str, found: &str) -> Ended {
        self.note(format!("{operation} -> expected {expected}, found {found}"));
        Ended::failed(format!("{}{operation}: expected {expected}, found {found}", self.by))
    }

    /// Stores.
    pub async fn put(&self, at: &str, value: impl Into<Bytes>) -> Result<(), Ended> {
        let value = value.into();
        let line = format!("put {} = {}", script::name(at), script::value(&value));
        self.came(&line, self.storage.put(&key(at)?, value).await, |()| String::new())
    }

    /// Reads.
    pub async fn get(&self, at: &str) -> Result<Option<Bytes>, Ended> {
        let result = self.storage.get(&key(at)?).await;
        self.came(&format!("get {}", script::name(at)), result, |value| format!(" -> {}", script::found(value.as_ref())))
    }

    /// Removes.
    pub async fn delete(&self, at: &str) -> Result<(), Ended> {
        let result = self.storage.delete(&key(at)?).await;
        self.came(&format!("delete {}", script::name(at)), result, |()| String::new())
    }

    /// All names directly below the folder. The pages are checked as in [`Store::list_after`].
    pub async fn list(&self, at: &str) -> Result<Vec<String>, Ended> {
        self.list_after(at, "", usize::MAX).await
    }

    /// One page.
    pub async fn page(&self, at: &str, after: &str, limit: usize) -> Result<Page, Ended> {
        let line = self.list_line(at, after, limit);
        let shown = |page: &Page| format!(" -> {}{}", script::names(&page.names), if page.more { " and more" } else { "" });
        let size = u32::try_from(limit).unwrap_or(u32::MAX);
        let page = self.came(&line, self.storage.list_page(&folder(at)?, after, size).await, shown)?;
        ensure!(page.names.len() <= limit, "{line}: a page of {} names, over its limit", page.names.len());
        ensure!(!(page.more && page.names.is_empty()), "{line}: an empty page that promises more");
        let first = page.names.first().map_or("", String::as_str);
        ensure!(page.names.is_empty() || first > after, "{line}: {} does not sort after {}", script::name(first), script::name(after));
        let sorted = page.names.is_sorted_by(|one, other| one < other);
        ensure!(sorted, "{line}: expected names sorted by their bytes and none twice, found {}", script::names(&page.names));
        Ok(page)
    }

    fn list_line(&self, at: &str, after: &str, limit: usize) -> String {
        let mut line = format!("list {}", script::name(at));
        if !after.is_empty() {
            line = format!("{line} after {}", script::name(after));
        }
        if limit < 8_192 { format!("{line} limit {limit}") } else { line }
    }

    /// All names after `after`, at most `limit` in all, whatever the size of the backend's pages.
    pub async fn list_after(&self, at: &str, after: &str, limit: usize) -> Result<Vec<String>, Ended> {
        let mut names: Vec<String> = Vec::new();
        while names.len() < limit {
            let last = names.last().map_or(after, String::as_str).to_owned();
            let page = self.page(at, &last, (limit - names.len()).min(8_192)).await?;
            names.extend(page.names);
            if let Some(why) = endless(names.len(), 0) {
                return Err(Ended::failed(format!("list {}: {why}", script::name(at))));
            }
            if !page.more {
                break;
            }
        }
        Ok(names)
    }

    /// Applies a batch.
    pub async fn batch(&self, operations: Vec<Operation>) -> Result<(), Ended> {
        let line = format!("batch {}", script::operations(&operations));
        self.came(&line, self.storage.batch(operations).await, |()| String::new())
    }

    /// Everything that a scan delivers, over all segments; a key that comes twice ends the check.
    pub async fn scan(&self, segments: u32, limit: u32) -> Result<BTreeMap<String, Bytes>, Ended> {
        let mut found = BTreeMap::new();
        for segment in 0..segments {
            for (key, value) in self.scan_segment(segment, segments, limit).await? {
                let line = format!("scan in {segments} segments, pages of {limit}");
                ensure!(found.insert(key.clone(), value).is_none(), "{line}: {} was delivered by two segments", script::name(&key));
            }
        }
        Ok(found)
    }

    /// The same for one segment.
    pub async fn scan_segment(&self, segment: u32, segments: u32, limit: u32) -> Result<BTreeMap<String, Bytes>, Ended> {
        let (mut found, mut cursor, mut bytes) = (BTreeMap::new(), None, 0_usize);
        let line = format!("scan segment {segment} of {segments}, pages of {limit}");
        loop {
            let earlier: Option<Bytes> = cursor;
            let result = self.storage.scan(segment, segments, earlier.clone(), limit).await;
            let page = self.came(&line, result, |page| format!(" -> {} entries{}", page.entries.len(), more(page.cursor.is_some())))?;
            for entry in page.entries {
                let key = entry.key.clone();
                bytes = bytes.saturating_add(entry.value.len());
                ensure!(found.insert(entry.key, entry.value).is_none(), "{line}: {} was delivered twice", script::name(&key));
            }
            if let Some(why) = endless(found.len(), bytes) {
                return Err(Ended::failed(format!("{line}: {why}")));
            }
            ensure!(page.cursor.is_none() || page.cursor != earlier, "{line}: a page gave the cursor again that it was asked with");
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// Reads, and fails unless it is this.
    pub async fn must_get(&self, at: &str, expected: Option<&[u8]>) -> Result<(), Ended> {
        let found = self.get(at).await?;
        if found.as_deref() == expected {
            return Ok(());
        }
        let expected = expected.map_or_else(|| "none".to_owned(), script::value);
        Err(self.wrong(&format!("get {}", script::name(at)), &expected, &script::found(found.as_ref())))
    }

    /// Lists, and fails unless it is this, in this order.
    pub async fn must_list<T: AsRef<str>>(&self, at: &str, expected: &[T]) -> Result<(), Ended> {
        self.must_list_after(at, "", usize::MAX, expected).await
    }

    /// The same for a part of the listing.
    pub async fn must_list_after<T: AsRef<str>>(&self, at: &str, after: &str, limit: usize, expected: &[T]) -> Result<(), Ended> {
        let found = self.list_after(at, after, limit).await?;
        if found.iter().map(String::as_str).eq(expected.iter().map(AsRef::as_ref)) {
            return Ok(());
        }
        let line = self.list_line(at, after, limit);
        let whole = self.wrong(&line, &script::names(expected), &script::names(&found));
        if expected.len().max(found.len()) <= 16 {
            return Err(whole);
        }
        // Long listings differ in a few names.
        let missing: Vec<&str> =
            expected.iter().map(AsRef::as_ref).filter(|name| found.binary_search_by(|one| one.as_str().cmp(name)).is_err()).collect();
        let extra = (found.len() + missing.len()).saturating_sub(expected.len());
        let text = format!(
            "{line}: expected {} names, found {}: {extra} unexpected, missing {}",
            expected.len(),
            found.len(),
            script::names(&missing)
        );
        Err(Ended::failed(text))
    }

    /// Scans, and fails unless it is this.
    pub async fn must_scan(&self, segments: u32, limit: u32, expected: &BTreeMap<String, Bytes>) -> Result<(), Ended> {
        let found = self.scan(segments, limit).await?;
        if &found == expected {
            return Ok(());
        }
        let missing: Vec<&String> = expected.keys().filter(|key| !found.contains_key(*key)).collect();
        let extra: Vec<&String> = found.keys().filter(|key| !expected.contains_key(*key)).collect();
        let other: Vec<&String> =
            found.iter().filter(|(key, value)| expected.get(*key).is_some_and(|other| other != *value)).map(|(key, _)| key).collect();
        let text = format!(
            "{} entries; missing {}, unexpected {}, with another value {}",
            found.len(),
            script::names(&missing),
            script::names(&extra),
            script::names(&other)
        );
        Err(self.wrong(&format!("scan in {segments} segments, pages of {limit}"), &format!("{} entries", expected.len()), &text))
    }
}

fn more(more: bool) -> &'static str {
    if more { " and a cursor" } else { "" }
}
