//! Metadata, settings and listings.

use serde_json::{Map, Value, json};

use super::super::*;
use super::{described, kv, number, put};
use crate::kv::testing::{ask, data, refusal, request};
use Operation::{Delete, List, Patch, Read, Update};

#[tokio::test]
async fn metadata_have_all_that_openbao_tells() {
    let kv = kv().await;
    put(&kv, "x", 1).await;
    let mut read = described(&kv, "x").await;
    let created = read["created_time"].take();
    assert_eq!((&read["updated_time"].take(), &read["versions"]["1"]["created_time"].take()), (&created, &created));
    assert_eq!(
        read,
        json!({
            "cas_required": false, "created_time": null, "current_metadata_version": 0, "current_version": 1, "custom_metadata": null,
            "delete_version_after": "0s", "max_versions": 0, "metadata_cas_required": false, "oldest_version": 0, "updated_time": null,
            "versions": {"1": {"created_time": null, "deletion_time": "", "destroyed": false}}
        })
    );
}

#[tokio::test]
async fn settings_are_written_one_by_one() {
    let kv = kv().await;
    ask(&kv, Update, "metadata/x", json!({})).await.unwrap();
    ask(&kv, Update, "metadata/x", json!({"foo": 1, "metadata_cas": 7})).await.unwrap();
    assert!(matches!(ask(&kv, Read, "metadata/x", json!({})).await, Err(Error::NotFound)));
    ask(&kv, Update, "metadata/x", json!({"max_versions": 3})).await.unwrap();
    ask(&kv, Update, "metadata/x", json!({"cas_required": "true", "delete_version_after": "1.5s"})).await.unwrap();
    ask(&kv, Update, "metadata/x", json!({"custom_metadata": {"a": "b", "n": 5, "t": true, "f": false}})).await.unwrap();
    let read = described(&kv, "x").await;
    assert_eq!((&read["max_versions"], &read["cas_required"], &read["delete_version_after"]), (&json!(3), &json!(true), &json!("1s")));
    assert_eq!(read["custom_metadata"], json!({"a": "b", "n": "5", "t": "1", "f": "0"}));
    assert_eq!((&read["current_metadata_version"], &read["current_version"], &read["versions"]), (&json!(3), &json!(0), &json!({})));
    ask(&kv, Update, "metadata/x", json!({"custom_metadata": null, "max_versions": -1})).await.unwrap();
    let read = described(&kv, "x").await;
    assert_eq!((&read["custom_metadata"], &read["max_versions"]), (&Value::Null, &json!(u32::MAX)));
    assert_eq!(number(&kv, "x", 0).await, Err(404));
}

#[tokio::test]
async fn custom_metadata_are_limited_and_all_errors_are_told() {
    let kv = kv().await;
    let refused = async |custom: Value| refusal(&kv, Update, "metadata/x", json!({ "custom_metadata": custom })).await;
    let one = |text: &str| format!("1 error occurred:\n\t* custom_metadata validation failed: {text}\n\n");
    assert_eq!(refused(json!({"a": null})).await, one("length of value for key \"a\" is 0 but must be 0 < len(value) <= 512"));
    assert_eq!(refused(json!({"": "x"})).await, one("length of key \"\" is 0 but must be 0 < len(key) <= 128"));
    assert_eq!(refused(json!({"a": "x".repeat(513)})).await, one("length of value for key \"a\" is 513 but must be 0 < len(value) <= 512"));
    let long = "k".repeat(129);
    assert_eq!(
        refused(json!({ long.as_str(): "v" })).await,
        one(&format!("length of key \"{long}\" is 129 but must be 0 < len(key) <= 128"))
    );
    let many: Map<String, Value> = (0..65).map(|n| (n.to_string(), "v".into())).collect();
    assert_eq!(refused(many.into()).await, one("payload must contain at most 64 keys, provided 65"));
    assert_eq!(
        refused(json!({"a": [1]})).await,
        "custom_metadata validation failed: '' expected type 'string', got unconvertible type '[]interface {}'"
    );
    assert_eq!(
        refused(json!({"a\u{1}": "b\u{2}"})).await,
        "2 errors occurred:\n\t* custom_metadata validation failed: key \"a\\x01\" (a\u{1}) contains unprintable characters\n\t* custom_metadata \
         validation failed: value for key \"a\\x01\" contains unprintable characters\n\n"
    );
    for (name, shown) in [("q\u{ad}", "q\\u00ad"), ("\u{200b}", "\\u200b"), ("t\t", "t\\t"), ("\u{85}", "\\u0085"), ("x\u{a0}", "x\\u00a0")]
    {
        assert_eq!(refused(json!({ name: "v" })).await, one(&format!("key \"{shown}\" ({name}) contains unprintable characters")));
    }
    let most: Map<String, Value> = (0..64).map(|n| (format!("{n:0128}"), "\u{e9}e\u{301} \u{65e5}".into())).collect();
    ask(&kv, Update, "metadata/x", json!({ "custom_metadata": most })).await.unwrap();
}

#[tokio::test]
async fn metadata_have_a_check_and_set_of_their_own() {
    let kv = kv().await;
    let mismatch = "metadata check-and-set parameter does not match the current version";
    let required = "metadata check-and-set parameter required for this call";
    for cas in [5, -1] {
        let text = refusal(&kv, Update, "metadata/x", json!({"metadata_cas": cas, "max_versions": 1})).await;
        assert_eq!(text, "metadata_cas must be 0 when creating new metadata");
    }
    ask(&kv, Update, "metadata/x", json!({"metadata_cas": 0, "max_versions": 1})).await.unwrap();
    for cas in [json!(0), json!(2), json!(-1), json!(null)] {
        assert_eq!(refusal(&kv, Update, "metadata/x", json!({"metadata_cas": cas, "max_versions": 1})).await, mismatch);
        assert_eq!(refusal(&kv, Patch, "metadata/x", json!({"metadata_cas": cas, "max_versions": 1})).await, mismatch);
    }
    ask(&kv, Update, "metadata/x", json!({"metadata_cas": 1, "metadata_cas_required": true})).await.unwrap();
    assert_eq!(refusal(&kv, Update, "metadata/x", json!({"max_versions": 1})).await, required);
    assert_eq!(refusal(&kv, Patch, "metadata/x", json!({"max_versions": 1})).await, required);
    // Writes of the secret count no metadata version.
    put(&kv, "x", 1).await;
    ask(&kv, Patch, "metadata/x", json!({"max_versions": 4, "metadata_cas": 2})).await.unwrap();
    assert_eq!(described(&kv, "x").await["current_metadata_version"], json!(3));
    ask(&kv, Update, "config", json!({"metadata_cas_required": true, "cas_required": true})).await.unwrap();
    assert_eq!(refusal(&kv, Update, "metadata/y", json!({"max_versions": 1})).await, required);
    let body = json!({"cas_required": false, "metadata_cas_required": false, "metadata_cas": 0});
    assert_eq!(
        ask(&kv, Update, "metadata/y", body).await.unwrap().warnings,
        ["cas_required", "metadata_cas_required"]
            .map(|name| format!("\"{name}\" set to false, but is mandated by backend config. This value will be ignored."))
    );
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_clears() {
    let kv = kv().await;
    assert_eq!(ask(&kv, Patch, "metadata/x", json!({"max_versions": 1})).await.unwrap().status, Some(404));
    assert_eq!(ask(&kv, Patch, "metadata/x", json!({})).await.unwrap().status, None);
    put(&kv, "x", 1).await;
    ask(&kv, Patch, "metadata/x", json!({"max_versions": 4, "delete_version_after": "30s", "custom_metadata": {"a": "1", "b": "2"}}))
        .await
        .unwrap();
    ask(&kv, Patch, "metadata/x", json!({"cas_required": true, "custom_metadata": {"a": null, "c": 3}})).await.unwrap();
    let read = described(&kv, "x").await;
    assert_eq!((&read["max_versions"], &read["cas_required"], &read["delete_version_after"]), (&json!(4), &json!(true), &json!("30s")));
    assert_eq!(read["custom_metadata"], json!({"b": "2", "c": "3"}));
    ask(
        &kv,
        Patch,
        "metadata/x",
        json!({"max_versions": null, "cas_required": null, "delete_version_after": null, "custom_metadata": null}),
    )
    .await
    .unwrap();
    let read = described(&kv, "x").await;
    assert_eq!((&read["max_versions"], &read["cas_required"], &read["delete_version_after"]), (&json!(0), &json!(false), &json!("0s")));
    assert_eq!((&read["custom_metadata"], &read["current_metadata_version"]), (&Value::Null, &json!(3)));
    for max_versions in [json!(-3), json!(5_000_000_000_u64)] {
        refusal(&kv, Patch, "metadata/x", json!({ "max_versions": max_versions })).await;
    }
    let many = |from: u32| (from..from + 40).map(|n| (n.to_string(), "v".into())).collect::<Map<String, Value>>();
    ask(&kv, Patch, "metadata/x", json!({"custom_metadata": many(0)})).await.unwrap();
    assert!(refusal(&kv, Patch, "metadata/x", json!({"custom_metadata": many(40)})).await.contains("at most 64 keys, provided 80"));
}

#[tokio::test]
async fn deleting_metadata_removes_every_version() {
    let (kv, view, _) = super::mounted().await;
    let before = count(&view).await;
    for n in 1..=3 {
        put(&kv, "a/x", n).await;
    }
    put(&kv, "a/y", 1).await;
    assert_eq!(count(&view).await, before + 7);
    ask(&kv, Delete, "metadata/a/x", json!({})).await.unwrap();
    assert_eq!(count(&view).await, before + 3, "salt, and version and metadata of the other");
    assert_eq!(data(&kv, List, "metadata/a", json!({})).await, json!({"keys": ["y"]}));
    for path in ["metadata/a/x", "metadata/nope", "metadata/", "metadata/a/"] {
        ask(&kv, Delete, path, json!({})).await.unwrap();
    }
    put(&kv, "a/x", 9).await;
    assert_eq!((number(&kv, "a/x", 1).await, number(&kv, "a/x", 2).await), (Ok(9), Err(404)));
}

/// How many entries there are.
async fn count(view: &View) -> usize {
    let mut folders = vec![String::new()];
    let mut entries = 0;
    while let Some(folder) = folders.pop() {
        for name in view.list(&folder).await.unwrap() {
            if name.ends_with('/') { folders.push(format!("{folder}{name}")) } else { entries += 1 }
        }
    }
    entries
}

#[tokio::test]
async fn lists_are_sorted_by_plain_name_and_paged() {
    let kv = kv().await;
    for path in ["b", "a", "a/x", "a/y/z", "C", "\u{e9}", "a b", "~", "_u", "a-b"] {
        put(&kv, &format!("l/{path}"), 1).await;
    }
    let all = ["C", "_u", "a", "a b", "a-b", "a/", "b", "~", "\u{e9}"];
    let list = async |query: Value| data(&kv, List, "metadata/l", query).await["keys"].clone();
    assert_eq!(list(json!({})).await, json!(all));
    assert_eq!(list(json!({"limit": "2"})).await, json!(["C", "_u"]));
    assert_eq!(list(json!({"after": "a", "limit": "2"})).await, json!(["a b", "a-b"]));
    assert_eq!(list(json!({"after": "a/", "limit": 2})).await, json!(["b", "~"]));
    assert_eq!(list(json!({"after": "a0"})).await, json!(["b", "~", "\u{e9}"]));
    for none in ["0", "-1", ""] {
        assert_eq!(list(json!({ "limit": none })).await, json!(all));
    }
    let mut paged = Vec::new();
    while paged.len() < all.len() {
        let after = paged.last().cloned().unwrap_or(json!(""));
        paged.extend(list(json!({"after": after, "limit": 2})).await.as_array().unwrap().clone());
    }
    assert_eq!(Value::from(paged), json!(all));
    assert!(matches!(ask(&kv, List, "metadata/l", json!({"after": "\u{e9}"})).await, Err(Error::NotFound)));
    assert!(matches!(ask(&kv, List, "metadata/nope/", json!({})).await, Err(Error::NotFound)));
    assert_eq!(data(&kv, List, "metadata", json!({})).await["keys"], json!(["l/"]));
    let detailed = data(&kv, List, "detailed-metadata/l/a", json!({})).await;
    assert_eq!(detailed["keys"], json!(["x", "y/"]));
    assert_eq!((&detailed["key_info"]["x"], &detailed["key_info"]["y/"]), (&described(&kv, "l/a/x").await, &json!({})));
}

#[tokio::test]
async fn old_versions_are_trimmed_by_the_larger_limit() {
    let kv = kv().await;
    let shape = async |path: &str| {
        let read = described(&kv, path).await;
        let versions: Vec<u64> = read["versions"].as_object().unwrap().keys().map(|key| key.parse().unwrap()).collect();
        (read["oldest_version"].as_u64().unwrap(), versions)
    };
    ask(&kv, Update, "metadata/x", json!({"max_versions": 2})).await.unwrap();
    for n in 1..=5 {
        put(&kv, "x", n).await;
    }
    assert_eq!(shape("x").await, (4, vec![4, 5]));
    assert!(kv.store.view.get(&kv.store.version_key("x", 3).await.unwrap()).await.unwrap().is_none());
    ask(&kv, Update, "metadata/x", json!({"max_versions": 4})).await.unwrap();
    put(&kv, "x", 6).await;
    assert_eq!(shape("x").await, (4, vec![4, 5, 6]));
    ask(&kv, Update, "metadata/x", json!({"max_versions": 1})).await.unwrap();
    assert_eq!(shape("x").await, (4, vec![4, 5, 6]));
    put(&kv, "x", 7).await;
    assert_eq!(shape("x").await, (7, vec![7]));
    assert_eq!((number(&kv, "x", 0).await, number(&kv, "x", 6).await), (Ok(7), Err(404)));
    ask(&kv, Update, "config", json!({"max_versions": 3})).await.unwrap();
    for n in 1..=5 {
        put(&kv, "y", n).await;
    }
    assert_eq!(shape("y").await, (3, vec![3, 4, 5]));
    ask(&kv, Update, "metadata/y", json!({"max_versions": 2})).await.unwrap();
    put(&kv, "y", 6).await;
    assert_eq!(shape("y").await, (4, vec![4, 5, 6]));
    ask(&kv, Update, "config", json!({"max_versions": 0})).await.unwrap();
    for n in 1..=12 {
        put(&kv, "z", n).await;
    }
    assert_eq!(shape("z").await.0, 3);
}

#[tokio::test]
async fn versions_end_after_the_shorter_of_the_two_times() {
    use super::super::proto::{Configuration, KeyMetadata, Span, Timestamp};
    let now = Timestamp { seconds: 100, nanos: 5 };
    for (mount, key, expected) in
        [(0, 0, None), (60, 0, Some(160)), (0, 10, Some(110)), (60, 10, Some(110)), (60, 90, Some(160)), (-1, 10, None), (-1, 0, None)]
    {
        let config = Configuration { delete_version_after: Some(Span::of_seconds(mount)), ..Configuration::default() };
        let metadata = KeyMetadata { delete_version_after: Some(Span::of_seconds(key)), ..KeyMetadata::default() };
        assert_eq!(
            metadata.deletion_time(now, &config).map(|time| (time.seconds, time.nanos)),
            expected.map(|seconds| (seconds, 5)),
            "{mount} {key}"
        );
    }
    let kv = kv().await;
    ask(&kv, Update, "metadata/x", json!({"delete_version_after": "1h"})).await.unwrap();
    put(&kv, "x", 1).await;
    assert_eq!(number(&kv, "x", 1).await, Ok(1));
    let first = described(&kv, "x").await["versions"]["1"]["deletion_time"].clone();
    ask(&kv, Delete, "data/x", json!({})).await.unwrap();
    assert_eq!(number(&kv, "x", 1).await, Err(404));
    ask(&kv, Update, "undelete/x", json!({"versions": [1]})).await.unwrap();
    let again = described(&kv, "x").await["versions"]["1"]["deletion_time"].clone();
    assert!(again.as_str() > first.as_str() && number(&kv, "x", 1).await == Ok(1), "its time begins anew: {first} {again}");
}

#[tokio::test]
async fn the_mounts_settings_are_kept_and_survive_a_restart() {
    let (kv, view, _) = super::mounted().await;
    let fresh = json!({"cas_required": false, "delete_version_after": "0s", "max_versions": 0, "metadata_cas_required": false});
    assert_eq!(data(&kv, Read, "config", json!({})).await, fresh);
    ask(&kv, Update, "config", json!({"foo": 1})).await.unwrap();
    assert!(view.get(&format!("{}/config", super::UUID)).await.unwrap().is_none());
    ask(&kv, Update, "config", json!({"max_versions": 5, "delete_version_after": "2h", "metadata_cas_required": true})).await.unwrap();
    ask(&kv, Update, "config", json!({"delete_version_after": "-5h"})).await.unwrap();
    let expected = json!({"cas_required": false, "delete_version_after": "-1s", "max_versions": 5, "metadata_cas_required": true});
    assert_eq!(data(&kv, Read, "config", json!({})).await, expected);
    assert_eq!(data(&Kv::new(view, super::UUID), Read, "config", json!({})).await, expected);
    assert_eq!(
        refusal(&kv, Update, "config", json!({"max_versions": "x"})).await,
        "Field validation failed: error converting input for field \"max_versions\": '' cannot parse value as 'int': strconv.ParseInt: invalid syntax"
    );
}

#[tokio::test]
async fn existence_is_told_of_secrets_and_metadata() {
    let kv = kv().await;
    put(&kv, "x", 1).await;
    for (path, expected) in [
        ("data/x", Some(true)),
        ("metadata/x", Some(true)),
        ("data/y", Some(false)),
        ("data/", Some(false)),
        ("data/a//b", Some(false)),
        ("config", None),
        ("delete/x", None),
    ] {
        assert_eq!(kv.exists(&request(Update, path, json!({}))).await.unwrap(), expected, "{path}");
    }
}
