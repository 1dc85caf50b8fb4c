//! Through a whole vault: what becomes of a login.

use cofferdam_test_support::Cut;
use serde_json::{Value, json};

use super::once;
use crate::core::tests::{Vault, call, data};
use crate::logical::{Auth, Error, Operation, Response, Result};

async fn vault() -> Vault {
    let vault = Vault::new().await;
    vault.write("sys/auth/approle", json!({"type": "approle"})).await.unwrap();
    vault.write("sys/policies/acl/p", json!({"policy": r#"path "one/*" { capabilities = ["read"] }"#})).await.unwrap();
    role(&vault, "approle", "r", json!({"token_policies": "P,p", "token_ttl": "1h", "token_max_ttl": "2h"})).await;
    vault
}

async fn role(vault: &Vault, mount: &str, name: &str, mut body: Value) {
    body["role_id"] = name.into();
    vault.write(&format!("auth/{mount}/role/{name}"), body).await.unwrap();
    vault.write(&format!("auth/{mount}/role/{name}/custom-secret-id"), json!({"secret_id": "s"})).await.unwrap();
}

async fn log_in(vault: &Vault, mount: &str, role: &str) -> Result<Response> {
    let body = json!({"role_id": role, "secret_id": "s"});
    call(&vault.core, None, Operation::Update, &format!("auth/{mount}/login"), body).await
}

async fn auth(vault: &Vault, mount: &str, role: &str) -> Box<Auth> {
    log_in(vault, mount, role).await.unwrap().auth.unwrap()
}

async fn look_up(vault: &Vault, token: &str) -> Result<Value> {
    call(&vault.core, Some(token), Operation::Read, "auth/token/lookup-self", Value::Null).await.map(data)
}

async fn renew(vault: &Vault, token: &str, increment: &str) -> Result<Response> {
    call(&vault.core, Some(token), Operation::Update, "auth/token/renew-self", json!({ "increment": increment })).await
}

#[tokio::test]
async fn a_login_makes_a_token_with_a_lease() {
    let vault = vault().await;
    let answer = log_in(&vault, "approle", "r").await.unwrap();
    assert!(answer.data.is_none() && answer.login.is_none() && answer.warnings.is_empty());
    let auth = answer.auth.unwrap();
    assert_eq!(auth.policies, ["default", "p"]);
    assert_eq!(auth.token_policies, auth.policies);
    assert_eq!(Value::Object(auth.metadata.clone().unwrap()), json!({"role_name": "r"}));
    assert_eq!((auth.lease_duration.as_secs(), auth.renewable, auth.orphan, auth.token_type.as_str()), (3600, true, true, "service"));
    let shown = look_up(&vault, &auth.client_token).await.unwrap();
    for (name, value) in [
        ("display_name", json!("approle")),
        ("path", json!("auth/approle/login")),
        ("policies", json!(["default", "p"])),
        ("meta", json!({"role_name": "r"})),
        ("orphan", json!(true)),
        ("creation_ttl", json!(3600)),
        ("renewable", json!(true)),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    let leases = data(vault.call(Operation::List, "sys/leases/lookup/auth/approle/login", Value::Null).await.unwrap());
    let name = leases["keys"][0].as_str().unwrap();
    assert!(name.len() == 65 && name.starts_with('h'), "{name}");
    // The token may what its policies say.
    let denied = call(&vault.core, Some(&auth.client_token), Operation::Read, "sys/mounts", Value::Null).await.unwrap_err();
    assert!(denied.to_string().contains("permission denied"));
}

#[tokio::test]
async fn nobody_is_asked_for_a_token_at_the_login_and_everywhere_else() {
    let vault = vault().await;
    let login = json!({"role_id": "r", "secret_id": "s"});
    for token in [None, Some("nonsense"), Some("")] {
        assert!(call(&vault.core, token, Operation::Update, "auth/approle/login", login.clone()).await.unwrap().auth.is_some());
        for path in ["auth/approle/role/r", "auth/approle/logi", "auth/approle/login/x", "auth/approle", "auth/none/login"] {
            let refused = call(&vault.core, token, Operation::Update, path, login.clone()).await.unwrap_err();
            assert!(matches!(refused, Error::Forbidden(_) | Error::PermissionDenied), "{path}: {refused:?}");
        }
    }
    let sealed = vault.reopen(vault.memory.clone()).await.unwrap();
    sealed.core.shutdown().await;
    assert!(matches!(log_in(&sealed, "approle", "r").await, Err(Error::Sealed)));
}

#[tokio::test]
async fn a_renewal_follows_the_role_as_it_is() {
    let vault = vault().await;
    let token = auth(&vault, "approle", "r").await.client_token;
    let longer = renew(&vault, &token, "90m").await.unwrap();
    assert_eq!(longer.auth.unwrap().lease_duration.as_secs(), 5400);
    let capped = renew(&vault, &token, "9h").await.unwrap();
    assert_eq!(capped.warnings.len(), 1);
    assert!((7199..=7200).contains(&capped.auth.unwrap().lease_duration.as_secs()));
    vault.write("auth/approle/role/r", json!({"token_ttl": "10m", "token_max_ttl": "20m", "token_policies": "root"})).await.unwrap();
    let shorter = renew(&vault, &token, "0").await.unwrap().auth.unwrap();
    assert_eq!((shorter.lease_duration.as_secs(), shorter.policies), (600, vec!["default".to_owned(), "p".to_owned()]));
    vault.write("auth/approle/role/r", json!({"token_period": "5m"})).await.unwrap();
    assert_eq!(renew(&vault, &token, "9h").await.unwrap().auth.unwrap().lease_duration.as_secs(), 300);
    // Another server finds in the store whom to ask.
    let again = vault.reopen(vault.memory.clone()).await.unwrap();
    assert_eq!(renew(&again, &token, "9h").await.unwrap().auth.unwrap().lease_duration.as_secs(), 300);
    vault.call(Operation::Delete, "auth/approle/role/r", Value::Null).await.unwrap();
    let refused = renew(&vault, &token, "1h").await.unwrap_err();
    assert_eq!(refused.to_string(), once("failed to renew entry: role \"r\" does not exist during renewal"));
    assert!(matches!(refused, Error::Refused(_)));
}

#[tokio::test]
async fn no_login_earns_root() {
    let vault = vault().await;
    role(&vault, "approle", "bad", json!({"token_policies": "root,p"})).await;
    assert_eq!(log_in(&vault, "approle", "bad").await.unwrap_err().to_string(), "auth methods cannot create root tokens");
    role(&vault, "approle", "odd", json!({"token_policies": "response-wrapping", "token_no_default_policy": true})).await;
    assert_eq!(log_in(&vault, "approle", "odd").await.unwrap_err().to_string(), "cannot assign policy \"response-wrapping\"");
    role(&vault, "approle", "bare", json!({"token_policies": "p", "token_no_default_policy": true})).await;
    assert_eq!(auth(&vault, "approle", "bare").await.policies, ["p"]);
}

#[tokio::test]
async fn the_mount_has_its_say_about_times_and_kinds() {
    let vault = vault().await;
    vault
        .write("sys/auth/team/app", json!({"type": "approle", "config": {"default_lease_ttl": "7m", "token_type": "batch"}}))
        .await
        .unwrap();
    role(&vault, "team/app", "r", json!({})).await;
    let batch = auth(&vault, "team/app", "r").await;
    assert_eq!((batch.token_type.as_str(), batch.renewable, batch.lease_duration.as_secs()), ("batch", false, 420));
    assert_eq!(look_up(&vault, &batch.client_token).await.unwrap()["display_name"], "team-app");
    vault
        .write("sys/auth/team/app/tune", json!({"token_type": "default-service", "max_lease_ttl": "3m", "default_lease_ttl": "2m"}))
        .await
        .unwrap();
    let shown = vault.read("sys/auth/team/app/tune").await.unwrap();
    assert_eq!((&shown["token_type"], &shown["max_lease_ttl"]), (&json!("default-service"), &json!(180)));
    let service = auth(&vault, "team/app", "r").await;
    assert_eq!((service.token_type.as_str(), service.lease_duration.as_secs()), ("service", 120));
    assert_eq!(renew(&vault, &service.client_token, "1h").await.unwrap().auth.unwrap().lease_duration.as_secs(), 180);
    let made = vault.write("auth/team/app/role/r/secret-id", json!({"ttl": "1h"})).await.map(data).unwrap();
    assert_eq!(made["secret_id_ttl"], 180);
    for (path, body, text) in [
        ("sys/auth/x", json!({"type": "approle", "config": {"token_type": "weird"}}), "invalid value for 'token_type'"),
        ("sys/auth/team/app/tune", json!({"token_type": "weird"}), "invalid value for 'token_type'"),
        ("sys/auth/approle", json!({"type": "approle"}), "path is already in use at approle/"),
        ("sys/auth/team", json!({"type": "approle"}), "path is already in use at team/app/"),
        ("sys/auth/x", json!({"type": "nonsense"}), "plugin not found in the catalog: nonsense"),
    ] {
        assert_eq!(vault.write(path, body).await.unwrap_err().to_string(), text, "{path}");
    }
}

#[tokio::test]
async fn a_token_with_few_uses_and_one_that_is_bound_are_held_to_it() {
    let vault = vault().await;
    role(&vault, "approle", "twice", json!({"token_num_uses": 2})).await;
    let token = auth(&vault, "approle", "twice").await;
    assert_eq!(token.num_uses, 2);
    look_up(&vault, &token.client_token).await.unwrap();
    look_up(&vault, &token.client_token).await.unwrap();
    assert!(look_up(&vault, &token.client_token).await.is_err());
    role(&vault, "approle", "bound", json!({"token_bound_cidrs": "10.0.0.0/8"})).await;
    let bound = auth(&vault, "approle", "bound").await;
    assert!(look_up(&vault, &bound.client_token).await.is_err(), "the request comes from nowhere");
}

#[tokio::test]
async fn the_tokens_of_a_mount_go_with_it() {
    let vault = vault().await;
    vault.write("sys/auth/other", json!({"type": "approle"})).await.unwrap();
    role(&vault, "other", "r", json!({})).await;
    let stays = auth(&vault, "other", "r").await.client_token;
    let goes = auth(&vault, "approle", "r").await;
    vault.call(Operation::Delete, "sys/auth/approle", Value::Null).await.unwrap();
    assert!(look_up(&vault, &goes.client_token).await.is_err());
    look_up(&vault, &stays).await.unwrap();
    assert!(log_in(&vault, "approle", "r").await.is_err());
    assert!(vault.memory.snapshot().keys().all(|key| !key.starts_with("sys/expire/id/auth/approle/")));
    let auths = vault.memory.snapshot().keys().filter(|key| key.starts_with("auth/") && key.ends_with("/salt")).count();
    assert_eq!(auths, 1, "what the mount stored is gone");
    // One that is not there is a success.
    vault.call(Operation::Delete, "sys/auth/approle", Value::Null).await.unwrap();
    let leases = vault.call(Operation::Update, "sys/leases/revoke-prefix/auth/other/login", json!({})).await;
    leases.unwrap();
    assert!(look_up(&vault, &stays).await.is_err());
}

#[tokio::test]
async fn an_unmount_that_was_cut_off_is_finished_with_its_tokens() {
    let vault = vault().await;
    let token = auth(&vault, "approle", "r").await.client_token;
    vault.core.shutdown().await;
    let store = vault.memory.snapshot();
    for writes in 0.. {
        let memory = cofferdam_test_support::Memory::from_snapshot(store.clone());
        let cut = Cut::after(memory.clone(), i64::MAX / 2);
        let server = vault.reopen(cut.clone()).await.unwrap();
        cut.allow(writes);
        let done = server.call(Operation::Delete, "sys/auth/approle", Value::Null).await.is_ok();
        let next = vault.reopen(cofferdam_test_support::Memory::from_snapshot(memory.snapshot())).await.unwrap();
        let mounted = next.read("sys/auth").await.unwrap().get("approle/").is_some();
        assert!(!(done && mounted), "after {writes} writes");
        assert_eq!(look_up(&next, &token).await.is_ok(), mounted, "after {writes} writes");
        if done {
            assert!(writes > 5, "{writes}");
            return;
        }
    }
}
