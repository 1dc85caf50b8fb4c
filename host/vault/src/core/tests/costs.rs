//! How many writes of the storage a request costs, each of which waits for a disk or a network.

use std::time::Duration;

use cofferdam_test_support::{Cut, Memory};
use serde_json::{Value, json};

use super::{Vault, call, request};
use crate::logical::{Operation, Response, Result};

/// A vault that has what the requests are for, on a storage that takes a batch as a whole, or to which every change is a write of its own.
async fn vault(batches: bool) -> (Vault, Cut) {
    let vault = Vault::new().await;
    vault.write("sys/mounts/s", json!({"type": "kv-v2"})).await.unwrap();
    vault.write("s/config", json!({"max_versions": 1})).await.unwrap();
    vault.write("s/data/a", json!({"data": {"n": 1}})).await.unwrap();
    vault.write("sys/auth/approle", json!({"type": "approle"})).await.unwrap();
    vault.write("auth/approle/role/r", json!({"role_id": "r"})).await.unwrap();
    for (id, uses) in [("always", 0), ("twice", 2), ("once", 1)] {
        let body = json!({"secret_id": id, "num_uses": uses});
        vault.write("auth/approle/role/r/custom-secret-id", body).await.unwrap();
    }
    vault.core.shutdown().await;
    let memory = Memory::from_snapshot(vault.memory.snapshot());
    let cut = Cut::after(if batches { memory } else { memory.without_atomic_batch() }, i64::MAX / 2);
    (vault.reopen(cut.clone()).await.unwrap(), cut)
}

async fn writes(cut: &Cut, request: impl Future<Output = Result<Response>>) -> i64 {
    let before = cut.left();
    request.await.unwrap();
    before - cut.left()
}

async fn wrapped(vault: &Vault) -> Result<Response> {
    let mut request = request(Some(&vault.root), Operation::Read, "s/data/a", Value::Null);
    request.wrap_ttl = Some(Duration::from_secs(60));
    vault.core.handle(request).await
}

#[tokio::test]
async fn a_request_costs_one_write_of_a_storage_that_takes_a_batch_as_a_whole() {
    for batches in [false, true] {
        let (vault, cut) = vault(batches).await;
        let log_in =
            |secret| call(&vault.core, None, Operation::Update, "auth/approle/login", json!({"role_id": "r", "secret_id": secret}));
        let of = |one_by_one: i64, together: i64| if batches { together } else { one_by_one };
        for (what, cost, expected) in [
            ("kv", writes(&cut, vault.write("s/data/a", json!({"data": {"n": 2}}))).await, of(3, 1)),
            ("kv patch", writes(&cut, vault.call(Operation::Patch, "s/data/a", json!({"data": {"m": 2}}))).await, of(3, 1)),
            ("kv destroy", writes(&cut, vault.write("s/destroy/a", json!({"versions": [3]}))).await, of(2, 1)),
            ("child token", writes(&cut, vault.write("auth/token/create", json!({"ttl": "1h"}))).await, of(4, 1)),
            ("orphan", writes(&cut, vault.write("auth/token/create-orphan", json!({"ttl": "1h"}))).await, of(3, 1)),
            ("login", writes(&cut, log_in("always")).await, of(3, 1)),
            ("counted login", writes(&cut, log_in("twice")).await, of(4, 2)),
            ("last login", writes(&cut, log_in("once")).await, of(5, 2)),
            ("secret id", writes(&cut, vault.write("auth/approle/role/r/secret-id", json!({}))).await, of(2, 1)),
            ("wrapped", writes(&cut, wrapped(&vault)).await, of(5, 2)),
        ] {
            assert_eq!(cost, expected, "{what}, {batches}");
        }
    }
}
