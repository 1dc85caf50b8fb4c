//! Single entries and batches. With a fence, a mutation is one transaction with the comparison of who holds the lock.

use cofferdam_guest::storage::{Entry, Operation};
use cofferdam_guest::{Error, Result, fencing};
use serde_json::{Value, json};

use crate::gateway::{self, Reading, encode};
use crate::layout;

pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>> {
    let found = gateway::range(&layout::entry(key), None, Reading { limit: 1, keys_only: false })?;
    Ok(found.found.into_iter().next().map(|pair| pair.value))
}

pub(crate) fn put(key: &str, value: &[u8]) -> Result<()> {
    apply(&[gateway::put(&layout::entry(key), value)])
}

pub(crate) fn delete(key: &str) -> Result<()> {
    apply(&[deleting(key)])
}

pub(crate) fn batch(operations: &[Operation]) -> Result<Vec<u32>> {
    let wanted = |operation: &Operation| match operation {
        Operation::Put(Entry { key, value }) => gateway::put(&layout::entry(key), value),
        Operation::Delete(key) => deleting(key),
    };
    apply(&operations.iter().map(wanted).collect::<Vec<_>>())?;
    Ok(vec![0; operations.len()])
}

fn deleting(key: &str) -> Value {
    json!({ "request_delete_range": { "key": encode(&layout::entry(key)) } })
}

/// All or nothing; nothing, if the operator wants mutations bound to the lock and another holds it.
fn apply(operations: &[Value]) -> Result<()> {
    let held: Vec<Value> = fencing::current().map(|fence| holds(&fence.key, &fence.identity)).into_iter().collect();
    if gateway::transact(&held, operations)? {
        return Ok(());
    }
    Err(Error::Conflict("another server holds the lock".to_owned()))
}

/// The comparison of a lock's holder with this one.
pub(crate) fn holds(key: &str, identity: &str) -> Value {
    gateway::equals(&layout::lock_part(key, "identity"), identity.as_bytes())
}
