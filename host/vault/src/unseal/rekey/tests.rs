//! Rekeys as the core asks for them, over a storage in memory.

mod cuts;
mod refusals;

use cofferdam_backend::Storage;
use cofferdam_test_support::Memory;

use super::*;
use crate::barrier::Barrier;
use crate::seal::{CONFIG_PATH, RECOVERY_CONFIG_PATH, SHAMIR_KEK_PATH, SealOptions};
use crate::testing::service::Service;
use crate::unseal::tests::{assert_copies_are_right, made, over};

/// Shares as they were handed out.
type Parts = Vec<Vec<u8>>;

fn asked(shares: i64, threshold: i64) -> Asked {
    Asked { shares, threshold, ..Asked::default() }
}

fn verified(shares: i64, threshold: i64) -> Asked {
    Asked { verify: true, ..asked(shares, threshold) }
}

fn parts_of(shares: &Shares) -> Parts {
    shares.keys.shares().iter().map(|share| share.expose().to_vec()).collect()
}

fn with_service(storage: impl Storage, service: &Service) -> Unsealer {
    Unsealer::new(Barrier::new(Arc::new(storage)), false, SealOptions { ..service.options() })
}

/// A store with Shamir's shares 3/2 and one entry.
async fn shamir() -> (Memory, Parts) {
    let (storage, parts) = made().await;
    (storage, parts.iter().map(|part| part.to_vec()).collect())
}

/// A store under a key service, with recovery shares, and one entry.
async fn serviced(shares: i64, threshold: i64) -> (Memory, Service, Parts) {
    let (storage, service) = (Memory::default(), Service::new("one"));
    let unsealer = with_service(storage.clone(), &service);
    let parts = unsealer.prepare(shares, threshold).await.unwrap();
    unsealer.commit().await.unwrap();
    unsealer.inner.barrier.put("logical/x", b"secret").await.unwrap();
    (storage, service, parts.iter().map(|part| part.expose().to_vec()).collect())
}

/// Whether the shares open the store, and it holds what was written.
async fn opens(storage: &Memory, parts: &Parts) -> bool {
    let unsealer = over(Memory::from_snapshot(storage.snapshot()));
    for part in parts {
        match unsealer.unseal(part).await {
            Ok(false) => {}
            Ok(true) => {
                assert_eq!(**unsealer.inner.barrier.get("logical/x").await.unwrap().unwrap(), *b"secret");
                return true;
            }
            Err(Error::BadRequest(_)) => return false,
            Err(error) => panic!("{error}"),
        }
    }
    false
}

async fn open(unsealer: &Unsealer, parts: &Parts) {
    for part in parts {
        if unsealer.unseal(part).await.unwrap() {
            return;
        }
    }
    panic!("not enough shares");
}

/// Gives shares until it is done.
async fn update(unsealer: &Unsealer, target: Target, parts: &Parts, nonce: &str) -> Result<Shares> {
    for part in parts {
        if let Given::Done(shares) = unsealer.rekey_update(target, Words::Rekey, part, nonce).await? {
            return Ok(shares);
        }
    }
    panic!("not enough shares");
}

async fn begin(unsealer: &Unsealer, target: Target, asked: &Asked) -> Result<String> {
    match unsealer.rekey_begin(target, Words::Rekey, asked).await? {
        Given::More(progress) => Ok(progress.nonce),
        Given::Done(_) => panic!("nobody had to agree"),
    }
}

async fn rekeyed(unsealer: &Unsealer, target: Target, parts: &Parts, asked: &Asked) -> Result<Shares> {
    let nonce = begin(unsealer, target, asked).await?;
    update(unsealer, target, parts, &nonce).await
}

async fn proven(unsealer: &Unsealer, target: Target, parts: &Parts, nonce: &str) -> Result<()> {
    for part in parts {
        if let Proven::Done(_) = unsealer.rekey_prove(target, Words::Rekey, part, nonce).await? {
            return Ok(());
        }
    }
    panic!("not enough shares");
}

fn root(unsealer: &Unsealer) -> Vec<u8> {
    unsealer.inner.barrier.with_keyring(|keyring| Ok(keyring.root().expose().to_vec())).unwrap()
}

/// The entry, written before and after, is there; the keyring goes on.
async fn serves(unsealer: &Unsealer) {
    let barrier = &unsealer.inner.barrier;
    barrier.put("logical/y", b"later").await.unwrap();
    unsealer.rotate().await.unwrap();
    unsealer.maintain().await.unwrap();
    assert_eq!(**barrier.get("logical/x").await.unwrap().unwrap(), *b"secret");
}

#[tokio::test]
async fn new_shares_take_the_place_of_the_old_ones_and_so_does_a_new_root_key() {
    let (storage, old) = shamir().await;
    let unsealer = over(storage.clone());
    open(&unsealer, &old).await;
    let before = root(&unsealer);
    let mut now = old;
    for (shares, threshold) in [(5, 3), (1, 1), (3, 2)] {
        let given = rekeyed(&unsealer, Target::Root, &now, &asked(shares, threshold)).await.unwrap();
        let new = parts_of(&given);
        assert_eq!(new.len(), shares as usize);
        assert!(given.verification_nonce.is_none());
        let state = unsealer.status().await.unwrap();
        assert_eq!((i64::from(state.shares), i64::from(state.threshold), state.sealed), (shares, threshold, false));
        serves(&unsealer).await;
        assert!(opens(&storage, &new[new.len() - threshold as usize..].to_vec()).await);
        assert!(!opens(&storage, &now).await);
        assert_copies_are_right(&storage, &unsealer).await;
        now = new;
    }
    assert_ne!(root(&unsealer), before);
    assert!(unsealer.rekey_progress(Target::Root, Words::Rekey).await.unwrap() == Progress { required: 2, ..Progress::default() });
}

#[tokio::test]
async fn with_verification_the_old_shares_count_until_enough_of_the_new_ones_came_back() {
    let (storage, old) = shamir().await;
    let unsealer = over(storage.clone());
    open(&unsealer, &old).await;
    let before = storage.snapshot();
    let given = rekeyed(&unsealer, Target::Root, &old, &verified(4, 3)).await.unwrap();
    let (new, nonce) = (parts_of(&given), given.verification_nonce.unwrap());
    assert_eq!(storage.snapshot(), before);
    let progress = unsealer.rekey_progress(Target::Root, Words::Rekey).await.unwrap();
    assert_eq!((progress.started, progress.verification_nonce.as_str()), (true, nonce.as_str()));

    // Wrong ones are noticed, and change nothing but the nonce.
    let mut wrong = new.clone();
    wrong[1][0] ^= 1;
    assert!(
        matches!(proven(&unsealer, Target::Root, &wrong, &nonce).await, Err(Error::BadRequest(text)) if text.starts_with("rekey verification failed"))
    );
    assert!(
        matches!(proven(&unsealer, Target::Root, &new, &nonce).await, Err(Error::BadRequest(text)) if text.starts_with("incorrect nonce"))
    );
    assert!(opens(&storage, &old).await && !opens(&storage, &new).await);

    let proof = unsealer.rekey_proof_restart(Target::Root, Words::Rekey).unwrap();
    assert_eq!((proof.started, proof.progress, proof.shares, proof.threshold), (true, 0, 4, 3));
    assert!(proof.nonce != nonce);
    proven(&unsealer, Target::Root, &new[1..].to_vec(), &proof.nonce).await.unwrap();
    assert!(opens(&storage, &new).await && !opens(&storage, &old).await);
    serves(&unsealer).await;
    assert_copies_are_right(&storage, &unsealer).await;
    // A client that did not hear of the end may ask again.
    proven(&unsealer, Target::Root, &new, &proof.nonce).await.unwrap();
    assert!(!unsealer.rekey_progress(Target::Root, Words::Rekey).await.unwrap().started);
}

#[tokio::test]
async fn a_key_services_root_key_is_replaced_by_the_recovery_shares_and_nobody_gets_keys() {
    let (storage, service, recovery) = serviced(3, 2).await;
    let unsealer = with_service(storage.clone(), &service);
    assert!(unsealer.unseal_by_service().await.unwrap());
    let before = root(&unsealer);
    let given = rekeyed(&unsealer, Target::Root, &recovery, &asked(5, 3)).await.unwrap();
    assert!(parts_of(&given).is_empty());
    assert_ne!(root(&unsealer), before);
    let state = unsealer.status().await.unwrap();
    assert_eq!((state.shares, state.threshold), (3, 2));
    serves(&unsealer).await;
    assert!(!storage.snapshot().contains_key(SHAMIR_KEK_PATH));
    let again = with_service(storage.clone(), &service);
    assert!(again.unseal_by_service().await.unwrap());
    assert_eq!(root(&again), root(&unsealer));
    serves(&again).await;
}

#[tokio::test]
async fn new_recovery_shares_take_the_place_of_the_old_ones() {
    let (storage, service, old) = serviced(3, 2).await;
    let unsealer = with_service(storage.clone(), &service);
    unsealer.unseal_by_service().await.unwrap();
    let before = root(&unsealer);
    let given = rekeyed(&unsealer, Target::Recovery, &old, &asked(5, 3)).await.unwrap();
    let state = unsealer.status().await.unwrap();
    assert_eq!((state.shares, state.threshold), (5, 3));
    let refused = rekeyed(&unsealer, Target::Recovery, &[old.clone(), old[..1].to_vec()].concat(), &asked(1, 1)).await;
    assert!(matches!(refused, Err(Error::BadRequest(_))));
    unsealer.rekey_cancel(Target::Recovery, Words::Rekey).await.unwrap();
    // By verification, and to a single share.
    let new = parts_of(&given);
    let given = rekeyed(&unsealer, Target::Recovery, &new, &verified(1, 1)).await.unwrap();
    assert_eq!(unsealer.status().await.unwrap().shares, 5);
    let single = parts_of(&given);
    proven(&unsealer, Target::Recovery, &single, &given.verification_nonce.unwrap()).await.unwrap();
    assert_eq!(unsealer.status().await.unwrap().shares, 1);
    rekeyed(&unsealer, Target::Root, &single, &asked(0, 0)).await.unwrap();
    assert_ne!(root(&unsealer), before);
    let config = String::from_utf8(storage.snapshot()[RECOVERY_CONFIG_PATH].to_vec()).unwrap();
    assert!(config.contains(r#""secret_shares":1,"secret_threshold":1"#) && config.contains(r#""stored_shares":0"#), "{config}");
}

#[tokio::test]
async fn a_recovery_key_is_made_where_there_is_none_but_only_for_who_has_a_token() {
    for verify in [false, true] {
        let (storage, service, none) = serviced(0, 0).await;
        assert!(none.is_empty());
        let unsealer = with_service(storage.clone(), &service);
        unsealer.unseal_by_service().await.unwrap();
        let wanted = Asked { verify, ..asked(3, 2) };
        for target in [Target::Root, Target::Recovery] {
            let refused = unsealer.rekey_begin(target, Words::Rekey, &asked(3, 2)).await.err();
            assert!(matches!(refused, Some(Error::BadRequest(text)) if text.contains("sys/rotate/recovery/init")));
        }
        let Given::Done(given) = unsealer.rekey_begin(Target::Recovery, Words::Rotate, &wanted).await.unwrap() else { panic!() };
        let new = parts_of(&given);
        assert_eq!((new.len(), given.verification_nonce.is_some()), (3, verify));
        if let Some(nonce) = given.verification_nonce {
            assert_eq!(unsealer.status().await.unwrap().shares, 0);
            proven(&unsealer, Target::Recovery, &new, &nonce).await.unwrap();
        }
        assert_eq!(unsealer.status().await.unwrap().shares, 3);
        // From now on shares are needed.
        let Given::More(_) = unsealer.rekey_begin(Target::Recovery, Words::Rotate, &wanted).await.unwrap() else { panic!() };
        rekeyed(&unsealer, Target::Root, &new, &Asked::default()).await.unwrap();
    }
}

#[tokio::test]
async fn the_root_key_can_be_replaced_without_shares_which_then_still_open_the_store() {
    let (storage, parts) = shamir().await;
    let unsealer = over(storage.clone());
    open(&unsealer, &parts).await;
    let before = root(&unsealer);
    let config = storage.snapshot()[CONFIG_PATH].clone();
    unsealer.rotate_root().await.unwrap();
    assert_ne!(root(&unsealer), before);
    assert_eq!(storage.snapshot()[CONFIG_PATH], config);
    serves(&unsealer).await;
    assert!(opens(&storage, &parts).await);
    assert_copies_are_right(&storage, &unsealer).await;
    // Not under a key that the shares do not give: OpenBao locks its operators out so.
    unsealer.inner.barrier.put(SHAMIR_KEK_PATH, &[5; 32]).await.unwrap();
    let before = storage.snapshot();
    assert!(matches!(unsealer.rotate_root().await, Err(Error::Refused(text)) if text.contains("is not the unseal key")));
    assert_eq!(storage.snapshot(), before);

    let (storage, service, _) = serviced(0, 0).await;
    let unsealer = with_service(storage.clone(), &service);
    unsealer.unseal_by_service().await.unwrap();
    let before = root(&unsealer);
    unsealer.rotate_root().await.unwrap();
    assert_ne!(root(&unsealer), before);
    serves(&unsealer).await;
    let again = with_service(storage, &service);
    assert!(again.unseal_by_service().await.unwrap());
    assert_eq!(root(&again), root(&unsealer));
}

#[tokio::test]
async fn a_store_from_before_stored_keys_becomes_one_of_today() {
    let (storage, parts) = shamir().await;
    let unsealer = over(storage.clone());
    open(&unsealer, &parts).await;
    let legacy = vec![root(&unsealer)];
    for path in [crate::seal::STORED_KEYS_PATH, SHAMIR_KEK_PATH] {
        storage.delete(&cofferdam_backend::Key::new(path).unwrap()).await.unwrap();
    }
    crate::unseal::tests::put(&storage, CONFIG_PATH, br#"{"type":"shamir","secret_shares":1,"secret_threshold":1}"#.to_vec()).await;
    let unsealer = over(storage.clone());
    open(&unsealer, &legacy).await;
    assert!(matches!(unsealer.rotate_root().await, Err(Error::Refused(_))));
    let given = rekeyed(&unsealer, Target::Root, &legacy, &asked(3, 2)).await.unwrap();
    assert!(opens(&storage, &parts_of(&given)).await && !opens(&storage, &legacy).await);
    assert_copies_are_right(&storage, &unsealer).await;
}
