//! What the grant keeps from the guest, and what it refuses it.

use std::fs;

use cofferdam_http::{AddedHeader, Secret};
use serde_json::{Value, json};

use super::*;
use crate::conformance::delete;

/// An etcd that wants a token, and the token of its root.
fn guarded() -> Option<(Etcd, String)> {
    let etcd = Etcd::start().unwrap()?;
    let ask = |path: &str, body: Value| -> Value {
        let mut answer = ureq::post(format!("{}/v3/auth/{path}", etcd.endpoint())).send_json(body).unwrap();
        answer.body_mut().read_json().unwrap()
    };
    ask("user/add", json!({"name": "root", "password": "correct horse"}));
    ask("role/add", json!({"name": "root"}));
    ask("user/grant", json!({"user": "root", "role": "root"}));
    ask("enable", json!({}));
    let token = ask("authenticate", json!({"name": "root", "password": "correct horse"}))["token"].as_str().unwrap().to_owned();
    Some((etcd, token))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_added_that_the_guest_never_has() {
    let Some((etcd, token)) = guarded() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let ground = Ground::on(&etcd);
    // Without it etcd refuses, and the error says so.
    let error = ground.open_with(None).await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("user name is empty"), "{error}");

    fs::write(&file, &token).unwrap();
    let header = AddedHeader { name: "authorization".to_owned(), prefix: String::new(), source: Secret::File(file.clone()) };
    let ground = Ground { rule: Rule { headers: vec![header], ..ground.rule }, ..ground };
    let storage = ground.open().await;
    put(&*storage, "a/b", "kept").await;
    assert_eq!(get(&*storage, "a/b").await.unwrap(), "kept");

    // Replaced by one that etcd does not know, it counts at once, in words that do not repeat it; replaced again, all goes on.
    fs::write(&file, "nonsense.1").unwrap();
    let refused = storage.get(&key("a/b")).await.unwrap_err();
    assert!(matches!(&refused, Error::Denied(text) if text.contains("invalid auth token") && !text.contains("nonsense")), "{refused:?}");
    fs::remove_file(&file).unwrap();
    let missing = storage.get(&key("a/b")).await.unwrap_err();
    assert!(matches!(missing, Error::Unavailable(_)), "{missing:?}");
    fs::write(&file, &token).unwrap();
    assert_eq!(get(&*storage, "a/b").await.unwrap(), "kept");
    delete(&*storage, "a/b").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_grant_does_not_name_is_denied() {
    let Some(ground) = Ground::new() else { return };
    let elsewhere = Rule::new(Scheme::Http, "127.0.0.2", 2379);
    let get_alone = Rule { methods: Some(vec![Method::GET]), ..ground.rule.clone() };
    let other_path = Rule { path_prefixes: vec!["/v3/lease".to_owned()], ..ground.rule.clone() };
    for wrong in [elsewhere, get_alone, other_path] {
        let ground = Ground { endpoint: ground.endpoint.clone(), prefix: ground.prefix.clone(), rule: wrong };
        match ground.open_with(None).await.map(|_| ()).unwrap_err() {
            OpenError::Guest { error: Error::Denied(text), .. } => assert!(text.contains("refused"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_grant_it_does_not_load() {
    let (runtime, component) = &*GUEST;
    let error = runtime.storage(component, StorageConfig::new("etcd")).await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("http"), "{error}");
}
