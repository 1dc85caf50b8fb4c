//! Sealed, unsealed, and the ways between.

use std::collections::BTreeMap;

use cofferdam_test_support::Memory;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Vault, call, core_on, initialize, unseal};
use crate::core::{InitRequest, UnsealRequest};
use crate::logical::{Error, Operation};

fn text(error: Error) -> String {
    assert!(matches!(error, Error::BadRequest(_)), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn an_empty_storage_is_neither_initialized_nor_unsealed() {
    let core = core_on(Memory::default());
    let status = serde_json::to_value(core.seal_status().await.unwrap()).unwrap();
    assert_eq!(
        status,
        json!({
            "type": "shamir", "initialized": false, "sealed": true, "t": 0, "n": 0, "progress": 0, "nonce": "", "recovery_seal": false,
            "version": "1.2.3", "commit_date": "2026-01-01T00:00:00Z", "build_date": "2026-01-01T00:00:00Z", "migration": false, "storage_type": "memory",
        })
    );
    let health = serde_json::to_value(core.health().await.unwrap()).unwrap();
    assert_eq!(
        (&health["initialized"], &health["sealed"], &health["standby"], &health["replication_dr_mode"]),
        (&json!(false), &json!(true), &json!(true), &json!("unknown"))
    );
    assert!(health.get("cluster_id").is_none());
    assert_eq!(serde_json::to_value(core.leader().unwrap()).unwrap(), json!({"ha_enabled": false}));
    assert!(matches!(call(&core, Some("x"), Operation::Read, "sys/mounts", json!({})).await, Err(Error::Sealed)));
    assert!(unseal(&core, &"0".repeat(64)).await.is_err());
}

#[tokio::test]
async fn init_seals_again_and_is_done_once() {
    let core = core_on(Memory::default());
    let made = initialize(&core, 3, 2).await.unwrap();
    assert_eq!((made.keys.len(), made.keys_base64.len()), (3, 3));
    assert!(made.keys.iter().all(|key| key.len() == 66));
    let status = core.seal_status().await.unwrap();
    assert_eq!((status.initialized, status.sealed, status.t, status.n), (true, true, 2, 3));
    assert_eq!(text(initialize(&core, 1, 1).await.err().unwrap()), "Vault is already initialized");
}

#[tokio::test]
async fn init_refuses_what_cannot_be_with_the_texts_of_the_field() {
    let core = core_on(Memory::default());
    for (shares, threshold, expected) in [
        (0, 1, "invalid seal configuration: shares must be at least one"),
        (2, 1, "invalid seal configuration: threshold must be greater than one for multiple shares"),
        (2, 3, "invalid seal configuration: threshold cannot be larger than shares"),
        (256, 3, "invalid seal configuration: shares must be less than 256"),
    ] {
        assert_eq!(text(initialize(&core, shares, threshold).await.err().unwrap()), expected);
    }
    let one = InitRequest { secret_shares: 1, secret_threshold: 1, ..InitRequest::default() };
    let refused = core.initialize(InitRequest { recovery_shares: 1, ..one.clone() }).await.err().unwrap();
    assert_eq!(text(refused), "parameters recovery_shares not applicable to seal type shamir");
    let refused = core.initialize(InitRequest { pgp_keys: Some(vec!["k".to_owned()]), ..one }).await.err().unwrap();
    assert!(text(refused).contains("pgp_keys"));
    assert!(!core.initialized().await.unwrap());
}

#[tokio::test]
async fn shares_unseal_at_the_threshold_and_a_reset_forgets_them() {
    let core = core_on(Memory::default());
    let made = initialize(&core, 3, 2).await.unwrap();
    let first = unseal(&core, &made.keys[0]).await.unwrap();
    assert!(first.sealed && first.progress == 1 && !first.nonce.is_empty());
    let again = unseal(&core, &made.keys[0]).await.unwrap();
    assert_eq!((again.progress, &again.nonce), (1, &first.nonce));
    let reset = core.unseal(UnsealRequest { reset: true, ..UnsealRequest::default() }).await.unwrap();
    assert_eq!((reset.progress, reset.nonce.as_str()), (0, ""));
    unseal(&core, &made.keys[2]).await.unwrap();
    let open = unseal(&core, &made.keys_base64[1]).await.unwrap();
    assert!(!open.sealed && open.cluster_id.is_some() && open.cluster_name.unwrap().starts_with("vault-cluster-"));
    // A share too many is no error.
    assert!(!unseal(&core, &made.keys[0]).await.unwrap().sealed);
    let refused = core.unseal(UnsealRequest { reset: true, ..UnsealRequest::default() }).await.err().unwrap();
    assert_eq!(text(refused), "vault is unsealed");
    let health = core.health().await.unwrap();
    assert!(health.initialized && !health.sealed && !health.standby);
}

#[tokio::test]
async fn what_is_no_share_is_refused_with_the_texts_of_the_field() {
    let core = core_on(Memory::default());
    initialize(&core, 1, 1).await.unwrap();
    for (key, expected) in [
        ("", "'key' must be specified in request body as JSON, or 'reset' set to true"),
        ("zz", "'key' must be a valid hex or base64 string"),
        ("0011", "invalid key: key is shorter than minimum 16 bytes"),
    ] {
        assert_eq!(text(unseal(&core, key).await.err().unwrap()), expected, "{key:?}");
    }
    let wrong = unseal(&core, &"0".repeat(64)).await.err().unwrap();
    assert!(text(wrong).starts_with("unable to retrieve stored keys: invalid key: "));
    let migrate = UnsealRequest { key: Zeroizing::new("0".repeat(64)), migrate: true, ..UnsealRequest::default() };
    let refused = core.unseal(migrate).await.err().unwrap();
    assert!(matches!(&refused, Error::Refused(text) if text == "can't perform a seal migration, no migration seal found"), "{refused:?}");
    assert!(core.seal_status().await.unwrap().sealed);
}

#[tokio::test]
async fn a_secret_is_there_after_seal_and_unseal_and_in_another_server() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}})).await.unwrap();
    vault.write("secret/data/a", json!({"data": {"k": "v"}})).await.unwrap();
    let cluster = vault.core.seal_status().await.unwrap().cluster_id;
    vault.write("sys/seal", json!({})).await.unwrap();
    assert!(vault.core.seal_status().await.unwrap().sealed);
    assert!(matches!(vault.read("secret/data/a").await, Err(Error::Sealed)));
    unseal(&vault.core, &vault.key).await.unwrap();
    assert_eq!(vault.read("secret/data/a").await.unwrap()["data"], json!({"k": "v"}));
    vault.core.shutdown().await;
    let other = vault.reopen(vault.memory.clone()).await.unwrap();
    assert_eq!(other.read("secret/data/a").await.unwrap()["data"], json!({"k": "v"}));
    assert_eq!(other.core.seal_status().await.unwrap().cluster_id, cluster);
}

#[tokio::test]
async fn a_new_store_holds_what_other_servers_want_to_find_and_nothing_in_the_clear() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/s", json!({"type": "kv"})).await.unwrap();
    vault.write("s/canary-name", json!({"canary": "canary-value"})).await.unwrap();
    let stored: BTreeMap<_, _> = vault.memory.snapshot();
    for key in [
        "core/audit",
        "core/auth",
        "core/cluster/local/info",
        "core/hsm/barrier-unseal-keys",
        "core/index-header-hmac-key",
        "core/keyring",
        "core/local-audit",
        "core/local-auth",
        "core/local-mounts",
        "core/master",
        "core/mounts",
        "core/seal-config",
        "core/shamir-kek",
        "sys/policy/default",
        "sys/policy/response-wrapping",
        "sys/token/salt",
    ] {
        assert!(stored.contains_key(key), "{key}");
    }
    assert!(!stored.contains_key("core/root-key") && !stored.contains_key("core/initializing"));
    for (key, value) in &stored {
        let text = String::from_utf8_lossy(value);
        assert!(!text.contains("canary-value") && !text.contains(&vault.root) && !text.contains(&vault.key), "{key}");
    }
    // The search finds what is there: kv v1 keeps names in the clear, as Vault does.
    assert!(stored.keys().any(|key| key.ends_with("/canary-name")));
}

#[tokio::test]
async fn what_a_boot_makes_is_made_again_if_it_is_missing() {
    let vault = Vault::new().await;
    vault.write("sys/mounts/s", json!({"type": "kv"})).await.unwrap();
    vault.core.shutdown().await;
    let whole = vault.memory.snapshot();
    let needed = ["core/hsm/barrier-unseal-keys", "core/keyring", "core/seal-config", "core/mounts", "sys/token/salt"];
    for missing in
        whole.keys().filter(|key| !needed.contains(&key.as_str()) && !key.starts_with("sys/token/") && !key.starts_with("logical/"))
    {
        let mut entries = whole.clone();
        entries.remove(missing);
        let memory = Memory::from_snapshot(entries);
        let other = vault.reopen(memory.clone()).await.unwrap_or_else(|error| panic!("without {missing}: {error}"));
        assert!(other.read("sys/mounts").await.unwrap().get("s/").is_some(), "without {missing}");
        assert!(memory.snapshot().contains_key(missing), "without {missing}");
    }
}
