use serde_json::json;

use super::*;
use crate::kv::testing::{ask, data, mount, refusal, request};
use Operation::{Create, Delete, List, Patch, Read, Update};

fn kv() -> Kv {
    Kv::new(mount().0, Duration::from_secs(2_764_800))
}

#[tokio::test]
async fn a_secret_is_read_as_it_was_written_to_the_digit() {
    let kv = kv();
    let body: Value =
        serde_json::from_str(r#"{"b":1.10,"a":12345678901234567890123,"c":"<>&\u2028","d":null,"e":[1,{"z":1,"y":2}],"path":"p"}"#)
            .unwrap();
    assert!(ask(&kv, Update, "a/b", body.clone()).await.unwrap().data.is_none());
    let read = data(&kv, Read, "a/b", json!({})).await;
    assert_eq!(read, body);
    assert_eq!(read["b"].to_string(), "1.10");
    // As bao 2.7.2 stores the same request.
    let stored = kv.view.get("a/b").await.unwrap().unwrap();
    let expected = r#"{"a":12345678901234567890123,"b":1.10,"c":"\u003c\u003e\u0026\u2028","d":null,"e":[1,{"y":2,"z":1}],"path":"p"}"#;
    assert_eq!(String::from_utf8_lossy(&stored), expected);
}

#[tokio::test]
async fn what_is_missing_or_no_secret_is_not_found() {
    let kv = kv();
    ask(&kv, Update, "a/b", json!({"x": 1})).await.unwrap();
    assert!(ask(&kv, Read, "a/b", json!({})).await.is_ok());
    for path in ["nope", "a", "a/", "a/b/", ""] {
        assert!(matches!(ask(&kv, Read, path, json!({})).await, Err(Error::NotFound)), "{path:?}");
    }
    assert!(matches!(ask(&kv, List, "nope", json!({})).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn writes_that_cannot_be_are_refused_with_the_fields_texts() {
    let kv = kv();
    assert_eq!(refusal(&kv, Update, "", json!({"a": 1})).await, "missing path");
    assert_eq!(refusal(&kv, Update, "x/", json!({"a": 1})).await, "cannot write to a path ending in '/'");
    assert_eq!(refusal(&kv, Create, "x", json!({})).await, "missing data fields");
    assert!(matches!(ask(&kv, Patch, "x", json!({"a": 1})).await, Err(Error::UnsupportedOperation)));
    refusal(&kv, Update, "x/../y", json!({"a": 1})).await;
    assert!(matches!(ask(&kv, List, "", json!({})).await, Err(Error::NotFound)), "something was written");
}

#[tokio::test]
async fn lists_have_leaves_and_folders_and_warn_of_parameters() {
    let kv = kv();
    for path in ["a", "a/b", "a/c/d", "e"] {
        ask(&kv, Update, path, json!({"x": 1})).await.unwrap();
    }
    assert_eq!(data(&kv, List, "", json!({})).await, json!({"keys": ["a", "a/", "e"]}));
    for path in ["a", "a/"] {
        assert_eq!(data(&kv, List, path, json!({})).await, json!({"keys": ["b", "c/"]}));
    }
    let answer = ask(&kv, List, "a", json!({"limit": "1", "after": "b"})).await.unwrap();
    assert_eq!(answer.warnings, ["Endpoint ignored these unrecognized parameters: [after limit]"]);
}

#[tokio::test]
async fn a_deleted_secret_is_gone_and_deleting_again_is_a_success() {
    let kv = kv();
    ask(&kv, Update, "a", json!({"x": 1})).await.unwrap();
    assert_eq!(kv.exists(&request(Update, "a", json!({}))).await.unwrap(), Some(true));
    for path in ["a", "a", "", "a/"] {
        assert!(ask(&kv, Delete, path, json!({})).await.unwrap().data.is_none());
    }
    assert!(matches!(ask(&kv, Read, "a", json!({})).await, Err(Error::NotFound)));
    assert_eq!(kv.exists(&request(Update, "a", json!({}))).await.unwrap(), Some(false));
}

/// Lease times as bao 2.7.2 answers them; where it has -5 there is none left.
#[tokio::test]
async fn ttl_and_lease_only_set_the_lease_duration() {
    let kv = kv();
    for (body, seconds) in [
        (json!({"x": 1}), 2_764_800),
        (json!({"ttl": "30s"}), 30),
        (json!({"lease": 100}), 100),
        (json!({"ttl": "x", "lease": "1h"}), 2_764_800),
        (json!({"ttl": "1d"}), 86_400),
        (json!({"ttl": 1.5}), 2_764_800),
        (json!({"ttl": ""}), 0),
        (json!({"ttl": -5}), 0),
        (json!({"ttl": "90"}), 90),
        (json!({"ttl": true}), 2_764_800),
        (json!({"ttl": null, "lease": 20}), 0),
        (json!({"ttl": "1h30m"}), 5_400),
        (json!({"ttl": "500ms"}), 0),
    ] {
        ask(&kv, Update, "t", body.clone()).await.unwrap();
        let answer = ask(&kv, Read, "t", json!({})).await.unwrap();
        assert_eq!((answer.lease_duration.as_secs(), Value::from(answer.data.unwrap())), (seconds, body));
    }
}

#[tokio::test]
async fn a_stored_value_that_is_no_object_is_damaged() {
    let kv = kv();
    kv.view.put("a", b"[1]").await.unwrap();
    assert!(matches!(ask(&kv, Read, "a", json!({})).await, Err(Error::Damaged(text)) if text.contains("logical/mount/a")));
}

#[tokio::test]
async fn a_damaged_secret_is_told_of_without_what_stands_in_it() {
    let kv = kv();
    kv.view.put("a", b"\"hunter2\"").await.unwrap();
    match ask(&kv, Read, "a", json!({})).await {
        Err(Error::Damaged(text)) => assert!(!text.contains("hunter2") && text.contains("logical/mount/a"), "{text}"),
        other => panic!("{other:?}"),
    }
}
