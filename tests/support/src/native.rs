//! The layout of Vault's file backend, written a second time: in plain Rust on `std::fs`, without a component and without the guest's code.
//!
//! Tests run the same cases against it and the guest, and let each read what the other wrote; benches take it as the floor. It is as
//! durable as the guest: file, directory and new parents are synced before a put is acknowledged. Calls go to a blocking thread, as in any async server.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::one_by_one;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Entry, Error, Features, Folder, Key, Limits, Operation, Page, Result, ScanPage, Storage};
use serde::{Deserialize, Serialize};

/// The directory for files that are being written, shared with the guest so that it is no folder in either.
const SCRATCH: &str = ".cofferdam";

/// A storage on a directory.
#[derive(Clone)]
pub struct Native {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    durable: bool,
    /// Deletes exclude puts, since they remove directories that a put may need.
    tree: RwLock<()>,
    next: AtomicU64,
    descriptor: Descriptor,
}

#[derive(Serialize, Deserialize)]
struct Content {
    #[serde(rename = "Value")]
    value: Option<String>,
}

impl Native {
    /// A storage on `root`, which exists. Without `durable` nothing is synced.
    pub fn open(root: &Path, durable: bool) -> io::Result<Native> {
        fs::create_dir_all(root.join(SCRATCH))?;
        let descriptor = Descriptor {
            name: "native".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            features: Features::default(),
            limits: Limits { key: 4_000, segment: 254, value: 33 << 20, batch_operations: 128, batch_bytes: 33 << 20 },
        };
        let inner = Inner { root: root.to_owned(), durable, tree: RwLock::new(()), next: AtomicU64::new(0), descriptor };
        Ok(Native { inner: Arc::new(inner) })
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(io::Error::other).and_then(|result| result).map_err(error)
    }
}

fn error(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => {
            Error::InvalidKey(error.to_string())
        }
        ErrorKind::InvalidData => Error::Corrupt(error.to_string()),
        ErrorKind::StorageFull => Error::Exhausted(error.to_string()),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::Denied(error.to_string()),
        _ => Error::Unavailable(error.to_string()),
    }
}

fn missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

impl Inner {
    /// The directory of a key, relative to the root, and the name of its file.
    fn place(key: &str) -> (&str, String) {
        let (folder, leaf) = key.rsplit_once('/').unwrap_or(("", key));
        (folder, format!("_{leaf}"))
    }

    fn sync(&self, directory: &Path) -> io::Result<()> {
        if self.durable { File::open(directory)?.sync_all() } else { Ok(()) }
    }

    fn get(&self, key: &str) -> io::Result<Option<Bytes>> {
        let (folder, name) = Self::place(key);
        let text = match fs::read(self.root.join(folder).join(name)) {
            Ok(text) => text,
            Err(error) if missing(&error) || error.kind() == ErrorKind::IsADirectory => return Ok(None),
            Err(error) => return Err(error),
        };
        if text.is_empty() {
            return Ok(None);
        }
        let content: Content = serde_json::from_slice(&text)?;
        let value = STANDARD.decode(content.value.unwrap_or_default()).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(Some(value.into()))
    }

    fn put(&self, key: &str, value: &[u8]) -> io::Result<()> {
        let _tree = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        if key.split_once('/').is_some_and(|(first, _)| first == SCRATCH) {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "the folder is kept for the backend's own files"));
        }
        let (folder, name) = Self::place(key);
        let scratch = self.root.join(SCRATCH).join(format!("native-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        let mut text = serde_json::to_vec(&Content { value: Some(STANDARD.encode(value)) })?;
        text.push(b'\n');
        let mut file = File::create(&scratch)?;
        file.write_all(&text)?;
        if self.durable {
            file.sync_all()?;
        }
        drop(file);
        let directory = self.root.join(folder);
        let new = !directory.is_dir();
        let moved = fs::create_dir_all(&directory).and_then(|()| fs::rename(&scratch, directory.join(name)));
        if let Err(error) = moved {
            let _ = fs::remove_file(&scratch);
            return Err(error);
        }
        self.sync(&directory)?;
        if new {
            let mut above = directory.ancestors().skip(1).take_while(|path| path.starts_with(&self.root));
            above.try_for_each(|path| self.sync(path))?;
        }
        Ok(())
    }

    fn delete(&self, key: &str) -> io::Result<()> {
        let _tree = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        let (folder, name) = Self::place(key);
        let mut directory = self.root.join(folder);
        match fs::remove_file(directory.join(name)) {
            Ok(()) => {}
            Err(error) if missing(&error) || error.kind() == ErrorKind::IsADirectory => {}
            Err(error) => return Err(error),
        }
        while directory != self.root {
            match fs::remove_dir(&directory) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(_) => break,
            }
            directory.pop();
        }
        match self.sync(&directory) {
            Err(error) if missing(&error) => Ok(()),
            synced => synced,
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let entries = match fs::read_dir(self.root.join(folder)) {
            Ok(entries) => entries,
            Err(error) if missing(&error) => return Ok(names),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if entry.file_type()?.is_dir() {
                let below = format!("{folder}{name}/");
                let reserved = folder.is_empty() && name == SCRATCH;
                if !reserved && !self.list(&below)?.is_empty() {
                    names.push(format!("{name}/"));
                }
            } else if let Some(leaf) = name.strip_prefix('_') {
                names.push(leaf.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn entries(&self, folder: &str, found: &mut Vec<Entry>) -> io::Result<()> {
        for name in self.list(folder)? {
            let path = format!("{folder}{name}");
            if path.ends_with('/') {
                self.entries(&path, found)?;
            } else if let Some(value) = self.get(&path)? {
                found.push(Entry { key: path, value });
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Storage for Native {
    fn descriptor(&self) -> &Descriptor {
        &self.inner.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let key = key.clone();
        self.blocking(move |inner| inner.get(key.as_str())).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let key = key.clone();
        self.blocking(move |inner| inner.put(key.as_str(), &value)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let key = key.clone();
        self.blocking(move |inner| inner.delete(key.as_str())).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        let (folder, after) = (folder.clone(), after.to_owned());
        self.blocking(move |inner| {
            let mut names = inner.list(folder.as_str())?;
            names.retain(|name| *name > after);
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let more = names.len() > limit;
            names.truncate(limit);
            Ok(Page { names, more })
        })
        .await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        one_by_one(self, operations).await
    }

    /// Everything in one page of segment 0.
    async fn scan(&self, segment: u32, _: u32, _: Option<Bytes>, _: u32) -> Result<ScanPage> {
        self.blocking(move |inner| {
            let mut entries = Vec::new();
            if segment == 0 {
                inner.entries("", &mut entries)?;
            }
            Ok(ScanPage { entries, cursor: None })
        })
        .await
    }
}
