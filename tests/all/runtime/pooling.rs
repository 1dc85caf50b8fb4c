use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cofferdam_backend::{Error, Held, Operation, Storage};
use cofferdam_runtime::{BreachKind, Directory, PoolPolicy, StorageBackend};
use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::{commit, hostile, key};

/// How many calls the instance that answers has counted, this one included.
async fn count(backend: &StorageBackend) -> u32 {
    commit(backend, "count").await.unwrap().parse().unwrap()
}

async fn one() -> Arc<StorageBackend> {
    hostile(|config| config.pool.size = 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_back_and_go() {
    let backend = one().await;
    let leaf = key("a/b/leaf");
    assert_eq!(backend.get(&leaf).await.unwrap(), None);
    backend.put(&leaf, "value".into()).await.unwrap();
    assert_eq!(backend.get(&leaf).await.unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(backend.list(&cofferdam_backend::Folder::root()).await.unwrap(), ["a/"]);
    backend.batch(vec![Operation::Put(key("x"), "".into()), Operation::Delete(leaf.clone())]).await.unwrap();
    assert_eq!(backend.list(&cofferdam_backend::Folder::root()).await.unwrap(), ["x"]);
    assert_eq!(backend.scan(0, 1, None, 10).await.unwrap().entries.len(), 1);
    backend.delete(&leaf).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_instance_serves_again_and_an_ephemeral_one_never() {
    let warm = one().await;
    assert_eq!((count(&warm).await, count(&warm).await, count(&warm).await), (1, 2, 3));
    let ephemeral = hostile(|config| config.pool.policy = PoolPolicy::Ephemeral).await;
    assert_eq!((count(&ephemeral).await, count(&ephemeral).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_replaced_after_its_number_of_calls_or_past_its_memory() {
    let backend = hostile(|config| (config.pool.size, config.pool.calls) = (1, 3)).await;
    // The first is the one that ran `open`, which counts.
    assert_eq!((count(&backend).await, count(&backend).await, count(&backend).await, count(&backend).await), (1, 2, 1, 2));
    let backend = one().await;
    count(&backend).await;
    backend.get(&key("do/huge")).await.unwrap();
    assert_eq!(count(&backend).await, 1, "an instance that has grown to 24 MiB is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_has_a_ceiling_and_serves_those_who_wait_in_their_order() {
    let backend = hostile(|config| config.pool.size = 2).await;
    let order = AtomicUsize::new(0);
    let start = Instant::now();
    // Of one task, which polls them in their order: so they come in it, and are seen to be served in it.
    let calls = (0..6).map(async |came| {
        commit(&backend, "nap").await.unwrap();
        (came, order.fetch_add(1, Ordering::SeqCst))
    });
    for (came, served) in join_all(calls).await {
        assert_eq!(came / 2, served / 2, "call {came} was served as {served}");
    }
    assert!(start.elapsed() >= Duration::from_millis(590), "two at a time, three times 200 ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_is_told_that_the_backend_is_busy() {
    let backend = hostile(|config| (config.pool.size, config.pool.wait) = (1, Duration::from_millis(50))).await;
    // On a busy machine the nap may be over before anybody asks.
    for _ in 0..20 {
        let napping = tokio::spawn({
            let backend = Arc::clone(&backend);
            async move { commit(&backend, "nap").await }
        });
        sleep(Duration::from_millis(20)).await;
        let told = commit(&backend, "pruned").await;
        assert!(matches!(napping.await.unwrap().as_deref(), Ok("rested") | Err(Error::Busy(_))));
        if told == Err(Error::Busy(Duration::from_millis(50))) {
            assert_eq!(count(&backend).await, 1);
            return;
        }
    }
    panic!("nobody waited too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breach_costs_its_instance_and_the_pool_heals() {
    let backend = one().await;
    assert_eq!((count(&backend).await, count(&backend).await), (1, 2));
    let error = commit(&backend, "panic").await.unwrap_err();
    assert_eq!(BreachKind::of(&error), Some(BreachKind::Trap), "{error}");
    assert_eq!(count(&backend).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_contract_keeps_the_instance() {
    let backend = one().await;
    count(&backend).await;
    assert!(matches!(commit(&backend, "error-forge").await, Err(Error::Denied(_))));
    assert_eq!(count(&backend).await, 2);
}

async fn a_cancelled_call_runs_to_its_end(backend: Arc<StorageBackend>) {
    assert_eq!(count(&backend).await, 1);
    // The second caller goes while the first one's call takes its time, or during its own; on a busy machine it may be over before.
    for misdeed in ["nap", "spin"] {
        _ = timeout(Duration::from_millis(40), commit(&backend, misdeed)).await;
    }
    // The one place was given back only when the calls had ended, and the instance is the same and whole.
    let start = Instant::now();
    assert_eq!(count(&backend).await, 2);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_ends_by_itself_and_its_instance_returns() {
    a_cancelled_call_runs_to_its_end(one().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_on_a_thread_ends_by_itself_and_its_instance_returns() {
    let temporary = TempDir::new().unwrap();
    let directory = Directory::open(&temporary.path().join("data"), true).unwrap();
    a_cancelled_call_runs_to_its_end(hostile(|config| (config.pool.size, config.grants.directory) = (1, Some(directory))).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_the_queue_takes_no_place_with_him() {
    let backend = one().await;
    let napping = tokio::spawn({
        let backend = Arc::clone(&backend);
        async move { commit(&backend, "nap").await }
    });
    sleep(Duration::from_millis(20)).await;
    for _ in 0..10 {
        _ = timeout(Duration::from_millis(1), commit(&backend, "pruned")).await;
    }
    napping.await.unwrap().unwrap();
    assert_eq!(count(&backend).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_calls_never_wait_behind_calls_of_entries() {
    let backend = hostile(|config| (config.pool.size, config.pool.wait) = (1, Duration::from_secs(60))).await;
    let lock = backend.lock().unwrap();
    let mut napping = Vec::new();
    for _ in 0..20 {
        let backend = Arc::clone(&backend);
        napping.push(tokio::spawn(async move { commit(&backend, "nap").await }));
    }
    sleep(Duration::from_millis(20)).await;
    let (at, claim) = (key("core/lock"), Held { value: "http://a".into(), identity: "a".to_owned(), expires: 5 });
    assert!(lock.try_acquire(&at, claim.clone(), None).await.unwrap());
    assert!(!lock.try_acquire(&at, claim.clone(), None).await.unwrap());
    assert!(lock.renew(&at, "a", 9).await.unwrap());
    assert_eq!(lock.read(&at).await.unwrap(), Some(Held { expires: 9, ..claim }));
    lock.release(&at, "a").await.unwrap();
    assert_eq!(lock.read(&at).await.unwrap(), None);
    // One after the other they take four seconds.
    assert!(napping.iter().any(|nap| !nap.is_finished()), "the lock's calls waited for all others");
    for nap in napping {
        nap.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_is_told_which_of_its_folders_exist() {
    let backend = one().await;
    let known = async |text: &str| {
        backend.put(&key(text), "".into()).await.unwrap();
        commit(&backend, "known-folders").await.unwrap()
    };
    assert_eq!(known("leaf").await, "0");
    assert_eq!(known("a/b/c").await, "0");
    assert_eq!(known("a/b/d").await, "2");
    assert_eq!(known("a/x/y").await, "1");
    backend.delete(&key("a/x/y")).await.unwrap();
    assert_eq!(known("a/x/y").await, "1");
    backend.delete(&key("a/b/c")).await.unwrap();
    assert_eq!(known("a/b/c").await, "2");
    backend.forget();
    assert_eq!(known("a/b/c").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_values_over_the_backends_limits_never_reach_the_guest() {
    let backend = one().await;
    let long = |n: usize| key(&"x".repeat(n));
    let refused = |error: Error| assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    backend.put(&long(255), "".into()).await.unwrap();
    refused(backend.put(&long(256), "".into()).await.unwrap_err());
    refused(backend.get(&key(&["x"; 600].join("/"))).await.unwrap_err());
    refused(backend.put(&key("x"), vec![0; (4 << 20) + 1].into()).await.unwrap_err());
    backend.put(&key("x"), vec![0; 4 << 20].into()).await.unwrap();
    refused(backend.batch((0..17).map(|n| Operation::Delete(key(&n.to_string()))).collect()).await.unwrap_err());
    let twice = vec![Operation::Delete(key("a")), Operation::Put(key("a"), "".into())];
    assert!(matches!(backend.batch(twice).await, Err(Error::InvalidKey(_))));
}

#[test]
fn a_runtime_that_shuts_down_ends_calls_that_nobody_waits_for() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let backend = runtime.block_on(async {
        let backend = one().await;
        assert!(timeout(Duration::from_millis(20), commit(&backend, "sleep")).await.is_err());
        backend
    });
    runtime.shutdown_timeout(Duration::from_secs(60));
    // The place is free again: the call was dropped, not left.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(count(&backend)), 1);
}
