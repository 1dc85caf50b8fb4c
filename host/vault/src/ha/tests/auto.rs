//! Servers that a key service unseals.

use cofferdam_backend::Storage as _;

use super::*;
use crate::core::InitRequest;
use crate::seal::blob::{self, Header};
use crate::seal::{MASTER_PATH, STORED_KEYS_PATH, SealOptions, StateOptions, stored};
use crate::testing::service::Service;

fn auto_server(shared: &Shared, number: usize, seal: SealOptions) -> Server {
    let node = shared.node(Fencing::Lease);
    let ha = HaOptions { lock: Arc::new(node.clone()), lease: node.lease().clone(), times: times(STEADY) };
    let address = format!("http://server-{number}:8200");
    let options = Options { api_addr: address.clone(), ha: Some(ha), seal, ..options() };
    let core = Core::new(Arc::new(node.clone()), options);
    core.start();
    Server { core, node, address }
}

/// Servers that unseal themselves, one of which has made the vault.
async fn cluster(seals: Vec<SealOptions>) -> Cluster {
    let shared = Shared::default();
    let servers: Vec<Server> = seals.into_iter().enumerate().map(|(number, seal)| auto_server(&shared, number, seal)).collect();
    let made =
        servers[0].core.initialize(InitRequest { recovery_shares: 1, recovery_threshold: 1, ..InitRequest::default() }).await.unwrap();
    let key = made.recovery_keys.unwrap()[0].to_string();
    let cluster = Cluster { shared, servers, key, root: made.root_token.to_string() };
    for server in &cluster.servers {
        until("every server is unsealed", || server.core.leader().is_ok()).await;
    }
    cluster.done(Operation::Update, "sys/mounts/s", json!({"type": "kv"})).await;
    cluster
}

#[tokio::test]
async fn every_server_unseals_itself_and_whoever_takes_over_encrypts_the_keys_anew() {
    let service = Service::new("k1");
    let cluster = cluster(vec![service.options(); 3]).await;
    cluster.put("a", 1).await;
    let first = cluster.active().await;
    service.turn_to("k2");
    let key = || Header::of(STORED_KEYS_PATH, &cluster.shared.memory().snapshot()[STORED_KEYS_PATH]).unwrap().key_id;
    assert_eq!(key(), "k1");
    cluster.servers[first].core.shutdown().await;
    cluster.active_of(|at| at != first).await;
    assert_eq!((cluster.get("a").await, key().as_str()), (json!(1), "k2"));
    // Who was told to stop stays sealed; with the recovery key it comes back.
    assert!(cluster.servers[first].core.seal_status().await.unwrap().sealed);
    assert!(!unseal(&cluster.servers[first].core, &cluster.key).await.unwrap().sealed);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_server_that_is_configured_for_another_key_leaves_the_stored_keys_as_they_are() {
    let cluster = cluster(vec![Service::new("k1").options(); 2]).await;
    cluster.put("a", 1).await;
    let first = cluster.active().await;
    // A server with another configuration has been here, under whose key they are since.
    let root = cluster.servers[first].core.barrier.with_keyring(|keyring| stored::plain(keyring.root())).unwrap();
    let moved = blob::seal(&Service::new("k2").seal("awskms"), &root).await.unwrap();
    cluster.shared.memory().put(&Key::new(STORED_KEYS_PATH).unwrap(), moved.clone().into()).await.unwrap();
    cluster.servers[first].core.shutdown().await;
    cluster.active_of(|at| at != first).await;
    assert_eq!(cluster.get("a").await, json!(1));
    assert_eq!(cluster.shared.memory().snapshot()[STORED_KEYS_PATH], moved);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_server_whose_keys_another_has_replaced_unseals_itself_anew() {
    let service = Service::new("k1");
    let cluster = cluster(vec![service.options(); 2]).await;
    cluster.put("a", 1).await;
    let first = cluster.active().await;
    let second = 1 - first;
    cluster.servers[second].node.link().cut(true);
    cluster.done(Operation::Update, "sys/rotate/root", json!({})).await;
    cluster.servers[first].core.shutdown().await;
    // Nor is there a copy for others.
    cluster.shared.memory().delete(&Key::new(MASTER_PATH).unwrap()).await.unwrap();
    let unwraps = service.asked().1;
    cluster.servers[second].node.link().cut(false);
    assert!(cluster.servers[second].core.wait_active(LONG).await);
    assert_eq!(cluster.get("a").await, json!(1));
    assert_eq!(service.asked().1, unwraps + 1, "it asked for the keys of today once");
    cluster.shutdown().await;
}

#[tokio::test]
async fn servers_that_remember_follow_each_other_and_refuse_what_was_before() {
    let (service, folder) = (Service::new("k1"), tempfile::tempdir().unwrap());
    let seal = |number: usize| {
        let state = StateOptions { path: folder.path().join(format!("{number}.json")), accept_rollback: false };
        SealOptions { state: Some(state), ..service.options() }
    };
    let cluster = cluster(vec![seal(0), seal(1)]).await;
    cluster.put("a", 1).await;
    let old = cluster.shared.memory().snapshot();
    // Each of them changes the keys while the other stands by, and takes over what that one has changed.
    for round in 0..4 {
        cluster.done(Operation::Update, if round < 2 { "sys/rotate/root" } else { "sys/rotate" }, json!({})).await;
        let at = cluster.active().await;
        // It leads again only if the machine stood still until its pause was over.
        while cluster.active().await == at {
            cluster.servers[at].call(&cluster.root, Operation::Update, "sys/step-down", json!({})).await.unwrap();
        }
        assert_eq!(cluster.get("a").await, json!(1));
    }
    cluster.shutdown().await;
    // Both know by now what is newer than this.
    for (key, value) in old {
        if key != "core/lock" {
            cluster.shared.memory().put(&Key::new(&key).unwrap(), value).await.unwrap();
        }
    }
    let shared = &cluster.shared;
    for number in 0..2 {
        let server = auto_server(shared, number, seal(number));
        let begun = Instant::now();
        while server.core.seal_status().await.unwrap().warnings.is_empty() {
            assert!(begun.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let status = server.core.seal_status().await.unwrap();
        assert!(status.sealed && status.warnings == ["the vault cannot unseal itself: damaged"], "{status:?}");
        server.core.shutdown().await;
    }
}
