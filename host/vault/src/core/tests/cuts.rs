//! The connection to the storage is cut after every write of an operation: what is left is whole, and opens.

use cofferdam_test_support::{Cut, Memory};
use serde_json::{Value, json};

use super::{Vault, core_on, initialize, unseal};
use crate::logical::Operation;

/// Runs an operation against a copy of the store with its connection cut after 0, 1, 2, … writes, until it gets through. After each cut the store is opened
/// again, and `check` is told whether the operation was acknowledged. Gives the number of writes that it takes.
async fn cut_everywhere(vault: &Vault, operation: impl AsyncFn(&Vault) -> bool, check: impl AsyncFn(&Vault, bool)) -> i64 {
    vault.core.shutdown().await;
    let store = vault.memory.snapshot();
    for writes in 0.. {
        let memory = Memory::from_snapshot(store.clone());
        let cut = Cut::after(memory.clone(), i64::MAX / 2);
        let connected = vault.reopen(cut.clone()).await.unwrap();
        cut.allow(writes);
        let done = operation(&connected).await;
        drop(connected);
        let after = Memory::from_snapshot(memory.snapshot());
        let reopened = vault.reopen(after.clone()).await.unwrap_or_else(|error| panic!("after {writes} writes: {error}"));
        check(&reopened, done).await;
        // What an unseal repairs, it repairs once.
        reopened.core.shutdown().await;
        let again = vault.reopen(after.clone()).await.unwrap();
        check(&again, done).await;
        if done {
            assert!(cut.left() >= 0);
            return writes;
        }
    }
    panic!("no number of writes was enough")
}

fn below(memory: &Memory, prefix: &str) -> usize {
    memory.snapshot().keys().filter(|key| key.starts_with(prefix)).count()
}

#[tokio::test]
async fn init_can_be_run_again_after_every_cut_and_opens_once_it_is_acknowledged() {
    for writes in 0.. {
        let memory = Memory::default();
        let cut = Cut::after(memory.clone(), writes);
        let made = initialize(&core_on(cut.clone()), 1, 1).await;
        let core = core_on(memory);
        let (key, root, done) = match made {
            Ok(made) => (made.keys[0].to_string(), made.root_token.to_string(), true),
            Err(_) if core.initialized().await.unwrap() => {
                // The very last write took effect, and its answer was lost: nobody has the keys.
                panic!("initialised after {writes} writes without an answer");
            }
            Err(_) => {
                let made = initialize(&core, 1, 1).await.unwrap_or_else(|error| panic!("after {writes} writes: {error}"));
                (made.keys[0].to_string(), made.root_token.to_string(), false)
            }
        };
        assert!(!unseal(&core, &key).await.unwrap().sealed, "after {writes} writes");
        let vault = Vault { memory: Memory::default(), core, key, root };
        let mounts = vault.read("sys/mounts").await.unwrap();
        assert_eq!(mounts.as_object().unwrap().keys().collect::<Vec<_>>(), ["cubbyhole/", "identity/", "sys/"]);
        if done {
            assert!(writes > 10);
            return;
        }
    }
}

#[tokio::test]
async fn a_boot_that_is_cut_off_is_finished_by_the_next() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/s", json!({"type": "kv-v2"})).await.unwrap();
    vault.write("s/data/a", json!({"data": {"k": "v"}})).await.unwrap();
    vault.core.shutdown().await;
    let mut store = vault.memory.snapshot();
    // As if another server had never made these.
    store.retain(|key, _| {
        !["core/auth", "core/local-auth", "core/local-mounts", "core/audit", "core/cluster/local/info", "core/master", "sys/policy/default"]
            .contains(&key.as_str())
    });
    for writes in 0.. {
        let memory = Memory::from_snapshot(store.clone());
        let done = vault.reopen(Cut::after(memory.clone(), writes)).await.is_ok();
        let reopened = vault.reopen(memory).await.unwrap_or_else(|error| panic!("after {writes} writes: {error}"));
        assert_eq!(reopened.read("s/data/a").await.unwrap()["data"], json!({"k": "v"}));
        if done {
            assert!(writes >= 6);
            return;
        }
    }
}

#[tokio::test]
async fn a_mount_is_there_or_not() {
    for kind in ["kv", "kv-v2"] {
        let vault = Vault::new().await;
        let writes = cut_everywhere(
            &vault,
            async |vault| vault.write("sys/mounts/new", json!({"type": kind})).await.is_ok(),
            async |vault, done| {
                let mounts = vault.read("sys/mounts").await.unwrap();
                assert!(!done || mounts.get("new/").is_some());
                if mounts.get("new/").is_none() {
                    vault.write("sys/mounts/new", json!({"type": kind})).await.unwrap();
                }
                let path = if kind == "kv" { "new/a" } else { "new/data/a" };
                vault.write(path, json!({"data": {"k": "v"}})).await.unwrap();
                assert_eq!(vault.read(path).await.unwrap()["data"], json!({"k": "v"}));
            },
        )
        .await;
        assert!(writes >= 1);
    }
}

#[tokio::test]
async fn an_unmount_is_done_or_not_and_finished_at_the_next_unseal_if_it_began() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/old", json!({"type": "kv"})).await.unwrap();
    vault.write("sys/mounts/kept", json!({"type": "kv"})).await.unwrap();
    for name in ["a", "b/c", "b/d"] {
        vault.write(&format!("old/{name}"), json!({"k": name})).await.unwrap();
    }
    vault.write("kept/a", json!({"k": "v"})).await.unwrap();
    let uuid = vault.read("sys/mounts/old").await.unwrap()["uuid"].as_str().unwrap().to_owned();
    let prefix = format!("logical/{uuid}/");
    assert_eq!(below(&vault.memory, &prefix), 3);
    let writes = cut_everywhere(
        &vault,
        async |vault| vault.call(Operation::Delete, "sys/mounts/old", Value::Null).await.is_ok(),
        async |vault, done| {
            let mounts = vault.read("sys/mounts").await.unwrap();
            assert_eq!(vault.read("kept/a").await.unwrap(), json!({"k": "v"}));
            if mounts.get("old/").is_some() {
                // It never began.
                assert!(!done);
                for name in ["a", "b/c", "b/d"] {
                    assert_eq!(vault.read(&format!("old/{name}")).await.unwrap(), json!({"k": name}));
                }
            } else {
                vault.write("sys/mounts/old", json!({"type": "kv"})).await.unwrap();
                assert!(vault.read("old/a").await.is_err());
                vault.call(Operation::Delete, "sys/mounts/old", Value::Null).await.unwrap();
            }
        },
    )
    .await;
    // Marked, three entries, removed.
    assert_eq!(writes, 5);
}

#[tokio::test]
async fn an_unmount_that_began_leaves_nothing_behind() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/old", json!({"type": "kv"})).await.unwrap();
    for name in ["a", "b/c", "b/d"] {
        vault.write(&format!("old/{name}"), json!({"k": name})).await.unwrap();
    }
    let uuid = vault.read("sys/mounts/old").await.unwrap()["uuid"].as_str().unwrap().to_owned();
    vault.core.shutdown().await;
    for writes in 1..5 {
        let memory = Memory::from_snapshot(vault.memory.snapshot());
        let cut = Cut::after(memory.clone(), i64::MAX / 2);
        let connected = vault.reopen(cut.clone()).await.unwrap();
        cut.allow(writes);
        assert!(connected.call(Operation::Delete, "sys/mounts/old", Value::Null).await.is_err());
        // Out of service at once, and the same request again finishes it.
        cut.allow(i64::MAX / 2);
        connected.core.settle();
        assert!(connected.read("old/a").await.is_err());
        connected.call(Operation::Delete, "sys/mounts/old", Value::Null).await.unwrap();
        assert_eq!(below(&memory, &format!("logical/{uuid}/")), 0, "after {writes} writes");
        assert!(connected.read("sys/mounts").await.unwrap().get("old/").is_none());
    }
}

#[tokio::test]
async fn a_tune_is_done_or_not() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/m", json!({"type": "kv", "description": "before"})).await.unwrap();
    let writes = cut_everywhere(
        &vault,
        async |vault| vault.write("sys/mounts/m/tune", json!({"description": "after", "default_lease_ttl": "1h"})).await.is_ok(),
        async |vault, done| {
            let mount = vault.read("sys/mounts/m").await.unwrap();
            let (description, ttl) = (mount["description"].clone(), mount["config"]["default_lease_ttl"].clone());
            let (before, after) = ((json!("before"), json!(0)), (json!("after"), json!(3600)));
            assert!((description.clone(), ttl.clone()) == after || !done && (description, ttl) == before);
        },
    )
    .await;
    assert_eq!(writes, 1);
}

#[tokio::test]
async fn an_upgrade_to_versions_loses_no_secret() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/m", json!({"type": "kv"})).await.unwrap();
    for name in ["a", "b/c"] {
        vault.write(&format!("m/{name}"), json!({"k": name})).await.unwrap();
    }
    let writes = cut_everywhere(
        &vault,
        async |vault| vault.write("sys/mounts/m/tune", json!({"options": {"version": "2"}})).await.is_ok(),
        async |vault, done| {
            let version = vault.read("sys/mounts/m").await.unwrap()["options"]["version"].clone();
            assert!(!done || version == "2");
            for name in ["a", "b/c"] {
                let found = match version.as_str() {
                    Some("2") => vault.read(&format!("m/data/{name}")).await.unwrap()["data"].clone(),
                    _ => vault.read(&format!("m/{name}")).await.unwrap(),
                };
                assert_eq!(found, json!({"k": name}));
            }
        },
    )
    .await;
    assert!(writes > 5);
}

#[tokio::test]
async fn a_mount_that_moves_is_at_one_place_or_the_other() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/from", json!({"type": "kv"})).await.unwrap();
    vault.write("from/a", json!({"k": "v"})).await.unwrap();
    let writes = cut_everywhere(
        &vault,
        async |vault| vault.write("sys/remount", json!({"from": "from", "to": "to"})).await.is_ok(),
        async |vault, done| {
            let (from, to) = (vault.read("from/a").await, vault.read("to/a").await);
            assert!(from.is_ok() != to.is_ok());
            assert!(!done || to.is_ok());
        },
    )
    .await;
    assert_eq!(writes, 1);
}
