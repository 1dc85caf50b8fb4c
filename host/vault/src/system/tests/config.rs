//! `sys/config`.

use serde_json::{Value, json};

use super::{is_empty, text};
use crate::core::tests::{Vault, data};
use crate::logical::{Error, Operation};

#[tokio::test]
async fn origins_are_set_and_outlive_a_restart() {
    let vault = Vault::new().await;
    assert_eq!(vault.read("sys/config/cors").await.unwrap(), json!({"enabled": false}));
    assert!(vault.core.cors().is_none());
    for (body, wanted) in [
        (json!({}), "at least one origin or the wildcard must be provided"),
        (json!({"allowed_origins": "*,http://a"}), "to allow all origins the '*' must be the only value for allowed_origins"),
    ] {
        let error = vault.write("sys/config/cors", body).await.unwrap_err();
        assert!(matches!(&error, Error::Refused(text) if text.contains(wanted)), "{error:?}");
    }
    assert!(
        text(vault.write("sys/config/cors", json!({"allowed_origins": "http://a", "allow_credentials": true})).await)
            .contains("allow_credentials")
    );
    vault.write("sys/config/cors", json!({"allowed_origins": ["http://a"], "allowed_headers": "X-Foo"})).await.unwrap();
    vault.core.shutdown().await;
    assert!(vault.core.cors().is_none());
    let vault = vault.reopen(vault.memory.clone()).await.unwrap();
    let shown = vault.read("sys/config/cors").await.unwrap();
    assert_eq!((&shown["enabled"], &shown["allowed_origins"]), (&json!(true), &json!(["http://a"])));
    assert_eq!((&shown["allowed_headers"][0], &shown["allowed_headers"][10]), (&json!("Content-Type"), &json!("X-Foo")));
    let cors = vault.core.cors().unwrap();
    assert!(cors.allows("http://a") && !cors.allows("http://b"));
    let stored: Value = serde_json::from_slice(&vault.core.barrier.get("sys/config/cors").await.unwrap().unwrap()).unwrap();
    assert_eq!((&stored["enabled"], &stored["allowed_origins"]), (&json!(1), &json!(["http://a"])));
    vault.call(Operation::Delete, "sys/config/cors", Value::Null).await.unwrap();
    assert!(vault.core.cors().is_none());
    vault.write("sys/config/cors", json!({"allowed_origins": "*"})).await.unwrap();
    assert!(vault.core.cors().unwrap().allows("http://b"));
}

#[tokio::test]
async fn headers_for_the_audit_log_are_set_by_their_names_in_any_case() {
    let vault = Vault::new().await;
    const ALL: &str = "sys/config/auditing/request-headers";
    assert_eq!(vault.read(ALL).await.unwrap(), json!({"headers": {}}));
    assert_eq!(text(vault.read(&format!("{ALL}/X-Foo")).await), "Could not find header in config");
    assert!(is_empty(&vault.write(&format!("{ALL}/X-Foo"), json!({"hmac": true})).await.unwrap()));
    vault.write(&format!("{ALL}/x-bar"), Value::Null).await.unwrap();
    assert_eq!(vault.read(&format!("{ALL}/x-FOO")).await.unwrap(), json!({"x-FOO": {"hmac": true}}));
    vault.core.shutdown().await;
    let vault = vault.reopen(vault.memory.clone()).await.unwrap();
    assert_eq!(vault.read(ALL).await.unwrap(), json!({"headers": {"x-bar": {"hmac": false}, "x-foo": {"hmac": true}}}));
    vault.call(Operation::Delete, &format!("{ALL}/X-BAR"), Value::Null).await.unwrap();
    assert_eq!(data(vault.call(Operation::Read, ALL, Value::Null).await.unwrap())["headers"], json!({"x-foo": {"hmac": true}}));
    assert!(matches!(vault.write(ALL, json!({})).await, Err(Error::UnsupportedOperation)));
}

#[tokio::test]
async fn there_is_no_web_interface_to_set_headers_of() {
    let vault = Vault::new().await;
    assert!(text(vault.write("sys/config/ui/headers/X-A", json!({"values": ["b"]})).await).contains("no web interface"));
    assert!(matches!(vault.read("sys/config/ui/headers/X-A").await, Err(Error::NotFound)));
    assert!(matches!(vault.call(Operation::List, "sys/config/ui/headers", Value::Null).await, Err(Error::NotFound)));
    for path in ["sys/config", "sys/config/nosuch"] {
        assert!(matches!(vault.read(path).await, Err(Error::NoRoute(_))), "{path}");
    }
}
