//! The way of a request: token, policies, routing.

use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::{Vault, call, data, request};
use crate::logical::{Error, Operation};

fn denied(error: &Error) -> bool {
    matches!(error, Error::Forbidden(text) if text.contains("permission denied"))
}

async fn kv() -> Vault {
    let vault = Vault::new().await;
    vault.write("sys/mounts/secret", json!({"type": "kv-v2"})).await.unwrap();
    vault.write("sys/mounts/one", json!({"type": "kv"})).await.unwrap();
    vault
}

#[tokio::test]
async fn without_a_valid_token_everything_is_denied_but_the_public_list_of_mounts() {
    let vault = kv().await;
    for token in [None, Some(""), Some("nope"), Some("hvs.nope")] {
        for path in ["sys/mounts", "secret/data/x", "auth/token/lookup-self", "nope/x", "sys/nope", "sys/internal/ui/mounts/secret"] {
            let error = call(&vault.core, token, Operation::Read, path, Value::Null).await.unwrap_err();
            assert!(matches!(&error, Error::Forbidden(_) | Error::PermissionDenied), "{token:?} {path}: {error:?}");
            assert_eq!(error.to_string(), "permission denied");
        }
    }
    assert!(call(&vault.core, Some("nope"), Operation::Read, "sys/internal/ui/mounts", Value::Null).await.is_err());
    vault.write("sys/mounts/secret/tune", json!({"listing_visibility": "unauth"})).await.unwrap();
    let public = call(&vault.core, None, Operation::Read, "sys/internal/ui/mounts", Value::Null).await.unwrap();
    assert_eq!(data(public), json!({"auth": {}, "secret": {"secret/": {"type": "kv", "description": "", "options": {"version": "2"}}}}));
}

#[tokio::test]
async fn a_policy_allows_what_it_names_and_nothing_else() {
    let vault = kv().await;
    let token = vault
        .token(r#"path "secret/data/a" { capabilities = ["create", "read"] } path "one/*" { capabilities = ["update", "list"] }"#)
        .await;
    let ask = |operation, path, body| call(&vault.core, Some(&token), operation, path, body);
    ask(Operation::Update, "secret/data/a", json!({"data": {"k": 1}})).await.unwrap();
    assert_eq!(data(ask(Operation::Read, "secret/data/a", Value::Null).await.unwrap())["data"], json!({"k": 1}));
    // Now it is there, and a write would be an update.
    for (operation, path) in [
        (Operation::Update, "secret/data/a"),
        (Operation::Delete, "secret/data/a"),
        (Operation::Read, "secret/data/b"),
        (Operation::List, "secret/metadata"),
        (Operation::Update, "one/new"),
        (Operation::Read, "one/new"),
        (Operation::Read, "sys/mounts"),
        (Operation::Read, "no/such/mount"),
    ] {
        let error = ask(operation, path, json!({"data": {"k": 2}})).await.unwrap_err();
        assert!(denied(&error), "{operation:?} {path}: {error:?}");
    }
    vault.write("one/new", json!({"k": 1})).await.unwrap();
    ask(Operation::Update, "one/new", json!({"k": 2})).await.unwrap();
    assert_eq!(data(ask(Operation::List, "one", Value::Null).await.unwrap()), json!({"keys": ["new"]}));
}

#[tokio::test]
async fn parameters_count_for_every_request() {
    let vault = kv().await;
    let token = vault
        .token(
            r#"path "one/a" { capabilities = ["create", "update"] allowed_parameters = { "k" = ["good"] } required_parameters = ["k"] }"#,
        )
        .await;
    let ask = |body| call(&vault.core, Some(&token), Operation::Update, "one/a", body);
    ask(json!({"k": "good"})).await.unwrap();
    for body in [json!({"k": "bad"}), json!({"other": "good"}), json!({}), json!({"k": "good", "other": 1})] {
        assert!(denied(&ask(body.clone()).await.unwrap_err()), "{body}");
    }
}

#[tokio::test]
async fn some_paths_want_sudo() {
    let vault = kv().await;
    let all = r#"path "*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
    let token = vault.token(all).await;
    for (operation, path) in [(Operation::Update, "sys/seal"), (Operation::Update, "sys/rotate"), (Operation::List, "auth/token/accessors")]
    {
        assert!(denied(&call(&vault.core, Some(&token), operation, path, Value::Null).await.unwrap_err()), "{path}");
    }
    call(&vault.core, Some(&token), Operation::Read, "sys/mounts", Value::Null).await.unwrap();
    assert!(!vault.core.seal_status().await.unwrap().sealed);
    let token = vault.token(r#"path "sys/seal" { capabilities = ["update", "sudo"] }"#).await;
    call(&vault.core, Some(&token), Operation::Update, "sys/seal", Value::Null).await.unwrap();
    assert!(vault.core.seal_status().await.unwrap().sealed);
}

#[tokio::test]
async fn a_slash_at_the_end_gets_around_no_policy() {
    let vault = kv().await;
    let ask = async |token: &str, operation, path: &str| call(&vault.core, Some(token), operation, path, json!({"type": "kv"})).await;
    for path in ["sys/seal/", "sys/rotate/", "sys/mounts/", "sys/mounts/new/", "cubbyhole/a/", "one/a/", "secret/data/a/"] {
        for operation in [Operation::Update, Operation::Patch] {
            let error = ask(&vault.root, operation, path).await.unwrap_err();
            assert!(matches!(&error, Error::BadRequest(text) if text == "cannot write to a path ending in '/'"), "{path}: {error:?}");
        }
    }
    assert!(!vault.core.seal_status().await.unwrap().sealed);
    let all =
        r#"path "*" { capabilities = ["create", "read", "update", "delete", "list"] } path "sys/mounts/one" { capabilities = ["deny"] }"#;
    let token = vault.token(all).await;
    for (operation, path) in
        [(Operation::Delete, "sys/mounts/one/"), (Operation::Read, "sys/mounts/one/"), (Operation::Read, "sys/leases/")]
    {
        assert!(denied(&ask(&token, operation, path).await.unwrap_err()), "{path}");
    }
    for path in ["auth/token/lookup-self/", "sys/key-status/"] {
        assert!(matches!(ask(&token, Operation::Read, path).await, Err(Error::NoRoute(_))), "{path}");
        ask(&token, Operation::Read, path.trim_end_matches('/')).await.unwrap();
    }
    ask(&token, Operation::Read, "sys/mounts/secret/").await.unwrap();
    ask(&token, Operation::Delete, "sys/mounts/secret/").await.unwrap();
}

#[tokio::test]
async fn sealing_and_stepping_down_take_writes_only_and_are_done_where_it_is_sealed() {
    let vault = kv().await;
    for sealed in [false, true] {
        for path in ["sys/seal", "sys/step-down"] {
            for operation in [Operation::Read, Operation::List, Operation::Delete] {
                let error = call(&vault.core, None, operation, path, Value::Null).await.unwrap_err();
                assert!(matches!(error, Error::WrongMethod), "{path}: {error:?}");
            }
            assert_eq!(call(&vault.core, None, Operation::Update, path, Value::Null).await.is_ok(), sealed, "{path}");
        }
        vault.core.shutdown().await;
    }
}

#[tokio::test]
async fn a_token_with_a_number_of_uses_has_that_many_denied_ones_included() {
    let vault = kv().await;
    let made = vault.write("auth/token/create", json!({"policies": ["default"], "num_uses": 3})).await.unwrap();
    let token = made.auth.unwrap().client_token.to_string();
    let ask = |path| call(&vault.core, Some(&token), Operation::Read, path, Value::Null);
    ask("auth/token/lookup-self").await.unwrap();
    assert!(denied(&ask("sys/mounts").await.unwrap_err()));
    assert_eq!(data(ask("auth/token/lookup-self").await.unwrap())["num_uses"], json!(-1));
    assert!(matches!(ask("auth/token/lookup-self").await, Err(Error::Forbidden(_) | Error::PermissionDenied)));
}

#[tokio::test]
async fn paths_that_no_mount_answers_say_so() {
    let vault = kv().await;
    for path in ["nope/x", "auth/nope", "auth"] {
        let error = vault.read(path).await.unwrap_err();
        assert_eq!(error.to_string(), format!("no handler for route {path:?}. route entry not found."));
        assert!(matches!(error, Error::NoRoute(_)));
    }
    for path in ["secret/data/../x", "secret//data/x", "/secret/data/x"] {
        assert!(matches!(vault.read(path).await, Err(Error::BadRequest(_))), "{path}");
    }
}

#[tokio::test]
async fn cubbyholes_belong_to_their_tokens() {
    let vault = kv().await;
    let token = vault.token(r#"path "unused" { capabilities = ["read"] }"#).await;
    call(&vault.core, Some(&token), Operation::Update, "cubbyhole/mine", json!({"k": "v"})).await.unwrap();
    assert_eq!(data(call(&vault.core, Some(&token), Operation::Read, "cubbyhole/mine", Value::Null).await.unwrap()), json!({"k": "v"}));
    assert!(matches!(vault.read("cubbyhole/mine").await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_mutation_runs_to_its_end_though_its_client_goes_away() {
    let vault = kv().await;
    let core = vault.core.clone();
    let root = vault.root.clone();
    let write = async move { core.handle(request(Some(&root), Operation::Update, "one/kept", json!({"k": "v"}))).await };
    // Polled once, which begins it, and dropped.
    assert!(write.now_or_never().is_none());
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
        if let Ok(found) = vault.read("one/kept").await {
            assert_eq!(found, json!({"k": "v"}));
            return;
        }
    }
    panic!("the write was dropped");
}
