//! The storage as a server of several uses it: nothing is changed without the lease.
//!
//! Whoever sends a mutation looks at the lease as well, at the last moment; here it keeps a server that does not lead from trying.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Error, Fencing, Folder, Key, Lease, Operation, Page, Result, ScanPage, Storage};

use super::Ha;

/// A storage whose mutations want the lease.
pub(crate) struct Guard {
    storage: Arc<dyn Storage>,
    lease: Arc<Lease>,
    ha: Arc<Ha>,
}

impl Guard {
    pub(crate) fn new(storage: Arc<dyn Storage>, ha: Arc<Ha>) -> Guard {
        Guard { storage, lease: ha.options.lease.clone(), ha }
    }

    async fn mutate(&self, work: impl Future<Output = Result<()>> + Send) -> Result<()> {
        if self.lease.remaining().is_none() {
            return Err(Error::Denied("this server is not the active one; nothing was written".to_owned()));
        }
        let fence = self.lease.fence();
        let result = work.await;
        if let (Err(Error::Conflict(_)), Fencing::Strict, Some(fence)) = (&result, self.lease.fencing(), fence) {
            self.ha.refused.send_replace(Some(fence.identity));
        }
        result
    }
}

#[async_trait]
impl Storage for Guard {
    fn descriptor(&self) -> &Descriptor {
        self.storage.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.storage.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.mutate(self.storage.put(key, value)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.mutate(self.storage.delete(key)).await
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        self.storage.list_page(folder, after, limit).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        self.mutate(self.storage.batch(operations)).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.storage.scan(segment, segments, cursor, limit).await
    }

    fn forget(&self) {
        self.storage.forget();
    }
}
