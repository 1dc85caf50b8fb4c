//! What puts, deletes and batches send, and what they leave behind when they are cut short.

use cofferdam_guest::storage::Operation;
use cofferdam_guest::{Error, Excess, Part};
use serde_json::json;

use super::fake::Upset;
use super::{put, store};
use crate::item::VALUE_LIMIT;

#[test]
fn a_put_sends_what_its_hint_leaves_open() {
    let (store, fake) = store();
    store.put("a/b/c", b"x".to_vec(), 0).unwrap();
    assert_eq!(fake.operations(), ["BatchGetItem", "BatchWriteItem", "PutItem"]);
    assert_eq!(fake.places(), [" |a/", "a|b/", "a/b|c"]);
    store.put("a/b/d", b"x".to_vec(), 0).unwrap();
    assert_eq!(fake.operations(), ["BatchGetItem", "PutItem"]);
    store.put("a/b/d", b"y".to_vec(), 2).unwrap();
    assert_eq!(fake.operations(), ["PutItem"]);
    store.put("root", b"x".to_vec(), 0).unwrap();
    assert_eq!(fake.operations(), ["PutItem"]);
    store.put("a/e/f", Vec::new(), 1).unwrap();
    let sent = fake.world().sent.clone();
    let keys = &sent[0].1["RequestItems"]["vault"]["Keys"];
    assert_eq!(*keys, json!([{ "Path": { "S": "a" }, "Key": { "S": "e/" } }]));
    let request = &sent[1].1["RequestItems"]["vault"][0];
    assert_eq!(*request, json!({ "PutRequest": { "Item": { "Path": { "S": "a" }, "Key": { "S": "e/" }, "Value": { "NULL": true } } } }));
    let item = json!({ "Path": { "S": "a/e" }, "Key": { "S": "f" }, "Value": { "NULL": true } });
    assert_eq!(sent[2], ("PutItem".to_owned(), json!({ "TableName": "vault", "Item": item })));
}

#[test]
fn marks_that_the_service_left_out_are_sent_again_before_the_leaf() {
    let (store, fake) = store();
    fake.upset([Upset::Partly(1), Upset::Partly(1), Upset::Partly(1), Upset::Partly(0), Upset::Partly(1), Upset::Partly(1)]);
    store.put("a/b/c/d", b"x".to_vec(), 0).unwrap();
    let expected = ["BatchGetItem"; 3].into_iter().chain(["BatchWriteItem"; 4]).chain(["PutItem"]);
    assert_eq!(fake.operations(), expected.collect::<Vec<_>>());
    assert_eq!(fake.places(), [" |a/", "a|b/", "a/b|c/", "a/b/c|d"]);
}

#[test]
fn a_put_that_gets_no_further_says_so_and_stores_no_leaf() {
    let (store, fake) = store();
    fake.world().upsets = [None].into();
    fake.world().always = Some(Upset::Partly(0));
    let error = store.put("a/b", b"x".to_vec(), 0).unwrap_err();
    assert!(matches!(error, Error::Throttled(delay) if delay >= 1_000), "{error:?}");
    assert_eq!(fake.places(), Vec::<String>::new());
    assert_eq!(fake.operations().iter().filter(|operation| *operation == "BatchWriteItem").count(), 10);
}

#[test]
fn a_put_cut_anywhere_leaves_no_entry_without_its_folders() {
    for cut in 0..4 {
        let (store, fake) = store();
        store.put("a/x", b"x".to_vec(), 0).unwrap();
        fake.world().upsets = std::iter::repeat_n(None, cut).chain([Some(Upset::Killed)]).collect();
        let done = store.put("a/b/c/d", b"x".to_vec(), 0);
        let places = fake.places();
        let stored = places.contains(&"a/b/c|d".to_owned());
        assert_eq!(stored, cut == 3, "{places:?}");
        assert_eq!(done.is_ok(), cut == 3);
        assert!(!stored || (places.contains(&"a|b/".to_owned()) && places.contains(&"a/b|c/".to_owned())));
    }
}

#[test]
fn deletes_remove_the_item_alone() {
    let (store, fake) = store();
    store.put("a/b/c", b"x".to_vec(), 0).unwrap();
    fake.operations();
    store.delete("a/b/c").unwrap();
    store.delete("a/b/c").unwrap();
    assert_eq!(fake.operations(), ["DeleteItem", "DeleteItem"]);
    assert_eq!(fake.places(), [" |a/", "a|b/"]);
}

/// Vault's own algorithm loses `a/` in both cases (it looks for other children than `foo` and `foo/`), so that the root lists nothing although entries are there.
#[test]
fn a_folder_with_anything_below_it_stays() {
    let (store, fake) = store();
    store.put("a/foo", b"x".to_vec(), 0).unwrap();
    store.put("a/foo/bar", b"x".to_vec(), 0).unwrap();
    store.delete("a/foo").unwrap();
    assert!(!store.prune("a/").unwrap());
    assert_eq!(fake.places(), [" |a/", "a|foo/", "a/foo|bar"]);

    store.put("a/foo", b"x".to_vec(), 0).unwrap();
    store.delete("a/foo/bar").unwrap();
    assert!(store.prune("a/foo/").unwrap());
    assert!(!store.prune("a/").unwrap());
    assert_eq!(fake.places(), [" |a/", "a|foo"]);

    store.delete("a/foo").unwrap();
    assert!(store.prune("a/").unwrap());
    assert!(store.prune("a/").unwrap());
    assert_eq!(fake.places(), Vec::<String>::new());
}

#[test]
fn a_lock_does_not_keep_a_folder() {
    let (store, fake) = store();
    fake.plant(" ", "core/", json!({ "Value": { "NULL": true } }));
    fake.plant("core", "_lock", json!({ "Value": { "B": "eA==" }, "Identity": { "B": "eA==" }, "Expires": { "N": "1" } }));
    assert!(store.prune("core/").unwrap());
    assert_eq!(fake.places(), ["core|_lock"]);
    fake.plant("core", "_leaf", json!({ "Value": { "B": "eA==" } }));
    assert!(!store.prune("core/").unwrap());
    fake.plant("core", "_leaf", json!({ "Value": { "B": "eA==" }, "Expires": { "N": "1" } }));
    assert!(store.prune("core/").unwrap());
}

#[test]
fn leaves_and_locks_of_one_name_do_not_touch() {
    let (store, fake) = store();
    store.put("a/_leaf", b"x".to_vec(), 0).unwrap();
    assert_eq!(store.get("a/_leaf").unwrap().unwrap(), b"x");
    fake.plant("a", "_lock", json!({ "Value": { "B": "eA==" }, "Identity": { "B": "eA==" }, "Expires": { "N": "1" } }));
    assert_eq!(store.get("a/_lock").unwrap(), None);
    store.delete("a/_lock").unwrap();
    assert!(matches!(store.put("a/_lock", b"x".to_vec(), 1), Err(Error::InvalidKey(text)) if text.contains("a/_lock")));
    assert_eq!(fake.places(), [" |a/", "a|_leaf", "a|_lock"]);
    store.delete("a/_leaf").unwrap();
    assert_eq!(fake.places(), [" |a/", "a|_lock"]);
}

#[test]
fn what_dynamodb_would_refuse_is_not_sent() {
    let (store, fake) = store();
    let value = store.put("a", vec![0; VALUE_LIMIT + 1], 0).unwrap_err();
    assert!(matches!(value, Error::TooLarge(Excess { what: Part::Value, size: 409_587, limit: 409_586 })), "{value:?}");
    let late = store.batch(vec![put("a/b", b"x"), put(&"x".repeat(1_025), b"x")]).unwrap_err();
    assert!(matches!(late, Error::TooLarge(Excess { what: Part::Segment, size: 1_025, limit: 1_024 })), "{late:?}");
    assert!(matches!(store.get(" /x"), Err(Error::InvalidKey(_))));
    assert_eq!(fake.operations(), Vec::<String>::new());
    store.put("a", vec![0; VALUE_LIMIT], 0).unwrap();
}

#[test]
fn a_batch_is_done_in_its_order() {
    let (store, fake) = store();
    store.put("gone", b"x".to_vec(), 0).unwrap();
    fake.operations();
    let results = store.batch(vec![put("a/b", b"1"), Operation::Delete("gone".into()), put("a/c", b"2")]).unwrap();
    assert_eq!(results, [0, 0, 0]);
    assert_eq!(fake.operations(), ["BatchGetItem", "BatchWriteItem", "PutItem", "DeleteItem", "PutItem"]);
    assert_eq!(fake.places(), [" |a/", "a|b", "a|c"]);

    fake.world().upsets = [None, None, Some(Upset::Answer(400, "AccessDeniedException"))].into();
    store.batch(vec![put("a/d", b"1"), put("a/e", b"2"), put("a/f", b"3")]).unwrap_err();
    assert_eq!(fake.places(), [" |a/", "a|b", "a|c", "a|d"]);
}
