use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cofferdam_backend::{Error, Folder, Held, Operation, Storage};
use cofferdam_runtime::{BreachKind, Directory, OpenError, StorageConfig};
use tempfile::TempDir;

use super::{breach, serves, tight, timed_out};
use crate::late::Lateness;
use crate::runtime::{HOSTILE, RUNTIME, commit, hostile, key};

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_is_ended_by_the_cpu_deadline() {
    let backend = tight(|config| config.limits.cpu = Duration::from_millis(300)).await;
    let start = Instant::now();
    assert_eq!(breach(&backend, "loop").await, BreachKind::Cpu);
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    serves(&backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_hog_is_stopped_at_its_cap() {
    let backend = tight(|_| {}).await;
    assert_eq!(breach(&backend, "memory").await, BreachKind::Memory);
    serves(&backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_hog_is_stopped() {
    let backend = tight(|_| {}).await;
    assert_eq!(breach(&backend, "handles").await, BreachKind::Handles);
    let temporary = TempDir::new().unwrap();
    let directory = Directory::open(&temporary.path().join("data"), true).unwrap();
    let backend = tight(|config| config.grants.directory = Some(directory)).await;
    assert_eq!(breach(&backend, "files").await, BreachKind::Handles);
    serves(&backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_recursion_is_stopped() {
    let backend = tight(|_| {}).await;
    assert_eq!(breach(&backend, "recurse").await, BreachKind::Stack);
    serves(&backend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_result_is_not_copied() {
    let backend = tight(|_| {}).await;
    assert_eq!(breach(&backend, "huge").await, BreachKind::Response);
    assert_eq!(
        commit(&backend, "random").await.map_err(|error| BreachKind::of(&error)),
        Err(Some(BreachKind::Trap)),
        "random bytes have a cap"
    );
    serves(&backend).await;
    let generous = hostile(|_| {}).await;
    assert_eq!(generous.get(&key("do/huge")).await.unwrap().unwrap().len(), 24 << 20, "the default cap lets it through");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_ends_itself_ends_only_its_instance() {
    let backend = tight(|_| {}).await;
    for misdeed in ["panic", "trap", "exit", "out-of-bounds"] {
        assert_eq!(breach(&backend, misdeed).await, BreachKind::Trap, "{misdeed}");
        serves(&backend).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_in_any_export_is_an_error_of_that_call() {
    let backend = tight(|config| config.pool.size = 1).await;
    let lock = backend.lock().unwrap();
    let at = key("do/trap");
    let held = Held { value: Bytes::new(), identity: "me".to_owned(), expires: 0 };
    let outcomes = [
        backend.get(&at).await.map(drop),
        backend.put(&at, Bytes::new()).await,
        backend.delete(&at).await,
        backend.delete(&key("a/do-trap/leaf")).await,
        backend.list_page(&Folder::new("do/trap/").unwrap(), "", 1).await.map(drop),
        backend.batch(vec![Operation::Delete(at.clone())]).await,
        backend.scan(0, 1, Some("trap".into()), 1).await.map(drop),
        lock.try_acquire(&at, held, None).await.map(drop),
        lock.renew(&at, "me", 0).await.map(drop),
        lock.release(&at, "me").await,
        lock.read(&at).await.map(drop),
    ];
    for outcome in outcomes {
        assert_eq!(BreachKind::of(&outcome.unwrap_err()), Some(BreachKind::Trap));
    }
    serves(&backend).await;
    assert_eq!(lock.read(&key("free")).await.unwrap(), None);
}

async fn refused_to_open(mode: &str) -> Error {
    let mut config = StorageConfig::new("hostile");
    config.settings = vec![("mode".to_owned(), mode.to_owned())];
    config.limits.cpu = Duration::from_millis(500);
    config.limits.open = Duration::from_secs(if mode == "open-sleep" { 3 } else { 60 });
    config.limits.memory = 16 << 20;
    match RUNTIME.storage(&HOSTILE, config).await {
        Err(OpenError::Guest { error, .. }) => error,
        Err(other) => panic!("{mode}: {other}"),
        Ok(_) => panic!("{mode}: it opened"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_misbehaves_while_opening_does_not_open() {
    for (mode, kind) in [
        ("open-trap", BreachKind::Trap),
        ("open-loop", BreachKind::Cpu),
        ("open-memory", BreachKind::Memory),
        ("attach-trap", BreachKind::Trap),
        ("attach-loop", BreachKind::Cpu),
        ("lying-name", BreachKind::Contract),
        ("lying-version", BreachKind::Contract),
        ("lying-limits", BreachKind::Contract),
    ] {
        let error = refused_to_open(mode).await;
        assert_eq!(BreachKind::of(&error), Some(kind), "{mode}: {error}");
    }
    assert!(timed_out(&refused_to_open("open-sleep").await));
    assert!(matches!(refused_to_open("open-error-forge").await, Error::Denied(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_host_call_ends_at_the_deadline_and_gives_its_place_back() {
    let backend = tight(|config| (config.pool.size, config.limits.call) = (1, Duration::from_millis(200))).await;
    let start = Instant::now();
    assert!(timed_out(&commit(&backend, "sleep").await.unwrap_err()));
    assert!(start.elapsed() < Duration::from_secs(20));
    serves(&backend).await;
    let temporary = TempDir::new().unwrap();
    let directory = Directory::open(&temporary.path().join("data"), true).unwrap();
    let backend = tight(|config| {
        (config.pool.size, config.limits.call, config.grants.directory) = (1, Duration::from_millis(200), Some(directory));
    })
    .await;
    assert!(timed_out(&commit(&backend, "sleep").await.unwrap_err()), "on a thread");
    serves(&backend).await;
}

/// A read of a pipe without a writer hangs in the kernel, where nothing can interrupt it.
#[tokio::test(flavor = "multi_thread")]
async fn the_callers_deadline_fires_even_if_the_thread_hangs_in_the_kernel() {
    let temporary = TempDir::new().unwrap();
    let path = temporary.path().join("data");
    let directory = Directory::open(&path, true).unwrap();
    let pipe = path.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let backend = tight(|config| {
        (config.pool.size, config.limits.call, config.grants.directory) = (1, Duration::from_millis(200), Some(directory));
        config.pool.wait = Duration::from_millis(100);
    })
    .await;
    let start = Instant::now();
    assert!(timed_out(&commit(&backend, "read:pipe").await.unwrap_err()));
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(matches!(commit(&backend, "count").await, Err(Error::Busy(_))), "the place stays taken until the thread returns");
    // A writer lets the thread go, and the place comes back.
    let writer = tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(pipe));
    writer.await.unwrap().unwrap();
    let mut again = commit(&backend, "count").await;
    while again.is_err() && start.elapsed() < Duration::from_secs(60) {
        again = commit(&backend, "count").await;
    }
    assert_eq!(again.unwrap(), "1", "a fresh instance");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_the_contract_does_not_allow_are_breaches() {
    let backend = tight(|_| {}).await;
    for folder in ["unsorted", "twice", "empty-name", "nested", "parent", "too-many", "empty-more"] {
        let error = backend.list_page(&Folder::new(format!("do/{folder}/")).unwrap(), "", 5).await.unwrap_err();
        assert_eq!(BreachKind::of(&error), Some(BreachKind::Contract), "{folder}: {error}");
    }
    let error = backend.list_page(&Folder::new("do/before/").unwrap(), "a", 5).await.unwrap_err();
    assert_eq!(BreachKind::of(&error), Some(BreachKind::Contract), "`after` is exclusive");
    for cursor in ["too-many", "long-cursor"] {
        let error = backend.scan(0, 1, Some(cursor.into()), 5).await.unwrap_err();
        assert_eq!(BreachKind::of(&error), Some(BreachKind::Contract), "{cursor}: {error}");
    }
    for misdeed in ["short-answer", "remove-by-put"] {
        let error = backend.batch(vec![Operation::Put(key(&format!("do/{misdeed}")), Bytes::new())]).await.unwrap_err();
        assert_eq!(BreachKind::of(&error), Some(BreachKind::Contract), "{misdeed}: {error}");
    }
    let error = backend.delete(&key("do/remove-too-many")).await.unwrap_err();
    assert_eq!(BreachKind::of(&error), Some(BreachKind::Contract), "{error}");
    let error = backend.lock().unwrap().read(&key("do/long-identity")).await.unwrap_err();
    assert_eq!(BreachKind::of(&error), Some(BreachKind::Contract), "{error}");
    serves(&backend).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_backend_beside_it_does_not_notice() {
    let bad = tight(|config| {
        (config.limits.cpu, config.limits.call, config.pool.size) = (Duration::from_secs(3), Duration::from_secs(4), 8);
    })
    .await;
    let good = hostile(|config| config.pool.size = 1).await;
    good.put(&key("k"), "v".into()).await.unwrap();
    let misdeeds = ["loop", "memory", "handles", "recurse", "log-flood", "huge", "panic", "sleep"];
    let storm = tokio::spawn({
        let bad = Arc::clone(&bad);
        async move {
            for _ in 0..2 {
                let storm: Vec<_> = misdeeds.map(|misdeed| (Arc::clone(&bad), misdeed)).into();
                let storm = storm.into_iter().map(|(bad, misdeed)| tokio::spawn(async move { commit(&bad, misdeed).await }));
                for call in storm.collect::<Vec<_>>() {
                    _ = call.await.unwrap();
                }
            }
        }
    });
    let (mut slowest, mut calls) = (Duration::ZERO, 0);
    let late = Lateness::measure();
    while !storm.is_finished() {
        let start = Instant::now();
        assert_eq!(good.get(&key("k")).await.unwrap().as_deref(), Some(&b"v"[..]));
        slowest = slowest.max(start.elapsed());
        calls += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    storm.await.unwrap();
    assert!(calls > 100 || late.so_far() > Duration::from_secs(1), "{calls} calls");
    // Who computes without end does so for three seconds.
    assert!(slowest < Duration::from_secs(2) + late.so_far(), "{slowest:?}");
}
