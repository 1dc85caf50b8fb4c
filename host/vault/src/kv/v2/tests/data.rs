//! Secrets: write, read, patch, delete, undelete, destroy, subkeys.

use serde_json::{Value, json};

use super::super::*;
use super::{described, kv, mounted, number, put};
use crate::kv::testing::{ask, data, refusal};
use Operation::{Create, Delete, List, Patch, Read, Update};

#[tokio::test]
async fn a_secret_is_read_as_it_was_written_to_the_digit() {
    let kv = kv().await;
    let secret: Value = serde_json::from_str(r#"{"n":1.10,"big":12345678901234567890123,"s":"<>&","l":[1,{"z":null}]}"#).unwrap();
    let written = data(&kv, Update, "data/a/b", json!({ "data": secret })).await;
    assert_eq!((&written["version"], &written["destroyed"], &written["deletion_time"]), (&json!(1), &json!(false), &json!("")));
    let read = data(&kv, Read, "data/a/b", json!({})).await;
    assert_eq!((&read["data"], &read["metadata"]), (&secret, &written));
    assert_eq!(read["data"]["n"].to_string(), "1.10");
}

#[tokio::test]
async fn what_is_stored_is_what_openbao_stores_for_the_same_request() {
    let (kv, view, _) = mounted().await;
    let secret: Value = serde_json::from_str(r#"{"user":"<a>&\u2028b","n":1.10,"z":null,"l":[1,{"y":1,"x":2}]}"#).unwrap();
    ask(&kv, Update, "data/a", json!({ "data": secret })).await.unwrap();
    ask(&kv, Update, "data/null", json!({ "data": null })).await.unwrap();
    let version = kv.store.version("a", 1).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&version.data), r#"{"l":[1,{"x":2,"y":1}],"n":1.10,"user":"\u003ca\u003e\u0026\u2028b","z":null}"#);
    assert_eq!(kv.store.version("null", 1).await.unwrap().data, b"null");
    let salt = view.get(&format!("{}/salt", super::UUID)).await.unwrap().unwrap();
    assert_eq!(salt.len(), 36);
    let key = crate::crypto::sha256_hex(&[&salt, b"a|1"]);
    let (folder, leaf) = key.split_at(3);
    assert!(view.get(&format!("{}/versions/{folder}/{leaf}", super::UUID)).await.unwrap().is_some());
}

#[tokio::test]
async fn writes_that_cannot_be_are_refused() {
    let kv = kv().await;
    assert_eq!(refusal(&kv, Update, "data/x", json!({})).await, "no data provided");
    assert_eq!(refusal(&kv, Patch, "data/x", json!({})).await, "no data provided");
    let text = "error converting input for field \"data\": '' expected type 'map[string]interface {}', got unconvertible type 'string'";
    assert_eq!(refusal(&kv, Create, "data/x", json!({"data": "x"})).await, text);
    assert_eq!(refusal(&kv, Patch, "data/x", json!({"data": "x"})).await, format!("Field validation failed: {text}"));
    for path in ["data/", "data/x/", "metadata/", "delete/"] {
        assert_eq!(refusal(&kv, Update, path, json!({"data": {}, "versions": [1]})).await, "cannot write to a path ending in '/'");
    }
    for path in ["data/a//b", "data/../b", "data/a/./b", "data/\n"] {
        refusal(&kv, Update, path, json!({"data": {}})).await;
        refusal(&kv, Read, path, json!({})).await;
    }
    assert!(matches!(ask(&kv, List, "metadata/", json!({})).await, Err(Error::NotFound)), "something was written");
}

#[tokio::test]
async fn check_and_set_lets_only_the_expected_version_through() {
    let kv = kv().await;
    let mismatch = "check-and-set parameter did not match the current version";
    let parsing = "error parsing check-and-set parameter";
    let with = |cas: Value| json!({"data": {"n": 1}, "options": {"cas": cas}});
    assert_eq!(refusal(&kv, Update, "data/x", with(json!(1))).await, mismatch);
    data(&kv, Update, "data/x", with(json!(0))).await;
    data(&kv, Update, "data/x", with(json!("1"))).await;
    data(&kv, Patch, "data/x", with(json!(2))).await;
    for cas in [json!(0), json!(99), json!(null), json!(-1), json!(""), json!(true), json!("0x4")] {
        assert_eq!(refusal(&kv, Update, "data/x", with(cas.clone())).await, mismatch, "{cas}");
        assert_eq!(refusal(&kv, Patch, "data/x", with(cas.clone())).await, mismatch, "{cas}");
    }
    for cas in [json!("abc"), json!(2.5), json!([1]), json!({})] {
        assert_eq!(refusal(&kv, Update, "data/x", with(cas.clone())).await, parsing, "{cas}");
    }
    assert_eq!(described(&kv, "x").await["current_version"], json!(3));
}

#[tokio::test]
async fn check_and_set_can_be_required_by_the_key_and_by_the_mount() {
    let kv = kv().await;
    let required = "check-and-set parameter required for this call";
    ask(&kv, Update, "metadata/x", json!({"cas_required": true})).await.unwrap();
    assert_eq!(refusal(&kv, Update, "data/x", json!({"data": {}})).await, required);
    put(&kv, "y", 1).await;
    ask(&kv, Update, "config", json!({"cas_required": true})).await.unwrap();
    assert_eq!(refusal(&kv, Update, "data/y", json!({"data": {}})).await, required);
    assert_eq!(refusal(&kv, Patch, "data/y", json!({"data": {}})).await, required);
    data(&kv, Update, "data/y", json!({"data": {}, "options": {"cas": 1}})).await;
}

#[tokio::test]
async fn a_read_takes_a_version_and_zero_or_less_is_the_current_one() {
    let kv = kv().await;
    for n in 1..=3 {
        put(&kv, "x", n).await;
    }
    for (version, expected) in [(json!("1"), 1), (json!("2"), 2), (json!("0"), 3), (json!("-1"), 3), (json!(""), 3), (json!("0x1"), 1)] {
        assert_eq!(data(&kv, Read, "data/x", json!({ "version": version })).await["data"]["n"], json!(expected));
    }
    assert_eq!(number(&kv, "x", 99).await, Err(404));
    for path in ["data/nope", "data/", "data/x/", "subkeys/", "subkeys/nope", "metadata/", "metadata/nope"] {
        assert!(matches!(ask(&kv, Read, path, json!({})).await, Err(Error::NotFound)), "{path}");
    }
    assert_eq!(
        refusal(&kv, Read, "data/x", json!({"version": "abc"})).await,
        "Field validation failed: error converting input for field \"version\": '' cannot parse value as 'int': strconv.ParseInt: invalid syntax"
    );
}

#[tokio::test]
async fn a_deleted_version_answers_404_with_its_metadata_until_it_is_undeleted() {
    let kv = kv().await;
    put(&kv, "x", 1).await;
    put(&kv, "x", 2).await;
    ask(&kv, Delete, "data/x", json!({})).await.unwrap();
    let gone = ask(&kv, Read, "data/x", json!({})).await.unwrap();
    let fields = Value::from(gone.data.unwrap());
    assert_eq!((gone.status, &fields["data"], &fields["metadata"]["version"]), (Some(404), &Value::Null, &json!(2)));
    let deleted = fields["metadata"]["deletion_time"].clone();
    assert_ne!(deleted, json!(""));
    assert_eq!(number(&kv, "x", 1).await, Ok(1));
    // A second deletion leaves the time of the first.
    ask(&kv, Delete, "data/x", json!({})).await.unwrap();
    ask(&kv, Update, "delete/x", json!({"versions": [2]})).await.unwrap();
    assert_eq!(described(&kv, "x").await["versions"]["2"]["deletion_time"], deleted);
    ask(&kv, Update, "undelete/x", json!({"versions": "2"})).await.unwrap();
    assert_eq!(number(&kv, "x", 2).await, Ok(2));
    ask(&kv, Update, "delete/x", json!({"versions": [1, 99, -1]})).await.unwrap();
    assert_eq!((number(&kv, "x", 1).await, number(&kv, "x", 2).await), (Err(404), Ok(2)));
}

#[tokio::test]
async fn a_destroyed_version_is_gone_for_good() {
    let kv = kv().await;
    put(&kv, "x", 1).await;
    put(&kv, "x", 2).await;
    ask(&kv, Update, "destroy/x", json!({"versions": [1, 77]})).await.unwrap();
    ask(&kv, Update, "undelete/x", json!({"versions": [1]})).await.unwrap();
    let gone = ask(&kv, Read, "data/x", json!({"version": 1})).await.unwrap();
    assert_eq!((gone.status, &gone.data.unwrap()["metadata"]["destroyed"]), (Some(404), &json!(true)));
    let key = kv.store.version_key("x", 1).await.unwrap();
    assert!(kv.store.view.get(&key).await.unwrap().is_none());
    assert_eq!(number(&kv, "x", 0).await, Ok(2));
    assert!(described(&kv, "x").await["versions"].get("77").is_none());
}

#[tokio::test]
async fn versions_must_be_named_and_unknown_keys_are_no_error() {
    let kv = kv().await;
    for (path, text) in [
        ("delete/x", "No version number provided"),
        ("undelete/x", "No version number provided"),
        ("destroy/x", "no version number provided"),
    ] {
        for body in [json!({}), json!({"versions": []}), json!({"versions": null}), json!({"versions": ""})] {
            assert_eq!(refusal(&kv, Update, path, body).await, text);
        }
        assert!(ask(&kv, Update, path, json!({"versions": [1]})).await.unwrap().data.is_none());
        for operation in [Read, Delete, List, Patch] {
            assert!(
                matches!(ask(&kv, operation, path, json!({"versions": [1]})).await, Err(Error::UnsupportedOperation)),
                "{operation:?} {path}"
            );
        }
    }
    ask(&kv, Delete, "data/nope", json!({})).await.unwrap();
    ask(&kv, Delete, "data/", json!({})).await.unwrap();
}

#[tokio::test]
async fn a_patch_makes_a_new_version_of_what_is_there() {
    let kv = kv().await;
    assert_eq!(ask(&kv, Patch, "data/x", json!({"data": {"a": 1}})).await.unwrap().status, Some(404));
    ask(&kv, Update, "data/x", json!({"data": {"a": 1, "b": {"c": 1, "d": 2}, "e": [1]}})).await.unwrap();
    let patched = data(&kv, Patch, "data/x", json!({"data": {"a": null, "b": {"c": null, "x": {"y": null}}, "e": [2, null]}})).await;
    assert_eq!(patched["version"], json!(2));
    assert_eq!(data(&kv, Read, "data/x", json!({})).await["data"], json!({"b": {"d": 2, "x": {}}, "e": [2, null]}));
    assert_eq!(data(&kv, Read, "data/x", json!({"version": 1})).await["data"]["a"], json!(1));
    ask(&kv, Delete, "data/x", json!({})).await.unwrap();
    let gone = ask(&kv, Patch, "data/x", json!({"data": {"a": 1}})).await.unwrap();
    assert_eq!((gone.status, &gone.data.unwrap()["version"]), (Some(404), &json!(2)));
}

#[tokio::test]
async fn a_patch_of_null_starts_from_nothing() {
    let kv = kv().await;
    ask(&kv, Update, "data/x", json!({"data": {"a": 1}})).await.unwrap();
    ask(&kv, Patch, "data/x", json!({"data": null})).await.unwrap();
    assert_eq!(data(&kv, Read, "data/x", json!({})).await["data"], Value::Null);
    ask(&kv, Patch, "data/x", json!({"data": {"b": 2}})).await.unwrap();
    assert_eq!(data(&kv, Read, "data/x", json!({})).await["data"], json!({"b": 2}));
}

#[tokio::test]
async fn subkeys_show_names_without_values() {
    let kv = kv().await;
    ask(&kv, Update, "data/s", json!({"data": {"a": 1, "b": {"c": {"d": {"e": 1}}, "l": [{"x": 1}], "emp": {}}, "n": null}}))
        .await
        .unwrap();
    let all = json!({"a": null, "b": {"c": {"d": {"e": null}}, "emp": null, "l": null}, "n": null});
    let one = json!({"a": null, "b": null, "n": null});
    let two = json!({"a": null, "b": {"c": null, "emp": null, "l": null}, "n": null});
    for (depth, expected) in [("0", &all), ("", &all), ("1", &one), ("-1", &one), ("2", &two), ("9", &all)] {
        let read = data(&kv, Read, "subkeys/s", json!({ "depth": depth })).await;
        assert_eq!((&read["subkeys"], &read["metadata"]["version"]), (expected, &json!(1)), "{depth}");
    }
    ask(&kv, Delete, "data/s", json!({})).await.unwrap();
    let gone = ask(&kv, Read, "subkeys/s", json!({})).await.unwrap();
    assert_eq!((gone.status, &gone.data.unwrap()["subkeys"]), (Some(404), &Value::Null));
}

#[tokio::test]
async fn paths_that_are_none_answer_404_with_a_warning() {
    let kv = kv().await;
    for path in ["metadata", "data", "delete", "undelete", "destroy"] {
        let answer = ask(&kv, Update, path, json!({})).await.unwrap();
        assert_eq!(answer.status, Some(404));
        assert_eq!(answer.warnings, ["Non-listing operations on the root of a K/V v2 mount are not supported."], "{path}");
    }
    for (operation, path, command) in [
        (Read, "foo", "get"),
        (Update, "foo", "put"),
        (Delete, "", "delete"),
        (List, "", "list"),
        (List, "config", "list"),
        (Read, "subkeys", "get"),
        (Patch, "x", "patch"),
    ] {
        let answer = ask(&kv, operation, path, json!({})).await.unwrap();
        assert_eq!(answer.status, Some(404));
        assert!(answer.warnings[0].ends_with(&format!("If using the OpenBao CLI, use 'bao kv {command}' for this operation.")), "{path}");
    }
    for (operation, path) in
        [(List, "data/x"), (List, "data"), (Delete, "config"), (Patch, "config"), (Update, "subkeys/x"), (Read, "detailed-metadata/x")]
    {
        assert!(matches!(ask(&kv, operation, path, json!({})).await, Err(Error::UnsupportedOperation)), "{operation:?} {path}");
    }
}

#[tokio::test]
async fn a_segment_that_is_too_long_for_the_storage_is_refused_before_anything_is_written() {
    use cofferdam_backend::{Error as Backend, Part};
    let error = Error::from(Backend::TooLarge { part: Part::Segment, size: 257, limit: 254 });
    let text = super::super::store::too_long(error, &format!("a/{}", "x".repeat(111))).to_string();
    assert_eq!(text, "a segment of the path is 111 bytes long; the storage takes at most 110, because names are stored encrypted");
    let other = Error::from(Backend::TooLarge { part: Part::Value, size: 2, limit: 1 });
    assert!(super::super::store::too_long(other, "a/b").to_string().starts_with("value too large"));
}
