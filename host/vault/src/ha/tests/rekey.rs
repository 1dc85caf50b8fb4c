//! Rekeys where several servers share a storage: the others follow.

use super::*;
use crate::core::{RekeyAnswer, RekeyRequest, ShareRequest, Target};

/// Other shares and another root key, by the active server. Gives out the new unseal key.
async fn rekey(cluster: &Cluster, key: &str) -> String {
    let core = &cluster.servers[cluster.active().await].core;
    let request = RekeyRequest { secret_shares: 1, secret_threshold: 1, ..RekeyRequest::default() };
    let RekeyAnswer::Progress(begun) = core.rekey_begin(Target::Root, request).await.unwrap() else { panic!() };
    let share = ShareRequest { key: zeroize::Zeroizing::new(key.to_owned()), nonce: begun.nonce };
    let RekeyAnswer::Complete(done) = core.rekey_update(Target::Root, share).await.unwrap() else { panic!() };
    done.keys[0].to_string()
}

#[tokio::test]
async fn standbys_follow_a_rekey_without_being_unsealed_again() {
    let cluster = Cluster::new(3, Fencing::Lease).await;
    cluster.put("a", 1).await;
    let first = cluster.active().await;
    let standby = cluster.servers.iter().position(|server| !server.active()).unwrap();
    let request = RekeyRequest::default();
    assert!(matches!(cluster.servers[standby].core.rekey_begin(Target::Root, request).await, Err(Error::Standby)));
    let key = rekey(&cluster, &cluster.key).await;
    cluster.done(Operation::Update, "sys/rotate", json!({})).await;
    let newest = rekey(&cluster, &key).await;
    assert!(key != cluster.key && newest != key);
    cluster.servers[first].core.shutdown().await;
    let second = cluster.active_of(|at| at != first).await;
    assert_eq!(cluster.get("a").await, json!(1));
    // It can do the same: its copies are right.
    cluster.done(Operation::Update, "sys/rotate/root", json!({})).await;
    cluster.servers[second].core.shutdown().await;
    let third = cluster.active_of(|at| at != first && at != second).await;
    assert_eq!(cluster.get("a").await, json!(1));
    // Only the newest shares open the vault.
    for old in [&cluster.key, &key] {
        assert!(unseal(&cluster.servers[first].core, old).await.is_err());
    }
    unseal(&cluster.servers[first].core, &newest).await.unwrap();
    cluster.servers[third].core.shutdown().await;
    cluster.active_of(|at| at == first).await;
    assert_eq!(cluster.get("a").await, json!(1));
    cluster.shutdown().await;
}

#[tokio::test]
async fn what_was_begun_by_shares_ends_with_the_leadership() {
    let cluster = Cluster::new(1, Fencing::Lease).await;
    let core = &cluster.servers[0].core;
    core.rekey_begin(Target::Root, RekeyRequest { secret_shares: 1, secret_threshold: 1, ..RekeyRequest::default() }).await.unwrap();
    core.generate_root_begin(crate::core::GenerateRootRequest::default()).await.unwrap();
    cluster.done(Operation::Update, "sys/step-down", json!({})).await;
    cluster.active().await;
    assert!(!core.rekey_status(Target::Root).await.unwrap().started);
    assert!(!core.generate_root_status().await.unwrap().started);
    cluster.shutdown().await;
}
