//! Lockouts: what a mount says of them, who is locked out when, and how they end.

use std::time::Duration;

use serde_json::{Value, json};

use super::text;
use crate::core::tests::{Vault, call, data, unseal};
use crate::logical::{Error, Operation};

const SHOWN: [&str; 4] = ["user_lockout_threshold", "user_lockout_duration", "user_lockout_counter_reset_duration", "user_lockout_disable"];

/// A vault with a role, whose id is `rid` and whose secret id is `right`.
async fn vault() -> Vault {
    let vault = Vault::new().await;
    vault.write("sys/auth/approle", json!({"type": "approle"})).await.unwrap();
    vault.write("auth/approle/role/r", json!({"role_id": "rid"})).await.unwrap();
    vault.write("auth/approle/role/r/custom-secret-id", json!({"secret_id": "right"})).await.unwrap();
    vault
}

async fn tune(vault: &Vault, config: Value) {
    vault.write("sys/auth/approle/tune", json!({ "user_lockout_config": config })).await.unwrap();
}

/// What a login is answered.
async fn log_in(vault: &Vault, role_id: &str, secret_id: &str) -> &'static str {
    let body = json!({"role_id": role_id, "secret_id": secret_id});
    match call(&vault.core, None, Operation::Update, "auth/approle/login", body).await {
        Ok(_) => "in",
        Err(Error::WrongCredentials(text)) if text == "invalid role or secret ID" => "wrong",
        Err(Error::BadRequest(text)) if text == "invalid role or secret ID" => "nobody",
        Err(Error::BadRequest(text)) if text == "missing secret_id" => "missing",
        Err(Error::Forbidden(text)) if text == "permission denied" => "locked",
        other => panic!("{other:?}"),
    }
}

async fn accessor(vault: &Vault) -> String {
    vault.read("sys/auth/approle").await.unwrap()["accessor"].as_str().unwrap().to_owned()
}

async fn locked(vault: &Vault) -> Value {
    vault.read("sys/locked-users").await.unwrap()["by_namespace"][0]["mount_accessors"].take()
}

fn pass(vault: &Vault, seconds: u64) {
    vault.core.active().unwrap().tokens.clock().advance(Duration::from_secs(seconds));
}

#[tokio::test]
async fn a_mount_shows_what_it_was_told() {
    let vault = vault().await;
    let shown = async || {
        let tune = vault.read("sys/auth/approle/tune").await.unwrap();
        let shown = SHOWN.map(|name| tune[name].clone());
        let nested = vault.read("sys/auth/approle").await.unwrap()["config"]["user_lockout_config"].take();
        assert_eq!(SHOWN.map(|name| nested[name].clone()), shown);
        Value::from_iter(shown)
    };
    assert_eq!(shown().await, json!([null, null, null, null]));
    tune(&vault, json!({})).await;
    assert_eq!(shown().await, json!([null, null, null, null]));
    tune(&vault, json!({"lockout_threshold": 3, "lockout_duration": "5m", "lockout_counter_reset_duration": 120})).await;
    assert_eq!(shown().await, json!([3, 300, 120, false]));
    tune(&vault, json!({"lockout_threshold": "4", "lockout_disable": true, "nosuch": 1, "lockout_duration": ""})).await;
    assert_eq!(shown().await, json!([4, 300, 120, true]));
    for (config, expected) in [
        (json!({"lockout_disable": "x"}), "unable to convert given user lockout config information"),
        (json!({"lockout_threshold": -1}), "unable to parse user lockout threshold: strconv.ParseUint: parsing \"-1\": invalid syntax"),
        (json!({"lockout_threshold": "abc"}), "unable to parse user lockout threshold: strconv.ParseUint: parsing \"abc\": invalid syntax"),
        (json!({"lockout_duration": "abc"}), "time: invalid duration \"abc\""),
        (json!({"lockout_duration": -5}), "user_lockout_config.lockout_duration cannot be negative"),
    ] {
        assert_eq!(text(vault.write("sys/auth/approle/tune", json!({ "user_lockout_config": config })).await), expected);
    }
    vault.write("sys/mounts/kv", json!({"type": "kv"})).await.unwrap();
    for (path, kind) in [("auth/token", "token"), ("mounts/kv", "kv")] {
        let refused = vault.write(&format!("sys/{path}/tune"), json!({"user_lockout_config": {"lockout_threshold": 3}})).await;
        assert_eq!(text(refused), format!("tuning of user lockout configuration for auth type {kind:?} not allowed"));
    }
    // As it is stored it is Vault's.
    let again = vault.reopen(vault.memory.clone()).await.unwrap();
    assert_eq!(again.read("sys/auth/approle/tune").await.unwrap()["user_lockout_duration"], 300);
}

#[tokio::test]
async fn too_many_wrong_secret_ids_lock_a_role_out_for_a_while() {
    let vault = vault().await;
    tune(&vault, json!({"lockout_threshold": 2, "lockout_duration": "10m", "lockout_counter_reset_duration": "5m"})).await;
    // Only who exists, and only a secret id that is not right.
    for _ in 0..3 {
        assert_eq!(log_in(&vault, "nosuch", "x").await, "nobody");
        assert_eq!(log_in(&vault, "rid", "").await, "missing");
    }
    assert_eq!(locked(&vault).await, json!([]));
    // A right one, and time, begin the count anew.
    assert_eq!(
        [log_in(&vault, "rid", "x").await, log_in(&vault, "rid", "right").await, log_in(&vault, "rid", "x").await],
        ["wrong", "in", "wrong"]
    );
    pass(&vault, 300);
    assert_eq!(log_in(&vault, "rid", "x").await, "wrong");
    assert_eq!(locked(&vault).await, json!([]));
    assert_eq!(log_in(&vault, " rid", "x").await, "wrong");
    let accessor = accessor(&vault).await;
    let wanted = json!([{"mount_accessor": accessor, "counts": 1, "alias_identifiers": ["rid"]}]);
    assert_eq!(locked(&vault).await, wanted);
    assert_eq!([log_in(&vault, "rid", "right").await, log_in(&vault, "rid", "x").await], ["locked", "locked"]);
    // A seal does not end it.
    vault.core.shutdown().await;
    unseal(&vault.core, &vault.key).await.unwrap();
    assert_eq!((locked(&vault).await, log_in(&vault, "rid", "right").await), (wanted, "locked"));
    // The clock began anew as well.
    pass(&vault, 300 + 600);
    assert_eq!((locked(&vault).await, log_in(&vault, "rid", "right").await), (json!([]), "in"));
    assert!(!vault.memory.snapshot().keys().any(|key| key.starts_with("core/login/")), "what is over is deleted");
}

#[tokio::test]
async fn five_lock_out_unless_the_mount_says_never() {
    let vault = vault().await;
    for _ in 0..5 {
        assert_eq!(log_in(&vault, "rid", "x").await, "wrong");
    }
    assert_eq!(log_in(&vault, "rid", "right").await, "locked");
    tune(&vault, json!({"lockout_disable": true})).await;
    assert_eq!(log_in(&vault, "rid", "right").await, "in");
    for _ in 0..7 {
        assert_eq!(log_in(&vault, "rid", "x").await, "wrong");
    }
}

#[tokio::test]
async fn an_operator_lets_somebody_in_again() {
    let vault = vault().await;
    tune(&vault, json!({"lockout_threshold": 1})).await;
    let accessor = accessor(&vault).await;
    vault.write("auth/approle/role/s", json!({"role_id": "a/b"})).await.unwrap();
    for role in ["rid", "a/b"] {
        assert_eq!([log_in(&vault, role, "x").await, log_in(&vault, role, "x").await], ["wrong", "locked"]);
    }
    let only = async |accessor: &str| {
        let path = "sys/locked-users";
        data(vault.call(Operation::Read, path, json!({ "mount_accessor": accessor })).await.unwrap())
    };
    assert_eq!(only(&accessor).await["total"], 2);
    let nobody = json!([{"mount_accessor": "x", "counts": 0, "alias_identifiers": null}]);
    assert_eq!(only("x").await["by_namespace"][0]["mount_accessors"], nobody);
    let unlock = |rest: &str| format!("sys/locked-users/{accessor}/{rest}");
    for (path, operation) in [
        (unlock("unlock/rid"), Operation::Read),
        (unlock("unlock/rid"), Operation::Delete),
        ("sys/locked-users".to_owned(), Operation::Update),
    ] {
        assert!(matches!(vault.call(operation, &path, json!({})).await, Err(Error::UnsupportedOperation)), "{path}");
    }
    for path in [unlock("unlock"), unlock("nosuch/x"), unlock("")] {
        assert!(vault.write(&path, json!({})).await.is_err(), "{path}");
    }
    // Nobody is no error.
    for path in [unlock("unlock/nosuch"), "sys/locked-users/nosuch/unlock/x".to_owned(), unlock("unlock/rid"), unlock("unlock/a/b")] {
        vault.write(&path, json!({})).await.unwrap();
    }
    assert_eq!(log_in(&vault, "rid", "right").await, "in");
    assert_eq!(locked(&vault).await, json!([]));
    assert!(!vault.memory.snapshot().keys().any(|key| key.starts_with("core/login/")));
}

#[tokio::test]
async fn lockouts_that_vault_or_openbao_stored_are_in_force() {
    for form in ["core/login/lockedUsers/root/", "core/login/lockedUsers/"] {
        let vault = vault().await;
        let accessor = accessor(&vault).await;
        let active = vault.core.active().unwrap();
        let now = active.tokens.clock().now().unix_timestamp();
        for (who, text) in [
            (format!("{accessor}/rid"), format!("{now}\n")),
            (format!("{accessor}/past"), format!("{}\n", now - 901)),
            (format!("{accessor}/broken"), "x".to_owned()),
            ("auth_gone_1/x".to_owned(), format!("{now}\n")),
        ] {
            vault.core.barrier.put(&format!("{form}{who}"), text.as_bytes()).await.unwrap();
        }
        let again = vault.reopen(vault.memory.clone()).await.unwrap();
        assert_eq!(locked(&again).await, json!([{"mount_accessor": accessor, "counts": 1, "alias_identifiers": ["rid"]}]));
        assert_eq!(log_in(&again, "rid", "right").await, "locked");
        let stored: Vec<String> = again.memory.snapshot().into_keys().filter(|key| key.starts_with("core/login/")).collect();
        assert!(!stored.iter().any(|key| key.ends_with("past")) && stored.len() == 3, "{stored:?}");
        again.write(&format!("sys/locked-users/{accessor}/unlock/rid"), json!({})).await.unwrap();
        assert_eq!(log_in(&again, "rid", "right").await, "in");
        assert!(!again.memory.snapshot().contains_key(&format!("{form}{accessor}/rid")));
    }
}
