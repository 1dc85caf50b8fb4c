//! Batch tokens: what they can, what they cannot, what ends them.

use super::*;
use crate::token::Entry;

async fn batch(vault: &Vault, token: &str, data: Value) -> String {
    let Value::Object(mut data) = data else { panic!("no object") };
    data.insert("type".to_owned(), "batch".into());
    let auth = vault.write(token, "create", Value::Object(data)).await.unwrap().auth.unwrap();
    assert!(auth.accessor.is_empty() && !auth.renewable && auth.token_type == "batch");
    auth.client_token.to_string()
}

#[tokio::test]
async fn a_batch_token_is_asked_about_and_does_nothing_else_with_tokens() {
    let vault = Vault::new().await;
    let root = &vault.root;
    let stored = vault.store.view.list("id/").await.unwrap().len();
    let token = batch(&vault, root, json!({"policies": ["p2"], "ttl": "1h", "meta": {"a": "b"}, "display_name": "x"})).await;
    assert!(token.starts_with("hvb.AAAAAQ"), "{token}");
    assert_eq!(vault.store.view.list("id/").await.unwrap().len(), stored);
    let data = vault.lookup(&token).await;
    for (name, value) in [
        ("id", json!(token)),
        ("accessor", json!("")),
        ("creation_ttl", json!(3600)),
        ("meta", json!({"a": "b"})),
        ("display_name", json!("token-x")),
        ("orphan", json!(false)),
        ("path", json!("auth/token/create")),
        ("policies", json!(["default", "p2"])),
        ("renewable", json!(false)),
        ("type", json!("batch")),
        ("num_uses", json!(0)),
    ] {
        assert_eq!(data[name], value, "{name}");
    }
    assert!(data["expire_time"].as_str().unwrap().ends_with('Z') && data.get("last_renewal").is_none());
    assert_eq!(vault.write(root, "lookup", json!({"token": token})).await.unwrap().data.unwrap()["type"], "batch");
    let by_root: &String = root;
    for (by, path, data, message) in [
        (&token, "create", json!({}), "batch tokens cannot create more tokens"),
        (&token, "renew-self", json!({}), "batch tokens cannot be renewed"),
        (&token, "revoke-self", json!({}), "batch tokens cannot be revoked"),
        (by_root, "renew", json!({"token": token}), "batch tokens cannot be renewed"),
        (by_root, "revoke", json!({"token": token}), "batch tokens cannot be revoked"),
        (by_root, "revoke-orphan", json!({"token": token}), "batch tokens cannot be revoked"),
    ] {
        assert_eq!(text(vault.write(by, path, data.clone()).await), message, "{path} {data}");
    }
    let caller = vault.caller(&token).await.unwrap();
    for operation in [Operation::Read, Operation::Update, Operation::List, Operation::Delete] {
        let refused = vault.cubbyhole.handle(&request(&caller, operation, "a", json!({"a": "b"}))).await;
        assert_eq!(text(refused), "cubbyhole operations are only supported by \"service\" type tokens");
    }
    assert!(vault.alive(&token).await);
}

#[tokio::test]
async fn a_batch_token_ends_with_its_time_or_its_parent() {
    let vault = Vault::new().await;
    let parent = vault.make(&vault.root, json!({"policies": ["p2"], "ttl": "2h"})).await;
    let child = batch(&vault, &parent, json!({"ttl": "30m"})).await;
    let orphan = batch(&vault, &parent, json!({"ttl": "1h", "no_parent": true})).await;
    assert_eq!((vault.lookup(&child).await["orphan"].clone(), vault.lookup(&orphan).await["orphan"].clone()), (json!(false), json!(true)));
    assert_eq!(vault.lookup(&child).await["ttl"].as_i64().map(|ttl| (1_798..=1_800).contains(&ttl)), Some(true));
    vault.clock.advance(HOUR * 3 / 4);
    assert!(!vault.alive(&child).await && vault.alive(&orphan).await);
    let child = batch(&vault, &parent, json!({"ttl": "30m"})).await;
    vault.write(&vault.root, "revoke", json!({"token": parent})).await.unwrap();
    assert!(!vault.alive(&child).await && vault.alive(&orphan).await);
    vault.clock.advance(HOUR / 2);
    assert!(!vault.alive(&orphan).await);
    assert_eq!(text(vault.write(&vault.root, "renew", json!({"token": orphan})).await), "token not found");
}

#[tokio::test]
async fn a_batch_token_of_another_server_counts_by_either_prefix_and_nothing_else_does() {
    let vault = Vault::new().await;
    let token = batch(&vault, &vault.root, json!({"policies": ["p1"], "ttl": "1h"})).await;
    let body = token.strip_prefix("hvb.").unwrap();
    let legacy = format!("b.{body}");
    assert_eq!(vault.lookup(&legacy).await["id"], *legacy);
    let encode = |bytes: &[u8]| {
        use base64::Engine as _;
        format!("hvb.{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
    };
    // Encrypted by this vault, and yet no batch token: an entry of the storage, a service token, another namespace, another text.
    let stored = vault.store.view.seal_loose(b"{}").unwrap();
    let made = |change: fn(&mut Entry)| {
        let mut entry = Entry::new("auth/token/create".to_owned(), "t".to_owned(), vault.clock.now().unix_timestamp());
        entry.policies = vec!["p1".to_owned()];
        entry.ttl = HOUR;
        change(&mut entry);
        vault.store.view.seal_loose(&super::super::batch::encode(&entry)).unwrap()
    };
    assert!(vault.alive(&encode(&made(|_| {}))).await);
    let mut moved = made(|_| {});
    moved[4] = 1;
    for (bytes, what) in [
        (stored, "no token"),
        (made(|entry| entry.namespace_id = "abc123".to_owned()), "another namespace"),
        (made(|entry| entry.ttl = Duration::ZERO), "no time to live"),
        (made(|entry| entry.creation_time = i64::MAX), "no time"),
        (made(|entry| entry.parent = Zeroizing::new("hvs.nosuchparentnosuchparen".to_owned())), "no parent"),
        (moved, "an old frame"),
        (Vec::new(), "nothing"),
    ] {
        assert!(!vault.alive(&encode(&bytes)).await, "{what}");
    }
    for token in [format!("{token}x"), format!("{token}.abc123"), "hvb.".to_owned(), "b.!".to_owned()] {
        assert!(!vault.alive(&token).await, "{token}");
    }
    let other = Vault::new().await;
    assert!(!other.alive(&token).await);
}

#[tokio::test]
async fn a_role_can_make_batch_tokens_without_being_asked() {
    let vault = Vault::new().await;
    let data = json!({"token_type": "batch", "orphan": true, "renewable": false, "token_bound_cidrs": "10.0.0.0/8", "token_num_uses": 0});
    vault.write(&vault.root, "roles/b", data).await.unwrap();
    vault.write(&vault.root, "roles/d", json!({"token_type": "default-batch"})).await.unwrap();
    let auth = vault.write(&vault.root, "create/b", json!({"policies": ["p1"], "type": "service"})).await.unwrap().auth.unwrap();
    assert_eq!((auth.token_type.as_str(), auth.orphan), ("batch", true));
    assert!(!vault.alive(&auth.client_token).await, "it is bound to other addresses");
    for (data, kind) in [(json!({}), "batch"), (json!({"type": "service"}), "service")] {
        let Value::Object(mut data) = data else { panic!("no object") };
        data.insert("policies".to_owned(), json!(["p1"]));
        let auth = vault.write(&vault.root, "create/d", Value::Object(data)).await.unwrap().auth.unwrap();
        assert_eq!(auth.token_type, kind);
    }
}
