//! Migrations of a store in memory: what they leave, what they refuse, and what a cut leaves of them.

mod cuts;
mod servers;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cofferdam_backend::Storage;
use cofferdam_test_support::Memory;
use zeroize::Zeroizing;

use super::*;
use crate::barrier::Barrier;
use crate::keyring::json;
use crate::seal::blob;
use crate::seal::{AutoSeal, SealOptions};
use crate::testing::service::Service;
use crate::unseal::SealState;
use crate::unseal::tests::{made, over, put};

type Entries = BTreeMap<String, Bytes>;
type Parts = Vec<Zeroizing<Vec<u8>>>;

/// An unsealer with these seals, as a server has it that just started.
fn sealed_by(storage: impl Storage, seals: &[&AutoSeal], disabled: Option<&AutoSeal>) -> Unsealer {
    with(storage, &options(seals, disabled))
}

fn options(seals: &[&AutoSeal], disabled: Option<&AutoSeal>) -> SealOptions {
    SealOptions { seals: seals.iter().copied().cloned().collect(), disabled: disabled.cloned(), ..SealOptions::default() }
}

fn with(storage: impl Storage, options: &SealOptions) -> Unsealer {
    Unsealer::new(Barrier::new(Arc::new(storage)), false, options.clone())
}

/// A store under a key service, with one entry `logical/x`.
async fn made_by(seal: &AutoSeal, shares: i64, threshold: i64) -> (Memory, Parts) {
    let storage = Memory::default();
    let unsealer = sealed_by(storage.clone(), &[seal], None);
    let parts = unsealer.initialize(shares, threshold).await.unwrap();
    unsealer.inner.barrier.put("logical/x", b"secret").await.unwrap();
    (storage, parts)
}

/// Gives two parts, which migrate if `migrate`.
async fn give(unsealer: &Unsealer, parts: &Parts, migrate: bool) -> Result<()> {
    for (part, last) in [(&parts[2], false), (&parts[0], true)] {
        if unsealer.unseal_with(part, migrate).await? != last {
            return Err(Error::Internal("parts are counted otherwise".to_owned()));
        }
    }
    Ok(())
}

fn key_of(parts: &Parts) -> Secret {
    Secret::from_slice(&crate::shamir::combine(&parts[..2]).unwrap()).unwrap()
}

async fn holds_its_entry(unsealer: &Unsealer) {
    assert_eq!(**unsealer.inner.barrier.get("logical/x").await.unwrap().unwrap(), *b"secret");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    ToService,
    ToShamir,
    Between,
}

const CASES: [Case; 3] = [Case::ToService, Case::ToShamir, Case::Between];

/// A store to be migrated, the seals of before and after, and the parts, which stay.
struct Setting {
    case: Case,
    store: Entries,
    parts: Parts,
    old: SealOptions,
    new: SealOptions,
    services: [AutoSeal; 2],
}

impl Setting {
    async fn new(case: Case) -> Setting {
        // Neither knows the other's key, as in two regions.
        let services = [Service::new("old").seal("old"), Service::new("new").seal("new")];
        let [old, new] = &services;
        let ((memory, parts), seals) = match case {
            Case::ToService => (made().await, (options(&[], None), options(&[new], None))),
            Case::ToShamir => (made_by(old, 3, 2).await, (options(&[old], None), options(&[], Some(old)))),
            Case::Between => (made_by(old, 3, 2).await, (options(&[old], None), options(&[new], Some(old)))),
        };
        Setting { case, store: memory.snapshot(), parts, old: seals.0, new: seals.1, services }
    }

    fn storage(&self, atomic: bool) -> Memory {
        let memory = Memory::from_snapshot(self.store.clone());
        if atomic { memory } else { memory.without_atomic_batch() }
    }

    /// Opens the store as a server with these seals does it, without migrating.
    async fn open(&self, storage: impl Storage, options: &SealOptions) -> Result<Unsealer> {
        let unsealer = with(storage, options);
        if unsealer.is_auto() {
            assert!(unsealer.unseal_by_service().await?);
        } else {
            give(&unsealer, &self.parts, false).await?;
        }
        Ok(unsealer)
    }

    /// As [`Setting::open`] with the new seals; migrates if that is still to be done.
    async fn finish(&self, storage: impl Storage + Clone) -> Result<Unsealer> {
        let unsealer = with(storage.clone(), &self.new);
        if unsealer.migration_pending().await? {
            give(&unsealer, &self.parts, true).await?;
            return Ok(unsealer);
        }
        self.open(storage, &self.new).await
    }

    /// The store holds exactly what the real servers leave, with the exceptions that the module names.
    async fn assert_migrated(&self, after: &Entries) {
        let [old, new] = &self.services;
        let key = key_of(&self.parts);
        let recovery = [RECOVERY_CONFIG_PATH, RECOVERY_KEY_PATH];
        let mut names = vec![STORED_KEYS_PATH, KEYRING_PATH, MASTER_PATH, CONFIG_PATH, "logical/x"];
        match self.case {
            Case::ToShamir => names.push(SHAMIR_KEK_PATH),
            _ => names.extend(recovery),
        }
        names.sort_unstable();
        assert_eq!(after.keys().collect::<Vec<_>>(), names);
        let text = |path: &str| String::from_utf8(after[path].to_vec()).unwrap();
        let config = |kind: &str, counts: (u8, u8), stored: u8| {
            format!(
                r#"{{"type":"{kind}","secret_shares":{},"secret_threshold":{},"pgp_keys":null,"nonce":"","backup":false,"stored_shares":{stored}}}"#,
                counts.0, counts.1
            )
        };
        let root = if self.case == Case::ToShamir {
            assert_eq!(text(CONFIG_PATH), config("shamir", (3, 2), 1));
            stored::open(&key, &after[STORED_KEYS_PATH]).unwrap()
        } else {
            assert_eq!(text(CONFIG_PATH), config("awskms", (1, 1), 1));
            assert_eq!(text(RECOVERY_CONFIG_PATH), config("shamir", (3, 2), 0));
            assert_eq!(**blob::open(new, RECOVERY_KEY_PATH, &after[RECOVERY_KEY_PATH]).await.unwrap(), *key.expose());
            for path in [STORED_KEYS_PATH, RECOVERY_KEY_PATH] {
                assert_eq!(Header::of(path, &after[path]).unwrap(), Header { key_id: "new".to_owned(), direct: false });
                assert!(blob::open(old, path, &after[path]).await.is_err());
            }
            stored::parse(&blob::open(new, STORED_KEYS_PATH, &after[STORED_KEYS_PATH]).await.unwrap()).unwrap()
        };
        let keyring = Keyring::from_stored(Arc::new(Secret::from_slice(root.expose()).unwrap()), &after[KEYRING_PATH]).unwrap();
        let copy = json::parse_root(&keyring.open(MASTER_PATH, &after[MASTER_PATH]).unwrap()).unwrap();
        assert_eq!(copy.expose(), root.expose());
        if self.case == Case::ToService {
            // The root key of before opens nothing any more.
            let before = stored::open(&key, &self.store[STORED_KEYS_PATH]).unwrap();
            assert!(Keyring::from_stored(Arc::new(before), &after[KEYRING_PATH]).is_err());
        } else {
            assert_eq!(after[KEYRING_PATH], self.store[KEYRING_PATH]);
        }
        if self.case == Case::ToShamir {
            assert_eq!(**keyring.open(SHAMIR_KEK_PATH, &after[SHAMIR_KEK_PATH]).unwrap(), *key.expose());
        }
    }
}

#[tokio::test]
async fn the_entries_end_as_the_real_servers_leave_them_and_the_shares_stay() {
    for case in CASES {
        for atomic in [true, false] {
            let setting = Setting::new(case).await;
            let storage = setting.storage(atomic);
            let unsealer = with(storage.clone(), &setting.new);
            give(&unsealer, &setting.parts, true).await.unwrap();
            holds_its_entry(&unsealer).await;
            setting.assert_migrated(&storage.snapshot()).await;
            // Again and again, with the new seals only.
            for _ in 0..2 {
                let again = setting.open(storage.clone(), &setting.new).await.unwrap();
                holds_its_entry(&again).await;
                assert!(!again.status().await.unwrap().migration);
            }
            setting.assert_migrated(&storage.snapshot()).await;
            let without = SealOptions { disabled: None, ..setting.new.clone() };
            holds_its_entry(&setting.open(storage.clone(), &without).await.unwrap()).await;
            if case != Case::Between {
                assert!(setting.open(storage, &setting.old).await.is_err());
            }
        }
    }
}

#[tokio::test]
async fn there_and_back_again_nothing_is_left_of_the_first() {
    let setting = Setting::new(Case::ToService).await;
    let storage = setting.storage(false);
    let [_, new] = &setting.services;
    for _ in 0..2 {
        let there = sealed_by(storage.clone(), &[new], None);
        give(&there, &setting.parts, true).await.unwrap();
        there.rotate().await.unwrap();
        drop(there);
        let back = sealed_by(storage.clone(), &[], Some(new));
        give(&back, &setting.parts, true).await.unwrap();
        holds_its_entry(&back).await;
        assert_eq!(storage.snapshot().keys().collect::<Vec<_>>(), setting.store.keys().collect::<Vec<_>>());
    }
    let opened = over(storage);
    give(&opened, &setting.parts, false).await.unwrap();
    assert_eq!(opened.key_status().unwrap().term, 3);
}

#[tokio::test]
async fn a_store_from_before_stored_keys_is_migrated_too() {
    let setting = Setting::new(Case::ToService).await;
    let root = stored::open(&key_of(&setting.parts), &setting.store[STORED_KEYS_PATH]).unwrap();
    let mut store = setting.store.clone();
    store.remove(STORED_KEYS_PATH);
    store.remove(SHAMIR_KEK_PATH);
    store.insert(CONFIG_PATH.to_owned(), Bytes::from_static(br#"{"type":"","secret_shares":1,"secret_threshold":1}"#));
    let storage = Memory::from_snapshot(store);
    let [_, new] = &setting.services;
    let unsealer = sealed_by(storage.clone(), &[new], None);
    assert!(unsealer.unseal_with(root.expose(), true).await.unwrap());
    holds_its_entry(&unsealer).await;
    let recovery = blob::open(new, RECOVERY_KEY_PATH, &storage.snapshot()[RECOVERY_KEY_PATH]).await.unwrap();
    assert_eq!(**recovery, *root.expose());
    let again = sealed_by(storage, &[new], None);
    assert!(again.unseal_by_service().await.unwrap());
}

/// A blob that the key service encrypted itself.
#[derive(Clone, PartialEq, prost::Message)]
struct Direct {
    #[prost(bytes = "vec", tag = "1")]
    ciphertext: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    key_info: Option<DirectKey>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DirectKey {
    #[prost(string, tag = "3")]
    key_id: String,
}

#[tokio::test]
async fn of_two_services_one_is_enough_to_leave_both() {
    let services = [Service::new("a"), Service::new("b")];
    let (a, b, c) = (services[0].seal("a"), services[1].seal("b"), Service::new("c").seal("c"));
    for seals in [vec![], vec![&c]] {
        let storage = Memory::default();
        let parts = sealed_by(storage.clone(), &[&a, &b], None).initialize(3, 2).await.unwrap();
        let named = |storage: &Memory| storage.snapshot().keys().filter(|path| path.starts_with("core/cofferdam/seal/")).count();
        assert_eq!(named(&storage), 2);
        // The preferred one is lost.
        services[0].fail(Some(cofferdam_backend::Error::Unavailable("lost".to_owned())));
        let unsealer = sealed_by(storage.clone(), &seals, Some(&b));
        give(&unsealer, &parts, true).await.unwrap();
        assert_eq!(named(&storage), 0);
        drop(unsealer);
        let again = sealed_by(storage, &seals, None);
        if seals.is_empty() {
            give(&again, &parts, false).await.unwrap();
        } else {
            assert!(again.unseal_by_service().await.unwrap());
        }
        services[0].fail(None);
    }
}

#[tokio::test]
async fn two_services_take_over_from_shares() {
    let (a, b) = (Service::new("a").seal("a"), Service::new("b").seal("b"));
    let (storage, parts) = made().await;
    give(&sealed_by(storage.clone(), &[&a, &b], None), &parts, true).await.unwrap();
    for seal in [&a, &b] {
        let opened = sealed_by(Memory::from_snapshot(storage.snapshot()), &[seal], None);
        assert!(opened.unseal_by_service().await.unwrap(), "{}", seal.name);
        holds_its_entry(&opened).await;
    }
}

#[tokio::test]
async fn a_root_key_that_a_plugin_has_seen_is_replaced() {
    for to_shamir in [false, true] {
        let service = Service::new("old");
        let old = AutoSeal { allow_direct_blob: true, ..service.seal("old") };
        let new = Service::new("new").seal("new");
        let (storage, parts) = made_by(&old, 3, 2).await;
        let root = stored::parse(&blob::open(&old, STORED_KEYS_PATH, &storage.snapshot()[STORED_KEYS_PATH]).await.unwrap()).unwrap();
        let wrapped = service.encrypt(&stored::plain(&root).unwrap());
        let direct = Direct { ciphertext: wrapped.blob.to_vec(), key_info: Some(DirectKey { key_id: wrapped.key_id }) };
        put(&storage, STORED_KEYS_PATH, prost::Message::encode_to_vec(&direct)).await;
        let seals: Vec<&AutoSeal> = if to_shamir { Vec::new() } else { vec![&new] };
        let unsealer = sealed_by(storage.clone(), &seals, Some(&old));
        give(&unsealer, &parts, true).await.unwrap();
        holds_its_entry(&unsealer).await;
        assert!(unsealer.inner.barrier.with_keyring(|keyring| Ok(keyring.root().expose() != root.expose())).unwrap());
        drop(unsealer);
        let again = sealed_by(storage, &seals, None);
        if to_shamir {
            give(&again, &parts, false).await.unwrap();
        } else {
            assert!(again.unseal_by_service().await.unwrap());
        }
        holds_its_entry(&again).await;
    }
}
