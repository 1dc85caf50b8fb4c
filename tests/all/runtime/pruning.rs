//! What follows a delete: the host has the guest prune folders that may have become empty.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam_backend::{Error, Operation, Storage};
use cofferdam_runtime::{BreachKind, StorageBackend, StorageConfig};
use tokio::time::{sleep, timeout};

use super::{commit, hostile, key};

async fn one(change: impl FnOnce(&mut StorageConfig)) -> Arc<StorageBackend> {
    hostile(|config| {
        config.pool.size = 1;
        change(config);
    })
    .await
}

async fn put(backend: &StorageBackend, at: &str) {
    backend.put(&key(at), "".into()).await.unwrap();
}

async fn delete(backend: &StorageBackend, at: &str) {
    backend.delete(&key(at)).await.unwrap();
}

/// The folders that the guest was asked for since it was asked this last.
async fn pruned(backend: &StorageBackend) -> String {
    commit(backend, "pruned").await.unwrap()
}

/// The same, once it was asked for any.
async fn pruned_then(backend: &StorageBackend) -> String {
    for _ in 0..6_000 {
        let folders = pruned(backend).await;
        if !folders.is_empty() {
            return folders;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing is pruned");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_pruned_from_the_deepest_outwards_and_only_if_nothing_else_is_known_there() {
    let backend = one(|_| {}).await;
    put(&backend, "a/b/1").await;
    put(&backend, "a/b/2").await;
    delete(&backend, "a/b/1").await;
    assert_eq!(pruned(&backend).await, "", "2 was put last");
    put(&backend, "a/3").await;
    delete(&backend, "a/b/2").await;
    assert_eq!(pruned(&backend).await, "a/b/", "a/3 was put");
    delete(&backend, "a/3").await;
    assert_eq!(pruned(&backend).await, "a/");
    delete(&backend, "leaf").await;
    assert_eq!(pruned(&backend).await, "");
    backend.forget();
    put(&backend, "a/1").await;
    backend.forget();
    delete(&backend, "a/2").await;
    assert_eq!(pruned(&backend).await, "a/", "nothing is known of it");
    assert_eq!(backend.get(&key("a/1")).await.unwrap().as_deref(), Some(&b""[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_prunes_each_folder_once() {
    let backend = one(|_| {}).await;
    for at in ["a/b/1", "a/b/2", "a/c/3", "a/4", "d/5", "d/6"] {
        put(&backend, at).await;
    }
    let mut operations: Vec<Operation> = ["a/4", "a/b/1", "a/c/3", "a/b/2", "d/5"].map(|at| Operation::Delete(key(at))).into();
    operations.push(Operation::Put(key("e/7"), "".into()));
    backend.batch(operations).await.unwrap();
    assert_eq!(pruned(&backend).await, "a/c/ a/b/ a/");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_a_prune_is_the_deletes_and_the_delete_may_be_repeated() {
    let backend = one(|_| {}).await;
    put(&backend, "x/do-error-forge/leaf").await;
    let leaf = key("x/do-error-forge/leaf");
    for _ in 0..2 {
        assert!(matches!(backend.delete(&leaf).await, Err(Error::Denied(_))));
        assert_eq!(backend.get(&leaf).await.unwrap(), None, "the entry is gone all the same");
    }
    assert_eq!(pruned(&backend).await, "", "the folders around it are not asked for");
    put(&backend, "x/do-error-forge/leaf").await;
}

/// Has a prune of the leaf's folder come to nothing that is known.
async fn prune_in_vain(backend: &StorageBackend, leaf: &str) {
    put(backend, leaf).await;
    let error = backend.delete(&key(leaf)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)) || BreachKind::of(&error) == Some(BreachKind::Trap), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_below_a_prune_of_unknown_outcome_are_refused_for_a_time() {
    for misdeed in ["trap", "sleep"] {
        let leaf = key(&format!("x/do-{misdeed}/leaf"));
        let backend = one(|config| config.limits.call = Duration::from_secs(4)).await;
        prune_in_vain(&backend, leaf.as_str()).await;
        let refused = backend.put(&leaf, "".into()).await;
        assert!(matches!(&refused, Err(Error::Unavailable(text)) if text.contains("may still take effect")), "{refused:?}");
        let batch = vec![Operation::Put(key("x/y"), "".into()), Operation::Put(leaf.clone(), "".into())];
        assert!(matches!(backend.batch(batch).await, Err(Error::Unavailable(_))));
        assert_eq!(backend.get(&key("x/y")).await.unwrap(), None, "the guest was not asked");
        put(&backend, "x/leaf").await;
    }
    let leaf = "x/do-trap/leaf";
    let backend = one(|config| config.limits.unknown = Duration::from_secs(1)).await;
    prune_in_vain(&backend, leaf).await;
    sleep(Duration::from_millis(1_100)).await;
    put(&backend, leaf).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_a_put_of_unknown_outcome_are_pruned_when_it_can_take_effect_no_more() {
    // A machine that stalls may let a short time pass before anybody looks.
    for unknown in [2, 10, 50].map(Duration::from_secs) {
        let backend = one(|config| config.limits.unknown = unknown).await;
        let begun = Instant::now();
        assert!(backend.put(&key("do/trap"), "".into()).await.is_err());
        delete(&backend, "do/count").await;
        delete(&backend, "do/count").await;
        let before = pruned(&backend).await;
        if begun.elapsed() >= unknown {
            continue;
        }
        assert_eq!(before, "");
        assert_eq!(pruned_then(&backend).await, "do/");
        sleep(Duration::from_millis(500)).await;
        assert_eq!(pruned(&backend).await, "", "once");
        return;
    }
    panic!("this machine stands still");
}

#[tokio::test(flavor = "multi_thread")]
async fn prunes_are_done_to_the_end_though_nobody_waits_for_them() {
    let backend = one(|_| {}).await;
    // The caller goes during the delete itself; on a busy machine it may be over by then.
    _ = timeout(Duration::from_millis(40), backend.delete(&key("do/nap"))).await;
    assert_eq!(pruned_then(&backend).await, "do/");
    // During the first of two prunes.
    _ = timeout(Duration::from_millis(40), backend.delete(&key("x/do-nap/leaf"))).await;
    assert_eq!(pruned_then(&backend).await, "x/");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_that_hangs_holds_off_puts_below_its_folder_and_nothing_else() {
    let backend = hostile(|config| {
        config.pool.size = 2;
        config.pool.wait = Duration::from_secs(1);
        config.limits.call = Duration::from_secs(9);
    })
    .await;
    let hanging = tokio::spawn({
        let backend = Arc::clone(&backend);
        async move { backend.delete(&key("x/do-sleep/leaf")).await }
    });
    sleep(Duration::from_millis(500)).await;
    assert!(matches!(backend.put(&key("x/do-sleep/other"), "".into()).await, Err(Error::Busy(_))));
    for at in ["x/y", "x/y/z", "y/z", "x"] {
        put(&backend, at).await;
        delete(&backend, at).await;
    }
    assert!(!hanging.is_finished(), "they waited for it");
    assert!(matches!(hanging.await.unwrap(), Err(Error::TimedOut(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_and_deletes_of_one_folder_run_at_once() {
    let backend = hostile(|config| config.pool.size = 16).await;
    // Each takes 200 ms.
    let calls: Vec<_> = (0..16)
        .map(|n| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move {
                let at = key("do/nap");
                if n % 2 == 0 { backend.put(&at, "".into()).await } else { backend.delete(&at).await }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    // One after the other they would have had one instance.
    assert!(backend.stats().pool.instances >= 4, "{:?}", backend.stats().pool);
}
