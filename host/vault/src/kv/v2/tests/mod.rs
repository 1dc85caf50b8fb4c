//! The engine as its clients see it. Answers and texts are those that bao 2.7.2 gave to the same requests.

mod data;
mod metadata;
mod whole;

use serde_json::{Value, json};

use super::*;
use crate::kv::testing;
use cofferdam_test_support::{Cut, Memory};

pub(super) const UUID: &str = "0b2d3c1e-0000-4000-8000-000000000001";

/// A new mount, over a storage that takes a batch as a whole.
pub(super) async fn mounted() -> (Kv, View, Cut) {
    mounted_on(Memory::default()).await
}

/// The same over this storage.
pub(super) async fn mounted_on(memory: Memory) -> (Kv, View, Cut) {
    let (view, cut) = testing::mount_on(memory);
    let kv = Kv::new(view.clone(), UUID);
    kv.setup().await.unwrap();
    (kv, view, cut)
}

pub(super) async fn kv() -> Kv {
    mounted().await.0
}

/// Writes a secret with one number.
pub(super) async fn put(kv: &Kv, path: &str, n: u64) {
    testing::ask(kv, Operation::Update, &format!("data/{path}"), json!({ "data": { "n": n } })).await.unwrap();
}

/// The number in a version (zero: the current one), or the status of an answer without one.
pub(super) async fn number(kv: &Kv, path: &str, version: u64) -> Result<u64, u16> {
    match testing::ask(kv, Operation::Read, &format!("data/{path}"), json!({ "version": version.to_string() })).await {
        Ok(Response { status: None, data: Some(data), .. }) => Ok(data["data"]["n"].as_u64().unwrap()),
        Ok(Response { status: Some(status), .. }) => Err(status),
        Err(Error::NotFound) => Err(404),
        other => panic!("{path} {version}: {other:?}"),
    }
}

pub(super) async fn described(kv: &Kv, path: &str) -> Value {
    testing::data(kv, Operation::Read, &format!("metadata/{path}"), json!({})).await
}
