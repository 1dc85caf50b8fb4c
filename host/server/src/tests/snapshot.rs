//! Snapshots over HTTP: out as a stream, in from one, and only for who may.

use serde_json::json;

use super::{Running, errors, listener};

const PATH: &str = "sys/storage/raft/snapshot";

#[tokio::test]
async fn a_store_goes_out_and_comes_in_again_for_who_may() {
    let (running, root) = Running::unsealed().await;
    let client = &running.client;
    for (name, rules) in [("saver", "capabilities = [\"read\", \"update\"]"), ("restorer", "capabilities = [\"update\", \"sudo\"]")] {
        let body = json!({ "policy": format!("path \"{PATH}*\" {{ {rules} }}") }).to_string();
        assert_eq!(client.send("PUT", &format!("sys/policies/acl/{name}"), Some(&root), &body).await.status, 204);
    }
    let token = async |policy: &str| {
        let made = client.send("POST", "auth/token/create", Some(&root), &json!({ "policies": [policy] }).to_string()).await;
        made.json()["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    let (saver, restorer) = (token("saver").await, token("restorer").await);
    for (method, path, token) in [
        ("GET", PATH, None),
        ("GET", PATH, Some(&restorer)),
        ("POST", PATH, Some(&saver)),
        ("PUT", "sys/storage/raft/snapshot-force", Some(&saver)),
        ("PUT", PATH, None),
    ] {
        assert_eq!(client.send(method, path, token.map(String::as_str), "").await.status, 403, "{method} {path}");
    }
    assert_eq!(client.send("DELETE", PATH, Some(&root), "").await.status, 405);
    assert_eq!(client.send("GET", "sys/storage/raft/snapshot-force", Some(&root), "").await.status, 405);

    let saved = client.send("GET", PATH, Some(&saver), "").await;
    assert_eq!((saved.status, saved.header("content-type")), (200, "application/gzip"));
    let archive = saved.unchunked();
    // More than the bound of a body.
    let refused = client.send_bytes("POST", PATH, &restorer, &archive[..archive.len() / 2]).await;
    assert_eq!((refused.status, errors(&refused)), (500, json!(["failed to read snapshot: it is cut off"])));
    let refused = client.send_bytes("POST", PATH, &restorer, b"no archive at all").await;
    assert_eq!(refused.status, 500, "{refused:?}");
    assert_eq!(client.send("GET", "auth/token/lookup-self", Some(&root), "").await.status, 200);

    let restored = client.send_bytes("POST", PATH, &restorer, &archive).await;
    assert_eq!(restored.status, 204, "{restored:?}");
    assert_eq!(client.send("GET", "sys/seal-status", None, "").await.json()["sealed"], true);
    running.stop().await;
}

#[tokio::test]
async fn a_sealed_server_gives_and_takes_nothing() {
    let running = Running::start(listener(None)).await;
    for (method, path) in [("GET", PATH), ("POST", PATH), ("PUT", "sys/storage/raft/snapshot-force")] {
        assert_eq!(running.client.send(method, path, Some("x"), "").await.status, 503, "{method} {path}");
    }
    running.stop().await;
}
