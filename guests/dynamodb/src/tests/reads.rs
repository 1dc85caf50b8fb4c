//! What is read: values of every age, listings in pages, scans.

use serde_json::{Value, json};

use super::fake::Fake;
use super::store;
use crate::store::Store;

fn lock() -> Value {
    json!({ "Value": { "B": "eA==" }, "Identity": { "B": "eA==" }, "Expires": { "N": "1" } })
}

fn leaf() -> Value {
    json!({ "Value": { "B": "eA==" } })
}

/// All names of a folder, read in pages.
fn names(store: &Store, folder: &str, limit: u32) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = store.list_page(folder, &after, limit).unwrap();
        assert!(page.names.len() <= limit as usize && (!page.more || !page.names.is_empty()));
        all.extend(page.names);
        match all.last() {
            Some(last) if page.more => after.clone_from(last),
            _ => return all,
        }
    }
}

#[test]
fn values_of_every_release_are_read() {
    let (store, fake) = store();
    for (name, value) in [("b", json!({ "B": "AP8=" })), ("null", json!({ "NULL": true })), ("text", json!({ "S": "AP8=" }))] {
        fake.plant("a", name, json!({ "Value": value }));
    }
    fake.plant("a", "none", json!({}));
    assert_eq!(store.get("a/b").unwrap().unwrap(), b"\0\xff");
    assert_eq!(store.get("a/text").unwrap().unwrap(), b"\0\xff");
    assert_eq!(store.get("a/null").unwrap().unwrap(), b"");
    assert_eq!(store.get("a/none").unwrap().unwrap(), b"");
    assert_eq!(store.get("a/missing").unwrap(), None);
    let sent = fake.world().sent[0].clone();
    let key = json!({ "Path": { "S": "a" }, "Key": { "S": "b" } });
    assert_eq!(sent, ("GetItem".to_owned(), json!({ "TableName": "vault", "Key": key, "ConsistentRead": true })));
}

#[test]
fn listings_are_sorted_and_hide_locks_only() {
    let (store, fake) = store();
    for name in ["foo", "foo/", "foo-1", "_hidden in vault", "ü", "Z"] {
        fake.plant("a", name, leaf());
    }
    fake.plant("a", "_lock", lock());
    fake.plant("a", "_old", json!({ "Expires": { "N": "1" } }));
    fake.plant("a/foo", "deeper", leaf());
    let all = ["Z", "_hidden in vault", "foo", "foo-1", "foo/", "ü"];
    for limit in 1..8 {
        assert_eq!(names(&store, "a/", limit), all);
    }
    assert_eq!(store.list_page("a/", "foo", 10).unwrap().names, ["foo-1", "foo/", "ü"]);
    assert_eq!(store.list_page("a/", "foo0", 10).unwrap().names, ["ü"]);
    assert_eq!(store.list_page("", "", 10).unwrap().names, Vec::<String>::new());
    assert!(!store.list_page("a/b/", "", 10).unwrap().more);
}

#[test]
fn names_that_no_key_has_stay_out_of_listings() {
    let (store, fake) = store();
    for name in ["ok", "a\nb", ".", "..", "../", "x/y", "/"] {
        fake.plant(" ", name, leaf());
    }
    assert_eq!(names(&store, "", 1), ["ok"]);
    assert_eq!(store.list_page(" /", "", 10).unwrap().names, Vec::<String>::new());
}

#[test]
fn a_page_of_locks_is_skipped() {
    let (store, fake) = store();
    for number in 0..5 {
        fake.plant("a", &format!("_{number}"), lock());
    }
    fake.plant("a", "leaf", leaf());
    fake.world().page = 2;
    let page = store.list_page("a/", "", 10).unwrap();
    assert_eq!(page.names, ["leaf"]);
}

#[test]
fn a_text_longer_than_any_name_can_stand_before_a_page() {
    let (store, fake) = store();
    let longest = "x".repeat(1_024);
    fake.plant("a", &longest, leaf());
    fake.plant("a", "y", leaf());
    assert_eq!(store.list_page("a/", &format!("{longest}x"), 10).unwrap().names, ["y"]);
    assert_eq!(store.list_page("a/", &format!("{}ää", "x".repeat(1_023)), 10).unwrap().names, ["y"]);
    let sent = fake.world().sent.clone();
    assert!(sent.iter().all(|(_, body)| body["ExpressionAttributeValues"][":a"]["S"].as_str().unwrap().len() <= 1_024));
}

fn scanned(store: &Store, segments: u32, limit: u32) -> Vec<String> {
    let mut keys = Vec::new();
    for segment in 0..segments {
        let mut cursor = None;
        loop {
            let page = store.scan(segment, segments, cursor, limit).unwrap();
            assert!(page.entries.len() <= limit as usize);
            keys.extend(page.entries.into_iter().map(|entry| entry.key));
            match page.cursor {
                None => break,
                next => cursor = next,
            }
        }
    }
    keys.sort();
    keys
}

fn planted() -> (Store, std::sync::Arc<Fake>) {
    let (store, fake) = store();
    for (path, name) in [(" ", "root"), ("a", "_leaf"), ("a/b", "c"), ("/", "odd"), ("x\ny", "z")] {
        fake.plant(path, name, leaf());
    }
    for (path, name) in [(" ", "a/"), ("a", "b/")] {
        fake.plant(path, name, json!({ "Value": { "NULL": true } }));
    }
    fake.plant("core", "_lock", lock());
    (store, fake)
}

#[test]
fn a_scan_delivers_every_entry_once() {
    let (store, _fake) = planted();
    for segments in [1, 2, 3, 8] {
        for limit in [1, 2, 100] {
            assert_eq!(scanned(&store, segments, limit), ["/odd", "a/_leaf", "a/b/c", "root", "x\ny/z"]);
        }
    }
}

#[test]
fn a_scan_stops_at_what_it_cannot_deliver() {
    let (store, fake) = planted();
    fake.plant("a", "broken", json!({ "Value": { "N": "1" } }));
    let error = store.scan(0, 1, None, 100).unwrap_err();
    assert!(matches!(error, cofferdam_guest::Error::Corrupt(text) if text.contains("a/broken")));
}
