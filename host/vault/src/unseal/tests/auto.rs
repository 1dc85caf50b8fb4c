//! One key service: what it protects, how that opens, and how it is kept under the key of today.

use cofferdam_backend::Error as Backend;
use cofferdam_test_support::Cut;
use prost::Message as _;
use tracing::Level;

use super::*;
use crate::seal::blob::{BlobInfo, Header, KeyInfo};
use crate::seal::{RECOVERY_CONFIG_PATH, RECOVERY_KEY_PATH, stored};
use crate::testing::log::Log;
use crate::testing::service::Service;
use crate::unseal::rekey::{Asked, Given, Target, Words};

/// An unsealer as a server with this seal has it that just started on this storage.
pub(super) fn auto(storage: impl cofferdam_backend::Storage, options: SealOptions) -> Unsealer {
    Unsealer::new(Barrier::new(Arc::new(storage)), false, options)
}

/// A store under a key service, with one entry `logical/x`, and the shares of its recovery key.
async fn made(shares: i64, threshold: i64) -> (Memory, Service, Vec<Zeroizing<Vec<u8>>>) {
    let (storage, service) = (Memory::default(), Service::new("k1"));
    let unsealer = auto(storage.clone(), service.options());
    let parts = unsealer.initialize(shares, threshold).await.unwrap();
    unsealer.inner.barrier.put("logical/x", b"secret").await.unwrap();
    (storage, service, parts)
}

pub(super) fn root(unsealer: &Unsealer) -> Vec<u8> {
    unsealer.inner.barrier.with_keyring(|keyring| Ok(keyring.root().expose().to_vec())).unwrap()
}

pub(super) async fn assert_holds_the_secret(unsealer: &Unsealer) {
    assert_eq!(**unsealer.inner.barrier.get("logical/x").await.unwrap().unwrap(), *b"secret");
}

fn header(storage: &Memory, path: &str) -> Header {
    Header::of(path, &storage.snapshot()[path]).unwrap()
}

fn direct_allowed(service: &Service) -> SealOptions {
    let mut options = service.options();
    options.seals[0].allow_direct_blob = true;
    options
}

/// Stores the plaintext as the service itself encrypts it.
async fn put_direct(storage: &Memory, service: &Service, path: &str, plain: &[u8]) {
    let wrapped = service.encrypt(plain);
    let info = KeyInfo { mechanism: 0, key_id: wrapped.key_id, wrapped_key: Vec::new() };
    put(storage, path, BlobInfo { ciphertext: wrapped.blob.to_vec(), iv: Vec::new(), key_info: Some(info) }.encode_to_vec()).await;
}

#[tokio::test]
async fn init_leaves_what_vault_leaves_and_a_restart_costs_one_unwrap() {
    for (shares, threshold) in [(3, 2), (1, 1), (0, 0)] {
        let (storage, service, parts) = made(shares, threshold).await;
        assert_eq!(parts.len(), shares as usize);
        let entries = storage.snapshot();
        let text = |path: &str| entries.get(path).map(|value| String::from_utf8(value.to_vec()).unwrap());
        let golden = |kind: &str, shares: i64, threshold: i64, stored: u8| {
            format!(
                r#"{{"type":"{kind}","secret_shares":{shares},"secret_threshold":{threshold},"pgp_keys":null,"nonce":"","backup":false,"stored_shares":{stored}}}"#
            )
        };
        assert_eq!(text(CONFIG_PATH).unwrap(), golden("awskms", 1, 1, 1));
        assert_eq!(text(RECOVERY_CONFIG_PATH), (shares > 0).then(|| golden("shamir", shares, threshold, 0)));
        assert_eq!(entries.contains_key(RECOVERY_KEY_PATH), shares > 0);
        assert!(!entries.contains_key(SHAMIR_KEK_PATH) && entries.contains_key(MASTER_PATH) && !entries.contains_key(ROOT_KEY_PATH));
        assert!(!entries.keys().any(|key| key.starts_with("core/cofferdam/")));
        assert_eq!(header(&storage, STORED_KEYS_PATH), Header { key_id: "k1".to_owned(), direct: false });
        assert_eq!(service.asked(), (if shares > 0 { 2 } else { 1 }, 0, 0));

        let restarted = auto(storage.clone(), service.options());
        assert!(restarted.unseal_by_service().await.unwrap());
        assert_holds_the_secret(&restarted).await;
        assert_eq!((service.asked().1, service.asked().2), (1, 1), "one unwrap, and the name of the key of today");
        assert_eq!(storage.snapshot(), entries, "an unseal that has nothing to do writes nothing");
        assert!(!service.saw(&root(&restarted)), "the service saw the root key");
        let status = restarted.status().await.unwrap();
        assert_eq!(
            (status.kind.as_str(), status.recovery, status.shares, status.threshold),
            ("awskms", true, shares as u8, threshold as u8)
        );
    }
}

#[tokio::test]
async fn recovery_shares_open_it_and_wrong_ones_do_not() {
    let (storage, service, parts) = made(3, 2).await;
    let unsealer = auto(storage.clone(), service.options());
    let mut wrong = parts[1].clone();
    wrong[0] ^= 1;
    assert!(!unsealer.unseal_with(&parts[0], false).await.unwrap());
    let refused = unsealer.unseal_with(&wrong, false).await;
    assert_eq!(text(refused), "failed to verify recovery key: recovery key does not match submitted values");
    assert!(unsealer.inner.barrier.sealed());
    for part in &parts[1..] {
        unsealer.unseal_with(part, false).await.unwrap();
    }
    assert_holds_the_secret(&unsealer).await;

    let (storage, service, _) = made(0, 0).await;
    let unsealer = auto(storage, service.options());
    let refused = unsealer.unseal_with(&[1; 33], false).await;
    assert!(text(refused).contains("recovery seal configuration not found"));
}

#[tokio::test]
async fn a_recovery_key_of_no_shares_is_pointed_out_until_there_is_one() {
    const NONE: &str = r#"{"type":"shamir","secret_shares":0,"secret_threshold":0,"pgp_keys":null,"nonce":"","backup":false}"#;
    let (storage, service, _) = made(0, 0).await;
    let warned = async |storage: &Memory| {
        let (log, _guard) = Log::begin();
        let unsealer = auto(storage.clone(), service.options());
        assert!(unsealer.unseal_by_service().await.unwrap());
        (unsealer, log.count(tracing::Level::WARN, "coffer operator rekey -init -target=recovery"))
    };
    assert_eq!(warned(&storage).await.1, 0, "none was wanted");
    put(&storage, RECOVERY_CONFIG_PATH, NONE.as_bytes().to_vec()).await;
    let (unsealer, warnings) = warned(&storage).await;
    assert_eq!(warnings, 1);
    let asked = Asked { shares: 3, threshold: 2, verify: false, pgp_keys: 0, backup: false };
    let made = unsealer.rekey_begin(Target::Recovery, Words::Rotate, &asked).await.unwrap();
    assert!(matches!(made, Given::Done(_)));
    assert_eq!(warned(&storage).await.1, 0);
    let stored = String::from_utf8(storage.snapshot()[RECOVERY_CONFIG_PATH].to_vec()).unwrap();
    assert!(stored.contains(r#""secret_shares":3,"secret_threshold":2"#), "{stored}");
}

#[tokio::test]
async fn a_changed_key_encrypts_the_stored_keys_anew_once_with_and_without_a_recovery_key() {
    for shares in [3, 0] {
        let (storage, service, _) = made(shares, shares.min(2)).await;
        let before = storage.snapshot();
        service.turn_to("k2");
        // Neither an unseal nor anything stored is lost if the new key cannot encrypt yet.
        service.fail_wraps(Some(Backend::Denied("kms:Encrypt".to_owned())));
        let unsealer = auto(storage.clone(), service.options());
        assert!(unsealer.unseal_by_service().await.unwrap());
        assert_holds_the_secret(&unsealer).await;
        assert_eq!(storage.snapshot(), before);
        service.fail_wraps(None);
        // Nor if it could encrypt and not decrypt.
        service.encrypts_only(Some("k2"));
        assert!(auto(storage.clone(), service.options()).unseal_by_service().await.unwrap());
        assert_eq!(storage.snapshot(), before);
        service.encrypts_only(None);
        for round in 0..2 {
            let unsealer = auto(storage.clone(), service.options());
            let entries = storage.snapshot();
            assert!(unsealer.unseal_by_service().await.unwrap());
            assert_holds_the_secret(&unsealer).await;
            for path in [STORED_KEYS_PATH, RECOVERY_KEY_PATH] {
                assert_eq!(entries.contains_key(path), before.contains_key(path));
                if entries.contains_key(path) {
                    assert_eq!(header(&storage, path).key_id, "k2", "{path}");
                }
            }
            if round > 0 {
                assert_eq!(storage.snapshot(), entries);
            }
            // No more than these.
            let changed: Vec<_> =
                before.iter().filter(|(key, value)| storage.snapshot()[*key] != **value).map(|(key, _)| key.clone()).collect();
            assert_eq!(changed.len(), if shares > 0 { 2 } else { 1 }, "{changed:?}");
        }
    }
}

#[tokio::test]
async fn a_recovery_key_that_does_not_open_leaves_the_stored_keys_renewed() {
    let (storage, service, _) = made(1, 1).await;
    service.turn_to("k2");
    put(&storage, RECOVERY_KEY_PATH, b"\x0A\x01x".to_vec()).await;
    let unsealer = auto(storage.clone(), service.options());
    assert!(unsealer.unseal_by_service().await.unwrap());
    assert_eq!(header(&storage, STORED_KEYS_PATH).key_id, "k2");
    assert_eq!(*storage.snapshot()[RECOVERY_KEY_PATH], *b"\x0A\x01x");
}

#[tokio::test]
async fn a_blob_of_the_direct_kind_is_refused_unasked_and_if_allowed_the_root_key_is_replaced() {
    let (storage, service, parts) = made(1, 1).await;
    let unsealer = auto(storage.clone(), service.options());
    unsealer.unseal_by_service().await.unwrap();
    let old = root(&unsealer);
    drop(unsealer);
    put_direct(&storage, &service, STORED_KEYS_PATH, &stored::plain(&Secret::from_slice(&old).unwrap()).unwrap()).await;
    put_direct(&storage, &service, RECOVERY_KEY_PATH, &parts[0]).await;
    let shown = STANDARD.encode(&old);
    let before = (storage.snapshot(), service.asked());

    let refused = auto(storage.clone(), service.options()).unseal_by_service().await.unwrap_err();
    assert!(
        matches!(&refused, Error::Damaged(text) if text.contains("allow_direct_blob = true") && text.contains(STORED_KEYS_PATH)),
        "{refused}"
    );
    assert_eq!((storage.snapshot(), service.asked()), before, "the service was asked");

    // The connection is cut after each write in turn: it opens, or can be opened again.
    for cuts in 0.. {
        for batches in [true, false] {
            let storage = Memory::from_snapshot(before.0.clone());
            let storage = if batches { storage } else { storage.without_atomic_batch() };
            let opened = auto(Cut::after(storage.clone(), cuts), direct_allowed(&service)).unseal_by_service().await;
            // Positive control: the service has seen the old one, so it would be known if it saw the new one.
            assert!(service.saw(shown.as_bytes()));
            let restarted = auto(storage.clone(), direct_allowed(&service));
            assert!(restarted.unseal_by_service().await.unwrap(), "after {cuts} writes: {opened:?}");
            assert_holds_the_secret(&restarted).await;
            let new = root(&restarted);
            assert!(new != old && !service.saw(STANDARD.encode(&new).as_bytes()) && !service.saw(&new));
            assert!(!header(&storage, STORED_KEYS_PATH).direct);
            // From now on without leave.
            let restarted = auto(storage.clone(), service.options());
            assert!(restarted.unseal_by_service().await.unwrap());
            assert!(!header(&storage, RECOVERY_KEY_PATH).direct);
            restarted.inner.verify_recovery_key(&Secret::from_slice(&parts[0]).unwrap()).await.unwrap();
            if cuts > 8 {
                assert!(opened.unwrap());
                if !batches {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_vault_whose_root_key_was_shown_is_not_opened_if_it_cannot_be_replaced() {
    let (storage, service, _) = made(0, 0).await;
    let unsealer = auto(storage.clone(), service.options());
    unsealer.unseal_by_service().await.unwrap();
    let plain = stored::plain(&Secret::from_slice(&root(&unsealer)).unwrap()).unwrap();
    drop(unsealer);
    put_direct(&storage, &service, STORED_KEYS_PATH, &plain).await;
    service.fail_wraps(Some(Backend::Denied("kms:Encrypt".to_owned())));
    let unsealer = auto(storage, direct_allowed(&service));
    assert!(matches!(unsealer.unseal_by_service().await, Err(Error::Seal { source: Backend::Denied(_), .. })));
    assert!(unsealer.inner.barrier.sealed());
}

#[tokio::test]
async fn stored_keys_that_were_tampered_with_never_open_to_anything_else() {
    let (storage, service, _) = made(0, 0).await;
    let blob = storage.snapshot()[STORED_KEYS_PATH].to_vec();
    for at in 0..blob.len() {
        for bit in [0x01, 0x10, 0x80] {
            let storage = Memory::from_snapshot(storage.snapshot());
            let mut changed = blob.clone();
            changed[at] ^= bit;
            put(&storage, STORED_KEYS_PATH, changed).await;
            let unsealer = auto(storage, service.options());
            match unsealer.unseal_by_service().await {
                Ok(_) => assert_holds_the_secret(&unsealer).await,
                Err(Error::Damaged(_) | Error::Seal { .. }) => assert!(unsealer.inner.barrier.sealed()),
                Err(other) => panic!("byte {at}: {other}"),
            }
        }
    }
}

#[tokio::test]
async fn another_vaults_stored_keys_are_told_from_ours() {
    let (storage, service, _) = made(0, 0).await;
    let other = Memory::default();
    auto(other.clone(), service.options()).initialize(0, 0).await.unwrap();
    put(&storage, STORED_KEYS_PATH, other.snapshot()[STORED_KEYS_PATH].to_vec()).await;
    let unsealer = auto(storage.clone(), service.options());
    let error = unsealer.unseal_by_service().await.unwrap_err();
    assert!(matches!(&error, Error::Damaged(text) if text.contains(KEYRING_PATH) && text.contains(STORED_KEYS_PATH)), "{error}");

    // Under a service that is not ours.
    let foreign = Service::new("k9");
    auto(Memory::default(), foreign.options()).initialize(0, 0).await.unwrap();
    let made_there = blob_of(&foreign).await;
    put(&storage, STORED_KEYS_PATH, made_there).await;
    let error = auto(storage.clone(), service.options()).unseal_by_service().await.unwrap_err();
    assert!(matches!(&error, Error::Seal { source: Backend::Configuration(_), .. }), "{error}");

    storage.delete(&Key::new(STORED_KEYS_PATH).unwrap()).await.unwrap();
    let error = auto(storage, service.options()).unseal_by_service().await.unwrap_err();
    assert!(matches!(&error, Error::Damaged(text) if text.contains("is gone")), "{error}");
}

async fn blob_of(service: &Service) -> Vec<u8> {
    let plain = stored::plain(&Secret::random().unwrap()).unwrap();
    crate::seal::blob::seal(&service.seal("s"), &plain).await.unwrap()
}

#[tokio::test]
async fn an_init_that_is_cut_off_can_be_run_again_and_asks_the_service_before_it_writes() {
    let (storage, service) = (Memory::default(), Service::new("k1"));
    service.fail(Some(Backend::Unavailable("away".to_owned())));
    assert!(matches!(auto(storage.clone(), service.options()).initialize(3, 2).await, Err(Error::Seal { .. })));
    assert!(storage.snapshot().is_empty());
    service.fail(None);
    for shares in [3, 0] {
        let threshold = shares.min(2);
        for cuts in 0.. {
            let storage = Memory::default();
            let made = auto(Cut::after(storage.clone(), cuts), service.options()).initialize(shares, threshold).await;
            let unsealer = auto(storage.clone(), service.options());
            let done = made.is_ok();
            let parts = match made {
                Ok(parts) => parts,
                Err(Error::Storage(_)) => {
                    assert!(!unsealer.unseal_by_service().await.unwrap(), "cut after {cuts}");
                    unsealer.initialize(shares, threshold).await.unwrap()
                }
                Err(error) => panic!("cut after {cuts}: {error}"),
            };
            let restarted = auto(storage.clone(), service.options());
            assert!(restarted.unseal_by_service().await.unwrap(), "cut after {cuts}");
            if shares > 0 {
                let key = combine(&parts.iter().map(|part| Secret::from_slice(part).unwrap()).collect::<Vec<_>>(), 2).unwrap();
                restarted.inner.verify_recovery_key(&key).await.unwrap();
            }
            if done {
                assert_eq!(cuts, if shares > 0 { 9 } else { 7 }, "writes of an initialisation");
                break;
            }
        }
    }
}

#[tokio::test]
async fn the_log_says_what_was_replaced_and_holds_no_key() {
    let (storage, service, parts) = made(1, 1).await;
    let (log, _guard) = Log::begin();
    service.turn_to("k2");
    let unsealer = auto(storage.clone(), service.options());
    unsealer.unseal_by_service().await.unwrap();
    for what in ["upgrading stored keys", "upgrading recovery key"] {
        assert_eq!(log.count(Level::INFO, what), 1, "{what}");
    }
    let old = root(&unsealer);
    drop(unsealer);
    put_direct(&storage, &service, STORED_KEYS_PATH, &stored::plain(&Secret::from_slice(&old).unwrap()).unwrap()).await;
    let unsealer = auto(storage, direct_allowed(&service));
    unsealer.unseal_by_service().await.unwrap();
    assert_eq!(log.count(Level::WARN, "it was replaced"), 1);
    // A positive control of the search, and then the search.
    let new = root(&unsealer);
    tracing::info!(control = hex::encode(b"control"));
    assert!(log.holds(&hex::encode(b"control")));
    for key in [&old[..], &new, &parts[0]] {
        assert!(!log.holds(&hex::encode(key)) && !log.holds(&STANDARD.encode(key)) && !log.holds(&format!("{key:?}")));
    }
}
