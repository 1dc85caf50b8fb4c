//! Taking over a store whose keys another server has changed.

use std::collections::BTreeMap;

use bytes::Bytes;
use cofferdam_backend::Storage as _;

use super::*;
use crate::keyring::{KEYRING_PATH, Keyring};
use crate::seal::MASTER_PATH;
use crate::secret::Secret;

#[tokio::test]
async fn a_keyring_that_was_rotated_meanwhile_is_read_at_the_take_over() {
    let cluster = Cluster::new(2, Fencing::Lease).await;
    let first = cluster.active().await;
    for round in 1..=3_u64 {
        cluster.done(Operation::Update, "sys/rotate", json!({})).await;
        cluster.put("a", round).await;
    }
    // For Vault's standbys, which know the key of an earlier term.
    let stored: BTreeMap<_, _> = cluster.shared.memory().snapshot();
    assert!(["core/upgrade/1", "core/upgrade/2", "core/upgrade/3"].iter().all(|key| stored.contains_key(*key)));
    cluster.servers[first].core.shutdown().await;
    // Its address was written under a term that the other did not know at its unseal.
    let second = cluster.active_of(|at| at != first).await;
    assert_eq!(cluster.get("a").await, json!(3));
    let status = cluster.done(Operation::Read, "sys/key-status", Value::Null).await;
    assert_eq!(status["term"], json!(4));
    unseal(&cluster.servers[first].core, &cluster.key).await.unwrap();
    cluster.done(Operation::Update, "sys/rotate", json!({})).await;
    cluster.servers[second].core.shutdown().await;
    assert_eq!(cluster.get("a").await, json!(3));
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_standby_reads_an_address_that_was_written_under_a_later_term() {
    let cluster = Cluster::new(3, Fencing::Lease).await;
    let first = cluster.active().await;
    cluster.done(Operation::Update, "sys/rotate", json!({})).await;
    cluster.servers[first].core.shutdown().await;
    let second = cluster.active_of(|at| at != first).await;
    let third = 3 - first - second;
    let expected = Elsewhere::Address(cluster.servers[second].address.clone());
    until("the third knows the second", || cluster.servers[third].core.elsewhere() == expected).await;
    cluster.shutdown().await;
}

/// Gives the store another root key, as Vault's rekey does: keyring and `core/master`; the latter may be left out of date.
async fn rekey(cluster: &Cluster, master: bool) {
    let at = cluster.active().await;
    let rekeyed = cluster.servers[at]
        .core
        .barrier
        .with_keyring(|keyring| {
            let root = Secret::random()?;
            let mut stored = keyring.to_stored()?;
            let plain = crate::barrier::frame::open(keyring.root().expose(), KEYRING_PATH, &stored)
                .map_err(|error| Error::Internal(error.to_string()))?;
            use base64::Engine as _;
            let b64 = |key: &[u8]| base64::engine::general_purpose::STANDARD.encode(key);
            let text = String::from_utf8(plain.to_vec()).unwrap().replace(&b64(keyring.root().expose()), &b64(root.expose()));
            stored = crate::barrier::frame::seal(1, root.expose(), KEYRING_PATH, text.as_bytes())?;
            let with_root = Keyring::from_stored(Arc::new(root), &stored)?;
            let entry = keyring.seal(MASTER_PATH, &with_root.root_entry()?)?;
            Ok((stored, entry))
        })
        .unwrap();
    // Nobody is to see half of it.
    cluster.servers[at].core.shutdown().await;
    let memory = cluster.shared.memory();
    memory.put(&Key::new(KEYRING_PATH).unwrap(), Bytes::from(rekeyed.0)).await.unwrap();
    if master {
        memory.put(&Key::new(MASTER_PATH).unwrap(), Bytes::from(rekeyed.1)).await.unwrap();
    }
}

/// Two servers, of which the active one is stopped and the other is kept from taking over while the store is given another root key.
async fn rekeyed(master: bool) -> (Cluster, usize) {
    let cluster = Cluster::new(2, Fencing::Lease).await;
    cluster.put("a", 1).await;
    let first = cluster.active().await;
    let second = 1 - first;
    cluster.servers[second].node.link().cut(true);
    rekey(&cluster, master).await;
    cluster.servers[second].node.link().cut(false);
    (cluster, second)
}

#[tokio::test]
async fn a_new_root_key_is_found_in_its_copy() {
    let (cluster, second) = rekeyed(true).await;
    assert!(cluster.servers[second].core.wait_active(LONG).await);
    assert_eq!(cluster.servers[second].call(&cluster.root, Operation::Read, "s/a", Value::Null).await.unwrap()["v"], json!(1));
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_copy_of_the_root_key_that_is_wrong_is_not_believed() {
    let (cluster, second) = rekeyed(false).await;
    let core = &cluster.servers[second].core;
    until("the server without keys is sealed", || core.leader().is_err()).await;
    assert!(core.seal_status().await.unwrap().sealed);
    // The lock is free for servers that have been given the new keys.
    until("the lock is free", || cluster.shared.held("core/lock").is_none()).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn an_unseal_writes_nothing_and_a_take_over_puts_right_what_is_missing() {
    let cluster = Cluster::new(1, Fencing::Lease).await;
    cluster.shutdown().await;
    let mut entries = cluster.shared.memory().snapshot();
    for key in [MASTER_PATH, crate::seal::SHAMIR_KEK_PATH] {
        cluster.shared.memory().delete(&Key::new(key).unwrap()).await.unwrap();
        entries.remove(key);
    }
    let server = &cluster.servers[0];
    server.node.link().cut_lock(true);
    unseal(&server.core, &cluster.key).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(cluster.shared.memory().snapshot(), entries);
    server.node.link().cut_lock(false);
    assert!(server.core.wait_active(LONG).await);
    let after = cluster.shared.memory().snapshot();
    assert!(after.contains_key(MASTER_PATH) && after.contains_key(crate::seal::SHAMIR_KEK_PATH));
    cluster.shutdown().await;
}
