use cofferdam_test_support::Memory;
use serde_json::{Value, json};

use crate::kv::testing::{WHOLE, ask, data, memory, mount, mount_on};
use crate::kv::{v1, v2};
use crate::logical::Operation::{List, Read, Update};
use crate::view::View;

const UUID: &str = "0b2d3c1e-0000-4000-8000-000000000001";

fn secrets() -> [(&'static str, Value); 4] {
    [("a", json!({"n": 1})), ("a/b", json!({"s": "<>"})), ("a/c/d", json!({"x": null})), ("\u{e9}/z", json!({"big": [1, 2]}))]
}

async fn fill(view: &View) {
    let old = v1::Kv::new(view.clone(), std::time::Duration::ZERO);
    for (path, secret) in secrets() {
        ask(&old, Update, path, secret).await.unwrap();
    }
}

async fn check(kv: &v2::Kv, view: &View) {
    for (path, secret) in secrets() {
        let read = data(kv, Read, &format!("data/{path}"), json!({})).await;
        assert_eq!((&read["data"], &read["metadata"]["version"]), (&secret, &json!(1)), "{path}");
        let metadata = data(kv, Read, &format!("metadata/{path}"), json!({})).await;
        assert_eq!((&metadata["oldest_version"], &metadata["current_version"]), (&json!(1), &json!(1)));
    }
    assert_eq!(data(kv, List, "metadata/", json!({})).await, json!({"keys": ["a", "a/", "\u{e9}/"]}));
    assert_eq!(view.list("").await.unwrap(), [format!("{UUID}/")]);
}

#[tokio::test]
async fn a_new_mount_gets_policy_archive_and_mark() {
    let (view, _) = mount();
    v2::Kv::new(view.clone(), UUID).setup().await.unwrap();
    assert_eq!(view.list(&format!("{UUID}/")).await.unwrap(), ["archive/", "policy/", "upgrading"]);
    let before = view.get(&format!("{UUID}/policy/metadata")).await.unwrap().unwrap();
    v2::Kv::new(view.clone(), UUID).setup().await.unwrap();
    assert_eq!(*view.get(&format!("{UUID}/policy/metadata")).await.unwrap().unwrap(), *before);
}

#[tokio::test]
async fn secrets_of_version_1_become_first_versions() {
    let (view, _) = mount();
    fill(&view).await;
    let kv = v2::Kv::new(view.clone(), UUID);
    kv.setup().await.unwrap();
    check(&kv, &view).await;
}

#[tokio::test]
async fn a_move_that_was_cut_anywhere_goes_on_and_loses_nothing() {
    // Of 4 secrets the entries of version 2 and the deletion of the old one, salt, policy, archive, and the mark, once and done.
    for (batches, writes) in [(false, 17), (true, 13)] {
        let mut allowed = 0;
        while !move_with(memory(batches), allowed).await {
            allowed += 1;
        }
        assert_eq!(allowed, writes);
    }
}

/// Whether a move was done whose storage is cut off after `allowed` writes.
async fn move_with(memory: Memory, allowed: i64) -> bool {
    let (view, cut) = mount_on(memory);
    fill(&view).await;
    cut.allow(allowed);
    let first = v2::Kv::new(view.clone(), UUID).setup().await;
    cut.allow(WHOLE);
    view.settle();
    let kv = v2::Kv::new(view.clone(), UUID);
    kv.setup().await.unwrap();
    check(&kv, &view).await;
    first.is_ok()
}
