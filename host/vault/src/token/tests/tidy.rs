//! Tidying.

use super::*;

#[tokio::test]
async fn tidying_removes_what_points_to_nothing_and_nothing_else() {
    let vault = Vault::new().await;
    let parent = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    let child = vault.make(&parent, json!({})).await;
    let entry = vault.caller(&child).await.unwrap().entry.clone();
    vault.store.view.delete(&format!("id/{}", vault.store.salted(&entry.id))).await.unwrap();
    assert_eq!(vault.store.accessors().await.unwrap().len(), 3);
    vault.store.tidy().await.unwrap();
    assert_eq!(vault.store.accessors().await.unwrap().len(), 2);
    assert_eq!(vault.store.leases.below("").await.unwrap().len(), 1);
    assert_eq!(vault.store.view.list("parent/").await.unwrap().len(), 1);
    assert!(vault.alive(&parent).await && vault.alive(&vault.root).await);
}

#[tokio::test]
async fn tidying_revokes_what_has_no_lease_and_frees_what_has_no_parent() {
    let vault = Vault::new().await;
    let store = &vault.store;
    let parent = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    let child = vault.make(&parent, json!({})).await;
    let bare = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    let [parent, bare] = [&parent, &bare].map(|token| store.ids.inner(token).unwrap());
    let entry = store.entry(&store.salted(&bare)).await.unwrap().unwrap();
    store.leases.delete(&entry.lease_id(&store.salted(&bare))).await.unwrap();
    let of_parent = store.entry(&store.salted(&parent)).await.unwrap().unwrap();
    store.view.delete(&format!("id/{}", store.salted(&parent))).await.unwrap();
    let cubbyholes = View::new(vault.barrier.clone(), "logical/cubby-uuid/");
    for folder in [of_parent.cubbyhole_id.as_str(), entry.cubbyhole_id.as_str(), "strayed"] {
        cubbyholes.put(&format!("{folder}/a"), b"{}").await.unwrap();
    }
    let kept = vault.caller(&child).await.unwrap().entry.cubbyhole_id.clone();
    cubbyholes.put(&format!("{kept}/a"), b"{}").await.unwrap();
    // The parent's accessor, lease, cubbyhole and place among its parent's children, its child, the token without a lease, the cubbyhole of nobody.
    assert_eq!(store.tidy().await.unwrap(), 7);
    assert!(store.entry(&store.salted(&bare)).await.unwrap().is_none());
    assert_eq!(vault.lookup(&child).await["orphan"], true);
    assert_eq!(cubbyholes.list("").await.unwrap(), [format!("{kept}/")]);
    assert_eq!(store.view.list("parent/").await.unwrap().len(), 0);
    assert_eq!(store.tidy().await.unwrap(), 0);
}
