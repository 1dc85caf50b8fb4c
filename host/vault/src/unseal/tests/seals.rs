//! Two key services: either opens the vault, and neither ever opens it with keys of before.

use std::time::Duration;

use cofferdam_backend::{Error as Backend, Seal, Wrapped};
use cofferdam_test_support::Cut;

use super::auto::{assert_holds_the_secret, auto, root};
use super::*;
use crate::seal::blob::Header;
use crate::seal::copies::{RECOVERY_KEY, STORED_KEYS};
use crate::seal::{AutoSeal, HealthTimes};
use crate::testing::service::Service;

fn away() -> Option<Backend> {
    Some(Backend::Unavailable("away".to_owned()))
}

fn options(seals: Vec<AutoSeal>) -> SealOptions {
    SealOptions { seals, ..Service::default().options() }
}

/// Two services, `east` preferred, and a store with a recovery key and one entry.
struct Two {
    storage: Memory,
    east: Service,
    west: Service,
    key: Vec<u8>,
}

impl Two {
    async fn new() -> Two {
        let two = Two { storage: Memory::default(), east: Service::new("east-1"), west: Service::new("west-1"), key: Vec::new() };
        let unsealer = two.start();
        let parts = unsealer.initialize(1, 1).await.unwrap();
        unsealer.inner.barrier.put("logical/x", b"secret").await.unwrap();
        Two { key: parts[0].to_vec(), ..two }
    }

    fn both(&self) -> SealOptions {
        options(vec![self.east.seal("east"), self.west.seal("west")])
    }

    fn start(&self) -> Unsealer {
        auto(self.storage.clone(), self.both())
    }

    fn key(&self) -> Secret {
        Secret::from_slice(&self.key).unwrap()
    }

    /// Opens with these services there: the east, the west.
    async fn open(&self, east: bool, west: bool) -> Result<Unsealer> {
        self.east.fail(if east { None } else { away() });
        self.west.fail(if west { None } else { away() });
        let unsealer = self.start();
        let opened = unsealer.unseal_by_service().await;
        if opened.is_ok() {
            assert_holds_the_secret(&unsealer).await;
            unsealer.inner.verify_recovery_key(&self.key()).await.unwrap();
        }
        self.east.fail(None);
        self.west.fail(None);
        opened.map(|_| unsealer)
    }

    /// Each of them opens it alone, and nothing is to be done.
    async fn assert_whole(&self) {
        let entries = self.storage.snapshot();
        for (east, west) in [(true, false), (false, true), (true, true)] {
            let unsealer = self.open(east, west).await.unwrap_or_else(|error| panic!("east {east}, west {west}: {error}"));
            assert_eq!(unsealer.seal_warnings(), Vec::<String>::new());
        }
        assert_eq!(self.storage.snapshot(), entries);
    }

    fn usual(&self, path: &str) -> String {
        Header::of(path, &self.storage.snapshot()[path]).unwrap().key_id
    }

    /// A new root key and a new recovery key, as rekeys make them.
    async fn rekey(&mut self, unsealer: &Unsealer) -> Result<()> {
        let inner = &unsealer.inner;
        let _work = inner.work.lock().await;
        inner.store_root_alone().await?;
        let key = Secret::random().unwrap();
        let entries = inner.sealed_recovery(&key).await?;
        inner.make(journal::Change::new().put_all(entries)).await?;
        self.key = key.expose().to_vec();
        Ok(())
    }
}

#[tokio::test]
async fn either_opens_it_and_the_preferred_ones_blob_is_where_vault_looks() {
    let two = Two::new().await;
    two.assert_whole().await;
    for path in [STORED_KEYS_PATH, RECOVERY_KEY.path] {
        assert_eq!(two.usual(path), "east-1");
    }
    let error = two.open(false, false).await.map(drop).unwrap_err();
    assert!(matches!(&error, Error::Seal { seal, source: Backend::Unavailable(_) } if seal == "east"), "{error}");
    // An attempt costs one call of each.
    two.east.fail(away());
    two.west.fail(away());
    let before = (two.east.asked().1, two.west.asked().1);
    two.start().unseal_by_service().await.unwrap_err();
    assert_eq!((two.east.asked().1, two.west.asked().1), (before.0 + 1, before.1 + 1));
    // Neither saw the root key.
    let unsealer = two.open(true, true).await.unwrap();
    assert!(!two.east.saw(&root(&unsealer)) && !two.west.saw(&root(&unsealer)));
}

#[tokio::test]
async fn a_rekey_without_one_of_them_is_degraded_and_mended_when_it_is_back() {
    for gone in ["east", "west"] {
        let mut two = Two::new().await;
        let unsealer = two.open(true, true).await.unwrap();
        let (there, lost) = if gone == "east" { (two.west.clone(), two.east.clone()) } else { (two.east.clone(), two.west.clone()) };
        let old = two.key.clone();
        let before = root(&unsealer);
        lost.fail(away());
        two.rekey(&unsealer).await.unwrap();
        assert_ne!(root(&unsealer), before);
        assert!(unsealer.lacks(gone));
        assert_eq!(
            unsealer.seal_warnings(),
            [
                format!("degraded: seal {gone:?} has no copy of the recovery key of today"),
                format!("degraded: seal {gone:?} has no copy of the stored keys of today")
            ]
        );
        // What it had of before is gone, so that it opens nothing: neither the vault nor with the shares of before.
        drop(unsealer);
        there.fail(away());
        lost.fail(None);
        assert!(two.start().unseal_by_service().await.is_err());
        assert!(two.start().inner.verify_recovery_key(&Secret::from_slice(&old).unwrap()).await.is_err());
        // The other one opens it, and says so again after a restart.
        let unsealer = two.open(gone != "east", gone != "west").await.unwrap();
        assert!(unsealer.lacks(gone) && unsealer.seal_warnings().len() == 2);
        unsealer.mend().await.unwrap();
        assert!(!unsealer.lacks(gone) && unsealer.seal_warnings().is_empty());
        drop(unsealer);
        two.assert_whole().await;
        assert_eq!(two.usual(STORED_KEYS_PATH), "east-1");
    }
}

#[tokio::test]
async fn without_both_of_them_nothing_is_changed() {
    let mut two = Two::new().await;
    let unsealer = two.open(true, true).await.unwrap();
    two.east.fail(away());
    two.west.fail(away());
    let before = two.storage.snapshot();
    assert!(matches!(two.rekey(&unsealer).await, Err(Error::Seal { .. })));
    assert_eq!(two.storage.snapshot(), before);
    two.assert_whole().await;
}

#[tokio::test]
async fn a_copy_of_before_is_not_used_even_if_the_storage_gives_it_back() {
    let mut two = Two::new().await;
    let old = (two.storage.snapshot(), two.key.clone());
    let unsealer = two.open(true, true).await.unwrap();
    two.rekey(&unsealer).await.unwrap();
    for kept in [STORED_KEYS, RECOVERY_KEY] {
        put(&two.storage, kept.copies, old.0[kept.copies].to_vec()).await;
    }
    two.east.fail(away());
    assert!(two.start().unseal_by_service().await.is_err());
    assert!(two.start().inner.verify_recovery_key(&Secret::from_slice(&old.1).unwrap()).await.is_err());
    two.east.fail(None);
    // It opens with the other one, and the copies are made anew, under a count that goes on.
    drop(two.open(true, true).await.unwrap());
    two.assert_whole().await;
    let index: serde_json::Value = serde_json::from_slice(&two.storage.snapshot()[STORED_KEYS.copies]).unwrap();
    assert_eq!(index["generation"], 1);
}

#[tokio::test]
async fn what_vault_has_changed_since_makes_the_copies_void() {
    let two = Two::new().await;
    let unsealer = two.open(true, true).await.unwrap();
    // As Vault's rekey does it, which knows the preferred service alone.
    let only = auto(two.storage.clone(), options(vec![two.east.seal("east")]));
    let entries = only.inner.sealed_root(&Secret::from_slice(&root(&unsealer)).unwrap()).await.unwrap();
    assert_eq!(entries.len(), 1);
    put(&two.storage, &entries[0].0, entries[0].1.clone()).await;
    drop(two.open(true, false).await.unwrap());
    assert!(two.open(false, true).await.is_err());
    drop(two.open(true, true).await.unwrap());
    two.assert_whole().await;
}

#[tokio::test]
async fn services_come_and_go_and_change_places() {
    let two = Two::new().await;
    let start = async |seals: Vec<AutoSeal>| {
        let unsealer = auto(two.storage.clone(), options(seals));
        assert!(unsealer.unseal_by_service().await.unwrap());
        assert_holds_the_secret(&unsealer).await;
        unsealer.inner.verify_recovery_key(&two.key()).await.unwrap();
        two.usual(STORED_KEYS_PATH) + " " + &two.usual(RECOVERY_KEY.path)
    };
    let (east, west) = (two.east.seal("east"), two.west.seal("west"));
    // Priorities are swapped, and back.
    assert_eq!(start(vec![west.clone(), east.clone()]).await, "west-1 west-1");
    assert_eq!(start(vec![east.clone(), west.clone()]).await, "east-1 east-1");
    two.assert_whole().await;
    // The preferred one is taken out, while it is away.
    two.east.fail(away());
    assert_eq!(start(vec![west.clone()]).await, "west-1 west-1");
    two.east.fail(None);
    assert!(!two.storage.snapshot().keys().any(|key| key.starts_with("core/cofferdam/")));
    // It is put in again before the other one, and then the other one is taken out, whose key opens nothing more.
    assert_eq!(start(vec![east.clone(), west.clone()]).await, "east-1 east-1");
    two.assert_whole().await;
    assert_eq!(start(vec![east.clone()]).await, "east-1 east-1");
    assert!(auto(two.storage.clone(), options(vec![west])).unseal_by_service().await.is_err());
    // Under another name, the same service.
    let renamed = two.east.seal("renamed");
    assert_eq!(start(vec![renamed.clone(), two.west.seal("west")]).await, "east-1 east-1");
    assert_eq!(start(vec![east, two.west.seal("west")]).await, "east-1 east-1");
    two.assert_whole().await;
}

#[tokio::test]
async fn changed_keys_of_either_are_followed_and_a_cut_anywhere_loses_nothing() {
    for batches in [true, false] {
        for cuts in 0.. {
            let mut two = Two::new().await;
            if !batches {
                two.storage = two.storage.clone().without_atomic_batch();
            }
            two.east.turn_to("east-2");
            two.west.turn_to("west-2");
            let opened = auto(Cut::after(two.storage.clone(), cuts), two.both()).unseal_by_service().await;
            // Whatever was written, either of them opens it.
            for (east, west) in [(true, false), (false, true)] {
                let copy = Two {
                    storage: Memory::from_snapshot(two.storage.snapshot()),
                    east: two.east.clone(),
                    west: two.west.clone(),
                    key: two.key.clone(),
                };
                drop(copy.open(east, west).await.unwrap_or_else(|error| panic!("cut after {cuts}, east {east}, west {west}: {error}")));
            }
            drop(two.open(true, true).await.unwrap());
            assert_eq!((two.usual(STORED_KEYS_PATH), two.usual(RECOVERY_KEY.path)), ("east-2".to_owned(), "east-2".to_owned()));
            two.assert_whole().await;
            if cuts > 8 {
                opened.unwrap();
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_rekey_that_is_cut_off_anywhere_opens_with_either() {
    for cuts in 0.. {
        let mut two = Two::new().await;
        two.storage = two.storage.clone().without_atomic_batch();
        let cut = Cut::after(two.storage.clone(), i64::MAX / 2);
        let unsealer = auto(cut.clone(), two.both());
        unsealer.unseal_by_service().await.unwrap();
        cut.allow(cuts);
        let done = {
            let _work = unsealer.inner.work.lock().await;
            unsealer.inner.store_root_alone().await
        };
        drop(unsealer);
        for (east, west) in [(true, false), (false, true)] {
            let copy = Two {
                storage: Memory::from_snapshot(two.storage.snapshot()),
                east: two.east.clone(),
                west: two.west.clone(),
                key: two.key.clone(),
            };
            drop(copy.open(east, west).await.unwrap_or_else(|error| panic!("cut after {cuts}, east {east}, west {west}: {error}")));
        }
        if cuts > 8 {
            done.unwrap();
            return;
        }
    }
}

/// A service that does not answer.
struct Silent;

#[async_trait::async_trait]
impl Seal for Silent {
    async fn wrap(&self, _: &[u8; 32]) -> cofferdam_backend::Result<Wrapped> {
        std::future::pending().await
    }

    async fn unwrap(&self, _: &Wrapped, _: &mut [u8; 32]) -> cofferdam_backend::Result<()> {
        std::future::pending().await
    }

    async fn unwrap_direct(&self, _: &Wrapped) -> cofferdam_backend::Result<Zeroizing<Vec<u8>>> {
        std::future::pending().await
    }

    async fn key_id(&self) -> cofferdam_backend::Result<String> {
        std::future::pending().await
    }

    async fn health(&self) -> cofferdam_backend::Result<()> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn one_that_never_answers_is_not_waited_for() {
    let mut two = Two::new().await;
    let mut silent = two.both();
    silent.seals[0].backend = Arc::new(Silent);
    silent.health = HealthTimes { timeout: Duration::from_millis(20), ..HealthTimes::default() };
    let unsealer = auto(two.storage.clone(), silent);
    assert!(unsealer.unseal_by_service().await.unwrap());
    assert_holds_the_secret(&unsealer).await;
    two.rekey(&unsealer).await.unwrap();
    assert!(unsealer.lacks("east"));
    assert_eq!(two.usual(STORED_KEYS_PATH), "west-1");
    drop(unsealer);
    drop(two.open(true, true).await.unwrap());
    two.assert_whole().await;
}

#[tokio::test]
async fn two_seals_that_turn_out_to_use_one_key_are_warned_of_until_they_do_not() {
    let two = Two::new().await;
    two.west.turn_to("east-1");
    let unsealer = two.open(true, true).await.unwrap();
    assert_eq!(unsealer.seal_warnings(), ["the seals use one and the same key: the loss of it is the loss of all"]);
    two.west.turn_to("west-2");
    unsealer.mend().await.unwrap();
    assert_eq!(unsealer.seal_warnings(), Vec::<String>::new());
}
