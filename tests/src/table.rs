//! Vault's table layout, written a second time: in plain Rust over plain HTTP, without an SDK, a component or the guest's code.
//!
//! Tests run the same cases against it and the guest, let each read what the other wrote, and look through it at what the guest left behind. [`vault::Vault`] is
//! Vault's own algorithm on the same layout, with its faults, so that a test can show that it would find them.

pub mod vault;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Entry, Error, Features, Folder, Key, Limits, Operation, Page, Result, ScanPage, Storage};
use cofferdam_emulator::Client;
use cofferdam_test_support::one_by_one;
use serde_json::{Value, json};
use tokio::sync::RwLock;

/// How the layout writes the root.
const ROOT: &str = " ";

/// Raw access to one table in Vault's layout.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: String,
}

/// `Path` and `Key` of the item of an entry, or of the mark of a folder (which ends with a slash).
pub fn place(key: &str) -> (String, String) {
    let (segments, slash) = key.strip_suffix('/').map_or((key, ""), |segments| (segments, "/"));
    let (path, name) = segments.rsplit_once('/').unwrap_or((ROOT, segments));
    (path.to_owned(), format!("{name}{slash}"))
}

/// The primary key of an entry or a folder, as a request has it.
pub fn primary(key: &str) -> Value {
    let (path, name) = place(key);
    json!({"Path": {"S": path}, "Key": {"S": name}})
}

/// The item of an entry; of a folder's mark, with an empty value.
pub fn item(key: &str, value: &[u8]) -> Value {
    let mut item = primary(key);
    if let Some(item) = item.as_object_mut() {
        let value = if value.is_empty() { json!({"NULL": true}) } else { json!({"B": STANDARD.encode(value)}) };
        item.insert("Value".to_owned(), value);
    }
    item
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item.pointer(&format!("/{name}/S")).and_then(Value::as_str).unwrap_or_default()
}

/// The key that an item is stored under, and of a mark the folder.
pub fn key_of(item: &Value) -> String {
    match (text(item, "Path"), text(item, "Key")) {
        (ROOT, name) => name.to_owned(),
        (path, name) => format!("{path}/{name}"),
    }
}

/// The value of an item.
pub fn value_of(item: &Value) -> Result<Bytes> {
    match item.pointer("/Value/B").and_then(Value::as_str) {
        Some(text) => STANDARD.decode(text).map(Bytes::from).map_err(|error| Error::Corrupt(error.to_string())),
        None => Ok(Bytes::new()),
    }
}

/// The folders of an entry or of a folder, from the root's child down, itself not among them.
pub fn folders(key: &str) -> impl DoubleEndedIterator<Item = &str> {
    let inner = key.strip_suffix('/').unwrap_or(key);
    inner.match_indices('/').filter_map(|(at, _)| inner.get(..=at))
}

/// The folders that an entry lies in and that have no mark: what a listing would not lead to. To be none.
pub fn lost(items: &[Value]) -> BTreeSet<String> {
    let keys: BTreeSet<String> = items.iter().map(key_of).collect();
    let needed = keys.iter().flat_map(|key| folders(key)).map(str::to_owned).collect::<BTreeSet<_>>();
    needed.difference(&keys).cloned().collect()
}

impl Table {
    /// The table of that name at an endpoint.
    pub fn new(endpoint: &str, name: &str) -> Table {
        Table { client: Client::new(endpoint), name: name.to_owned() }
    }

    /// One request that must succeed; the name of the table is added.
    pub async fn call(&self, operation: &str, mut body: Value) -> Result<Value> {
        if let Some(body) = body.as_object_mut() {
            body.insert("TableName".to_owned(), json!(self.name));
        }
        self.send(operation, &body).await
    }

    async fn send(&self, operation: &str, body: &Value) -> Result<Value> {
        self.client.done(operation, body).await.map_err(|error| Error::Unavailable(format!("{error:#}")))
    }

    /// Every item, as stored.
    pub async fn items(&self) -> Result<Vec<Value>> {
        self.client.items(&self.name).await.map_err(|error| Error::Unavailable(format!("{error:#}")))
    }

    /// Every item but the marks, by its key.
    pub async fn entries(&self) -> Result<BTreeMap<String, Bytes>> {
        let items = self.items().await?;
        let entries = items.iter().filter(|item| !text(item, "Key").ends_with('/'));
        entries.map(|item| Ok((key_of(item), value_of(item)?))).collect()
    }

    /// Stores an item as it stands.
    pub async fn put_item(&self, item: Value) -> Result<()> {
        self.call("PutItem", json!({"Item": item})).await.map(drop)
    }

    async fn delete_item(&self, key: &str) -> Result<()> {
        self.call("DeleteItem", json!({"Key": primary(key)})).await.map(drop)
    }

    /// The item of an entry or a folder.
    pub async fn get_item(&self, key: &str) -> Result<Option<Value>> {
        let mut answer = self.call("GetItem", json!({"Key": primary(key), "ConsistentRead": true})).await?;
        Ok(answer.get_mut("Item").map(Value::take))
    }

    /// The names of the items directly below a folder, at most `limit` from the first page or all.
    async fn names(&self, folder: &str, limit: Option<usize>) -> Result<Vec<String>> {
        let path = folder.strip_suffix('/').unwrap_or(ROOT);
        let mut body = json!({
            "KeyConditionExpression": "#p = :p",
            "ExpressionAttributeNames": {"#p": "Path"},
            "ExpressionAttributeValues": {":p": {"S": path}},
            "ConsistentRead": true,
        });
        let mut names = Vec::new();
        loop {
            if let (Some(limit), Some(body)) = (limit, body.as_object_mut()) {
                body.insert("Limit".to_owned(), json!(limit));
            }
            let page = self.call("Query", body.clone()).await?;
            let items = page.get("Items").and_then(Value::as_array);
            names.extend(items.into_iter().flatten().map(|item| text(item, "Key").to_owned()));
            match (page.get("LastEvaluatedKey"), limit, body.as_object_mut()) {
                (Some(key), None, Some(body)) => body.insert("ExclusiveStartKey".to_owned(), key.clone()),
                _ => return Ok(names),
            };
        }
    }
}

/// A correct implementation for one process: deletes exclude puts, folders are marked before the entry, and nothing is remembered.
pub struct Native {
    table: Table,
    tree: RwLock<()>,
    descriptor: Descriptor,
}

impl Native {
    /// On a table that exists.
    pub fn new(table: Table) -> Native {
        Native { table, tree: RwLock::new(()), descriptor: descriptor() }
    }
}

fn descriptor() -> Descriptor {
    Descriptor {
        name: "native".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        features: Features::default(),
        limits: Limits { key: 3_072, segment: 1_022, value: 400_000, batch_operations: 25, batch_bytes: 4 << 20 },
    }
}

fn page(mut names: Vec<String>, after: &str, limit: u32) -> Page {
    names.retain(|name| name.as_str() > after);
    names.sort();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = names.len() > limit;
    names.truncate(limit);
    Page { names, more }
}

#[async_trait]
impl Storage for Native {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let item = self.table.get_item(key.as_str()).await?;
        item.as_ref().map(value_of).transpose()
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let _tree = self.tree.read().await;
        for folder in folders(key.as_str()) {
            self.table.put_item(item(folder, b"")).await?;
        }
        self.table.put_item(item(key.as_str(), &value)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let _tree = self.tree.write().await;
        self.table.delete_item(key.as_str()).await?;
        for folder in folders(key.as_str()).rev() {
            if !self.table.names(folder, Some(1)).await?.is_empty() {
                break;
            }
            self.table.delete_item(folder).await?;
        }
        Ok(())
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        Ok(page(self.table.names(folder.as_str(), None).await?, after, limit))
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        one_by_one(self, operations).await
    }

    /// Everything in one page of segment 0.
    async fn scan(&self, segment: u32, _: u32, _: Option<Bytes>, _: u32) -> Result<ScanPage> {
        let entries = if segment == 0 { self.table.entries().await? } else { BTreeMap::new() };
        Ok(ScanPage { entries: entries.into_iter().map(|(key, value)| Entry { key, value }).collect(), cursor: None })
    }
}
