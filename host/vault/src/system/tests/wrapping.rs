//! Wrapped answers, from the request to the one who unwraps.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::core::Core;
use crate::core::tests::{Vault, call, data, request};
use crate::logical::{Error, Operation, Request, Response, Result, WrapInfo};

const MINUTE: Duration = Duration::from_secs(60);
const INVALID: &str = "wrapping token is not valid or does not exist";

async fn wrapped(core: &Arc<Core>, token: &str, operation: Operation, path: &str, body: Value) -> Result<Response> {
    core.handle(Request { wrap_ttl: Some(MINUTE), ..request(Some(token), operation, path, body) }).await
}

async fn info(vault: &Vault, operation: Operation, path: &str, body: Value) -> WrapInfo {
    let response = wrapped(&vault.core, &vault.root, operation, path, body).await.unwrap();
    assert!(response.data.is_none() && response.auth.is_none() && response.raw.is_none(), "{response:?}");
    *response.wrap_info.unwrap()
}

fn body(response: Response) -> Value {
    serde_json::from_str(&response.raw.unwrap()).unwrap()
}

fn text(result: Result<Response>) -> String {
    result.unwrap_err().to_string()
}

async fn unwrap(vault: &Vault, token: &str) -> Result<Value> {
    vault.write("sys/wrapping/unwrap", json!({ "token": token })).await.map(body)
}

#[tokio::test]
async fn an_answer_is_unwrapped_once() {
    let vault = Vault::new().await;
    vault.write("cubbyhole/a", json!({"k": "v"})).await.unwrap();
    let wrapping = info(&vault, Operation::Read, "cubbyhole/a", Value::Null).await;
    assert_eq!((wrapping.ttl, wrapping.creation_path.as_str(), wrapping.wrapped_accessor.as_str()), (MINUTE, "cubbyhole/a", ""));
    let token = wrapping.token.as_str();
    let shown = data(vault.write("auth/token/lookup", json!({ "token": token })).await.unwrap());
    for (member, value) in [
        ("policies", json!(["response-wrapping"])),
        ("num_uses", json!(1)),
        ("path", json!("cubbyhole/a")),
        ("orphan", json!(true)),
        ("creation_ttl", json!(60)),
        ("explicit_max_ttl", json!(60)),
        ("renewable", json!(false)),
    ] {
        assert_eq!(shown[member], value, "{member}");
    }
    // Looked up without a token, or with this one, and not used up by it.
    for asked in [
        call(&vault.core, None, Operation::Update, "sys/wrapping/lookup", json!({ "token": token })).await,
        call(&vault.core, Some(token), Operation::Read, "sys/wrapping/lookup", Value::Null).await,
    ] {
        let found = data(asked.unwrap());
        assert_eq!(found, json!({"creation_path": "cubbyhole/a", "creation_time": wrapping.creation_time, "creation_ttl": 60}));
    }
    assert_eq!(unwrap(&vault, token).await.unwrap()["data"], json!({"k": "v"}));
    assert_eq!(unwrap(&vault, token).await.unwrap_err().to_string(), INVALID);
    assert!(vault.core.active().unwrap().tokens.lookup_accessor(&wrapping.accessor).await.unwrap().is_none());
}

#[tokio::test]
async fn a_jwt_unwraps_as_its_token_does_and_does_nothing_else() {
    let vault = Vault::new().await;
    let wrap = async || {
        let asked = request(Some(&vault.root), Operation::Update, "sys/wrapping/wrap", json!({"a": "b"}));
        let answer = vault.core.handle(Request { wrap_ttl: Some(MINUTE), wrap_jwt: true, ..asked }).await.unwrap();
        assert_eq!(answer.warnings, Vec::<String>::new());
        answer.wrap_info.unwrap().token.to_string()
    };
    let jwt = wrap().await;
    assert!(jwt.starts_with("eyJ") && vault.memory.snapshot().contains_key("core/wrapping/jwtkey"));
    for asked in [
        call(&vault.core, None, Operation::Update, "sys/wrapping/lookup", json!({ "token": jwt })).await,
        call(&vault.core, Some(&jwt), Operation::Read, "sys/wrapping/lookup", Value::Null).await,
    ] {
        assert_eq!(data(asked.unwrap())["creation_path"], "sys/wrapping/wrap");
    }
    for (path, token) in [("auth/token/lookup-self", jwt.as_str()), ("cubbyhole/response", &jwt)] {
        assert!(matches!(call(&vault.core, Some(token), Operation::Read, path, Value::Null).await, Err(Error::Forbidden(_))), "{path}");
    }
    // Wrapped anew it gets a plain token, as from Vault.
    let asked = request(Some(&vault.root), Operation::Update, "sys/wrapping/rewrap", json!({ "token": jwt }));
    let again = vault.core.handle(Request { wrap_jwt: true, ..asked }).await.unwrap().wrap_info.unwrap();
    assert!(again.token.starts_with("hvs."));
    assert_eq!(text(vault.write("sys/wrapping/unwrap", json!({ "token": jwt })).await), INVALID);
    assert_eq!(unwrap(&vault, &again.token).await.unwrap()["data"], json!({"a": "b"}));
    // By itself, and once.
    let own = wrap().await;
    let by_itself = async || call(&vault.core, Some(&own), Operation::Update, "sys/wrapping/unwrap", Value::Null).await;
    assert_eq!(body(by_itself().await.unwrap())["data"], json!({"a": "b"}));
    assert_eq!(text(by_itself().await), INVALID);
    let (other, signature) = (Vault::new().await, "error validating wrapping token: wrapping token signature could not be validated");
    assert_eq!(text(other.write("sys/wrapping/unwrap", json!({ "token": own })).await), signature);
}

#[tokio::test]
async fn the_accessor_of_a_secret_id_that_is_wrapped_is_told() {
    let vault = Vault::new().await;
    vault.write("sys/auth/approle", json!({"type": "approle"})).await.unwrap();
    vault.write("auth/approle/role/r", json!({})).await.unwrap();
    let wrapping = info(&vault, Operation::Update, "auth/approle/role/r/secret-id", json!({})).await;
    let unwrapped = unwrap(&vault, &wrapping.token).await.unwrap();
    assert_eq!(unwrapped["data"]["secret_id_accessor"], wrapping.wrapped_accessor);
    assert!(!wrapping.wrapped_accessor.is_empty());
}

#[tokio::test]
async fn whoever_has_the_token_and_nothing_else_unwraps() {
    let vault = Vault::new().await;
    let wrapping = info(&vault, Operation::Update, "sys/wrapping/wrap", json!({"foo": "bar", "n": 1.50})).await;
    let core = &vault.core;
    let own = |operation, path: &'static str| call(core, Some(&wrapping.token), operation, path, Value::Null);
    let found = own(Operation::Update, "sys/wrapping/unwrap").await.unwrap();
    assert_eq!(body(found)["data"], json!({"foo": "bar", "n": 1.50}));
    assert_eq!(text(own(Operation::Update, "sys/wrapping/unwrap").await), INVALID);
    // The old way.
    let wrapping = info(&vault, Operation::Update, "sys/wrapping/wrap", json!({})).await;
    let read = call(core, Some(&wrapping.token), Operation::Read, "cubbyhole/response", Value::Null).await.unwrap();
    assert!(read.warnings[0].starts_with("Reading from 'cubbyhole/response' is deprecated"));
    let inner: Value = serde_json::from_str(data(read)["response"].as_str().unwrap()).unwrap();
    assert_eq!(inner["data"], json!({}));
    assert!(matches!(
        call(core, Some(&wrapping.token), Operation::Read, "cubbyhole/response", Value::Null).await,
        Err(Error::Forbidden(_))
    ));
}

#[tokio::test]
async fn a_token_is_wrapped_with_its_accessor_shown() {
    let vault = Vault::new().await;
    let wrapping = info(&vault, Operation::Update, "auth/token/create", json!({"policies": ["default"]})).await;
    let auth = unwrap(&vault, &wrapping.token).await.unwrap()["auth"].take();
    assert_eq!(auth["accessor"], wrapping.wrapped_accessor);
    assert!(auth["client_token"].as_str().unwrap().starts_with("hvs."));
    assert!(call(&vault.core, auth["client_token"].as_str(), Operation::Read, "auth/token/lookup-self", Value::Null).await.is_ok());
}

#[tokio::test]
async fn an_answer_is_wrapped_again_for_another_to_unwrap() {
    let vault = Vault::new().await;
    let first = info(&vault, Operation::Update, "sys/wrapping/wrap", json!({"foo": "bar"})).await;
    let again = vault.write("sys/wrapping/rewrap", json!({ "token": first.token.as_str() })).await.unwrap().wrap_info.unwrap();
    assert!(*again.token != *first.token && again.creation_path == "sys/wrapping/wrap" && again.ttl == MINUTE);
    assert_eq!(unwrap(&vault, &first.token).await.unwrap_err().to_string(), INVALID);
    assert_eq!(unwrap(&vault, &again.token).await.unwrap()["data"], json!({"foo": "bar"}));
}

#[tokio::test]
async fn an_answer_with_a_status_of_its_own_keeps_it() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/kv", json!({"type": "kv-v2"})).await.unwrap();
    vault.write("kv/data/a", json!({"data": {"k": "v"}})).await.unwrap();
    vault.call(Operation::Delete, "kv/data/a", Value::Null).await.unwrap();
    let wrapping = info(&vault, Operation::Read, "kv/data/a", Value::Null).await;
    let found = vault.write("sys/wrapping/unwrap", json!({ "token": wrapping.token.as_str() })).await.unwrap();
    assert_eq!(found.status, Some(404));
    assert_eq!(body(found)["data"]["metadata"]["version"], 1);
}

#[tokio::test]
async fn what_is_no_wrapping_is_refused_and_nothing_is_used_up() {
    let vault = Vault::new().await;
    for path in ["unwrap", "rewrap", "lookup"] {
        let path = format!("sys/wrapping/{path}");
        for named in [json!({"token": "nope"}), json!({ "token": vault.root }), json!({})] {
            assert_eq!(text(vault.write(&path, named).await), INVALID, "{path}");
        }
        let nobody = call(&vault.core, None, Operation::Update, &path, json!({})).await;
        assert_eq!(text(nobody), "error validating wrapping token: token is empty");
    }
    assert_eq!(text(vault.write("sys/wrapping/wrap", json!({"a": 1})).await), "endpoint requires response wrapping to be used");
    // Without a token that may unwrap, the wrapping's token in the body is not enough, and stays good.
    let wrapping = info(&vault, Operation::Update, "sys/wrapping/wrap", json!({"a": 1})).await;
    let named = json!({ "token": wrapping.token.as_str() });
    assert_eq!(text(call(&vault.core, None, Operation::Update, "sys/wrapping/unwrap", named.clone()).await), "permission denied");
    let weak = vault.token(r#"path "x" { capabilities = ["read"] }"#).await;
    let bare = vault.write("auth/token/create", json!({"policies": ["test"], "no_default_policy": true})).await.unwrap().auth.unwrap();
    assert!(call(&vault.core, Some(&bare.client_token), Operation::Update, "sys/wrapping/unwrap", named.clone()).await.is_err());
    // `default` allows it.
    assert!(call(&vault.core, Some(&weak), Operation::Update, "sys/wrapping/unwrap", named).await.is_ok());
    // Nothing to wrap, and errors, are answered as they are.
    let empty = wrapped(&vault.core, &vault.root, Operation::Update, "cubbyhole/a", json!({"k": "v"})).await.unwrap();
    assert!(empty.wrap_info.is_none());
    assert!(matches!(wrapped(&vault.core, &vault.root, Operation::Read, "cubbyhole/nope", Value::Null).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn policies_bound_how_long_answers_are_wrapped() {
    let vault = Vault::new().await;
    let rules = r#"path "cubbyhole/*" { capabilities = ["create", "update", "read"] }
        path "cubbyhole/min" { capabilities = ["read"] min_wrapping_ttl = "2m" }
        path "cubbyhole/max" { capabilities = ["read"] min_wrapping_ttl = "1s" max_wrapping_ttl = "90s" }"#;
    let token = vault.token(rules).await;
    let read = async |path: &str, ttl: Option<u64>| {
        let request = request(Some(&token), Operation::Read, &format!("cubbyhole/{path}"), Value::Null);
        vault.core.handle(Request { wrap_ttl: ttl.map(Duration::from_secs), ..request }).await
    };
    for (path, ttl, allowed) in [
        ("any", None, true),
        ("any", Some(5), true),
        ("min", None, false),
        ("min", Some(60), false),
        ("min", Some(120), true),
        ("max", None, false),
        ("max", Some(90), true),
        ("max", Some(91), false),
    ] {
        let answer = read(path, ttl).await;
        let denied = matches!(&answer, Err(Error::Forbidden(_)));
        assert_eq!(!denied, allowed, "{path} {ttl:?}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_wrapped_outlives_a_restart_in_the_form_of_other_servers() {
    let vault = Vault::new().await;
    let wrapping = info(&vault, Operation::Update, "sys/wrapping/wrap", json!({"foo": "bar"})).await;
    vault.core.shutdown().await;
    let vault = vault.reopen(vault.memory.clone()).await.unwrap();
    // As OpenBao left one: its own kind of token, and whole numbers of nanoseconds.
    let tokens = vault.core.active().unwrap().tokens.clone();
    let entry = tokens.wrapping_token(&wrapping.token).await.unwrap();
    assert_eq!(
        tokens.wrapped_info(&entry).await.unwrap(),
        (Some(MINUTE), Some(wrapping.creation_time.clone()), Some("sys/wrapping/wrap".to_owned()))
    );
    assert_eq!(unwrap(&vault, &wrapping.token).await.unwrap()["data"], json!({"foo": "bar"}));
}
