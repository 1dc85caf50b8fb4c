//! Mutations that are bound to the lock.

use std::sync::Arc;

use cofferdam_guest::Error;
use cofferdam_guest::fencing::Fence;
use cofferdam_guest::storage::Operation;
use serde_json::json;

use super::fake::{Fake, Upset};
use super::{put, store};
use crate::store::Store;

fn fenced() -> (Store, Arc<Fake>) {
    let (store, fake) = store();
    fake.world().fence = Some(Fence { key: "core/lock".into(), identity: "me".into() });
    fake.plant("core", "_lock", json!({ "Identity": { "B": "bWU=" }, "Expires": { "N": "1" } }));
    (store, fake)
}

#[test]
fn every_mutation_is_a_transaction_with_the_condition_first() {
    let (store, fake) = fenced();
    store.put("a/b", b"x".to_vec(), 0).unwrap();
    let sent = std::mem::take(&mut fake.world().sent);
    assert_eq!(sent.iter().map(|(operation, _)| operation.as_str()).collect::<Vec<_>>(), ["BatchGetItem", "TransactWriteItems"]);
    let check = json!({ "ConditionCheck": {
        "TableName": "vault",
        "Key": { "Path": { "S": "core" }, "Key": { "S": "_lock" } },
        "ConditionExpression": "#i = :i",
        "ExpressionAttributeNames": { "#i": "Identity" },
        "ExpressionAttributeValues": { ":i": { "B": "bWU=" } },
    } });
    let mark =
        json!({ "Put": { "TableName": "vault", "Item": { "Path": { "S": " " }, "Key": { "S": "a/" }, "Value": { "NULL": true } } } });
    let leaf = json!({ "Put": { "TableName": "vault", "Item": { "Path": { "S": "a" }, "Key": { "S": "b" }, "Value": { "B": "eA==" } } } });
    assert_eq!(sent[1].1["TransactItems"], json!([check, mark, leaf]));
    assert_eq!(sent[1].1["ClientRequestToken"].as_str().unwrap().len(), 32);

    store.delete("a/b").unwrap();
    assert!(store.prune("a/").unwrap());
    store.batch(vec![put("r", b"1"), Operation::Delete("s".into())]).unwrap();
    assert_eq!(fake.operations(), ["TransactWriteItems", "Query", "TransactWriteItems", "TransactWriteItems"]);
    assert_eq!(fake.places(), [" |r", "core|_lock"]);
}

#[test]
fn without_the_lock_nothing_is_changed() {
    let (store, fake) = fenced();
    fake.plant(" ", "there", json!({ "Value": { "B": "eA==" } }));
    for lock in [json!({ "Identity": { "B": "eW91" } }), json!({})] {
        fake.plant("core", "_lock", lock);
        let before = fake.places();
        let conflict = |error| assert!(matches!(&error, Error::Conflict(text) if text.contains("core/lock")), "{error:?}");
        conflict(store.put("a/b", b"x".to_vec(), 0).unwrap_err());
        conflict(store.delete("there").unwrap_err());
        conflict(store.prune("a/").unwrap_err());
        conflict(store.batch(vec![put("r", b"1")]).unwrap_err());
        assert_eq!(fake.places(), before);
    }
}

#[test]
fn a_transaction_is_sent_again_with_its_token() {
    let (store, fake) = fenced();
    let conflicts = std::iter::repeat_n(Upset::Cancelled("TransactionConflict"), 30);
    fake.upset(conflicts.chain([Upset::Lost, Upset::Answer(500, "InternalServerError")]));
    store.put("a", b"x".to_vec(), 0).unwrap();
    let sent = fake.world().sent.clone();
    assert_eq!(sent.len(), 33);
    assert!(sent.iter().all(|request| *request == sent[0]));
    store.put("a", b"y".to_vec(), 0).unwrap();
    assert_ne!(fake.world().sent[33].1["ClientRequestToken"], sent[0].1["ClientRequestToken"]);
}

#[test]
fn what_stays_cancelled_is_told_apart() {
    let (store, fake) = fenced();
    fake.world().always = Some(Upset::Cancelled("ThrottlingError"));
    assert!(matches!(store.put("a", b"x".to_vec(), 0), Err(Error::Throttled(delay)) if delay > 0));
    store.begin();
    fake.operations();
    fake.world().always = Some(Upset::Cancelled("TransactionConflict"));
    assert!(matches!(store.put("a", b"x".to_vec(), 0), Err(Error::Throttled(delay)) if delay > 0));
    assert_eq!(fake.operations().len(), 41);
    fake.world().always = Some(Upset::Answer(400, "UnknownOperationException"));
    assert!(matches!(store.put("a", b"x".to_vec(), 0), Err(Error::Unsupported(text)) if text.contains("TransactWriteItems")));
}

#[test]
fn a_run_too_long_for_one_transaction_is_cut_in_its_order() {
    let (store, fake) = fenced();
    let deep = format!("{}leaf", "d/".repeat(150));
    store.put(&deep, b"x".to_vec(), 0).unwrap();
    let sizes: Vec<_> = fake.world().sent.iter().filter_map(|(_, body)| body["TransactItems"].as_array().map(Vec::len)).collect();
    assert_eq!(sizes, [100, 53]);

    fake.operations();
    let large = vec![0; 300_000];
    store.batch((0..12).map(|number| put(&format!("k{number:02}"), &large)).collect()).unwrap();
    assert_eq!(fake.operations(), ["TransactWriteItems", "TransactWriteItems"]);
    assert_eq!(fake.places().iter().filter(|place| place.starts_with(" |k")).count(), 12);
}
