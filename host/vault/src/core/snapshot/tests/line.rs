use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cofferdam_backend::{Entry, Error, Key, Operation, Storage};
use cofferdam_test_support::Memory;
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::super::Lined;
use super::{entries, received, vault};

const LONG: Duration = Duration::from_secs(60);

fn key(number: u8) -> Key {
    Key::new(format!("a/{number:03}")).unwrap()
}

/// A change: of which entries, and to what.
#[derive(Clone, Debug)]
enum Change {
    Put(u8, u8),
    Delete(u8),
    Batch(Vec<(u8, Option<u8>)>),
}

async fn make(storage: &dyn Storage, change: Change) {
    match change {
        Change::Put(at, value) => storage.put(&key(at), vec![value].into()).await.unwrap(),
        Change::Delete(at) => storage.delete(&key(at)).await.unwrap(),
        Change::Batch(changes) => {
            let changes: BTreeMap<u8, Option<u8>> = changes.into_iter().collect();
            let operation = |(at, value): (u8, Option<u8>)| match value {
                Some(value) => Operation::Put(key(at), vec![value].into()),
                None => Operation::Delete(key(at)),
            };
            storage.batch(changes.into_iter().map(operation).collect()).await.unwrap();
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0_u8..40, any::<u8>()).prop_map(|(at, value)| Change::Put(at, value)),
        (0_u8..40).prop_map(Change::Delete),
        proptest::collection::vec((0_u8..40, any::<Option<u8>>()), 1..6).prop_map(Change::Batch),
    ]
}

/// All that came out, of a key twice only if it is the same.
fn collected(mut entries: mpsc::UnboundedReceiver<Entry>) -> BTreeMap<String, Bytes> {
    let mut found = BTreeMap::new();
    while let Ok(entry) = entries.try_recv() {
        if let Some(before) = found.insert(entry.key.clone(), entry.value.clone()) {
            assert_eq!(before, entry.value, "{}", entry.key);
        }
    }
    found
}

/// Takes everything from a line as it comes.
fn taker() -> (mpsc::Sender<Entry>, mpsc::UnboundedReceiver<Entry>, tokio::task::JoinHandle<()>) {
    let (out, mut given) = mpsc::channel::<Entry>(1);
    let (kept, taken) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        while let Some(entry) = given.recv().await {
            kept.send(entry).unwrap();
        }
    });
    (out, taken, task)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_comes_out_is_what_was_there_when_the_line_was_drawn(
        before in proptest::collection::vec((0_u8..40, any::<u8>()), 0..40),
        meanwhile in proptest::collection::vec(change(), 0..60),
        page in 1_u32..8,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let memory = Memory::default();
            let lined = Arc::new(Lined::new(Arc::new(memory.clone())));
            for (at, value) in before {
                make(&*lined, Change::Put(at, value)).await;
            }
            let (out, taken, taker) = taker();
            let following = lined.draw(LONG, out).await.unwrap();
            let expected = memory.snapshot();
            let writer = tokio::spawn({
                let lined = lined.clone();
                async move {
                    for change in meanwhile {
                        make(&*lined, change).await;
                        tokio::task::yield_now().await;
                    }
                }
            });
            following.follow(0, 1, page).await.unwrap();
            following.end().await.unwrap();
            writer.await.unwrap();
            taker.await.unwrap();
            assert_eq!(collected(taken), expected);
        });
    }
}

#[tokio::test]
async fn a_line_that_would_take_too_much_memory_is_lost_and_the_writes_are_not() {
    let memory = Memory::default();
    let lined = Lined::new(Arc::new(memory.clone()));
    let (out, _taken, _taker) = taker();
    let following = lined.draw_within(LONG, out, 300).await.unwrap();
    for at in 0..10 {
        make(&lined, Change::Put(at, 1)).await;
    }
    let error = following.end().await.unwrap_err().to_string();
    assert!(error.contains("too many entries were changed meanwhile; take the snapshot again"), "{error}");
    assert_eq!(memory.snapshot().len(), 10);
}

#[tokio::test]
async fn a_line_that_nobody_follows_any_more_holds_up_nobody() {
    let memory = Memory::default();
    let lined = Lined::new(Arc::new(memory.clone()));
    make(&lined, Change::Put(1, 1)).await;
    let (out, given) = mpsc::channel(1);
    let following = lined.draw(LONG, out).await.unwrap();
    drop(given);
    make(&lined, Change::Put(1, 2)).await;
    assert!(matches!(following.follow(0, 1, 8).await, Ok(()) | Err(Error::Unavailable(_))));
    drop(following);
    make(&lined, Change::Put(1, 3)).await;
    let (out, taken, taker) = taker();
    let following = lined.draw(LONG, out).await.unwrap();
    following.follow(0, 1, 8).await.unwrap();
    following.end().await.unwrap();
    taker.await.unwrap();
    assert_eq!(collected(taken), memory.snapshot());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_snapshot_no_request_is_half_done() {
    let vault = Arc::new(vault("one").await);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (vault, stop) = (vault.clone(), stop.clone());
            tokio::spawn(async move {
                let mut round = 0_u32;
                while !stop.load(Ordering::SeqCst) {
                    round += 1;
                    // A token is three entries, and four with its lease.
                    vault.write("auth/token/create", serde_json::json!({"ttl": "1h"})).await.unwrap();
                    vault.write(&format!("s/{writer}/{round}"), serde_json::json!({"n": round})).await.unwrap();
                }
                round
            })
        })
        .collect();
    for _ in 0..5 {
        let found = entries(&received(&vault.core.snapshot().await.unwrap()));
        let below = |prefix: &str| found.keys().filter(|key| key.starts_with(prefix)).count();
        // The root token has no lease.
        assert_eq!(below("sys/token/id/"), below("sys/token/accessor/"));
        assert_eq!(below("sys/token/id/"), below("sys/expire/id/") + 1);
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
}
