//! Vault's algorithm on its layout, as its source has it: every put writes the marks of all folders anew, in one batch with the entry; a delete looks with a query of
//! two items whether a folder has anything but what was deleted, by names that do not tell a leaf from a folder. Nothing keeps a delete and a put apart.

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Folder, Key, Operation, Page, Result, ScanPage, Storage};
use cofferdam_test_support::one_by_one;
use serde_json::{Value, json};

use super::{Native, Table, folders, item, page, place, primary};

/// The most requests in one BatchWriteItem.
const BATCH: usize = 25;

/// Vault's backend.
pub struct Vault(Native);

impl Vault {
    /// On a table that exists.
    pub fn new(table: Table) -> Vault {
        Vault(Native::new(table))
    }

    fn table(&self) -> &Table {
        &self.0.table
    }

    async fn write(&self, requests: &[Value]) -> Result<()> {
        for chunk in requests.chunks(BATCH) {
            let mut left = json!({self.table().name.clone(): chunk});
            while left.as_object().is_some_and(|left| !left.is_empty()) {
                let mut answer = self.table().send("BatchWriteItem", &json!({"RequestItems": left})).await?;
                left = answer.get_mut("UnprocessedItems").map(Value::take).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Whether the folder has a child other than the one of this name.
    async fn has_other(&self, folder: &str, excluded: &str) -> Result<bool> {
        let names = self.table().names(folder, Some(2)).await?;
        Ok(names.iter().any(|name| name != excluded && *name != format!("{excluded}/")))
    }
}

#[async_trait]
impl Storage for Vault {
    fn descriptor(&self) -> &Descriptor {
        self.0.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.0.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let put = |item: Value| json!({"PutRequest": {"Item": item}});
        let marks = folders(key.as_str()).map(|folder| put(item(folder, b"")));
        let requests: Vec<Value> = std::iter::once(put(item(key.as_str(), &value))).chain(marks).collect();
        self.write(&requests).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let delete = |key: &str| json!({"DeleteRequest": {"Key": primary(key)}});
        let mut requests = vec![delete(key.as_str())];
        let mut excluded = place(key.as_str()).1;
        for folder in folders(key.as_str()).rev() {
            if self.has_other(folder, &excluded).await? {
                break;
            }
            requests.push(delete(folder));
            excluded = place(folder).1.trim_end_matches('/').to_owned();
        }
        self.write(&requests).await
    }

    /// What begins with an underscore is left out.
    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        let mut names = self.table().names(folder.as_str(), None).await?;
        names.retain(|name| !name.starts_with('_'));
        Ok(page(names, after, limit))
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        one_by_one(self, operations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        self.0.scan(segment, segments, cursor, limit).await
    }
}
