//! What our server stores, opened by others, and what the real server stored, opened by ours.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::process::{Server, bao, script, succeed};

const LIMIT: Duration = Duration::from_secs(180);

/// Fills a fresh server, ends it, and gives back its unseal keys and its root token.
fn fill(dir: &Path) -> (Vec<String>, String) {
    let mut server = Server::on(dir, "");
    let keys = server.initialise(5, 3);
    server.done("POST", "sys/mounts/secret", Some(json!({"type": "kv", "options": {"version": "2"}})));
    server.done("POST", "sys/mounts/plain", Some(json!({"type": "kv", "options": {"version": "1"}})));
    server.done("PUT", "sys/policies/acl/reader", Some(json!({"policy": "path \"secret/data/*\" { capabilities = [\"read\"] }"})));
    server.done("POST", "secret/data/app/db/main", Some(json!({"data": {"user": "first"}})));
    server.done("PUT", "sys/rotate", None);
    server.done("POST", "secret/data/app/db/main", Some(json!({"data": {"user": "second", "note": "gr\u{fc}n"}})));
    server.done("POST", "secret/data/app/db", Some(json!({"data": {"x": "1"}})));
    server.done("POST", "secret/data/gone", Some(json!({"data": {"x": "1"}})));
    server.done("DELETE", "secret/data/gone", None);
    server.done("POST", "secret/data/lost", Some(json!({"data": {"x": "1"}})));
    server.done("PUT", "secret/destroy/lost", Some(json!({"versions": [1]})));
    server.done("POST", "plain/a/b", Some(json!({"n": "1"})));
    server.done("POST", "auth/token/create", Some(json!({"policies": ["reader"], "ttl": "20h"})));
    server.stop();
    (keys, server.token.clone())
}

fn expected() -> Value {
    json!({
        "secret/": {
            "app/db/main": {"current": 2, "versions": {"1": {"user": "first"}, "2": {"user": "second", "note": "gr\u{fc}n"}}},
            "app/db": {"current": 1, "versions": {"1": {"x": "1"}}},
            "gone": {"current": 1, "versions": {"1": "deleted"}},
            "lost": {"current": 1, "versions": {"1": "destroyed"}},
        },
        "plain/": {"a/b": {"n": "1"}},
    })
}

#[test]
fn a_stranger_opens_our_store_from_its_unseal_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, root) = fill(dir.path());
    let output = succeed(script("open_store.py").arg(dir.path().join("data")).args([&keys[4], &keys[0], &keys[2]]), LIMIT);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["secrets"], expected());
    assert_eq!(found["terms"], json!([1, 2]));
    // Both Vault and OpenBao open a store with these: see the formats' facts on lock-outs and on Vault's legacy reading.
    assert_eq!(found["root_key_entries"], json!(["core/master"]));
    assert_eq!(found["seal"]["stored_shares"], 1);
    assert_eq!((&found["seal"]["secret_shares"], &found["seal"]["secret_threshold"]), (&json!(5), &json!(3)));
    assert_eq!(found["mount_table"], "single");
    assert_eq!(found["mounts"]["sys/"], "system");
    assert_eq!(found["mounts"]["cubbyhole/"], "cubbyhole");
    assert_eq!(found["mounts"]["identity/"], "identity");
    assert_eq!(found["auth"]["token/"], "token");
    assert_eq!(found["policies"]["reader"], "path \"secret/data/*\" { capabilities = [\"read\"] }");
    let tokens = found["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 2);
    // The stored id is the token without its signed wrapping, so only its policies are compared.
    assert!(tokens.iter().any(|token| token["policies"] == json!(["root"])), "{root} is not stored: {tokens:?}");
    assert!(tokens.iter().any(|token| token["policies"] == json!(["default", "reader"])));
}

#[test]
fn the_real_server_takes_over_our_store() {
    let (dir, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (keys, root) = fill(dir.path());
    let mut command = script("exchange.py");
    command.arg("to-bao").arg("--bao").arg(bao()).arg("--work").arg(work.path());
    command.arg("--directory").arg(dir.path().join("data")).args(["--token", &root]);
    for key in keys.iter().take(3) {
        command.args(["--share", key]);
    }
    command.arg("secret/data/app/db/main={\"user\": \"second\", \"note\": \"gr\u{fc}n\"}");
    command.args(["secret/data/app/db={\"x\": \"1\"}", "plain/a/b={\"n\": \"1\"}"]);
    succeed(&mut command, LIMIT);
}

#[test]
fn our_server_takes_over_a_store_of_the_real_one() {
    let (dir, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut command: Command = script("exchange.py");
    command.arg("from-bao").arg("--bao").arg(bao()).arg("--work").arg(work.path()).arg("--directory").arg(dir.path().join("data"));
    let made: Value = serde_json::from_slice(&succeed(&mut command, LIMIT).stdout).unwrap();
    let keys: Vec<String> = serde_json::from_value(made["shares"].clone()).unwrap();
    let mut server = Server::on(dir.path(), "");
    server.unseal(&keys[1..4]);
    for token in ["token", "child"] {
        server.token = made[token].as_str().unwrap().to_owned();
        for (path, value) in made["secrets"].as_object().unwrap() {
            // The child's policy covers kv v2 only.
            if token == "child" && path.starts_with("plain/") {
                assert_eq!(server.call("GET", path, None).0, 403);
                continue;
            }
            let answer = server.done("GET", path, None);
            let found = if path.starts_with("plain/") { &answer["data"] } else { &answer["data"]["data"] };
            assert_eq!(found, value, "{path}");
        }
    }
    server.token = made["token"].as_str().unwrap().to_owned();
    let versions = server.done("GET", "secret/metadata/app/db/main", None);
    assert_eq!(versions["data"]["current_version"], 2);
    assert_eq!(server.done("LIST", "secret/metadata/app", None)["data"]["keys"], json!(["db", "db/"]));
    assert_eq!(server.call("GET", "secret/data/gone", None).0, 404);
    server.done("POST", "secret/data/app/db/main", Some(json!({"data": {"user": "third"}})));
    assert_eq!(server.done("GET", "secret/data/app/db/main", None)["data"]["metadata"]["version"], 3);
}
