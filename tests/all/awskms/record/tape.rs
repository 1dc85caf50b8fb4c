//! The recorder: between the host and a guest, for storage, for a seal, and for what a seal sends.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_aws::Kms as Binding;
use cofferdam_backend::{Descriptor, Folder, Key, Operation, Page, Result, ScanPage, Seal, Storage, Wrapped};
use cofferdam_runtime::{Aws, AwsCall, AwsResponse, AwsSendError, SealBackend};
use zeroize::Zeroizing;

use crate::dynamodb::leak::found;

/// Where the stored root key lies.
const STORED_KEYS: &str = "core/hsm/barrier-unseal-keys";

/// What passed between the host and one guest.
#[derive(Default)]
pub(super) struct Inner {
    /// All of it, one after the other.
    pub(super) bytes: Vec<u8>,
    /// The DEKs in it, of a seal.
    pub(super) deks: Vec<[u8; 32]>,
    /// What was stored under [`STORED_KEYS`].
    pub(super) stored_keys: Vec<Bytes>,
}

/// The record of one guest.
#[derive(Clone, Default)]
pub(super) struct Record(Arc<Mutex<Inner>>);

impl Record {
    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn note(&self, bytes: impl AsRef<[u8]>) {
        let mut inner = self.inner();
        inner.bytes.extend_from_slice(bytes.as_ref());
        inner.bytes.push(0);
    }

    /// In which forms the secret is in it.
    pub(super) fn holds(&self, secret: impl AsRef<[u8]>) -> Vec<&'static str> {
        found(&self.inner().bytes, secret)
    }
}

/// Something between the host and a guest, with the record of what passes.
pub(super) struct Watched<T: ?Sized> {
    inner: Arc<T>,
    pub(super) record: Record,
}

impl<T: ?Sized> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl<T: ?Sized> Watched<T> {
    pub(super) fn new(inner: Arc<T>, record: &Record) -> Arc<Watched<T>> {
        Arc::new(Watched { inner, record: record.clone() })
    }

    fn result<R>(&self, result: Result<R>, note: impl FnOnce(&R)) -> Result<R> {
        match &result {
            Ok(answer) => note(answer),
            Err(error) => self.record.note(error.to_string()),
        }
        result
    }

    fn stored(&self, key: &Key, value: &Bytes) {
        self.record.note(key.as_str());
        self.record.note(value);
        if key.as_str() == STORED_KEYS {
            self.record.inner().stored_keys.push(value.clone());
        }
    }

    fn wrapped(&self, wrapped: &Wrapped) {
        self.record.note(&wrapped.blob);
        self.record.note(&wrapped.key_id);
    }

    fn dek(&self, dek: &[u8; 32]) {
        self.record.note(dek);
        self.record.inner().deks.push(*dek);
    }
}

#[async_trait]
impl Storage for Watched<dyn Storage> {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.record.note(key.as_str());
        let note = |value: &Option<Bytes>| self.record.note(value.as_deref().unwrap_or_default());
        self.result(self.inner.get(key).await, note)
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.stored(key, &value);
        self.result(self.inner.put(key, value).await, |()| ())
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.record.note(key.as_str());
        self.result(self.inner.delete(key).await, |()| ())
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.record.note(folder.as_str());
        self.record.note(after);
        self.result(self.inner.list_page(folder, after, limit).await, |page| self.record.note(page.names.join("\n")))
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        for operation in &operations {
            match operation {
                Operation::Put(key, value) => self.stored(key, value),
                Operation::Delete(key) => self.record.note(key.as_str()),
            }
        }
        self.result(self.inner.batch(operations).await, |()| ())
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        let page = self.inner.scan(segment, segments, cursor, limit).await;
        self.result(page, |page| page.entries.iter().for_each(|entry| self.record.note(&entry.value)))
    }
}

#[async_trait]
impl Seal for Watched<SealBackend> {
    async fn wrap(&self, dek: &[u8; 32]) -> Result<Wrapped> {
        self.dek(dek);
        self.result(self.inner.wrap(dek).await, |wrapped| self.wrapped(wrapped))
    }

    async fn unwrap(&self, wrapped: &Wrapped, dek: &mut [u8; 32]) -> Result<()> {
        self.wrapped(wrapped);
        let done = self.inner.unwrap(wrapped, dek).await;
        self.result(done, |()| self.dek(dek))
    }

    async fn unwrap_direct(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>> {
        self.wrapped(wrapped);
        self.result(self.inner.unwrap_direct(wrapped).await, |plain| self.record.note(plain))
    }

    async fn key_id(&self) -> Result<String> {
        self.result(self.inner.key_id().await, |key_id| self.record.note(key_id))
    }

    async fn health(&self) -> Result<()> {
        self.result(self.inner.health().await, |()| ())
    }
}

/// What a seal's guest sends belongs to its record.
#[async_trait]
impl Aws for Watched<Binding> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn send(&self, call: &mut AwsCall, operation: &str, body: Vec<u8>) -> std::result::Result<AwsResponse, AwsSendError> {
        self.record.note(operation);
        self.record.note(&body);
        let answer = self.inner.send(call, operation, body).await;
        match &answer {
            Ok(answer) => self.record.note(&answer.body),
            Err(error) => self.record.note(format!("{error:?}")),
        }
        answer
    }
}
