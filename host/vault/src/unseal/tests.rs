use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_backend::Storage as _;
use cofferdam_test_support::Memory;
use zeroize::Zeroizing;

use super::*;
use crate::keyring::json;
use crate::seal::config::SealConfig;
use crate::seal::{CONFIG_PATH, MASTER_PATH, ROOT_KEY_PATH, SHAMIR_KEK_PATH, STORED_KEYS_PATH};

mod auto;
mod crash;
mod seals;

/// An unsealer as a server has it that just started on this storage.
pub(super) fn over(storage: impl cofferdam_backend::Storage) -> Unsealer {
    Unsealer::new(Barrier::new(Arc::new(storage)), false, SealOptions::default())
}

impl Unsealer {
    pub(super) async fn unseal(&self, part: &[u8]) -> Result<bool> {
        self.unseal_with(part, false).await
    }

    /// A new store with nothing in it.
    pub(super) async fn initialize(&self, shares: i64, threshold: i64) -> Result<Vec<Zeroizing<Vec<u8>>>> {
        let parts = self.prepare(shares, threshold).await?;
        self.commit().await?;
        Ok(plain(parts))
    }
}

pub(super) fn plain(parts: Vec<Secret>) -> Vec<Zeroizing<Vec<u8>>> {
    parts.iter().map(|part| Zeroizing::new(part.expose().to_vec())).collect()
}

/// A store with shares 3/2 and one entry `logical/x`.
pub(super) async fn made() -> (Memory, Vec<Zeroizing<Vec<u8>>>) {
    let storage = Memory::default();
    let unsealer = over(storage.clone());
    let parts = unsealer.initialize(3, 2).await.unwrap();
    unsealer.inner.barrier.put("logical/x", b"secret").await.unwrap();
    (storage, parts)
}

pub(super) async fn put(storage: &Memory, key: &str, value: Vec<u8>) {
    storage.put(&Key::new(key).unwrap(), value.into()).await.unwrap();
}

pub(super) async fn open(unsealer: &Unsealer, parts: &[Zeroizing<Vec<u8>>]) {
    assert!(!unsealer.unseal(&parts[0]).await.unwrap());
    assert!(unsealer.unseal(&parts[1]).await.unwrap());
}

/// Of an open store: only Vault's name is there, and both copies are right.
pub(super) async fn assert_copies_are_right(storage: &Memory, unsealer: &Unsealer) {
    let stored = storage.snapshot();
    assert!(!stored.contains_key(ROOT_KEY_PATH));
    let barrier = &unsealer.inner.barrier;
    let root = json::parse_root(&barrier.get(MASTER_PATH).await.unwrap().unwrap()).unwrap();
    let kek = Secret::from_slice(&barrier.get(SHAMIR_KEK_PATH).await.unwrap().unwrap()).unwrap();
    let sealed = crate::seal::stored::open(&kek, &stored[STORED_KEYS_PATH]).unwrap();
    assert_eq!(sealed.expose(), root.expose());
    assert!(barrier.with_keyring(|keyring| Ok(keyring.root().expose() == root.expose())).unwrap());
}

fn text(result: Result<bool>) -> String {
    match result {
        Err(Error::BadRequest(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[derive(serde::Deserialize)]
struct Fixture {
    keys: Vec<String>,
    entries: BTreeMap<String, String>,
}

fn openbao() -> (Memory, Vec<Zeroizing<Vec<u8>>>) {
    let fixture: Fixture = serde_json::from_str(include_str!("testdata/openbao-2.7.2.json")).unwrap();
    let entries = fixture.entries.into_iter().map(|(key, value)| (key, STANDARD.decode(value).unwrap().into()));
    let parts = fixture.keys.iter().map(|key| Zeroizing::new(hex::decode(key).unwrap()));
    (Memory::from_snapshot(entries.collect()), parts.collect())
}

#[tokio::test]
async fn a_store_that_openbao_wrote_opens_with_any_two_of_its_shares() {
    for pair in [[0, 1], [2, 0], [1, 2]] {
        let (storage, parts) = openbao();
        let before = storage.snapshot();
        let unsealer = over(storage.clone());
        assert_eq!(
            unsealer.status().await.unwrap(),
            SealState {
                kind: "shamir".to_owned(),
                recovery: false,
                initialized: true,
                sealed: true,
                threshold: 2,
                shares: 3,
                progress: 0,
                nonce: String::new(),
                migration: false,
            }
        );
        assert!(!unsealer.unseal(&parts[pair[0]]).await.unwrap());
        assert!(unsealer.unseal(&parts[pair[1]]).await.unwrap());
        let status = unsealer.key_status().unwrap();
        assert_eq!((status.term, status.install_time.as_str()), (2, "2026-11-21T22:55:02.692342762Z"));
        let barrier = &unsealer.inner.barrier;
        let mount = barrier.list("logical/").await.unwrap().remove(0);
        // One was written before the keyring was rotated, the other after it.
        assert_eq!(**barrier.get(&format!("logical/{mount}one")).await.unwrap().unwrap(), *br#"{"a":"b"}"#);
        assert_eq!(**barrier.get(&format!("logical/{mount}two")).await.unwrap().unwrap(), *br#"{"c":"d"}"#);
        assert_copies_are_right(&storage, &unsealer).await;
        // Nothing else was touched, but that Vault finds what OpenBao leaves out.
        let mut after = storage.snapshot();
        assert!(after.remove(MASTER_PATH).is_some());
        let config = SealConfig::for_vault(&before[CONFIG_PATH]).unwrap().unwrap();
        assert_eq!(after.insert(CONFIG_PATH.to_owned(), before[CONFIG_PATH].clone()).unwrap(), config);
        after.insert(ROOT_KEY_PATH.to_owned(), before[ROOT_KEY_PATH].clone());
        assert_eq!(after, before);
    }
}

#[tokio::test]
async fn a_new_store_opens_with_its_shares_and_holds_what_was_written() {
    for (shares, threshold) in [(1, 1), (2, 2), (5, 3)] {
        let storage = Memory::default();
        let unsealer = over(storage.clone());
        assert!(!unsealer.initialized().await.unwrap());
        assert_eq!(text(unsealer.unseal(&[0; 32]).await), "Vault is not initialized");
        let parts = unsealer.initialize(shares, threshold).await.unwrap();
        assert_eq!(parts.len(), shares as usize);
        assert!(matches!(unsealer.initialize(1, 1).await, Err(Error::BadRequest(text)) if text == "Vault is already initialized"));
        unsealer.inner.barrier.put("a", b"1").await.unwrap();

        let restarted = over(storage.clone());
        for (at, part) in parts[..threshold as usize].iter().enumerate() {
            assert_eq!(restarted.unseal(part).await.unwrap(), at + 1 == threshold as usize);
        }
        assert_eq!(**restarted.inner.barrier.get("a").await.unwrap().unwrap(), *b"1");
        assert_copies_are_right(&storage, &restarted).await;
        assert!(!storage.snapshot().contains_key(init::MARKER_PATH));
    }
}

#[tokio::test]
async fn impossible_shares_are_refused_before_anything_is_written() {
    let storage = Memory::default();
    for (shares, threshold) in [(0, 0), (2, 1), (256, 2), (2, 3)] {
        assert!(matches!(over(storage.clone()).initialize(shares, threshold).await, Err(Error::BadRequest(_))));
    }
    assert!(storage.snapshot().is_empty());
}

#[tokio::test]
async fn a_storage_that_held_a_vault_is_not_initialised_over_its_remains() {
    let (storage, _) = made().await;
    storage.delete(&Key::new(KEYRING_PATH).unwrap()).await.unwrap();
    let before = storage.snapshot();
    let unsealer = over(storage.clone());
    assert!(!unsealer.initialized().await.unwrap());
    assert!(matches!(unsealer.initialize(1, 1).await, Err(Error::BadRequest(text)) if text.contains(CONFIG_PATH)));
    assert_eq!(storage.snapshot(), before);
}

#[tokio::test]
async fn a_marker_that_does_not_name_the_keyring_lets_nobody_initialise_over_a_vault() {
    let (storage, parts) = made().await;
    let unused = storage.snapshot()[KEYRING_PATH].clone();
    open(&over(storage.clone()), &parts).await;
    let unsealer = over(storage.clone());
    open(&unsealer, &parts).await;
    unsealer.inner.barrier.put("logical/z", b"1").await.unwrap();
    unsealer.maintain().await.unwrap();
    drop(unsealer);
    let replayed = format!(r#"{{"started":"2026-01-01T00:00:00Z","keyring":"{}"}}"#, crypto::sha256_hex(&[&unused]));
    for marker in [r#"{"started":"2026-01-01T00:00:00Z"}"#, r#"{"started":"2026-01-01T00:00:00Z","keyring":""}"#, "", &replayed] {
        put(&storage, init::MARKER_PATH, marker.as_bytes().to_vec()).await;
        let before = storage.snapshot();
        let unsealer = over(storage.clone());
        assert!(unsealer.initialized().await.unwrap(), "{marker}");
        assert!(matches!(unsealer.initialize(1, 1).await, Err(Error::BadRequest(text)) if text == "Vault is already initialized"));
        assert_eq!(storage.snapshot(), before);
        // It opens, and the marker is gone.
        open(&unsealer, &parts).await;
        assert!(!storage.snapshot().contains_key(init::MARKER_PATH));
        assert_eq!(**unsealer.inner.barrier.get("logical/x").await.unwrap().unwrap(), *b"secret");
    }
}

#[tokio::test]
async fn progress_has_a_nonce_counts_each_part_once_and_can_be_reset() {
    let (storage, parts) = made().await;
    let unsealer = over(storage);
    let progress = async || {
        let status = unsealer.status().await.unwrap();
        (status.progress, status.nonce)
    };
    assert_eq!(progress().await, (0, String::new()));
    assert!(!unsealer.unseal(&parts[0]).await.unwrap());
    let (count, nonce) = progress().await;
    assert_eq!((count, nonce.len()), (1, 36));
    assert!(!unsealer.unseal(&parts[0]).await.unwrap());
    assert_eq!(progress().await, (1, nonce.clone()));
    unsealer.reset();
    assert_eq!(progress().await, (0, String::new()));
    assert!(!unsealer.unseal(&parts[1]).await.unwrap());
    assert_ne!(progress().await, (1, nonce));
    assert!(unsealer.unseal(&parts[2]).await.unwrap());
    assert_eq!(progress().await, (0, String::new()));
    // Once open, further parts change nothing.
    assert!(unsealer.unseal(&parts[0]).await.unwrap());
}

#[tokio::test]
async fn wrong_parts_are_dropped_and_told_as_openbao_does() {
    let (storage, parts) = openbao();
    let unsealer = over(storage);
    assert_eq!(text(unsealer.unseal(&[0; 15]).await), "invalid key: key is shorter than minimum 16 bytes");
    assert_eq!(text(unsealer.unseal(&[0; 34]).await), "invalid key: key is longer than maximum 33 bytes");
    let mut changed = parts[1].clone();
    changed[0] ^= 1;
    let mut same_x = parts[0].clone();
    same_x[0] ^= 1;
    let short = Zeroizing::new(parts[0][..32].to_vec());
    let begin = "invalid key: failed to compute combined key: ";
    for (second, expected) in [
        (
            changed,
            "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: cipher: message authentication failed"
                .to_owned(),
        ),
        (short, format!("{begin}all parts must be the same length")),
        (same_x, format!("{begin}duplicate part detected")),
    ] {
        assert!(!unsealer.unseal(&parts[0]).await.unwrap());
        assert_eq!(text(unsealer.unseal(&second).await), expected);
        assert_eq!(unsealer.status().await.unwrap().progress, 0);
    }
    open(&unsealer, &parts).await;
}

#[tokio::test]
async fn two_at_once_open_it_once() {
    let (storage, parts) = made().await;
    let unsealer = over(storage);
    let (a, b, c) = tokio::join!(unsealer.unseal(&parts[0]), unsealer.unseal(&parts[1]), unsealer.unseal(&parts[2]));
    assert_eq!([a.unwrap(), b.unwrap(), c.unwrap()], [false, true, true]);
    assert_eq!(unsealer.status().await.unwrap().progress, 0);
}

#[tokio::test]
async fn sealing_closes_the_barrier_and_the_shares_open_it_again() {
    let (storage, parts) = made().await;
    let unsealer = over(storage);
    open(&unsealer, &parts).await;
    unsealer.seal();
    assert!(unsealer.status().await.unwrap().sealed);
    assert!(matches!(unsealer.inner.barrier.get("logical/x").await, Err(Error::Sealed)));
    assert!(matches!(unsealer.key_status(), Err(Error::Sealed)));
    assert!(matches!(unsealer.rotate().await, Err(Error::Sealed)));
    open(&unsealer, &parts).await;
    assert_eq!(**unsealer.inner.barrier.get("logical/x").await.unwrap().unwrap(), *b"secret");
}

#[tokio::test]
async fn another_seal_or_none_is_an_error_of_the_store() {
    let (storage, parts) = made().await;
    let config = storage.snapshot()[CONFIG_PATH].clone();
    let awskms = String::from_utf8(config.to_vec()).unwrap().replace("shamir", "awskms");
    put(&storage, CONFIG_PATH, awskms.into_bytes()).await;
    let unsealer = over(storage.clone());
    assert!(matches!(unsealer.unseal(&parts[0]).await, Err(Error::Refused(text)) if text.contains("awskms") && text.contains("Shamir")));
    assert!(unsealer.status().await.is_err());
    storage.delete(&Key::new(CONFIG_PATH).unwrap()).await.unwrap();
    assert!(matches!(unsealer.unseal(&parts[0]).await, Err(Error::Damaged(text)) if text.contains("no seal configuration")));
}

#[tokio::test]
async fn a_store_from_before_stored_keys_opens_with_the_root_key_itself() {
    let (storage, parts) = made().await;
    let unsealer = over(storage.clone());
    open(&unsealer, &parts).await;
    let root = unsealer.inner.barrier.with_keyring(|keyring| Ok(keyring.root().expose().to_vec())).unwrap();
    storage.delete(&Key::new(STORED_KEYS_PATH).unwrap()).await.unwrap();
    storage.delete(&Key::new(SHAMIR_KEK_PATH).unwrap()).await.unwrap();
    put(&storage, CONFIG_PATH, br#"{"type":"shamir","secret_shares":1,"secret_threshold":1}"#.to_vec()).await;
    let legacy = over(storage.clone());
    assert_eq!(text(legacy.unseal(&[1; 32]).await), "unseal failed, invalid key");
    assert!(legacy.unseal(&root).await.unwrap());
    assert_eq!(**legacy.inner.barrier.get("logical/x").await.unwrap().unwrap(), *b"secret");
    assert!(!storage.snapshot().contains_key(SHAMIR_KEK_PATH));
    // Vault opens it as what it is.
    assert!(!String::from_utf8_lossy(&storage.snapshot()[CONFIG_PATH]).contains("stored_shares"));
}

#[tokio::test]
async fn use_of_the_key_is_stored_when_it_changed_and_only_then() {
    let (storage, parts) = made().await;
    let unsealer = over(storage.clone());
    open(&unsealer, &parts).await;
    let before = storage.snapshot();
    unsealer.maintain().await.unwrap();
    assert_eq!(storage.snapshot(), before);
    let known = unsealer.key_status().unwrap().encryptions;
    for _ in 0..10 {
        unsealer.inner.barrier.put("logical/y", b"1").await.unwrap();
    }
    unsealer.maintain().await.unwrap();
    let stored = storage.snapshot();
    assert_ne!(stored[KEYRING_PATH], before[KEYRING_PATH]);
    unsealer.maintain().await.unwrap();
    assert_eq!(storage.snapshot(), stored);
    let restarted = over(storage);
    open(&restarted, &parts).await;
    assert_eq!(restarted.key_status().unwrap().encryptions, known + 10);
}

#[tokio::test]
async fn a_key_that_is_due_is_rotated_by_itself() {
    let (storage, parts) = made().await;
    let unsealer = over(storage.clone());
    open(&unsealer, &parts).await;
    let old = unsealer.inner.barrier.with_keyring(|keyring| {
        let text = String::from_utf8(json::keyring(keyring)?.to_vec()).unwrap().replace(r#""Interval":0"#, r#""Interval":1"#);
        json::parse_keyring(text.as_bytes())
    });
    unsealer.inner.barrier.replace(old.unwrap()).unwrap();
    unsealer.maintain().await.unwrap();
    assert_eq!(unsealer.key_status().unwrap().term, 2);
    let restarted = over(storage.clone());
    open(&restarted, &parts).await;
    assert_eq!(restarted.key_status().unwrap().term, 2);
    assert_eq!(**restarted.inner.barrier.get("logical/x").await.unwrap().unwrap(), *b"secret");
    assert_copies_are_right(&storage, &restarted).await;
}
