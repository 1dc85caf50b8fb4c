//! Several servers on one store in memory, with short times and bad links.

mod auto;
mod faults;
mod init;
mod keys;
mod rekey;
mod snapshot;
mod storm;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam_backend::{BootInstant, Fence, Fencing, Key};
use cofferdam_test_support::{Node, Shared};
use serde_json::{Value, json};

use super::{Elsewhere, HaOptions, Times};
use crate::core::tests::{call, data, initialize, options, unseal};
use crate::core::{Core, InitResult, Options};
use crate::logical::{Error, Operation, Result};

/// Of a lease that nobody loses by being slow: where it is lost, it was given up.
const STEADY: Duration = Duration::from_secs(60);
/// Of one that is lost to whoever waits for it, and not to a machine that stands still for a moment.
const SHORT: Duration = Duration::from_secs(4);
const MARGIN: Duration = Duration::from_millis(300);
/// No test waits longer for something that must happen.
const LONG: Duration = Duration::from_secs(60);

struct Server {
    node: Node,
    core: Arc<Core>,
    address: String,
}

/// Servers on one store, all unsealed, with kv v1 at `s/`.
struct Cluster {
    shared: Shared,
    servers: Vec<Server>,
    key: String,
    root: String,
}

/// As all here: renewed often, so that a lease of any length is seen to be.
fn times(ttl: Duration) -> Times {
    let millis = Duration::from_millis;
    Times { ttl, renew: millis(100), retry: millis(25), margin: MARGIN, step_down_pause: millis(500) }
}

fn server(shared: &Shared, fencing: Fencing, number: usize, times: Times) -> Server {
    let node = shared.node(fencing);
    let ha = HaOptions { lock: Arc::new(node.clone()), lease: node.lease().clone(), times };
    let address = format!("http://server-{number}:8200");
    let options = Options { api_addr: address.clone(), ha: Some(ha), ..options() };
    Server { core: Core::new(Arc::new(node.clone()), options), node, address }
}

impl Server {
    async fn call(&self, root: &str, operation: Operation, path: &str, body: Value) -> Result<Value> {
        call(&self.core, Some(root), operation, path, body).await.map(data)
    }

    fn active(&self) -> bool {
        self.core.active().is_ok()
    }
}

impl Cluster {
    async fn new(servers: usize, fencing: Fencing) -> Cluster {
        Cluster::with(servers, fencing, STEADY).await
    }

    async fn with(servers: usize, fencing: Fencing, ttl: Duration) -> Cluster {
        let shared = Shared::default();
        let servers = (0..servers).map(|number| server(&shared, fencing, number, times(ttl))).collect();
        Cluster::of(shared, servers).await
    }

    async fn of(shared: Shared, servers: Vec<Server>) -> Cluster {
        let made = initialized(&servers[0].core).await;
        let cluster = Cluster { shared, servers, key: made.keys[0].to_string(), root: made.root_token.to_string() };
        for server in &cluster.servers {
            assert!(!unseal(&server.core, &cluster.key).await.unwrap().sealed);
        }
        cluster.active().await;
        cluster.done(Operation::Update, "sys/mounts/s", json!({"type": "kv"})).await;
        cluster
    }

    /// The server that is active, waiting for one.
    async fn active(&self) -> usize {
        self.active_of(|_| true).await
    }

    async fn active_of(&self, wanted: impl Fn(usize) -> bool) -> usize {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.servers.iter().position(Server::active).filter(|at| wanted(*at)) {
                return at;
            }
            assert!(begun.elapsed() < LONG, "no server became active");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Asks one server after the other until one does it, as clients do.
    async fn done(&self, operation: Operation, path: &str, body: Value) -> Value {
        let begun = Instant::now();
        loop {
            for server in &self.servers {
                match server.call(&self.root, operation, path, body.clone()).await {
                    Ok(answer) => return answer,
                    Err(Error::Standby | Error::LeadershipLost | Error::Sealed | Error::Storage(_)) => {}
                    Err(other) => panic!("{path}: {other:?}"),
                }
            }
            assert!(begun.elapsed() < LONG, "{path} was not done");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn put(&self, name: &str, value: u64) {
        self.done(Operation::Update, &format!("s/{name}"), json!({ "v": value })).await;
    }

    async fn get(&self, name: &str) -> Value {
        self.done(Operation::Read, &format!("s/{name}"), Value::Null).await["v"].clone()
    }

    async fn shutdown(&self) {
        for server in &self.servers {
            server.core.shutdown().await;
        }
    }

    /// Waits until the lock was renewed so often.
    async fn renewed(&self, times: usize) {
        let expires = || self.shared.held("core/lock").map(|held| held.expires);
        for _ in 0..times {
            let before = expires();
            until("the lock is renewed", || expires() != before).await;
        }
    }

    fn leaders(&self) -> Vec<String> {
        self.shared.memory().snapshot().into_keys().filter(|key| key.starts_with("core/leader/")).collect()
    }
}

/// Makes a vault, again if it took longer than its lease.
async fn initialized(core: &Arc<Core>) -> InitResult {
    let begun = Instant::now();
    loop {
        match initialize(core, 1, 1).await {
            Err(Error::Storage(_)) if begun.elapsed() < LONG => {}
            made => return made.unwrap(),
        }
    }
}

async fn until(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < LONG, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn of_three_one_is_active_and_the_others_say_where() {
    let cluster = Cluster::new(3, Fencing::Lease).await;
    cluster.put("a", 1).await;
    let at = cluster.active().await;
    let active = &cluster.servers[at];
    let leader = serde_json::to_value(active.core.leader().unwrap()).unwrap();
    assert_eq!(
        (&leader["ha_enabled"], &leader["is_self"], &leader["leader_address"]),
        (&json!(true), &json!(true), &json!(active.address))
    );
    assert!(leader["active_time"].as_str().unwrap().starts_with("20"));
    let health = active.core.health().await.unwrap();
    assert!(health.initialized && !health.sealed && !health.standby);
    for standby in cluster.servers.iter().filter(|server| server.address != active.address) {
        until("the standby knows the leader", || standby.core.elsewhere() == Elsewhere::Address(active.address.clone())).await;
        let health = standby.core.health().await.unwrap();
        assert!(health.initialized && !health.sealed && health.standby && health.cluster_id.is_some());
        let status = standby.core.seal_status().await.unwrap();
        assert!(!status.sealed && status.initialized && status.cluster_id == health.cluster_id);
        let leader = serde_json::to_value(standby.core.leader().unwrap()).unwrap();
        assert_eq!(
            leader,
            json!({
                "ha_enabled": true, "is_self": false, "active_time": "0001-01-01T00:00:00Z", "leader_address": active.address,
                "leader_cluster_address": "", "performance_standby": false, "performance_standby_last_remote_wal": 0,
            })
        );
        for (operation, path) in [(Operation::Read, "s/a"), (Operation::Update, "s/a"), (Operation::Update, "sys/step-down")] {
            assert!(matches!(standby.call(&cluster.root, operation, path, json!({"v": 2})).await, Err(Error::Standby)), "{path}");
        }
        let refused = standby.call(&cluster.root, Operation::Update, "sys/seal", json!({})).await;
        assert!(matches!(&refused, Err(Error::Refused(text)) if text.starts_with("vault cannot seal when in standby mode")), "{refused:?}");
        assert!(matches!(standby.call(&cluster.root, Operation::Read, "sys/seal", json!({})).await, Err(Error::WrongMethod)));
    }
    assert_eq!(cluster.get("a").await, json!(1));
    assert_eq!(cluster.leaders().len(), 1);
    cluster.shutdown().await;
    assert_eq!((cluster.shared.held("core/lock"), cluster.leaders().len()), (None, 0));
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_hands_over_at_once() {
    let cluster = Cluster::new(2, Fencing::Lease).await;
    cluster.put("a", 1).await;
    let first = cluster.active().await;
    cluster.servers[first].call(&cluster.root, Operation::Update, "sys/seal", json!({})).await.unwrap();
    let sealed = &cluster.servers[first].core;
    assert!(sealed.seal_status().await.unwrap().sealed && sealed.health().await.unwrap().sealed);
    assert!(matches!(sealed.leader(), Err(Error::Sealed)));
    assert!(matches!(cluster.servers[first].call(&cluster.root, Operation::Read, "s/a", Value::Null).await, Err(Error::Sealed)));
    let waited = Instant::now();
    let second = cluster.active().await;
    assert!(second != first && waited.elapsed() < STEADY / 2, "{:?}", waited.elapsed());
    assert_eq!(cluster.get("a").await, json!(1));
    unseal(sealed, &cluster.key).await.unwrap();
    cluster.put("a", 2).await;
    assert!(!cluster.servers[first].active() && !sealed.seal_status().await.unwrap().sealed);
    cluster.shutdown().await;
}

#[tokio::test]
async fn stepping_down_again_and_again_loses_nothing() {
    let cluster = Cluster::new(2, Fencing::Strict).await;
    let (mut round, mut moved) = (0_u64, 0);
    while round < 6 || moved < 3 {
        assert!(round < 60, "of {round} times it moved {moved} times");
        round += 1;
        let at = cluster.active().await;
        cluster.put("a", round).await;
        let told = cluster.servers[at].call(&cluster.root, Operation::Update, "sys/step-down", json!({})).await;
        assert!(told.is_ok() || matches!(told, Err(Error::Standby | Error::LeadershipLost)), "{told:?}");
        assert!(!cluster.servers[at].active());
        // Another one leads, unless the machine stood still until the pause of this one was over.
        let next = cluster.active().await;
        moved += usize::from(next != at);
        assert_eq!(cluster.get("a").await, json!(round), "after {at} for {next}");
    }
    assert_eq!(cluster.shared.overtaken(), 0);
    cluster.shutdown().await;
}

#[tokio::test]
async fn nothing_is_answered_without_the_lease() {
    let cluster = Cluster::new(1, Fencing::Lease).await;
    cluster.put("a", 1).await;
    let server = &cluster.servers[0];
    let past = Fence { key: Key::new("core/lock").unwrap(), identity: "past".to_owned() };
    // As for a process that was stopped and goes on: the time is over, and no task has run since.
    let from_memory = server.core.while_leading(async {
        server.node.lease().begin(past.clone(), BootInstant::now());
        Ok(())
    });
    assert!(matches!(from_memory.await, Err(Error::LeadershipLost)));
    server.node.lease().begin(past, BootInstant::now());
    let read = server.core.handle(crate::core::tests::request(Some(&cluster.root), Operation::Read, "s/a", Value::Null));
    assert!(matches!(read.await, Err(Error::Standby)));
    cluster.active().await;
    assert_eq!(cluster.get("a").await, json!(1));
    cluster.shutdown().await;
}
