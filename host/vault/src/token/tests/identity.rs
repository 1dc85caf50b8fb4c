//! Tokens that another server made for an entity, or with a policy of their own.

use super::*;
use crate::identity::testing::forms;
use crate::identity::{Entity, Group, Item};
use crate::token::Entry;

/// A vault with the entities `e1` and, disabled, `e2`; `e1` is in a group.
async fn vault() -> Vault {
    let vault = Vault::new().await;
    let entity = |id: &str, policies: &[&str]| Entity {
        id: id.to_owned(),
        name: format!("{id}-name"),
        policies: policies.iter().map(|name| (*name).to_owned()).collect(),
        disabled: id == "e2",
        ..Entity::default()
    };
    let group = Group { id: "g1".to_owned(), policies: vec!["p2".to_owned()], members: vec!["e1".to_owned()], ..Group::default() };
    let view = View::new(vault.barrier.clone(), "logical/identity-uuid/packer/");
    let [_, entities, _] = forms(&[Item::Entity(entity("e1", &["p1"])), Item::Entity(entity("e2", &[]))]);
    view.put("buckets/0", &entities).await.unwrap();
    view.put("group/buckets/0", &forms(&[Item::Group(group)])[2]).await.unwrap();
    vault.policies.put("own", r#"path "secret/{{identity.entity.name}}/*" { capabilities = ["read"] }"#).await.unwrap();
    vault
}

/// A token as another server stored it.
async fn stored(vault: &Vault, change: impl FnOnce(&mut Entry)) -> String {
    let mut entry = Entry::new("auth/approle/login".to_owned(), "approle".to_owned(), vault.clock.now().unix_timestamp());
    entry.policies = vec!["default".to_owned(), "own".to_owned()];
    entry.ttl = HOUR;
    change(&mut entry);
    vault.store.create(entry, true).await.unwrap().id.to_string()
}

#[tokio::test]
async fn an_entity_adds_its_policies_and_those_of_its_groups() {
    let vault = vault().await;
    let token = stored(&vault, |entry| entry.entity_id = "e1".to_owned()).await;
    let caller = vault.caller(&token).await.unwrap();
    assert_eq!(caller.identity_policies, ["p1", "p2"]);
    assert_eq!(caller.acl.capabilities("auth/token/create"), ["create", "sudo", "update"]);
    // A path made from the entity's name.
    assert_eq!(caller.acl.capabilities("secret/e1-name/a"), ["read"]);
    assert_eq!(caller.acl.capabilities("secret/e2-name/a"), ["deny"]);
    let data = vault.lookup(&token).await;
    assert_eq!(data["identity_policies"], json!(["p1", "p2"]));
    assert_eq!((data["external_namespace_policies"].clone(), data["entity_id"].clone()), (json!({}), json!("e1")));
    assert_eq!(data["policies"], json!(["default", "own"]));
    // A child belongs to the same entity, an orphan to none.
    for (data, entity) in [(json!({"policies": ["default"]}), "e1"), (json!({"policies": ["default"], "no_parent": true}), "")] {
        let auth = vault.write(&token, "create", data).await.unwrap().auth.unwrap();
        assert_eq!(auth.entity_id, entity);
        let identity: &[&str] = if entity.is_empty() { &[] } else { &["p1", "p2"] };
        assert_eq!(
            (&auth.identity_policies[..], &auth.token_policies[..]),
            (&identity.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..], &["default".to_owned()][..])
        );
        assert_eq!(auth.policies.len(), identity.len() + 1);
    }
    let bare = stored(&vault, |entry| (entry.entity_id, entry.no_identity_policies) = ("e1".to_owned(), true)).await;
    let caller = vault.caller(&bare).await.unwrap();
    assert!(caller.identity_policies.is_empty() && caller.acl.capabilities("auth/token/create") == ["deny"]);
    assert_eq!(caller.acl.capabilities("secret/e1-name/a"), ["read"]);
}

#[tokio::test]
async fn a_token_is_denied_whose_entity_is_disabled_or_gone() {
    let vault = vault().await;
    for id in ["e2", "e3"] {
        let token = stored(&vault, |entry| entry.entity_id = id.to_owned()).await;
        assert!(matches!(vault.store.caller(&token, None).await, Err(Error::PermissionDenied)), "{id}");
        // It is there all the same.
        let data = vault.write(&vault.root, "lookup", json!({"token": token})).await.unwrap().data.unwrap();
        assert_eq!(data["entity_id"], *id);
    }
    let none = stored(&vault, |_| {}).await;
    assert_eq!(vault.caller(&none).await.unwrap().acl.capabilities("secret/e1-name/a"), ["deny"]);
}

#[tokio::test]
async fn a_token_may_hold_a_policy_itself() {
    let vault = vault().await;
    let inline = r#"path "inline/*" { capabilities = ["read"] } path "auth/token/*" { capabilities = ["deny"] }"#;
    let token = stored(&vault, |entry| (entry.inline_policy, entry.policies) = (inline.to_owned(), vec!["p1".to_owned()])).await;
    let caller = vault.caller(&token).await.unwrap();
    assert_eq!(caller.acl.capabilities("inline/a"), ["read"]);
    assert_eq!(caller.acl.capabilities("auth/token/create"), ["deny"]);
    let broken = stored(&vault, |entry| entry.inline_policy = "path {".to_owned()).await;
    assert!(matches!(vault.store.caller(&broken, None).await, Err(Error::PermissionDenied)));
}

#[test]
fn an_entry_of_an_old_server_keeps_its_limits() {
    let old = br#"{"type":"service","id":"a","DisplayName":"d","NumUses":3,"CreationTime":7,"ExplicitMaxTTL":1000000000,"num_uses":5,"policies":null}"#;
    let entry = Entry::from_stored("k", old).unwrap();
    assert_eq!((entry.kind, entry.display_name.as_str(), entry.num_uses, entry.creation_time), (1, "d", 3, 7));
    assert_eq!(entry.explicit_max_ttl, Duration::from_secs(1));
}

#[tokio::test]
async fn nothing_of_the_identities_is_ever_written() {
    let vault = vault().await;
    let view = View::new(vault.barrier.clone(), "logical/identity-uuid/packer/");
    let before = view.get("buckets/0").await.unwrap().unwrap();
    let token = stored(&vault, |entry| entry.entity_id = "e1".to_owned()).await;
    vault.lookup(&token).await;
    vault.write(&token, "revoke-self", json!({})).await.unwrap();
    assert_eq!(view.get("buckets/0").await.unwrap().unwrap(), before);
    assert_eq!(view.list("").await.unwrap(), ["buckets/", "group/"]);
}
