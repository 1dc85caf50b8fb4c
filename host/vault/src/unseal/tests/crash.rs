//! A connection that is cut after each write in turn, for every operation of more than one write.

use cofferdam_test_support::Cut;

use super::*;
use crate::keyring::Keyring;

/// Initialises, with some set-up of the core between.
async fn initialise(unsealer: &Unsealer, mark: &str) -> Result<Vec<Zeroizing<Vec<u8>>>> {
    let parts = unsealer.prepare(3, 2).await?;
    unsealer.inner.barrier.put("core/mounts", mark.as_bytes()).await?;
    unsealer.inner.barrier.put(&format!("sys/token/id/{mark}"), b"root").await?;
    unsealer.commit().await?;
    Ok(plain(parts))
}

#[tokio::test]
async fn an_initialisation_that_is_cut_off_can_be_run_again() {
    let mut cuts = 0;
    loop {
        let storage = Memory::default();
        let cut = Cut::after(storage.clone(), cuts);
        let parts = match initialise(&over(cut), "first").await {
            Ok(parts) => {
                let unsealer = over(storage);
                open(&unsealer, &parts).await;
                assert_eq!(**unsealer.inner.barrier.get("core/mounts").await.unwrap().unwrap(), *b"first");
                break;
            }
            Err(Error::Storage(_)) => {
                // Cut a second time, anywhere, and then not again.
                for again in 0..=cuts {
                    let storage = Memory::from_snapshot(storage.snapshot());
                    assert!(initialise(&over(Cut::after(storage, again)), "second").await.is_err());
                }
                assert!(initialise(&over(Cut::after(storage.clone(), cuts / 2)), "second").await.is_err());
                let unsealer = over(storage.clone());
                assert!(!unsealer.initialized().await.unwrap(), "cut after {cuts}");
                assert_eq!(text(unsealer.unseal(&[0; 33]).await), "Vault is not initialized");
                initialise(&unsealer, "third").await.unwrap()
            }
            Err(error) => panic!("cut after {cuts}: {error}"),
        };
        let unsealer = over(storage.clone());
        open(&unsealer, &parts).await;
        // Nothing is left of the earlier ones.
        assert_eq!(unsealer.inner.barrier.list("sys/token/id/").await.unwrap(), ["third"]);
        assert_copies_are_right(&storage, &unsealer).await;
        cuts += 1;
    }
    assert_eq!(cuts, 10, "writes of an initialisation");
}

#[tokio::test]
async fn a_rotation_that_is_cut_off_loses_nothing() {
    for cuts in 0..3 {
        let (storage, parts) = made().await;
        let cut = Cut::after(storage.clone(), 1_000);
        let unsealer = over(cut.clone());
        open(&unsealer, &parts).await;
        cut.allow(cuts);
        assert_eq!(unsealer.rotate().await.is_ok(), cuts == 2, "cut after {cuts}");
        // The connection is there again, and the same process goes on.
        cut.allow(1_000);
        unsealer.inner.barrier.put("logical/y", b"later").await.unwrap();

        let restarted = over(storage.clone());
        open(&restarted, &parts).await;
        for (key, value) in [("logical/x", &b"secret"[..]), ("logical/y", b"later")] {
            assert_eq!(**restarted.inner.barrier.get(key).await.unwrap().unwrap(), *value, "cut after {cuts}");
        }
        assert_copies_are_right(&storage, &restarted).await;
    }
}

#[tokio::test]
async fn after_a_write_of_the_keyring_that_was_given_up_the_next_one_waits() {
    let (storage, parts) = made().await;
    let cut = Cut::after(storage, 1_000);
    let unsealer = over(cut.clone());
    open(&unsealer, &parts).await;
    cut.allow(0);
    assert!(unsealer.rotate().await.is_err());
    cut.allow(1_000);
    assert!(matches!(unsealer.rotate().await, Err(Error::Storage(error)) if error.to_string().contains("try again in")));
    assert_eq!(unsealer.key_status().unwrap().term, 1);
    unsealer.inner.barrier.settle();
    unsealer.rotate().await.unwrap();
    assert_eq!(unsealer.key_status().unwrap().term, 2);
}

#[tokio::test]
async fn a_repair_that_is_cut_off_is_finished_at_the_next_open() {
    let mut cuts = 0;
    loop {
        let (storage, parts) = made().await;
        let stale = crate::testing::barrier_over(storage.clone());
        // Copies that belong to another keyring, as another server leaves them after a rekey.
        for path in [MASTER_PATH, ROOT_KEY_PATH, SHAMIR_KEK_PATH] {
            stale.put(path, b"{}").await.unwrap();
        }
        let unsealer = over(Cut::after(storage.clone(), cuts));
        assert!(!unsealer.unseal(&parts[0]).await.unwrap());
        let opened = unsealer.unseal(&parts[1]).await;
        let restarted = over(storage.clone());
        open(&restarted, &parts).await;
        assert_copies_are_right(&storage, &restarted).await;
        assert_eq!(**restarted.inner.barrier.get("logical/x").await.unwrap().unwrap(), *b"secret");
        match opened {
            Ok(open) => {
                assert!(open);
                break;
            }
            Err(Error::Storage(_)) => assert!(unsealer.status().await.is_err() || unsealer.inner.barrier.sealed()),
            Err(error) => panic!("{error}"),
        }
        cuts += 1;
    }
    assert_eq!(cuts, 3);
}

#[tokio::test]
async fn copies_of_another_root_key_that_open_are_noticed_too() {
    let (storage, parts) = made().await;
    let unsealer = over(storage.clone());
    open(&unsealer, &parts).await;
    // Encrypted by the right keyring, but stale: the root key of before a rekey.
    let other = Keyring::generate(Arc::new(Secret::random().unwrap())).unwrap();
    let barrier = &unsealer.inner.barrier;
    for path in [MASTER_PATH, ROOT_KEY_PATH] {
        barrier.put(path, &other.root_entry().unwrap()).await.unwrap();
    }
    barrier.put(SHAMIR_KEK_PATH, &[5; 32]).await.unwrap();
    let restarted = over(storage.clone());
    open(&restarted, &parts).await;
    assert_copies_are_right(&storage, &restarted).await;
}
