use std::time::Duration;

use super::*;
use crate::logical::{Fields, Operation};
use crate::testing::test_view;

async fn store() -> (Store, View, Clock) {
    let (view, clock) = (test_view().await, Clock::default());
    (Store::new(view.clone(), clock.clone()), view, clock)
}

const READ_A: &str = "path \"a\" { capabilities = [\"read\"] }";

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

async fn may_read(store: &Store, policies: &[&str]) -> bool {
    store.acl(&names(policies)).await.unwrap().allows(Operation::Read, "a", &Fields::new())
}

#[tokio::test]
async fn what_is_stored_is_what_openbao_stores() {
    let (store, view, _) = store().await;
    store.put(" Mixed ", READ_A).await.unwrap();
    let bytes = view.get("mixed").await.unwrap().unwrap();
    let stored: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let modified = stored["Modified"].as_str().unwrap();
    assert!(modified.ends_with('Z') && modified.starts_with("20"), "{modified}");
    assert_eq!(
        String::from_utf8(bytes.to_vec()).unwrap(),
        format!(
            "{{\"DataVersion\":1,\"CASRequired\":false,\"Raw\":\"path \\\"a\\\" {{ capabilities = [\\\"read\\\"] }}\",\"Type\":0,\"Templated\":false,\
             \"Expiration\":\"0001-01-01T00:00:00Z\",\"Modified\":\"{modified}\",\"AllowWildcardsInIdentityTemplates\":false,\
             \"AllowSlashesInIdentityTemplates\":false}}\n"
        )
    );
    store.put("mixed", READ_A).await.unwrap();
    assert_eq!(store.stored("MIXED").await.unwrap().unwrap().data_version, 2);
}

#[tokio::test]
async fn an_entry_of_vaults_or_with_the_text_only_is_read() {
    let (store, view, _) = store().await;
    for (name, text) in [("vault", "{\"Version\":2,\"Raw\":RAW,\"Templated\":false,\"Type\":0}"), ("least", "{\"Raw\":RAW}")] {
        let raw = serde_json::to_string(READ_A).unwrap();
        view.put(name, text.replace("RAW", &raw).as_bytes()).await.unwrap();
        assert!(may_read(&store, &[name]).await, "{name}");
    }
}

#[tokio::test]
async fn a_policy_that_wants_check_and_set_is_not_written_without() {
    let (store, view, _) = store().await;
    let stored = serde_json::json!({"DataVersion": 4, "CASRequired": true, "Raw": READ_A}).to_string();
    view.put("p", stored.as_bytes()).await.unwrap();
    match store.put("p", "path \"b\" { capabilities = [\"read\"] }").await {
        Err(Error::BadRequest(text)) => assert_eq!(text, "check-and-set parameter required for this call"),
        other => panic!("{other:?}"),
    }
    assert_eq!(**view.get("p").await.unwrap().unwrap(), *stored.as_bytes());
    assert!(may_read(&store, &["p"]).await);
}

#[tokio::test]
async fn a_change_counts_at_once() {
    let (store, _, _) = store().await;
    assert!(!may_read(&store, &["p", "q"]).await);
    store.put("p", READ_A).await.unwrap();
    assert!(may_read(&store, &["p", "q"]).await);
    store.put("q", "path \"a\" { capabilities = [\"deny\"] }").await.unwrap();
    assert!(!may_read(&store, &["p", "q"]).await);
    store.delete("q").await.unwrap();
    assert!(may_read(&store, &["p", "q"]).await);
    store.delete("p").await.unwrap();
    assert!(!may_read(&store, &["p", "q"]).await);
    assert!(store.get("p").await.unwrap().is_none());
}

#[tokio::test]
async fn a_policy_that_expires_grants_nothing_afterwards() {
    let (store, view, clock) = store().await;
    let expires = Time::from(clock.now() + Duration::from_secs(60)).text();
    let raw = serde_json::to_string(READ_A).unwrap();
    view.put("p", format!("{{\"Raw\":{raw},\"Expiration\":\"{expires}\"}}").as_bytes()).await.unwrap();
    assert!(may_read(&store, &["p"]).await);
    clock.advance(Duration::from_secs(61));
    assert!(!may_read(&store, &["p"]).await);
    assert!(store.stored("p").await.unwrap().is_none());
}

#[tokio::test]
async fn a_damaged_policy_allows_nothing_beside_it() {
    let (store, view, _) = store().await;
    store.put("p", READ_A).await.unwrap();
    for bad in
        ["{\"Raw\":\"path \\\"b\\\" { control_group = {} }\"}", "{\"Raw\":\"path\",\"Type\":0}", "{\"Raw\":\"\",\"Type\":2}", "nonsense"]
    {
        view.put("bad", bad.as_bytes()).await.unwrap();
        assert!(matches!(store.acl(&names(&["bad", "p"])).await, Err(Error::Damaged(_))), "{bad}");
    }
    store.put("bad", READ_A).await.unwrap();
    assert!(may_read(&store, &["bad", "p"]).await);
}

#[tokio::test]
async fn policies_that_every_vault_has_are_kept() {
    let (store, _, _) = store().await;
    store.ensure_defaults().await.unwrap();
    assert_eq!(store.list().await.unwrap(), ["default", "root"]);
    for (result, text) in [
        (store.put("root", READ_A).await.map(drop), "cannot update \"root\" policy"),
        (store.put("Response-Wrapping", READ_A).await.map(drop), "cannot update \"response-wrapping\" policy"),
        (store.put("p", "").await.map(drop), "'policy' parameter not supplied or empty"),
        (store.put("p", "x=1").await.map(drop), "failed to parse policy: 1 error occurred:\n\t* invalid key \"x\" on line 1\n\n"),
        (store.delete("root").await, "cannot delete \"root\" policy"),
        (store.delete("default").await, "cannot delete default policy"),
        (store.delete("response-wrapping").await, "cannot delete \"response-wrapping\" policy"),
    ] {
        assert!(matches!(&result, Err(Error::BadRequest(found)) if found == text), "{result:?} is not {text}");
    }
    // One that the operator changed stays as it is.
    store.put("default", READ_A).await.unwrap();
    store.ensure_defaults().await.unwrap();
    assert_eq!(store.stored("default").await.unwrap().unwrap().raw, READ_A);
    assert_eq!(store.stored("root").await.unwrap().unwrap().raw, "");
}

#[tokio::test]
async fn the_default_policy_grants_what_openbaos_grants() {
    let (store, _, _) = store().await;
    store.ensure_defaults().await.unwrap();
    let acl = store.acl(&names(&["default"])).await.unwrap();
    for (path, capabilities) in [
        ("auth/token/lookup-self", "read"),
        ("auth/token/renew-self", "update"),
        ("auth/token/revoke-self", "update"),
        ("sys/capabilities-self", "update"),
        ("sys/internal/ui/resultant-acl", "read"),
        ("sys/leases/renew", "update"),
        ("sys/leases/lookup", "update"),
        ("cubbyhole/a/b", "create delete list read update"),
        ("sys/wrapping/wrap", "update"),
        ("sys/wrapping/lookup", "update"),
        ("sys/wrapping/unwrap", "update"),
        ("sys/tools/hash", "update"),
        ("sys/tools/hash/sha2-256", "update"),
        ("identity/oidc/provider/x/authorize", "read update"),
        ("auth/token/create", "deny"),
        ("sys/mounts", "deny"),
        ("secret/a", "deny"),
    ] {
        assert_eq!(acl.capabilities(path).join(" "), capabilities, "{path}");
    }
}

#[tokio::test]
async fn a_text_may_come_as_base64_and_identity_paths_are_warned_of() {
    let (store, _, _) = store().await;
    assert!(store.put("p", &STANDARD.encode(READ_A)).await.unwrap().is_empty());
    assert_eq!(store.stored("p").await.unwrap().unwrap().raw, READ_A);
    let warnings = store.put("q", "path \"x/{{identity.entity.id}}\" { capabilities = [\"read\"] }").await.unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("x/{{identity.entity.id}}"), "{warnings:?}");
}
