//! States stay whole: a connection that is cut between any two writes, many writers at once, and a store that another server made.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::*;
use super::{UUID, described, mounted, mounted_on, number, put};
use crate::kv::testing::{WHOLE, ask, data, memory, mount_on};
use crate::testing::recorder::Recorder;
use Operation::{Delete, List, Patch, Read, Update};
use cofferdam_test_support::Memory;

/// What readers can see of a key: the listing, and each version's number or status.
async fn seen(kv: &Kv) -> (bool, Vec<Result<u64, u16>>) {
    let listed = match ask(kv, List, "metadata/", json!({})).await {
        Ok(answer) => answer.data.unwrap()["keys"].as_array().unwrap().contains(&json!("x")),
        Err(Error::NotFound) => false,
        Err(other) => panic!("{other:?}"),
    };
    let mut versions = Vec::new();
    for version in 0..=6 {
        versions.push(number(kv, "x", version).await);
    }
    (listed, versions)
}

/// Cuts the connection after every write of a request to `x`, which has four versions of which two are kept: of as many writes as are given, where
/// every change is one, and where the storage takes a batch as a whole. At each cut, readers must see what `between` allows; the request done again
/// must end as it does without a cut, and leave no entry behind.
async fn cut_everywhere(operation: Operation, path: &str, body: Value, writes: [i64; 2], between: impl Fn(&[Result<u64, u16>]) -> bool) {
    for (batches, writes) in [false, true].into_iter().zip(writes) {
        cut_on(batches, operation, path, &body, writes, &between).await;
    }
}

async fn cut_on(
    batches: bool,
    operation: Operation,
    path: &str,
    body: &Value,
    most_writes: i64,
    between: impl Fn(&[Result<u64, u16>]) -> bool,
) {
    let prepare = async || {
        let (kv, view, cut) = mounted_on(memory(batches)).await;
        ask(&kv, Update, "metadata/x", json!({"max_versions": 3})).await.unwrap();
        for n in 1..=5 {
            put(&kv, "x", n).await;
        }
        ask(&kv, Update, "metadata/x", json!({"max_versions": 2})).await.unwrap();
        (kv, view, cut)
    };
    let (kv, view, _) = prepare().await;
    let before = seen(&kv).await;
    ask(&kv, operation, path, body.clone()).await.unwrap();
    let after = seen(&kv).await;
    let entries_after = versions_stored(&view).await;
    assert_ne!(before, after, "the request changes nothing to be seen");
    for allowed in 0.. {
        let (kv, view, cut) = prepare().await;
        cut.allow(allowed);
        let answer = ask(&kv, operation, path, body.clone()).await;
        let whole = cut.left() >= 0;
        cut.allow(WHOLE);
        view.settle();
        // As after a restart, and with what this engine has in memory.
        for kv in [Kv::new(view.clone(), UUID), kv] {
            let state = seen(&kv).await;
            let known = state == before || state == after || (state.0 && between(&state.1));
            assert!(known, "{operation:?} {path} cut after {allowed} writes: {state:?} is neither {before:?} nor {after:?}");
        }
        let kv = Kv::new(view.clone(), UUID);
        if answer.is_err() {
            ask(&kv, operation, path, body.clone()).await.unwrap();
            assert_eq!(seen(&kv).await, after, "done again after a cut after {allowed} writes");
            assert_eq!(versions_stored(&view).await, entries_after, "entries after a cut after {allowed} writes");
        }
        if whole {
            assert!(answer.is_ok());
            assert_eq!(allowed, most_writes, "{operation:?} {path}");
            return;
        }
    }
}

async fn versions_stored(view: &View) -> usize {
    let mut entries = 0;
    for folder in view.list(&format!("{UUID}/versions/")).await.unwrap() {
        entries += view.list(&format!("{UUID}/versions/{folder}")).await.unwrap().len();
    }
    entries
}

#[tokio::test]
async fn a_write_that_is_cut_leaves_the_old_or_the_new_version() {
    // Version, metadata, and two that are trimmed.
    cut_everywhere(Update, "data/x", json!({"data": {"n": 6}}), [4, 1], |_| false).await;
    cut_everywhere(Patch, "data/x", json!({"data": {"n": 6}}), [4, 1], |_| false).await;
}

#[tokio::test]
async fn a_write_is_one_write_of_the_storage_and_reads_nothing_from_it() {
    for (batches, writes) in [(false, 3), (true, 1)] {
        let (kv, _, cut) = mounted_on(memory(batches)).await;
        ask(&kv, Update, "config", json!({"max_versions": 2})).await.unwrap();
        let paths: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
        for path in &paths {
            for n in 1..=4 {
                put(&kv, path, n).await;
            }
        }
        let recorder = Recorder::default();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let before = cut.left();
        for path in &paths {
            // Version 5, the metadata, and the deletion of version 3, before which it looks for version 2.
            put(&kv, path, 5).await;
        }
        assert_eq!(before - cut.left(), 20 * writes);
        // Changes at once of keys that share a shard of the cache are not cached, which chance decides.
        let misses = recorder.count("vault_cache_miss");
        assert!(misses < 10, "{misses}");
    }
}

#[tokio::test]
async fn what_a_cut_left_of_a_trim_is_removed_by_the_next_write() {
    let (kv, view, cut) = mounted_on(memory(false)).await;
    for n in 1..=5 {
        put(&kv, "x", n).await;
    }
    ask(&kv, Update, "metadata/x", json!({"max_versions": 2})).await.unwrap();
    cut.allow(3);
    let answer = ask(&kv, Update, "data/x", json!({"data": {"n": 6}})).await.unwrap();
    assert_eq!(answer.warnings, ["error occurred when cleaning up old versions, these will be cleaned up on next write: storage error"]);
    cut.allow(WHOLE);
    view.settle();
    assert_eq!((number(&kv, "x", 0).await, versions_stored(&view).await), (Ok(6), 5));
    put(&kv, "x", 7).await;
    assert_eq!(versions_stored(&view).await, 2);
}

#[tokio::test]
async fn deletions_that_are_cut_leave_the_old_or_the_new_state() {
    cut_everywhere(Delete, "data/x", json!({}), [1, 1], |_| false).await;
    cut_everywhere(Update, "delete/x", json!({"versions": [4, 5]}), [1, 1], |_| false).await;
    cut_everywhere(Update, "destroy/x", json!({"versions": [4, 5]}), [3, 1], |_| false).await;
    // Marked, three versions, what a cut write may have left, metadata. In between, all versions are seen as destroyed.
    cut_everywhere(Delete, "metadata/x", json!({}), [6, 2], |versions| versions.iter().all(|version| *version == Err(404))).await;
}

#[tokio::test]
async fn a_version_that_is_named_often_is_destroyed_once() {
    let (kv, view, cut) = mounted_on(memory(false)).await;
    put(&kv, "x", 1).await;
    // The mark and one deletion.
    cut.allow(2);
    ask(&kv, Update, "destroy/x", json!({"versions": [1, 1, 1, 1]})).await.unwrap();
    assert_eq!((cut.left(), versions_stored(&view).await), (0, 0));
}

#[tokio::test]
async fn the_first_write_of_a_mount_can_be_cut_anywhere() {
    // Archive, policy, mark, salt, and version and metadata.
    for (batches, writes) in [(false, 6), (true, 5)] {
        let mut allowed = 0;
        while !first_write_with(memory(batches), allowed).await {
            allowed += 1;
        }
        assert_eq!(allowed, writes);
    }
}

/// Whether the first write of a mount was done whose storage is cut off after `allowed` writes.
async fn first_write_with(memory: Memory, allowed: i64) -> bool {
    let (view, cut) = mount_on(memory);
    cut.allow(allowed);
    let first = Kv::new(view.clone(), UUID);
    let done = async {
        first.setup().await?;
        ask(&first, Update, "data/x", json!({"data": {"n": 1}})).await
    };
    let done = done.await.is_ok();
    cut.allow(WHOLE);
    view.settle();
    let kv = Kv::new(view, UUID);
    kv.setup().await.unwrap();
    assert_eq!(number(&kv, "x", 0).await, if done { Ok(1) } else { Err(404) });
    put(&kv, "x", 2).await;
    assert_eq!(number(&kv, "x", 0).await, Ok(2));
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_with_the_same_check_and_set_one_wins_each_round() {
    let (kv, ..) = mounted().await;
    let kv = Arc::new(kv);
    for round in 0..8_u64 {
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                let kv = kv.clone();
                tokio::spawn(
                    async move { ask(&*kv, Update, "data/x", json!({"data": {"n": round}, "options": {"cas": round}})).await.is_ok() },
                )
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            won += u32::from(task.await.unwrap());
        }
        assert_eq!(won, 1, "round {round}");
    }
    assert_eq!(described(&kv, "x").await["current_version"], json!(8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_lose_no_version_and_readers_see_no_error() {
    let (kv, ..) = mounted().await;
    let kv = Arc::new(kv);
    ask(&*kv, Update, "metadata/x", json!({"max_versions": 3})).await.unwrap();
    put(&kv, "x", 0).await;
    let tasks: Vec<_> = (0..32)
        .map(|n| {
            let kv = kv.clone();
            tokio::spawn(async move {
                for _ in 0..4 {
                    put(&kv, "x", n).await;
                    assert!(number(&kv, "x", 0).await.is_ok());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let read = described(&kv, "x").await;
    assert_eq!((&read["current_version"], &read["oldest_version"]), (&json!(129), &json!(127)));
}

/// Entries of a real mount of bao 2.7.2, as that server's `sys/raw` gave them.
#[tokio::test]
async fn a_mount_that_openbao_made_is_read_and_written() {
    let golden: Value = serde_json::from_str(include_str!("../../testdata/bao-2.7.2.json")).unwrap();
    let uuid = golden["backend_uuid"].as_str().unwrap();
    let (view, _) = crate::kv::testing::mount();
    let entries: BTreeMap<String, String> = serde_json::from_value(golden["entries"].clone()).unwrap();
    for (key, value) in &entries {
        view.put(&format!("{uuid}/{key}"), &STANDARD.decode(value).unwrap()).await.unwrap();
    }
    let kv = Kv::new(view.clone(), uuid);
    kv.setup().await.unwrap();
    assert_eq!(data(&kv, List, "metadata/", json!({})).await["keys"], json!(["a/", "app", "app/", "nul", "timed", "tr", "x".repeat(105)]));
    let read = async |path: &str, version: u64| {
        let answer = ask(&kv, Read, &format!("data/{path}"), json!({"version": version})).await.unwrap();
        (answer.status, answer.data.unwrap()["data"].clone())
    };
    assert_eq!(read("app/db", 0).await, (None, json!({"user": "third"})));
    assert_eq!(read("app/db", 1).await, (Some(404), Value::Null));
    assert_eq!(read("app/db", 2).await, (Some(404), Value::Null));
    assert_eq!(read("a/b/c/d/e", 0).await, (None, json!({"deep": true})));
    assert_eq!(read("nul", 0).await, (None, Value::Null));
    assert_eq!(data(&kv, Read, "config", json!({})).await["delete_version_after"], json!("2h30m0s"));
    ask(&kv, Update, "undelete/app/db", json!({"versions": [2]})).await.unwrap();
    assert_eq!(read("app/db", 2).await, (None, json!({"user": "second"})));
    put(&kv, "tr", 4).await;
    assert_eq!((number(&kv, "tr", 4).await, described(&kv, "tr").await["current_version"].clone()), (Ok(4), json!(4)));
    ask(&kv, Delete, "metadata/app/db", json!({})).await.unwrap();
    assert_eq!(data(&kv, List, "metadata/app", json!({})).await["keys"], json!(["\u{e9} \u{65e5}\u{672c}"]));
}
