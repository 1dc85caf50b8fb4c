//! A storage backend on a DynamoDB table, in the layout of Vault's dynamodb backend.
//!
//! The requests are what `aws-sdk-dynamodb` serialises, sent by the host: no credential, address, header or signature is in here, and nothing that could sign (`cofferdam-guest-aws`). [`place`] says where an
//! entry lies, [`item`] what is in its item; either server can take over the other's table. The rules this guest keeps:
//!
//! - **No entry without its folders.** The marks of folders that are missing are written before the leaf, and only `prune` removes one.
//! - **Acknowledged means stored.** What the service left out of a batch is sent until nothing is left out, or the call fails; so is what was throttled ([`sdk`]).
//! - **Refused before it is sent**: a key or a value that an item cannot hold, with its size and the limit.
//! - **Consistent reads only**, and listings that transfer names, not values.
//! - **A table that exists is never changed** ([`table`]).
//!
//! # What is sent
//!
//! | call | requests |
//! |---|---|
//! | `get` | GetItem |
//! | `put` | BatchGetItem of the marks that the hint leaves open; BatchWriteItem of those that are missing; PutItem |
//! | `delete` | DeleteItem |
//! | `prune` | Query of one name; if there is none, DeleteItem |
//! | `list-page`, `scan` | Query, Scan |
//! | `batch` | as its puts and deletes, the marks of all puts first and together |
//! | a mutation with a fence | the same reads, then one TransactWriteItems whose first part is the condition on the lock |
//! | `lock` | UpdateItem, DeleteItem with a condition; GetItem |
//! | `open` | DescribeTable; if need be CreateTable, DescribeTable until active, UpdateContinuousBackups |
//!
//! A leaf whose name begins with an underscore could be a lock: its put and delete look first, with BatchGetItem.
//!
//! Requests / write units / read units beside Vault's, for a value up to 1 KiB below 1, 3 and 6 folders (the same with marks or other items read are small):
//!
//! | | 1 | 3 | 6 | Vault: 1 | 3 | 6 |
//! |---|---|---|---|---|---|---|
//! | put, folders known to the host | 1 / 1 / 0 | 1 / 1 / 0 | 1 / 1 / 0 | 1 / 2 / 0 | 1 / 4 / 0 | 1 / 7 / 0 |
//! | put, folders there but not known | 2 / 1 / 1 | 2 / 1 / 3 | 2 / 1 / 6 | the same | | |
//! | put, the first below its folders | 3 / 2 / 1 | 3 / 4 / 3 | 3 / 7 / 6 | the same | | |
//! | delete, and the host's prunes, one of many | 2 / 1 / 1 | 2 / 1 / 1 | 2 / 1 / 1 | 2 / 1 / 1 | 2 / 1 / 1 | 2 / 1 / 1 |
//! | the same, the last of its folders | 3 / 2 / 1 | 7 / 4 / 3 | 13 / 7 / 6 | 2 / 2 / 1 | 4 / 4 / 3 | 7 / 7 / 6 |
//!
//! With a fence each write counts twice, and the condition costs two units more.
//!
//! # Retries
//!
//! A request is sent again after throttling, 5xx, and a lost connection or answer: at most `dynamodb_max_retries` times (10), after waits that double
//! from 25 ms (50 ms when throttled) up to 5 s, half of each by chance, and only within 20 s of the call's beginning (`open` 100 s; a step on a lock 2 retries within 3 s). After a conflict with a
//! transaction on the same item it is at most 40 times, from 10 ms up to 320 ms. What is left then is `throttled` with the wait that would have come next, or `unavailable`.
//!
//! # Permissions
//!
//! DescribeTable, GetItem, PutItem, DeleteItem, Query, BatchGetItem, BatchWriteItem; for export Scan; for high availability UpdateItem; for strict fencing ConditionCheckItem;
//! to create the table CreateTable, with tags TagResource, with point-in-time recovery UpdateContinuousBackups, with `sse_kms_key_id` also kms:DescribeKey and kms:CreateGrant on the key.

mod fault;
mod fence;
mod item;
mod lock;
mod options;
mod place;
mod read;
mod sdk;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod write;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use cofferdam_guest::lock::Held;
use cofferdam_guest::storage::{Descriptor, Features, Operation, Page, ScanPage};
use cofferdam_guest::{Error, Limits, Result, Setting};
use cofferdam_guest_aws::Host;

use options::Options;
use store::Store;

/// The most operations of a batch: single writes, one after the other, in the time of one call.
const BATCH_OPERATIONS: u32 = 100;
/// The most bytes of a batch.
const BATCH_BYTES: u64 = 4 << 20;

thread_local!(static STORE: RefCell<Option<Rc<Store>>> = const { RefCell::new(None) });

/// The table that `attach` was given.
fn store() -> Result<Rc<Store>> {
    STORE.with_borrow(Option::clone).ok_or_else(|| Error::Unavailable("the instance is not attached".to_owned()))
}

/// The same at the beginning of a read or a mutation.
fn begun() -> Result<Rc<Store>> {
    let store = store()?;
    store.begin();
    Ok(store)
}

/// The same at the beginning of a step on a lock.
fn lock_begun() -> Result<Rc<Store>> {
    let store = store()?;
    store.begin_lock();
    Ok(store)
}

struct DynamoDb;

impl cofferdam_guest::storage::Guest for DynamoDb {
    fn open(settings: Vec<Setting>) -> Result<Descriptor> {
        let store = Store::new(Options::read(settings)?, Arc::new(Host));
        store.begin_open();
        store.open()?;
        Ok(Descriptor {
            name: "dynamodb".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            features: Features::PARALLEL_SCAN,
            limits: Limits {
                key: (place::PATH_LIMIT + 1 + place::NAME_LIMIT) as u32,
                segment: place::NAME_LIMIT as u32,
                value: item::VALUE_LIMIT as u64,
                batch_operations: BATCH_OPERATIONS,
                batch_bytes: BATCH_BYTES,
            },
        })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<()> {
        let store = Store::new(Options::read(settings)?, Arc::new(Host));
        STORE.set(Some(Rc::new(store)));
        Ok(())
    }

    fn get(key: String) -> Result<Option<Vec<u8>>> {
        begun()?.get(&key)
    }

    fn put(key: String, value: Vec<u8>, known_folders: u32) -> Result<()> {
        begun()?.put(&key, value, known_folders)
    }

    fn delete(key: String) -> Result<u32> {
        begun()?.delete(&key).map(|()| 0)
    }

    fn prune(folder: String) -> Result<bool> {
        begun()?.prune(&folder)
    }

    fn list_page(folder: String, after: String, limit: u32) -> Result<Page> {
        begun()?.list_page(&folder, &after, limit)
    }

    fn batch(operations: Vec<Operation>) -> Result<Vec<u32>> {
        begun()?.batch(operations)
    }

    fn scan(segment: u32, segments: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
        begun()?.scan(segment, segments, cursor, limit)
    }
}

impl cofferdam_guest::lock::Guest for DynamoDb {
    fn try_acquire(key: String, claim: Held, seen: Option<Held>) -> Result<bool> {
        lock_begun()?.try_acquire(&key, claim, seen)
    }

    fn renew(key: String, identity: String, expires: u64) -> Result<bool> {
        lock_begun()?.renew(&key, &identity, expires)
    }

    fn release(key: String, identity: String) -> Result<()> {
        lock_begun()?.release(&key, &identity)
    }

    fn read(key: String) -> Result<Option<Held>> {
        lock_begun()?.read_lock(&key)
    }
}

cofferdam_guest::storage::export!(DynamoDb);
cofferdam_guest::lock::export!(DynamoDb);
