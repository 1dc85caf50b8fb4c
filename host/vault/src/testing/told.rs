//! A storage whose batches can be cut off within, though it says that it takes each as a whole.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Folder, Key, Operation, Page, Result, ScanPage, Storage};
use cofferdam_test_support::{Cut, one_by_one};

/// It writes down which keys each call changes. Of a batch each operation is a mutation of the storage below.
pub(crate) struct Told {
    inner: Cut,
    pub(crate) descriptor: Descriptor,
    pub(crate) calls: Arc<Mutex<Vec<String>>>,
}

impl Told {
    pub(crate) fn over(inner: Cut) -> Told {
        let mut descriptor = inner.descriptor().clone();
        descriptor.features.atomic_batch = true;
        Told { inner, descriptor, calls: Arc::default() }
    }

    fn tell(&self, call: &str, operations: &[Operation]) -> Result<()> {
        let keys: Vec<&str> = operations.iter().map(|operation| operation.key().as_str()).collect();
        self.calls.lock().unwrap().push(format!("{call} {}", keys.join(" ")));
        operations.iter().try_for_each(|operation| self.descriptor.limits.check(operation))
    }
}

#[async_trait]
impl Storage for Told {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.tell("put", &[Operation::Put(key.clone(), value.clone())])?;
        self.inner.put(key, value).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.tell("delete", &[Operation::Delete(key.clone())])?;
        self.inner.delete(key).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.inner.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        self.tell("batch", &operations)?;
        self.descriptor.limits.check_batch(&operations)?;
        one_by_one(&self.inner, operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.inner.scan(segment, segments, cursor, limit).await
    }
}
