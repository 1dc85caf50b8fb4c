//! Snapshots where several servers share a store: the active one takes and restores them, and the others follow.

use std::fs::File;

use cofferdam_snapshot::{Finished, Snapshot};

use super::*;
use crate::core::MARKER_PATH;

fn received(finished: &Finished) -> Snapshot {
    let file: File = tempfile::tempfile().unwrap();
    finished.write(&file).unwrap();
    Snapshot::of(file, "received").unwrap()
}

async fn sealed(server: &Server) -> bool {
    server.core.seal_status().await.unwrap().sealed
}

async fn until_sealed(server: &Server) {
    let begun = Instant::now();
    while !sealed(server).await {
        assert!(begun.elapsed() < LONG, "the server is never sealed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_active_server_restores_under_its_lock_and_the_other_takes_over_what_it_can_open() {
    let cluster = Cluster::new(2, Fencing::Strict).await;
    cluster.done(Operation::Update, "s/a", json!({"v": "before"})).await;
    let active = cluster.active().await;
    let (leading, other) = (&cluster.servers[active], &cluster.servers[1 - active]);
    assert!(matches!(other.core.snapshot().await, Err(Error::Standby)));
    let snapshot = received(&leading.core.snapshot().await.unwrap());
    assert!(matches!(other.core.restore(snapshot.clone(), true).await, Err(Error::Standby)));
    cluster.done(Operation::Update, "s/a", json!({"v": "after"})).await;

    leading.core.restore(snapshot.clone(), false).await.unwrap();
    assert!(sealed(leading).await && !cluster.shared.memory().snapshot().contains_key(MARKER_PATH));
    // Its keys are those of the snapshot.
    assert_eq!(cluster.active_of(|at| at == 1 - active).await, 1 - active);
    let read = other.call(&cluster.root, Operation::Read, "s/a", Value::Null).await.unwrap();
    assert_eq!(read, json!({"v": "before"}));

    // And of another vault's they are not.
    let stranger = Cluster::new(1, Fencing::Strict).await;
    stranger.active().await;
    let foreign = received(&stranger.servers[0].core.snapshot().await.unwrap());
    assert!(!unseal(&leading.core, &cluster.key).await.unwrap().sealed);
    other.core.restore(foreign, true).await.unwrap();
    until_sealed(leading).await;
    assert!(sealed(other).await);
    assert!(unseal(&leading.core, &cluster.key).await.is_err());
    assert!(!unseal(&leading.core, &stranger.key).await.unwrap().sealed);
    cluster.active_of(|at| at == active).await;
    let token = leading.call(&stranger.root, Operation::Read, "auth/token/lookup-self", Value::Null).await.unwrap();
    assert_eq!(token["policies"], json!(["root"]));
}
