//! The storage is cut off after every write of an operation that makes several; what a new server finds is whole.

use cofferdam_test_support::Cut;

use super::*;
use crate::testing::told::Told;

/// Runs the operation with 0, 1, 2, … writes let through until it succeeds, each time from the same state; hands each state to a new server. How many
/// writes it takes of a storage to which every change is one, of one that takes a batch as a whole, and of one that leaves the first part of a batch.
async fn cut_everywhere(
    prepare: &[(&str, &str, &str)],
    operate: (&str, &str, Value),
    check: impl AsyncFn(&Vault, &[(String, String)], bool),
) -> [i64; 3] {
    let mut writes = [0; 3];
    for (writes, batches) in writes.iter_mut().zip([Batches::Not, Batches::Whole, Batches::Torn]) {
        *writes = cut_on(batches, prepare, &operate, &check).await;
    }
    writes
}

/// What a storage makes of a batch.
#[derive(Clone, Copy, PartialEq)]
enum Batches {
    Not,
    Whole,
    Torn,
}

async fn cut_on(
    batches: Batches,
    prepare: &[(&str, &str, &str)],
    operate: &(&str, &str, Value),
    check: &impl AsyncFn(&Vault, &[(String, String)], bool),
) -> i64 {
    let keys = Keys::new();
    let before = Memory::default();
    let vault = Vault::over(keys.barrier(before.clone()), Clock::default()).await;
    let mut tokens = vec![("root".to_owned(), vault.root.to_string())];
    let named = |tokens: &[(String, String)], name: &str| tokens.iter().find(|(known, _)| known == name).unwrap().1.clone();
    for (name, parent, policies) in prepare {
        let data = if policies.is_empty() { json!({}) } else { json!({"policies": [policies]}) };
        let token = vault.make(&named(&tokens, parent), data).await;
        tokens.push(((*name).to_owned(), token));
    }
    for writes in 0.. {
        let memory = Memory::from_snapshot(before.snapshot());
        let memory = if batches == Batches::Not { memory.without_atomic_batch() } else { memory };
        let cut = Cut::after(memory.clone(), i64::MAX);
        let barrier = if batches == Batches::Torn { keys.barrier(Told::over(cut.clone())) } else { keys.barrier(cut.clone()) };
        let (store, _) = store_over(barrier, Clock::default()).await.unwrap();
        store.leases.load().await.unwrap();
        let caller = store.caller(&named(&tokens, operate.0), None).await.unwrap().unwrap();
        cut.allow(writes);
        let mut data = operate.2.clone();
        if let Some(name) = data.get("of").and_then(Value::as_str).map(str::to_owned) {
            data = json!({"token": named(&tokens, &name)});
        }
        let done = Backend::new(store).handle(&request(&caller, Operation::Update, operate.1, data)).await.is_ok();

        let clock = Clock::default();
        let barrier = keys.barrier(memory);
        let (store, policies) = store_over(barrier.clone(), clock.clone()).await.unwrap();
        store.leases.load().await.unwrap();
        let (backend, cubbyhole, root) = (Backend::new(store.clone()), store.cubbyhole(), vault.root.clone());
        let after = Vault { barrier, policies, backend, cubbyhole, store, clock, root };
        check(&after, &tokens, done).await;
        if done {
            return writes;
        }
    }
    0
}

/// Everything that points somewhere points to something, once what has ended was swept.
async fn whole(vault: &Vault) {
    let store = &vault.store;
    for id in store.view.list("id/").await.unwrap() {
        let entry = store.entry(&id).await.unwrap().unwrap();
        assert!(entry.never_expires() || store.leases.get(&entry.lease_id(&id)).await.unwrap().is_some(), "a token without a lease");
        assert!(store.lookup_accessor(&entry.accessor).await.unwrap().is_some(), "a token that its accessor does not find");
        if !entry.parent.is_empty() {
            let parent = store.salted(&entry.parent);
            assert!(store.view.get(&format!("parent/{parent}/{id}")).await.unwrap().is_some(), "a token that its parent does not know");
            assert!(store.entry(&parent).await.unwrap().is_some(), "a token whose parent is gone");
        }
    }
}

#[tokio::test]
async fn a_token_is_made_whole_or_not_at_all() {
    let writes = cut_everywhere(&[("parent", "root", "p1")], ("parent", "create", json!({"ttl": "1h"})), async |vault, tokens, done| {
        whole(vault).await;
        let made = vault.store.view.list("id/").await.unwrap().len();
        assert_eq!(made, tokens.len() + usize::from(done));
        // What is left of one that was not made is gone when its time has come.
        vault.clock.advance(HOUR * 2);
        vault.store.sweep_due().await;
        assert_eq!(vault.store.leases.below("").await.unwrap().len(), 1);
    })
    .await;
    assert_eq!(writes, [4, 1, 4]);
}

const TREE: [(&str, &str, &str); 6] =
    [("a", "root", "p2"), ("b", "a", ""), ("c", "a", ""), ("d", "b", ""), ("e", "d", ""), ("other", "root", "p1")];

#[tokio::test]
async fn a_revocation_that_was_cut_off_is_finished_by_the_next_server() {
    let writes = cut_everywhere(&TREE, ("root", "revoke", json!({"of": "a"})), async |vault, tokens, done| {
        let begun = !vault.alive(&tokens[1].1).await;
        let gone: Vec<bool> = futures_util::future::join_all(tokens.iter().map(async |(_, token)| !vault.alive(token).await)).await;
        assert!(begun || gone.iter().all(|gone| !gone), "a child went before its parent was refused: {gone:?}");
        assert!(!done || begun);
        vault.store.sweep_due().await;
        whole(vault).await;
        for (name, token) in tokens {
            let stays = matches!(name.as_str(), "root" | "other") || !begun;
            assert_eq!(vault.alive(token).await, stays, "{name}");
        }
        let left = if begun { 2 } else { tokens.len() };
        assert_eq!(vault.store.accessors().await.unwrap().len(), left);
        assert_eq!(vault.store.leases.below("").await.unwrap().len(), left - 1);
    })
    .await;
    assert!(writes.iter().all(|writes| *writes > 20), "{writes:?}");
}

#[tokio::test]
async fn a_root_token_without_a_lease_is_revoked_whole_too() {
    let prepare = [("a", "root", "p2")];
    cut_everywhere(&prepare, ("root", "revoke", json!({"of": "root"})), async |vault, tokens, done| {
        let begun = !vault.alive(&tokens[0].1).await;
        assert!(!done || begun);
        vault.store.sweep_due().await;
        assert_eq!(vault.alive(&tokens[0].1).await, !begun);
        assert_eq!(vault.alive(&tokens[1].1).await, !begun);
        assert_eq!(vault.store.accessors().await.unwrap().is_empty(), begun);
    })
    .await;
}

#[tokio::test]
async fn making_orphans_that_was_cut_off_costs_no_child() {
    cut_everywhere(&TREE, ("root", "revoke-orphan", json!({"of": "a"})), async |vault, tokens, done| {
        let begun = !vault.alive(&tokens[1].1).await;
        vault.store.sweep_due().await;
        whole(vault).await;
        assert!(begun || !done);
        for (name, token) in tokens {
            assert_eq!(vault.alive(token).await, name != "a" || !begun, "{name}");
        }
        // Also those that the parent's index still names.
        let a = vault.store.ids.inner(&tokens[1].1).unwrap();
        let orphans: Vec<bool> = futures_util::future::join_all(["b", "c"].map(async |name| {
            let (_, token) = tokens.iter().find(|(known, _)| known == name).unwrap();
            vault.lookup(token).await["orphan"] == true
        }))
        .await;
        vault.store.revoke(&a).await.unwrap();
        for (name, token) in tokens {
            let orphaned = match name.as_str() {
                "a" => false,
                "b" | "d" | "e" => orphans[0],
                "c" => orphans[1],
                _ => true,
            };
            assert_eq!(vault.alive(token).await, orphaned, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_renewal_that_failed_changes_nothing_that_is_promised() {
    cut_everywhere(&[("a", "root", "p1")], ("a", "renew-self", json!({"increment": "1h"})), async |vault, tokens, _| {
        whole(vault).await;
        assert!(vault.alive(&tokens[1].1).await);
    })
    .await;
}
