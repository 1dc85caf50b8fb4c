//! How long tokens live: renewal, uses, expiry, revocation, and tokens that other servers stored.

use super::*;
use crate::lease::clock::Time;

#[tokio::test]
async fn renewal_counts_from_now_and_is_capped() {
    let vault = Vault::new().await;
    let token = vault.make(&vault.root, json!({"ttl": "1h", "explicit_max_ttl": "3h", "policies": ["p1"]})).await;
    let renew = async |data| {
        let response = vault.write(&token, "renew-self", data).await.unwrap();
        (response.auth.unwrap().lease_duration, response.warnings)
    };
    vault.clock.advance(HOUR / 2);
    assert_eq!(renew(json!({})).await, (HOUR, vec![]));
    assert_eq!(renew(json!({"increment": "2h"})).await, (HOUR * 2, vec![]));
    // Without an increment a renewal gives what the last one gave.
    assert_eq!(renew(json!({"increment": 60})).await.0, Duration::from_secs(60));
    assert_eq!(renew(json!({})).await.0, Duration::from_secs(60));
    let (ttl, warnings) = renew(json!({"increment": "9h"})).await;
    assert_eq!(ttl, HOUR * 5 / 2);
    assert_eq!(warnings, ["TTL of \"9h\" exceeded the effective max_ttl of \"2h30m\"; TTL value is capped accordingly"]);
    assert!(vault.lookup(&token).await["last_renewal_time"].is_i64());
    vault.clock.advance(HOUR * 5 / 2);
    assert!(!vault.alive(&token).await);
}

#[tokio::test]
async fn what_cannot_be_renewed_says_so() {
    let vault = Vault::new().await;
    let fixed = vault.make(&vault.root, json!({"ttl": "1h", "renewable": false, "policies": ["p1"]})).await;
    let root = vault.make(&vault.root, json!({})).await;
    assert_eq!(text(vault.write(&fixed, "renew-self", json!({})).await), "lease is not renewable");
    assert_eq!(text(vault.write(&root, "renew-self", json!({})).await), "lease is not renewable");
}

#[tokio::test]
async fn a_periodic_token_lives_as_long_as_it_is_renewed() {
    let vault = Vault::new().await;
    let token = vault.make(&vault.root, json!({"period": "1h", "policies": ["p1"]})).await;
    for _ in 0..2_000 {
        vault.clock.advance(HOUR * 9 / 10);
        let auth = vault.write(&token, "renew-self", json!({"increment": "5h"})).await.unwrap().auth.unwrap();
        assert_eq!(auth.lease_duration, HOUR);
    }
    assert_eq!(vault.lookup(&token).await["period"], 3600);
}

#[tokio::test]
async fn an_expired_token_is_refused_at_once_and_swept_with_its_children() {
    let vault = Vault::new().await;
    let parent = vault.make(&vault.root, json!({"ttl": "1h", "policies": ["p1"]})).await;
    let child = vault.make(&parent, json!({"ttl": "9h"})).await;
    vault.clock.advance(HOUR + Duration::from_secs(1));
    assert!(!vault.alive(&parent).await && vault.alive(&child).await);
    assert!(vault.store.sweep_due().await.is_none());
    assert!(!vault.alive(&child).await);
    assert_eq!(vault.store.accessors().await.unwrap().len(), 1);
    assert!(vault.store.leases.below("").await.unwrap().is_empty());
    for folder in ["parent/", "accessor/", "id/"] {
        assert_eq!(vault.store.view.list(folder).await.unwrap().len(), usize::from(folder != "parent/"), "{folder}");
    }
}

#[tokio::test]
async fn the_sweeper_ends_tokens_without_being_asked() {
    let vault = Vault::new().await;
    vault.store.start();
    let token = vault.make(&vault.root, json!({"ttl": "1s", "policies": ["p1"]})).await;
    let lasting = vault.make(&vault.root, json!({"ttl": "1h", "policies": ["p1"]})).await;
    for _ in 0..200 {
        if vault.store.accessors().await.unwrap().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(vault.store.accessors().await.unwrap().len(), 2);
    assert!(!vault.alive(&token).await && vault.alive(&lasting).await);
    vault.store.stop();
}

#[tokio::test]
async fn the_last_use_is_the_last() {
    let vault = Vault::new().await;
    let token = vault.make(&vault.root, json!({"num_uses": 3, "policies": ["p1"]})).await;
    assert_eq!(vault.lookup(&token).await["num_uses"], 2);
    assert_eq!(vault.lookup(&token).await["num_uses"], 1);
    // While the last request is under way the token does not count any more.
    assert_eq!(text(vault.write(&token, "create", json!({})).await), "parent token lookup failed: no parent found");
    assert!(!vault.alive(&token).await);
    assert_eq!(vault.store.accessors().await.unwrap().len(), 1);
}

#[tokio::test]
async fn uses_at_the_same_time_are_each_counted() {
    let vault = Vault::new().await;
    let token = vault.make(&vault.root, json!({"num_uses": 20, "policies": ["p1"]})).await;
    let caller = vault.caller(&token).await.unwrap();
    let spent = futures_util::future::join_all((0..50).map(|_| vault.store.spend(&caller))).await;
    assert_eq!(spent.iter().filter(|spent| spent.is_ok()).count(), 20);
    assert_eq!(spent.iter().filter(|spent| matches!(spent, Ok(true))).count(), 1);
}

#[tokio::test]
async fn revocation_takes_the_whole_tree_and_nothing_else() {
    let vault = Vault::new().await;
    let parent = vault.make(&vault.root, json!({"policies": ["p2"]})).await;
    let sibling = vault.make(&vault.root, json!({"policies": ["p2"]})).await;
    let mut tree = Vec::new();
    let mut level = vec![parent.clone()];
    for _ in 0..3 {
        let mut next = Vec::new();
        for token in &level {
            next.push(vault.make(token, json!({})).await);
            next.push(vault.make(token, json!({})).await);
        }
        tree.extend(level);
        level = next;
    }
    tree.extend(level);
    let orphan = vault.write(&parent, "create-orphan", json!({})).await.unwrap().auth.unwrap().client_token;
    vault.write(&vault.root, "revoke", json!({"token": parent})).await.unwrap();
    for token in &tree {
        assert!(!vault.alive(token).await);
    }
    assert!(vault.alive(&sibling).await && vault.alive(&orphan).await && vault.alive(&vault.root).await);
    assert_eq!(vault.store.accessors().await.unwrap().len(), 3);
    assert_eq!(vault.store.leases.below("").await.unwrap().len(), 2);
}

#[tokio::test]
async fn revoke_orphan_leaves_the_children_without_a_parent() {
    let vault = Vault::new().await;
    let parent = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    let child = vault.make(&parent, json!({})).await;
    let grandchild = vault.make(&child, json!({})).await;
    assert_eq!(
        text(vault.write(&parent, "revoke-orphan", json!({"token": child})).await),
        "root or sudo privileges required to revoke and orphan"
    );
    vault.write(&vault.root, "revoke-orphan", json!({"token": parent})).await.unwrap();
    assert!(!vault.alive(&parent).await && vault.alive(&grandchild).await);
    assert_eq!(vault.lookup(&child).await["orphan"], true);
    vault.write(&child, "revoke-self", json!({})).await.unwrap();
    assert!(!vault.alive(&grandchild).await);
}

#[tokio::test]
async fn no_child_is_born_to_a_token_that_is_being_revoked() {
    let vault = Arc::new(Vault::new().await);
    for _ in 0..20 {
        let parent = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
        let births = (0..8).map(|_| {
            let (vault, parent) = (vault.clone(), parent.clone());
            tokio::spawn(
                async move { vault.write(&parent, "create", json!({})).await.ok().map(|response| response.auth.unwrap().client_token) },
            )
        });
        let births: Vec<_> = births.collect();
        vault.write(&vault.root, "revoke", json!({"token": parent})).await.unwrap();
        for birth in births {
            if let Some(child) = birth.await.unwrap() {
                assert!(!vault.alive(&child).await);
            }
        }
    }
    assert_eq!(vault.store.accessors().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_without_a_lease_is_refused_and_revoked() {
    let vault = Vault::new().await;
    let token = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    let entry = vault.caller(&token).await.unwrap().entry.clone();
    vault.store.leases.delete(&entry.lease_id(&vault.store.salted(&entry.id))).await.unwrap();
    assert!(!vault.alive(&token).await);
    assert_eq!(vault.store.accessors().await.unwrap().len(), 1);
}

#[tokio::test]
async fn tokens_that_this_server_cannot_judge_are_refused() {
    let vault = Vault::new().await;
    let token = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    let entry = (*vault.caller(&token).await.unwrap().entry).clone();
    let salted = vault.store.salted(&entry.id);
    type Change = fn(&mut super::super::Entry);
    let changes: [(&str, Change); 6] = [
        ("inline policy", |entry| entry.inline_policy = "path \"x\" {".to_owned()),
        ("entity", |entry| entry.entity_id = "e".to_owned()),
        ("namespace", |entry| entry.namespace_id = "abcdef".to_owned()),
        ("network", |entry| entry.bound_cidrs = Some(vec!["10.0.0.0/8".to_owned()])),
        ("under revocation", |entry| entry.num_uses = -1),
        ("another id", |entry| entry.id = Zeroizing::new("hvs.other".to_owned())),
    ];
    for (what, change) in changes {
        let mut changed = entry.clone();
        change(&mut changed);
        vault.store.put_entry(&salted, &changed).await.unwrap();
        assert!(!vault.alive(&token).await, "{what}");
    }
    let mut bound = entry.clone();
    bound.bound_cidrs = Some(vec!["10.0.0.0/8".to_owned()]);
    vault.store.put_entry(&salted, &bound).await.unwrap();
    assert!(vault.store.caller(&token, Some("10.1.1.1:99".parse().unwrap())).await.unwrap().is_some());
    assert!(vault.store.caller(&token, Some("11.1.1.1:99".parse().unwrap())).await.is_err());
    for batch in ["b.AAAAAQI", "hvb.AAAAAQI"] {
        assert!(vault.store.caller(batch, None).await.unwrap().is_none(), "{batch}");
    }
}

/// A legacy token and its lease as OpenBao 2.7.2 writes them, with members that are not known here.
#[tokio::test]
async fn a_token_of_another_server_is_used_and_renewed_and_keeps_its_members() {
    let vault = Vault::new().await;
    let id = "s.abcdefghijklmnopqrstuvwx";
    let salted = vault.store.salted(id);
    let now = vault.clock.now();
    let (issued, expires) = (Time::from(now).text(), Time::from(now + HOUR).text());
    let lease_id = format!("auth/token/create/{salted}");
    let entry = json!({"type": 1, "id": id, "accessor": "acc", "parent": "", "policies": ["default"], "inline_policy": "", "path": "auth/token/create",
        "meta": null, "internal_meta": null, "display_name": "token", "num_uses": 3, "creation_time": 1_795_301_452, "ttl": 3_600_000_000_000_i64,
        "explicit_max_ttl": 0, "role": "", "period": 0, "DisplayName": "", "NumUses": 0, "CreationTime": 0, "ExplicitMaxTTL": 0, "entity_id": "",
        "no_identity_policies": false, "bound_cidrs": null, "namespace_id": "root", "cubbyhole_id": "cubby", "future": {"n": 12345678901234567890_u64}});
    let lease = json!({"lease_id": lease_id, "client_token": id, "token_type": 0, "path": "auth/token/create", "data": null, "secret": null,
        "auth": {"lease": 3_600_000_000_000_i64, "max_ttl": 0, "renewable": true, "internal_data": null, "display_name": "token", "policies": null,
            "token_policies": ["default"], "identity_policies": null, "external_namespace_policies": null, "no_default_policy": false, "metadata": null,
            "client_token": id, "accessor": "acc", "period": 0, "explicit_max_ttl": 0, "num_uses": 0, "entity_id": "", "alias": null,
            "group_aliases": null, "bound_cidrs": null, "creation_path": "auth/token/create", "token_type": 1, "orphan": true, "policy_results": null,
            "mfa_requirement": null, "entity_created": false, "list_scan_response_keys_filter_path": "x"},
        "issue_time": issued, "expire_time": expires, "last_renewal_time": "0001-01-01T00:00:00Z", "login_role": "", "version": 1, "revokeErr": "",
        "future": [1.5e3]});
    vault.store.view.put(&format!("id/{salted}"), entry.to_string().as_bytes()).await.unwrap();
    let leases = &vault.store.leases;
    leases.put(&crate::lease::Lease::from_stored("x", lease.to_string().as_bytes()).unwrap()).await.unwrap();

    assert_eq!(vault.write(id, "renew-self", json!({"increment": "2h"})).await.unwrap().auth.unwrap().lease_duration, HOUR * 2);
    let stored: Value = serde_json::from_slice(&vault.store.view.get(&format!("id/{salted}")).await.unwrap().unwrap()).unwrap();
    let mut wanted = entry.clone();
    wanted["num_uses"] = json!(2);
    assert_eq!(stored, wanted);
    let stored: Value = serde_json::from_slice(&leases.get(&lease_id).await.unwrap().unwrap().to_stored().unwrap()).unwrap();
    assert_eq!(stored["future"], lease["future"]);
    assert_eq!(stored["auth"]["list_scan_response_keys_filter_path"], "x");
    assert_eq!(stored["auth"]["lease"], json!(7_200_000_000_000_i64));
    assert_ne!(stored["last_renewal_time"], lease["last_renewal_time"]);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(names(&stored), names(&lease));
    assert_eq!(names(&stored["auth"]), names(&lease["auth"]));
}

#[tokio::test]
async fn what_is_stored_has_the_members_that_other_servers_expect() {
    let vault = Vault::new().await;
    let token = vault.make(&vault.root, json!({"policies": ["p1"], "ttl": "1h"})).await;
    let entry = vault.caller(&token).await.unwrap().entry.clone();
    let salted = vault.store.salted(&entry.id);
    assert!(salted.starts_with('h') && salted.len() == 65);
    let stored: Value = serde_json::from_slice(&entry.to_stored().unwrap()).unwrap();
    assert_eq!(stored["type"], 1);
    assert_eq!(stored["ttl"], json!(3_600_000_000_000_i64));
    assert_eq!(stored["parent"], **vault.root);
    assert_eq!(stored["cubbyhole_id"].as_str().unwrap().len(), 24);
    assert_eq!(stored["namespace_id"], "root");
    let root = vault.store.salted(&vault.root);
    assert_eq!(**vault.store.view.get(&format!("parent/{root}/{salted}")).await.unwrap().unwrap(), *b"");
    let accessor = vault.store.view.get(&format!("accessor/{}", vault.store.salted(&entry.accessor))).await.unwrap().unwrap();
    assert_eq!(
        String::from_utf8(accessor.to_vec()).unwrap(),
        format!("{{\"token_id\":\"{}\",\"accessor_id\":\"{}\",\"namespace_id\":\"root\"}}\n", *entry.id, entry.accessor)
    );
    let lease = vault.store.lease(&format!("auth/token/create/{salted}")).await.unwrap();
    assert_eq!(lease["path"], "auth/token/create");
    assert_eq!(lease["renewable"], true);
    assert_eq!(vault.store.lease_names("").await.unwrap(), ["auth/"]);
    assert_eq!(vault.store.lease_names("auth/token/create/").await.unwrap(), [salted]);
    vault.store.end_leases("auth/token").await.unwrap();
    assert!(!vault.alive(&token).await);
}

#[tokio::test]
async fn a_renewal_that_comes_before_the_sweeper_saves_the_token() {
    let vault = Vault::new().await;
    let token = vault.make(&vault.root, json!({"ttl": "1h", "policies": ["p1"]})).await;
    let entry = vault.caller(&token).await.unwrap().entry.clone();
    let salted = vault.store.salted(&entry.id);
    let lease = vault.store.leases.get(&entry.lease_id(&salted)).await.unwrap().unwrap();
    // As a renewal that is storing the lease at the moment at which it ends.
    let changing = vault.store.lock(&salted).await.unwrap();
    vault.clock.advance(HOUR * 2);
    let mut sweep = Box::pin(vault.store.sweep_due());
    assert!(futures_util::FutureExt::now_or_never(&mut sweep).is_none(), "the sweeper did not wait");
    let renewed = crate::lease::Lease { expire_time: Time::from(vault.clock.now() + HOUR), ..lease };
    vault.store.leases.put(&renewed).await.unwrap();
    drop(changing);
    assert_eq!(sweep.await, renewed.expire_time.get());
    assert!(vault.alive(&token).await);
}

#[tokio::test]
async fn a_lease_that_cannot_be_read_costs_no_token() {
    let (keys, memory, clock) = (Keys::new(), Memory::default(), Clock::default());
    let barrier = keys.barrier(memory.clone());
    let vault = Vault::over(barrier.clone(), clock.clone()).await;
    let parent = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    let child = vault.make(&parent, json!({})).await;
    let entry = vault.caller(&parent).await.unwrap().entry.clone();
    let lease = format!("sys/expire/id/{}", entry.lease_id(&vault.store.salted(&entry.id)));
    let damaged = br#"{"lease_id": "x", "client_token": "hvs.private", "issue_time": "hunter2"}"#;
    barrier.put(&lease, damaged).await.unwrap();
    let (store, _) = store_over(keys.barrier(memory), clock.clone()).await.unwrap();
    store.leases.load().await.unwrap();
    let vault = Vault { backend: Backend::new(store.clone()), cubbyhole: store.cubbyhole(), store, clock, ..vault };
    for _ in 0..2 {
        assert!(matches!(vault.store.caller(&parent, None).await, Err(Error::Damaged(_))));
        assert!(matches!(vault.store.lookup_accessor(&entry.accessor).await, Err(Error::Damaged(_))));
        vault.store.sweep_due().await;
    }
    vault.store.tidy().await.unwrap();
    assert!(vault.alive(&child).await);
    assert_eq!(vault.store.accessors().await.unwrap().len(), 3);
    assert_eq!(**barrier.get(&lease).await.unwrap().unwrap(), *damaged);
    match vault.store.leases.get(lease.strip_prefix("sys/expire/id/").unwrap()).await {
        Err(Error::Damaged(text)) => assert!(!text.contains("hunter2") && text.contains("column"), "{text}"),
        _ => panic!("it was read"),
    }
    // Who wants it gone can have that.
    vault.store.revoke(&entry.id).await.unwrap();
    assert!(!vault.alive(&parent).await && !vault.alive(&child).await);
}

#[tokio::test]
async fn leases_of_other_engines_are_left_alone_and_keep_no_token() {
    let vault = Vault::new().await;
    let token = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    for id in ["auth/token/create/foreign", "database/creds/role/x"] {
        let lease = json!({"lease_id": id, "client_token": "s.other", "path": "database/creds/role", "secret": {},
            "issue_time": "2020-01-01T00:00:00Z", "expire_time": "2020-01-01T01:00:00Z"});
        let leases = &vault.store.leases;
        leases.put(&crate::lease::Lease::from_stored("x", lease.to_string().as_bytes()).unwrap()).await.unwrap();
    }
    // Nothing is due again but the token.
    assert!(vault.store.sweep_due().await.unwrap() > vault.clock.now() + HOUR);
    match vault.store.end_leases("auth/token").await {
        Err(Error::BadRequest(text)) => assert!(text.starts_with("1 of 2 leases were not revoked") && text.contains("foreign"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert!(!vault.alive(&token).await);
    assert_eq!(vault.store.leases.below("").await.unwrap().len(), 2);
}

#[tokio::test]
async fn tidying_runs_once_at_a_time_and_ends_with_the_store() {
    let vault = Vault::new().await;
    let token = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    let entry = vault.caller(&token).await.unwrap().entry.clone();
    vault.store.view.delete(&format!("id/{}", vault.store.salted(&entry.id))).await.unwrap();
    let first = vault.write(&vault.root, "tidy", json!({})).await.unwrap();
    assert_eq!(first.status, Some(202));
    let second = vault.write(&vault.root, "tidy", json!({})).await.unwrap();
    assert_eq!((second.status, &second.warnings[..]), (None, &["Tidy operation already in progress.".to_owned()][..]));
    vault.store.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(vault.store.accessors().await.unwrap().len(), 2);
    // It can be begun again.
    assert_eq!(vault.write(&vault.root, "tidy", json!({})).await.unwrap().status, Some(202));
    for _ in 0..200 {
        if vault.store.accessors().await.unwrap().len() == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing was tidied");
}
