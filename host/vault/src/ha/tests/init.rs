//! Initialising a store that several servers share.

use super::*;

#[tokio::test]
async fn of_servers_that_initialize_at_once_one_does() {
    for _ in 0..5 {
        let shared = Shared::default();
        // Not renewed while it is made: who waits would take the lock for a leader's.
        let times = Times { renew: STEADY / 4, ..times(STEADY) };
        let servers: Vec<Server> = (0..3).map(|number| server(&shared, Fencing::Strict, number, times)).collect();
        let (one, two, three) =
            tokio::join!(initialize(&servers[0].core, 1, 1), initialize(&servers[1].core, 1, 1), initialize(&servers[2].core, 1, 1));
        let results = [one, two, three];
        let made: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(made.len(), 1);
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            assert_eq!(error.to_string(), "Vault is already initialized");
        }
        assert_eq!((shared.overtaken(), shared.held("core/lock")), (0, None));
        assert!(!unseal(&servers[2].core, &made[0].keys[0]).await.unwrap().sealed);
        assert!(servers[2].core.wait_active(LONG).await);
        servers[2].core.shutdown().await;
    }
}

#[tokio::test]
async fn init_waits_for_a_lock_that_was_left_and_refuses_beside_one_that_is_renewed() {
    let shared = Shared::default();
    let key = Key::new("core/lock").unwrap();
    let left = |expires: u64| cofferdam_backend::Held { value: "x".into(), identity: "left".to_owned(), expires };
    shared.put_lock(key.as_str(), left(1));
    let renewing = tokio::spawn({
        let shared = shared.clone();
        async move {
            for expires in 2.. {
                tokio::time::sleep(Duration::from_millis(50)).await;
                shared.put_lock("core/lock", left(expires));
            }
        }
    });
    let ttl = Duration::from_millis(1_200);
    let server = server(&shared, Fencing::Lease, 0, times(ttl));
    let refused = initialize(&server.core, 1, 1).await.err().unwrap();
    assert!(refused.to_string().contains("core/lock"), "{refused}");
    assert!(shared.memory().snapshot().is_empty());
    renewing.abort();
    let begun = Instant::now();
    initialized(&server.core).await;
    assert!(begun.elapsed() >= ttl + MARGIN);
}

#[tokio::test]
async fn an_init_that_loses_the_lock_leaves_nothing_that_counts() {
    let shared = Shared::default();
    let ttl = Duration::from_millis(1_200);
    let server = server(&shared, Fencing::Strict, 0, times(ttl));
    server.node.link().hold(cofferdam_test_support::Hold::BeforeSend);
    let core = server.core.clone();
    let initializing = tokio::spawn(async move { initialize(&core, 1, 1).await.map(drop) });
    until("the lock is held", || shared.held("core/lock").is_some()).await;
    server.node.link().cut_lock(true);
    tokio::time::sleep(ttl + MARGIN).await;
    server.node.link().hold(cofferdam_test_support::Hold::None);
    assert!(initializing.await.unwrap().is_err());
    assert!(!server.core.initialized().await.unwrap());
    server.node.link().cut_lock(false);
    initialized(&server.core).await;
}
