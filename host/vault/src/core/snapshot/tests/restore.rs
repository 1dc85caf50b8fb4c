use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cofferdam_test_support::{Cut, Memory};
use serde_json::json;

use super::super::super::tests::{Vault, core_on, initialize, options, unseal};
use super::super::super::{CUT, Core, InitRequest, MARKER_PATH, Options};
use super::{entries, made, received, vault, whose};
use crate::keyring::KEYRING_PATH;
use crate::logical::Error;
use crate::seal::CONFIG_PATH;
use crate::seal::config::SealConfig;
use crate::testing::service::Service;

fn bad(result: crate::logical::Result<super::super::Restored>) -> String {
    match result {
        Err(Error::BadRequest(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// What is stored, without the servers' own entries.
fn stored(memory: &Memory) -> BTreeMap<String, Bytes> {
    memory.snapshot()
}

#[tokio::test]
async fn a_snapshot_has_every_entry_and_its_digests_are_under_the_seal() {
    let vault = vault("one").await;
    let snapshot = received(&vault.core.snapshot().await.unwrap());
    let expected: BTreeMap<String, Vec<u8>> = vault.memory.snapshot().into_iter().map(|(key, value)| (key, value.to_vec())).collect();
    assert_eq!(entries(&snapshot), expected);
    vault.core.unsealer().check_sums(&snapshot).await.unwrap();
    vault.core.shutdown().await;
    assert!(matches!(vault.core.snapshot().await, Err(Error::Sealed)));
}

#[tokio::test]
async fn what_is_restored_opens_with_its_own_keys_and_nothing_is_left_of_what_was_there() {
    let (one, two) = (vault("one").await, vault("two").await);
    let snapshot = received(&one.core.snapshot().await.unwrap());
    let expected = one.memory.snapshot();
    two.write("s/more", json!({"a": "b"})).await.unwrap();
    let text = bad(two.core.restore(snapshot.clone(), false).await);
    assert_eq!(
        text,
        "could not verify hash file, possibly the snapshot is using a different set of unseal keys; use the snapshot-force API to bypass this check"
    );
    assert_eq!(whose(&two.core, &two.root).await, "two");

    let restored = two.core.restore(snapshot, true).await.unwrap();
    assert_eq!((restored.entries, restored.left_out), (expected.len() as u64, 0));
    assert_eq!(stored(&two.memory), expected);
    assert!(two.core.seal_status().await.unwrap().sealed);
    assert!(unseal(&two.core, &two.key).await.is_err());
    assert!(!unseal(&two.core, &one.key).await.unwrap().sealed);
    assert_eq!(whose(&two.core, &one.root).await, "one");
}

#[tokio::test]
async fn a_snapshot_of_the_same_vault_is_taken_without_force() {
    let vault = vault("before").await;
    let snapshot = received(&vault.core.snapshot().await.unwrap());
    vault.write("s/whose", json!({"name": "after"})).await.unwrap();
    vault.core.restore(snapshot, false).await.unwrap();
    assert!(!unseal(&vault.core, &vault.key).await.unwrap().sealed);
    assert_eq!(whose(&vault.core, &vault.root).await, "before");
}

#[tokio::test]
async fn what_does_not_fit_or_is_no_vault_changes_nothing() {
    let one = vault("one").await;
    let good = entries(&received(&one.core.snapshot().await.unwrap()));
    let two = vault("two").await;
    let before = stored(&two.memory);
    let with = |key: &str, value: Vec<u8>| {
        let mut changed = good.clone();
        changed.insert(key.to_owned(), value);
        made(changed)
    };
    let without = |key: &str| made(good.iter().filter(|(name, _)| *name != key).map(|(key, value)| (key.clone(), value.clone())));
    for (snapshot, words) in [
        (with("big/value", vec![0; (1 << 24) + 1]), "cannot take the entry \"big/value\""),
        (with(&format!("big/{}", "k".repeat(255)), Vec::new()), "segment of its key has 255 bytes, at most 254"),
        (without(KEYRING_PATH), "holds no vault"),
        (without(CONFIG_PATH), "holds no vault"),
        (with(CONFIG_PATH, SealConfig::auto("static").to_stored().unwrap()), "barrier seal type of \"static\" does not match"),
        (with(CONFIG_PATH, b"{".to_vec()), "core/seal-config"),
    ] {
        let text = bad(two.core.restore(snapshot, true).await);
        assert!(text.contains(words), "{text}");
        assert_eq!(stored(&two.memory), before);
    }
    assert_eq!(whose(&two.core, &two.root).await, "two");
}

#[tokio::test]
async fn keys_that_no_storage_of_ours_takes_are_named() {
    let (one, two) = (vault("one").await, vault("two").await);
    let mut good = entries(&received(&one.core.snapshot().await.unwrap()));
    good.insert("core/sscGenCounter/".to_owned(), vec![1]);
    good.insert("core/lock".to_owned(), b"somebody".to_vec());
    let restored = two.core.restore(made(good), true).await.unwrap();
    assert_eq!((restored.left_out, restored.named.as_slice()), (1, ["core/sscGenCounter/".to_owned()].as_slice()));
    assert!(!unseal(&two.core, &one.key).await.unwrap().sealed);
    assert!(!two.memory.snapshot().contains_key("core/lock"));
}

#[tokio::test]
async fn a_restore_cut_anywhere_leaves_what_was_there_or_a_mark_with_which_only_the_same_snapshot_helps() {
    let (one, two, other) = (vault("one").await, vault("two").await, vault("other").await);
    let snapshot = received(&one.core.snapshot().await.unwrap());
    let another = received(&other.core.snapshot().await.unwrap());
    let whole = one.memory.snapshot();
    two.core.shutdown().await;
    let before = two.memory.snapshot();
    let mut writes = 0;
    loop {
        let memory = Memory::from_snapshot(before.clone());
        let cut = Cut::after(memory.clone(), i64::MAX / 2);
        let connected = two.reopen(cut.clone()).await.unwrap();
        cut.allow(writes);
        let done = connected.core.restore(snapshot.clone(), true).await;
        drop(connected);
        let core = core_on(memory.clone());
        if done.is_ok() {
            assert_eq!(memory.snapshot(), whole);
            assert!(!core.restore_cut().await.unwrap());
            break;
        }
        if !memory.snapshot().contains_key(MARKER_PATH) {
            assert_eq!(writes, 0);
            assert!(!unseal(&core, &two.key).await.unwrap().sealed);
            assert_eq!(whose(&core, &two.root).await, "two");
        } else {
            assert!(core.restore_cut().await.unwrap());
            core.seal_status().await.unwrap();
            for key in [&one.key, &two.key] {
                assert!(matches!(unseal(&core, key).await, Err(Error::Refused(text)) if text == CUT), "after {writes} writes");
            }
            assert!(initialize(&core, 1, 1).await.is_err());
            assert!(bad(core.restore(another.clone(), true).await).contains(snapshot.digest()));
            core.restore(snapshot.clone(), true).await.unwrap();
            assert_eq!(memory.snapshot(), whole, "after {writes} writes");
            assert!(!core.restore_cut().await.unwrap());
            assert!(!unseal(&core, &one.key).await.unwrap().sealed);
            assert_eq!(whose(&core, &one.root).await, "one");
        }
        // The writes in the middle are all alike.
        writes += if writes < 5 { 1 } else { 4 };
    }
    assert!(writes > 20, "{writes}");
}

#[tokio::test]
async fn a_vault_that_a_key_service_unseals_is_open_again_afterwards() {
    let service = Service::new("k1");
    let fresh = async |service: &Service, name: &str| {
        let memory = Memory::default();
        let core = Core::new(Arc::new(memory.clone()), Options { seal: service.options(), ..options() });
        let made = core.initialize(InitRequest { recovery_shares: 1, recovery_threshold: 1, ..InitRequest::default() }).await.unwrap();
        let vault = Vault { memory, core, key: String::new(), root: made.root_token.to_string() };
        vault.write("sys/mounts/s", json!({"type": "kv"})).await.unwrap();
        vault.write("s/whose", json!({"name": name})).await.unwrap();
        vault
    };
    let (one, two) = (fresh(&service, "one").await, fresh(&service, "two").await);
    let stranger = fresh(&Service::new("k2"), "stranger").await;
    let snapshot = received(&one.core.snapshot().await.unwrap());
    let text = bad(stranger.core.restore(snapshot.clone(), false).await);
    assert!(text.contains("possibly the snapshot is using a different autoseal key"), "{text}");
    two.core.restore(snapshot, false).await.unwrap();
    assert!(!two.core.seal_status().await.unwrap().sealed);
    assert_eq!(whose(&two.core, &one.root).await, "one");
}
