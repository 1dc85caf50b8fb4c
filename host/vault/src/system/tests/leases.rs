//! `sys/leases`, and its paths of before.

use std::time::Duration;

use serde_json::{Value, json};

use super::{is_empty, text};
use crate::core::tests::{Vault, call, data};
use crate::logical::{Error, Operation};

#[tokio::test]
async fn leases_of_tokens_are_shown_and_revoked() {
    let vault = Vault::new().await;
    let token = vault.token(r#"path "unused" { capabilities = ["read"] }"#).await;
    let listed = data(vault.call(Operation::List, "sys/leases/lookup/auth/token/create", Value::Null).await.unwrap());
    let id = format!("auth/token/create/{}", listed["keys"][0].as_str().unwrap());
    let lease = data(vault.write("sys/leases/lookup", json!({"lease_id": id})).await.unwrap());
    assert_eq!((&lease["id"], &lease["renewable"]), (&json!(id), &json!(true)));
    assert_eq!(text(vault.write("sys/leases/renew", json!({"lease_id": id})).await), "tokens cannot be renewed through this endpoint");
    assert_eq!(text(vault.write("sys/leases/lookup", json!({"lease_id": "nope"})).await), "invalid lease");
    assert_eq!(text(vault.write("sys/leases/lookup", json!({})).await), "lease_id must be specified");
    assert!(is_empty(&vault.write("sys/leases/revoke", json!({"lease_id": id})).await.unwrap()));
    assert!(call(&vault.core, Some(&token), Operation::Read, "auth/token/lookup-self", Value::Null).await.is_err());
    let token = vault.token(r#"path "unused" { capabilities = ["read"] }"#).await;
    vault.write("sys/leases/revoke-prefix/auth/token", Value::Null).await.unwrap();
    assert!(call(&vault.core, Some(&token), Operation::Read, "auth/token/lookup-self", Value::Null).await.is_err());
    assert!(matches!(vault.call(Operation::List, "sys/leases/lookup", Value::Null).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn the_paths_of_before_do_the_same() {
    let vault = Vault::new().await;
    let lease = async || {
        let token = vault.token(r#"path "unused" { capabilities = ["read"] }"#).await;
        let listed = data(vault.call(Operation::List, "sys/leases/lookup/auth/token/create", Value::Null).await.unwrap());
        (token, format!("auth/token/create/{}", listed["keys"][0].as_str().unwrap()))
    };
    let gone = async |token: &str| call(&vault.core, Some(token), Operation::Read, "auth/token/lookup-self", Value::Null).await.is_err();
    let (token, id) = lease().await;
    for path in ["sys/renew".to_owned(), format!("sys/renew/{id}")] {
        assert_eq!(text(vault.write(&path, json!({ "lease_id": id })).await), "tokens cannot be renewed through this endpoint");
    }
    assert!(is_empty(&vault.write(&format!("sys/revoke/{id}"), Value::Null).await.unwrap()));
    assert!(gone(&token).await);
    let (token, id) = lease().await;
    vault.write("sys/revoke", json!({"lease_id": id, "sync": true})).await.unwrap();
    assert!(gone(&token).await);
    // A prefix may be a lease itself.
    let (token, id) = lease().await;
    vault.write(&format!("sys/revoke-prefix/{id}"), json!({"sync": "true"})).await.unwrap();
    assert!(gone(&token).await);
    let (token, _) = lease().await;
    vault.write("sys/revoke-force/auth/token", Value::Null).await.unwrap();
    assert!(gone(&token).await);
    assert!(text(vault.write("sys/leases/revoke", json!({"lease_id": "a/b", "sync": "x"})).await).contains("\"sync\""));
    for path in ["sys/revoke-prefix", "sys/leases/revoke-force", "sys/renewal"] {
        assert!(matches!(vault.write(path, json!({})).await, Err(Error::NoRoute(_))), "{path}");
    }
}

#[tokio::test]
async fn leases_of_secrets_that_others_made_are_kept_until_they_are_forgotten() {
    let vault = Vault::new().await;
    let id = "aws/creds/role/AbCdEfGhIjKlMnOpQrStUvWx";
    let lease = json!({
        "lease_id": id, "client_token": "s.AAAAAAAAAAAAAAAAAAAAAAAA", "token_type": 0, "path": "aws/creds/role", "data": {"access_key": "k"},
        "secret": {"lease": 3_600_000_000_000_u64, "renewable": true, "lease_id": ""}, "auth": null, "issue_time": "2026-01-01T00:00:00Z",
        "expire_time": "2026-01-01T01:00:00Z", "last_renewal_time": "0001-01-01T00:00:00Z", "login_role": "", "version": 1, "revokeErr": ""
    });
    vault.core.barrier.put(&format!("sys/expire/id/{id}"), lease.to_string().as_bytes()).await.unwrap();
    vault.core.shutdown().await;
    let vault = vault.reopen(vault.memory.clone()).await.unwrap();
    // It has ended long ago: once that was seen it is one of those that nothing here can revoke.
    let irrevocable = async || {
        data(vault.call(Operation::Read, "sys/leases/count", json!({"type": "irrevocable"})).await.unwrap())["lease_count"].clone()
    };
    let waiting = std::time::Instant::now();
    while irrevocable().await != 1 {
        assert!(waiting.elapsed() < Duration::from_secs(60), "the lease was not tried");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let shown = data(vault.call(Operation::Read, "sys/leases", json!({"type": "irrevocable"})).await.unwrap());
    assert_eq!(shown["leases"][0]["lease_id"], id);
    let found = data(vault.write("sys/leases/lookup", json!({ "lease_id": id })).await.unwrap());
    assert_eq!((&found["id"], &found["ttl"]), (&json!(id), &json!(0)));
    for path in ["sys/leases/revoke", "sys/leases/renew"] {
        assert!(text(vault.write(path, json!({ "lease_id": id })).await).contains("no engine of this server"), "{path}");
    }
    assert!(text(vault.write("sys/leases/revoke-prefix/aws", Value::Null).await).contains("1 of 1 leases were not revoked"));
    vault.write("sys/leases/revoke-force/aws", Value::Null).await.unwrap();
    assert_eq!(text(vault.write("sys/leases/lookup", json!({ "lease_id": id })).await), "invalid lease");
    assert_eq!(irrevocable().await, 0);
    let tidied = vault.write("sys/leases/tidy", Value::Null).await.unwrap();
    assert_eq!((tidied.status, tidied.warnings.len()), (Some(202), 1));
}
