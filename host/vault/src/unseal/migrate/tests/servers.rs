//! Servers that migrate: alone, and several on one storage.

use std::time::{Duration, Instant};

use cofferdam_backend::Fencing;
use cofferdam_test_support::{Node, Shared};
use serde_json::{Value, json};

use super::*;
use crate::core::tests::{call, data, initialize, unseal};
use crate::core::{Core, Options, SealStatus, UnsealRequest};
use crate::ha::{HaOptions, Times};
use crate::logical::Operation;
use crate::seal::Retry;

const LONG: Duration = Duration::from_secs(60);

/// Tried again at once.
fn soon(seals: &[&AutoSeal], disabled: Option<&AutoSeal>) -> SealOptions {
    let soon = Duration::from_millis(5);
    SealOptions { retry: Retry { first: soon, cap: soon, uninitialized: soon }, ..options(seals, disabled) }
}

fn core(storage: impl Storage, seal: SealOptions) -> Arc<Core> {
    Core::new(Arc::new(storage), Options { seal, ..crate::core::tests::options() })
}

async fn migrate(core: &Arc<Core>, key: &str) -> Result<SealStatus> {
    core.unseal(UnsealRequest { key: Zeroizing::new(key.to_owned()), migrate: true, ..UnsealRequest::default() }).await
}

async fn until(what: &str, mut there: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !there().await {
        assert!(begun.elapsed() < LONG, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn read(core: &Arc<Core>, root: &str) -> Result<Value> {
    call(core, Some(root), Operation::Read, "s/a", Value::Null).await.map(data)
}

/// Makes a vault with `s/a`; its key and its root token.
async fn vault(core: &Arc<Core>) -> (String, String) {
    let made = initialize(core, 1, 1).await.unwrap();
    let (key, root) = (made.keys[0].to_string(), made.root_token.to_string());
    unseal(core, &key).await.unwrap();
    assert!(core.wait_active(LONG).await);
    call(core, Some(&root), Operation::Update, "sys/mounts/s", json!({"type": "kv"})).await.unwrap();
    call(core, Some(&root), Operation::Update, "s/a", json!({"v": 1})).await.unwrap();
    core.shutdown().await;
    (key, root)
}

#[tokio::test]
async fn a_server_waits_for_the_shares_and_unseals_itself_once_another_has_migrated() {
    let memory = Memory::default();
    let (key, root) = vault(&core(memory.clone(), SealOptions::default())).await;
    let service = Service::new("a");
    let seal = service.seal("a");
    let waiting = core(memory.clone(), soon(&[&seal], None));
    waiting.start();
    tokio::time::sleep(Duration::from_millis(50)).await;
    waiting.check_seal().await.unwrap();
    let status = waiting.seal_status().await.unwrap();
    assert_eq!((status.kind.as_str(), status.sealed, status.migration, status.recovery_seal), ("awskms", true, true, true));
    assert_eq!((status.n, status.t, status.recovery_seal_type.as_deref()), (1, 1, Some("shamir")));
    assert_eq!(service.asked().1, 0);

    let server = core(memory.clone(), soon(&[&seal], None));
    assert!(
        matches!(unseal(&server, &key).await, Err(Error::Refused(text)) if text == "migrate option not provided and seal migration is pending")
    );
    let status = migrate(&server, &key).await.unwrap();
    assert!(!status.sealed && !status.migration);
    assert_eq!(read(&server, &root).await.unwrap()["v"], json!(1));
    server.shutdown().await;
    until("the other unseals itself", async || !waiting.seal_status().await.unwrap().sealed).await;
    assert_eq!(read(&waiting, &root).await.unwrap()["v"], json!(1));
    assert!(!migrate(&waiting, &key).await.unwrap().migration);
    waiting.shutdown().await;

    // A server that is not told how it should be done does not begin.
    let refused = core(memory.clone(), soon(&[], None)).check_seal().await;
    assert!(matches!(refused, Err(Error::Refused(text)) if text.contains("no disabled seal in configuration")));

    // And back: whoever is configured for shares waits as well, and unseals by them.
    let back = core(memory.clone(), soon(&[], Some(&seal)));
    back.start();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let status = back.seal_status().await.unwrap();
    assert_eq!((status.kind.as_str(), status.sealed, status.migration, status.recovery_seal), ("shamir", true, true, false));
    assert!(!migrate(&back, &key).await.unwrap().sealed);
    assert_eq!(read(&back, &root).await.unwrap()["v"], json!(1));
    back.shutdown().await;
    assert!(!unseal(&back, &key).await.unwrap().migration);
    back.shutdown().await;
}

#[tokio::test]
async fn the_command_shows_new_shares_before_it_writes() {
    let memory = Memory::default();
    let seal = Service::new("a").seal("a");
    let made = core(memory.clone(), soon(&[&seal], None));
    let root = made.initialize(crate::core::InitRequest::default()).await.unwrap().root_token.to_string();
    made.shutdown().await;
    let before = memory.snapshot();
    let command = core(memory.clone(), soon(&[], Some(&seal)));
    let refused = command.migrate_seal(Some((3, 2)), |_| Err(std::io::Error::other("no screen"))).await;
    assert!(matches!(refused, Err(Error::Refused(text)) if text.contains("no screen") && text.contains("nothing was changed")));
    assert_eq!(memory.snapshot(), before);
    let mut shown = Vec::new();
    let migrated = command
        .migrate_seal(Some((3, 2)), |migration| {
            assert_eq!(memory.snapshot(), before);
            shown = migration.keys.iter().map(|key| key.to_string()).collect();
            Ok(())
        })
        .await
        .unwrap()
        .unwrap();
    assert_eq!((migrated.from.as_str(), migrated.to.as_str(), migrated.keys.len(), migrated.recovery), ("awskms", "shamir", 3, false));
    assert!(command.migrate_seal(Some((3, 2)), |_| panic!("again")).await.unwrap().is_none());
    let server = core(memory, SealOptions::default());
    assert!(unseal(&server, &shown[0]).await.unwrap().sealed);
    assert!(!unseal(&server, &shown[2]).await.unwrap().sealed);
    call(&server, Some(&root), Operation::Update, "sys/mounts/s", json!({"type": "kv"})).await.unwrap();
    server.shutdown().await;
}

struct Server {
    core: Arc<Core>,
    node: Node,
}

fn server(shared: &Shared, seal: SealOptions) -> Server {
    let node = shared.node(Fencing::Strict);
    // Nobody loses the lock by being slow: where another takes it, it was given up.
    let ttl = Duration::from_secs(60);
    let times =
        Times { ttl, renew: ttl / 4, retry: Duration::from_millis(25), margin: ttl / 4, step_down_pause: Duration::from_millis(100) };
    let ha = HaOptions { lock: Arc::new(node.clone()), lease: node.lease().clone(), times };
    let options = Options { ha: Some(ha), seal, ..crate::core::tests::options() };
    Server { core: Core::new(Arc::new(node.clone()), options), node }
}

#[tokio::test]
async fn of_several_servers_the_one_that_gets_the_lock_migrates() {
    let shared = Shared::default();
    let old = server(&shared, SealOptions::default());
    let (key, root) = vault(&old.core).await;
    let service = Service::new("a");
    let seal = service.seal("a");
    unseal(&old.core, &key).await.unwrap();
    assert!(old.core.wait_active(LONG).await);
    // They stand by with the new configuration, while the old one is active; and one with the old configuration.
    let servers = [server(&shared, soon(&[&seal], None)), server(&shared, soon(&[&seal], None))];
    let left = server(&shared, SealOptions::default());
    unseal(&left.core, &key).await.unwrap();
    left.node.link().cut_lock(true);
    let before = shared.memory().snapshot();
    for server in &servers {
        server.core.start();
        assert!(matches!(unseal(&server.core, &key).await, Err(Error::Refused(_))));
        let status = migrate(&server.core, &key).await.unwrap();
        assert!(!status.sealed && status.migration && status.kind == "awskms");
    }
    assert_eq!(shared.memory().snapshot(), before);
    old.core.shutdown().await;
    until("one leads", async || servers.iter().any(|server| !server.core.standby())).await;
    let first = servers.iter().position(|server| !server.core.standby()).unwrap();
    assert_eq!(read(&servers[first].core, &root).await.unwrap()["v"], json!(1));
    for server in &servers {
        assert!(!server.core.seal_status().await.unwrap().migration);
    }
    let after = shared.memory().snapshot();
    let config = String::from_utf8(after[CONFIG_PATH].to_vec()).unwrap();
    assert!(config.contains("awskms") && after.contains_key(RECOVERY_CONFIG_PATH) && !after.contains_key(SHAMIR_KEK_PATH));
    // The other one finds it done, and takes over.
    servers[first].core.shutdown().await;
    let second = &servers[1 - first];
    assert!(second.core.wait_active(LONG).await);
    assert_eq!(read(&second.core, &root).await.unwrap()["v"], json!(1));
    // A server whose configuration is still the old one would write for a seal that is gone: it gives up.
    second.core.shutdown().await;
    let settled = shared.memory().snapshot();
    left.node.link().cut_lock(false);
    until("the old configuration is refused", async || left.core.leader().is_err()).await;
    assert!(matches!(unseal(&left.core, &key).await, Err(Error::Refused(text)) if text.contains("cannot seal migrate")));
    assert_eq!(shared.memory().snapshot(), settled);
    // A restart unseals by itself.
    let restarted = server(&shared, soon(&[&seal], None));
    restarted.core.start();
    assert!(restarted.core.wait_active(LONG).await);
    assert_eq!(read(&restarted.core, &root).await.unwrap()["v"], json!(1));
    restarted.core.shutdown().await;
}

#[tokio::test]
async fn a_key_service_that_fails_at_the_take_over_is_tried_again() {
    let shared = Shared::default();
    let (key, root) = vault(&server(&shared, SealOptions::default()).core).await;
    let service = Service::new("a");
    let migrating = server(&shared, soon(&[&service.seal("a")], None));
    service.fail(Some(cofferdam_backend::Error::Unavailable("down".to_owned())));
    let before = shared.memory().snapshot();
    assert!(!migrate(&migrating.core, &key).await.unwrap().sealed);
    until("it was tried", async || service.asked().0 > 0).await;
    until("the lock is free", async || shared.held("core/lock").is_none()).await;
    assert!(migrating.core.seal_status().await.unwrap().migration);
    assert_eq!(shared.memory().snapshot()[CONFIG_PATH], before[CONFIG_PATH]);
    service.fail(None);
    assert!(migrating.core.wait_active(LONG).await);
    assert_eq!(read(&migrating.core, &root).await.unwrap()["v"], json!(1));
    assert!(!migrating.core.seal_status().await.unwrap().migration);
    migrating.core.shutdown().await;
    // And back to shares.
    let back = server(&shared, soon(&[], Some(&service.seal("a"))));
    migrate(&back.core, &key).await.unwrap();
    assert!(back.core.wait_active(LONG).await);
    assert_eq!(read(&back.core, &root).await.unwrap()["v"], json!(1));
    back.core.shutdown().await;
    let after = shared.memory().snapshot();
    assert!(after.contains_key(SHAMIR_KEK_PATH) && !after.contains_key(RECOVERY_KEY_PATH) && !after.contains_key(RECOVERY_CONFIG_PATH));
}
