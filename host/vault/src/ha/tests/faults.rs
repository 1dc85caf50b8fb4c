//! Cut links, lost answers, held writes, wrong clocks.

use cofferdam_backend::Held;
use cofferdam_test_support::Hold;

use super::*;

#[tokio::test]
async fn a_leader_that_is_cut_off_stops_before_another_takes_over() {
    for fencing in [Fencing::Lease, Fencing::Strict] {
        let cluster = Cluster::with(2, fencing, Duration::from_millis(1_200)).await;
        cluster.put("a", 1).await;
        let first = cluster.active().await;
        let (old, new) = (&cluster.servers[first], &cluster.servers[1 - first]);
        old.node.link().cut(true);
        until("the one that is cut off stops", || {
            assert!(!(new.active() && old.active()), "two are active");
            !old.active()
        })
        .await;
        assert!(new.core.wait_active(LONG).await);
        assert!(matches!(old.call(&cluster.root, Operation::Read, "s/a", Value::Null).await, Err(Error::Standby)));
        cluster.put("a", 2).await;
        old.node.link().cut(false);
        until("the old one knows the new one", || old.core.elsewhere() == Elsewhere::Address(new.address.clone())).await;
        assert_eq!(cluster.get("a").await, json!(2));
        // What the old one left of itself.
        until("its address is cleaned away", || cluster.leaders().len() == 1).await;
        assert_eq!(cluster.shared.overtaken(), 0);
        cluster.shutdown().await;
    }
}

#[tokio::test]
async fn clocks_that_are_wrong_by_minutes_make_no_second_leader() {
    for skews in [[600, -600], [-600, 600], [0, -7200]] {
        let cluster = Cluster::with(2, Fencing::Lease, SHORT).await;
        for (server, skew) in cluster.servers.iter().zip(skews) {
            server.node.link().skew(skew);
        }
        let first = cluster.active().await;
        let acquired = cluster.shared.acquisitions();
        // Who went by the clocks would have taken it long ago.
        cluster.renewed(12).await;
        assert!(cluster.servers[first].active());
        assert_eq!(cluster.shared.acquisitions(), acquired, "{skews:?}");
        cluster.servers[first].node.link().cut(true);
        // Or would wait for minutes.
        assert!(cluster.servers[1 - first].core.wait_active(LONG).await);
        cluster.shutdown().await;
    }
}

#[tokio::test]
async fn lost_answers_neither_lose_nor_block_the_lock() {
    let cluster = Cluster::new(2, Fencing::Lease).await;
    let first = cluster.active().await;
    let acquired = cluster.shared.acquisitions();
    // Renewals that took effect and had no answer.
    cluster.servers[first].node.link().lose_answers(2);
    cluster.renewed(6).await;
    assert!(cluster.servers[first].active());
    assert_eq!(cluster.shared.acquisitions(), acquired);
    // An acquisition.
    cluster.servers[1 - first].node.link().lose_answers(1);
    cluster.servers[first].core.shutdown().await;
    let waited = Instant::now();
    assert!(cluster.servers[1 - first].core.wait_active(LONG).await);
    assert!(waited.elapsed() < STEADY / 2, "{:?}", waited.elapsed());
    assert_eq!(cluster.shared.acquisitions(), acquired + 1);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_server_whose_lock_answers_too_late_takes_its_own_lock_again() {
    let ttl = Duration::from_millis(1_200);
    let cluster = Cluster::with(1, Fencing::Lease, ttl).await;
    let server = &cluster.servers[0];
    // A stranger's it would have to see unchanged for longer than that. The machine may take its time once or twice.
    let mut waits = Vec::new();
    while waits.last().is_none_or(|wait| *wait >= ttl) {
        assert!(waits.len() < 5, "{waits:?}");
        server.node.link().cut_lock(true);
        until("the lease is over", || !server.active()).await;
        // Longer than the lease lasts, and the lock is there afterwards, under an identity of this server.
        server.node.link().cut_lock(false);
        let waited = Instant::now();
        assert!(server.core.wait_active(LONG).await);
        waits.push(waited.elapsed());
    }
    cluster.put("a", 1).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn leadership_survives_data_that_does_not_move() {
    let cluster = Cluster::new(2, Fencing::Lease).await;
    let first = cluster.active().await;
    let acquired = cluster.shared.acquisitions();
    cluster.servers[first].node.link().hold(Hold::BeforeSend);
    let core = cluster.servers[first].core.clone();
    let root = cluster.root.clone();
    let writing: Vec<_> = (0..50)
        .map(|n| {
            let (core, root) = (core.clone(), root.clone());
            tokio::spawn(async move { call(&core, Some(&root), Operation::Update, &format!("s/{n}"), json!({"v": n})).await.map(drop) })
        })
        .collect();
    // Data waits, and renewals do not wait behind it.
    cluster.renewed(20).await;
    assert!(cluster.servers[first].active() && writing.iter().all(|write| !write.is_finished()));
    cluster.servers[first].node.link().hold(Hold::None);
    for write in writing {
        write.await.unwrap().unwrap();
    }
    assert_eq!(cluster.shared.acquisitions(), acquired);
    cluster.shutdown().await;
}

/// A write that is held on its way while the lease of its server ends and another server takes over.
async fn overtaken(fencing: Fencing, hold: Hold) -> Cluster {
    let cluster = Cluster::with(2, fencing, SHORT).await;
    cluster.put("a", 1).await;
    let first = cluster.active().await;
    let old = &cluster.servers[first];
    old.node.link().hold(hold);
    let (core, root) = (old.core.clone(), cluster.root.clone());
    let writing = tokio::spawn(async move { call(&core, Some(&root), Operation::Update, "s/a", json!({"v": 2})).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    old.node.link().cut_lock(true);
    assert!(matches!(writing.await.unwrap(), Err(Error::LeadershipLost)));
    assert!(cluster.servers[1 - first].core.wait_active(LONG).await);
    cluster.put("a", 3).await;
    old.node.link().hold(Hold::None);
    old.node.link().cut_lock(false);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(cluster.get("a").await, json!(3));
    cluster
}

#[tokio::test]
async fn a_write_that_was_not_sent_before_the_leases_end_is_not_sent_any_more() {
    let cluster = overtaken(Fencing::Lease, Hold::BeforeSend).await;
    assert_eq!(cluster.shared.overtaken(), 0);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_write_that_arrives_after_the_leases_end_is_refused_by_the_store_with_strict_fencing() {
    let cluster = overtaken(Fencing::Strict, Hold::AfterSend).await;
    assert_eq!(cluster.shared.overtaken(), 0);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_lock_that_another_program_takes_ends_the_leadership_at_the_next_write() {
    let cluster = Cluster::with(1, Fencing::Strict, SHORT).await;
    let server = &cluster.servers[0];
    let before = cluster.shared.held("core/lock").unwrap();
    cluster.shared.put_lock("core/lock", Held { identity: "vault".to_owned(), ..before });
    let refused = server.call(&cluster.root, Operation::Update, "s/a", json!({"v": 1})).await;
    assert!(matches!(refused, Err(Error::LeadershipLost | Error::Standby | Error::Storage(_))), "{refused:?}");
    until("it stops", || !server.active()).await;
    // It is not its own, so it has to get old.
    assert!(server.core.wait_active(LONG).await);
    cluster.put("a", 1).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_lock_that_vanishes_is_taken_anew() {
    let cluster = Cluster::new(1, Fencing::Lease).await;
    let key = Key::new("core/lock").unwrap();
    let identity = cluster.shared.held("core/lock").unwrap().identity;
    let acquired = cluster.shared.acquisitions();
    let other = cluster.shared.node(Fencing::Lease);
    cofferdam_backend::Lock::release(&other, &key, &identity).await.unwrap();
    until("it is taken again", || cluster.shared.acquisitions() > acquired).await;
    cluster.put("a", 1).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_lock_is_not_released_while_a_write_may_still_arrive() {
    for (fencing, released) in [(Fencing::Lease, false), (Fencing::Strict, true)] {
        let cluster = Cluster::with(2, fencing, SHORT).await;
        let first = cluster.active().await;
        let old = &cluster.servers[first];
        // The answer to a write is lost: nobody knows whether it is still on its way.
        old.node.link().hold(Hold::AfterSend);
        let (core, root) = (old.core.clone(), cluster.root.clone());
        let writing = tokio::spawn(async move { call(&core, Some(&root), Operation::Update, "s/a", json!({"v": 1})).await.map(drop) });
        tokio::time::sleep(Duration::from_millis(50)).await;
        old.node.link().cut(true);
        old.node.link().hold(Hold::None);
        assert!(writing.await.unwrap().is_err());
        old.node.link().cut(false);
        old.core.shutdown().await;
        assert_eq!(cluster.shared.held("core/lock").is_none(), released);
        assert!(cluster.servers[1 - first].core.wait_active(LONG).await);
        cluster.shutdown().await;
    }
}
