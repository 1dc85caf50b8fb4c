use std::io::Read as _;
use std::sync::Arc;

use cofferdam_test_support::{Cut, Memory};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::entry::Entry;
use super::table::{Place, Table};
use super::tables::Tables;
use crate::barrier::Barrier;
use crate::keyring::Keyring;
use crate::logical::Error;
use crate::secret::Secret;
use crate::testing::test_barrier;
use crate::view::View;

/// Tables that a real `bao` 2.7.2 wrote (storage `inmem` with `disable_transactions`), taken from behind its barrier.
const GOLDEN: [(Place, &[u8]); 3] = [
    (Place::Mounts, include_bytes!("golden/bao-2.7.2-core-mounts.bin")),
    (Place::LocalMounts, include_bytes!("golden/bao-2.7.2-core-local-mounts.bin")),
    (Place::Auth, include_bytes!("golden/bao-2.7.2-core-auth.bin")),
];

fn text(stored: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(stored.strip_prefix(b"G").unwrap()).read_to_string(&mut text).unwrap();
    text
}

fn cut_barrier() -> (Arc<Barrier>, Cut) {
    let cut = Cut::after(Memory::default(), i64::MAX / 2);
    let barrier = Barrier::new(Arc::new(cut.clone()));
    barrier.unseal(Keyring::generate(Arc::new(Secret::random().unwrap())).unwrap());
    (barrier, cut)
}

fn paths(tables: &Tables) -> Vec<String> {
    let mut paths: Vec<_> = tables.entries().map(Entry::api_path).collect();
    paths.sort();
    paths
}

fn kv(path: &str) -> Entry {
    Entry::new("mounts", path, "kv", "").unwrap()
}

#[test]
fn a_table_of_a_real_bao_is_rewritten_to_the_same_text() {
    for (place, stored) in GOLDEN {
        let table = Table::decode(place.key(), stored).unwrap();
        let rewritten = table.encode().unwrap();
        assert_eq!(text(&rewritten), text(stored));
        assert_eq!(Table::decode(place.key(), &rewritten).unwrap(), table);
        assert!(table.entries().iter().all(|entry| entry.other.is_empty() && entry.config.other.is_empty()));
    }
    let table = Table::decode("", GOLDEN[0].1).unwrap();
    let found: Vec<_> = table.entries().iter().map(|entry| (entry.path.as_str(), entry.kind.as_str(), entry.kv_version())).collect();
    assert_eq!(found, [("sys/", "system", None), ("identity/", "identity", None), ("secret/", "kv", Some("2")), ("one/", "kv", Some("1"))]);
    assert_eq!(table.entries()[2].config.max_lease_ttl, 7_200_000_000_000);
}

#[tokio::test]
async fn tables_of_a_real_bao_need_no_change() {
    let (barrier, cut) = cut_barrier();
    for (place, stored) in GOLDEN {
        barrier.put(place.key(), stored).await.unwrap();
    }
    barrier.put(Place::LocalAuth.key(), &Table::new(Place::LocalAuth).encode().unwrap()).await.unwrap();
    cut.allow(0);
    let tables = Tables::load(&barrier).await.unwrap();
    assert_eq!(paths(&tables), ["auth/token/", "cubbyhole/", "identity/", "one/", "secret/", "sys/"]);
}

#[test]
fn members_that_are_not_known_here_survive_a_rewrite() {
    let stored = json!({
        "type": "mounts", "new_table_member": [1, {"a": 2.5}],
        "entries": [{
            "table": "mounts", "path": "aws/", "type": "aws", "description": "", "uuid": "u", "backend_aware_uuid": "b", "accessor": "a",
            "config": {"default_lease_ttl": 60_000_000_000_u64, "user_lockout_config": {"lockout_threshold": 5}, "big": 123_456_789_012_345_678_901_234_567_890_u128.to_string().parse::<serde_json::Number>().unwrap()},
            "options": {"x": "y"}, "local": false, "seal_wrap": true, "namespace_id": "root", "mount_state": "unmounting", "tainted": true,
            "external_entropy_access": true, "plugin_version": "v1", "running_plugin_version": "v2", "running_sha256": "00", "added_later": null
        }]
    });
    let table = Table::decode("core/mounts", stored.to_string().as_bytes()).unwrap();
    let rewritten: Value = serde_json::from_str(&text(&table.encode().unwrap())).unwrap();
    assert_eq!(rewritten, stored);
}

#[test]
fn tables_are_read_in_every_form_that_is_still_around() {
    let (_, golden) = GOLDEN[0];
    let table = Table::decode("", golden).unwrap();
    let plain = text(golden);
    assert_eq!(Table::decode("", plain.as_bytes()).unwrap(), table);
    let mut snappy = snap::write::FrameEncoder::new(vec![b'S']);
    std::io::Write::write_all(&mut snappy, plain.as_bytes()).unwrap();
    assert_eq!(Table::decode("", &snappy.into_inner().unwrap()).unwrap(), table);
    for stored in [&b"L123"[..], b"4123", b"G", b"", b"{", b"[]", &golden[..golden.len() / 2]] {
        let error = Table::decode("core/mounts", stored).unwrap_err();
        assert!(matches!(&error, Error::Damaged(text) if text.starts_with("core/mounts: ")), "{error}");
    }
}

async fn put_per_mount(barrier: &Barrier, entry: &Entry) {
    let key = format!("{}/{}", Place::of(entry).key(), entry.uuid);
    barrier.put(&key, &serde_json::to_vec(entry).unwrap()).await.unwrap();
}

#[tokio::test]
async fn entries_per_mount_become_one_table_and_a_cut_loses_none() {
    let entries = [kv("a/"), kv("b/"), Entry { local: true, ..kv("c/") }];
    for writes in 0.. {
        let (barrier, cut) = cut_barrier();
        for entry in &entries {
            put_per_mount(&barrier, entry).await;
        }
        cut.allow(writes);
        let whole = Tables::load(&barrier).await.is_ok();
        cut.allow(i64::MAX / 2);
        barrier.settle();
        let tables = Tables::load(&barrier).await.unwrap();
        assert_eq!(paths(&tables), ["a/", "auth/token/", "b/", "c/", "cubbyhole/", "identity/", "sys/"], "after {writes} writes");
        for entry in &entries {
            assert!(tables.entries().any(|found| found == entry));
        }
        for place in Place::ALL {
            assert!(barrier.get(place.key()).await.unwrap().is_some(), "{place:?}");
            assert!(barrier.list(&format!("{}/", place.key())).await.unwrap().is_empty(), "{place:?}");
        }
        if whole {
            assert!(writes > 4);
            return;
        }
    }
}

#[tokio::test]
async fn beside_a_table_entries_per_mount_count_for_nothing() {
    let barrier = test_barrier();
    let mut table = Table::new(Place::Mounts);
    table.entries_mut().push(kv("kept/"));
    table.store(&View::new(barrier.clone(), ""), Place::Mounts).await.unwrap();
    put_per_mount(&barrier, &kv("stale/")).await;
    let tables = Tables::load(&barrier).await.unwrap();
    assert!(paths(&tables).contains(&"kept/".to_owned()));
    assert!(!paths(&tables).contains(&"stale/".to_owned()));
    assert!(barrier.list("core/mounts/").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_table_that_one_entry_has_no_room_for_stays_in_many() {
    let storage = Memory::default().with_value_limit(2_000);
    let barrier = Barrier::new(Arc::new(storage));
    barrier.unseal(Keyring::generate(Arc::new(Secret::random().unwrap())).unwrap());
    for number in 0..60 {
        put_per_mount(&barrier, &kv(&format!("many{number}/"))).await;
    }
    for path in ["sys/", "identity/"] {
        put_per_mount(&barrier, &kv(path)).await;
    }
    let mut tables = Tables::load(&barrier).await.unwrap();
    assert_eq!(barrier.list("core/mounts/").await.unwrap().len(), 62);
    tables.add(kv("one-more/")).await.unwrap();
    assert_eq!(paths(&Tables::load(&barrier).await.unwrap()), paths(&tables));
    assert_eq!(barrier.list("core/mounts/").await.unwrap().len(), 63);
    // One that is in one entry does not become many: as many fit as it says, and not one more.
    let view = View::new(barrier.clone(), "other/");
    let mut table = Table::new(Place::Mounts);
    table.entries_mut().extend((0..63).map(|number| kv(&format!("many{number}/"))));
    let Err(Error::TooLarge(text)) = table.store(&view, Place::Mounts).await else { panic!("63 mounts fit") };
    let fit: usize = text.split("for 63 mounts").nth(1).unwrap().split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!((10..62).contains(&fit), "{text}");
    table.entries_mut().truncate(fit);
    table.store(&view, Place::Mounts).await.unwrap();
    table.entries_mut().extend((0..3).map(|number| kv(&format!("more{number}/"))));
    assert!(matches!(table.store(&view, Place::Mounts).await, Err(Error::TooLarge(_))));
}

#[tokio::test]
async fn beside_namespaces_entries_per_mount_stay() {
    let (barrier, cut) = cut_barrier();
    barrier.put("core/namespaces/u1", b"{}").await.unwrap();
    let local = Entry { local: true, ..Entry::new("mounts", "cubbyhole/", "cubbyhole", "").unwrap() };
    let token = Entry::new("auth", "token/", "token", "").unwrap();
    for entry in [kv("a/"), kv("sys/"), kv("identity/"), local, token] {
        put_per_mount(&barrier, &entry).await;
    }
    cut.allow(0);
    let mut tables = Tables::load(&barrier).await.unwrap();
    assert_eq!(paths(&tables), ["a/", "auth/token/", "cubbyhole/", "identity/", "sys/"]);
    // A change is one write.
    cut.allow(1);
    let added = kv("b/");
    tables.add(added.clone()).await.unwrap();
    cut.allow(1);
    tables.replace(Entry { description: "changed".to_owned(), ..added.clone() }).await.unwrap();
    let again = Tables::load(&barrier).await.unwrap();
    assert!(again.entries().any(|entry| entry.uuid == added.uuid && entry.description == "changed"));
    cut.allow(1);
    tables.remove(&added).await.unwrap();
    cut.allow(0);
    assert_eq!(paths(&Tables::load(&barrier).await.unwrap()), ["a/", "auth/token/", "cubbyhole/", "identity/", "sys/"]);
    for place in Place::ALL {
        assert!(barrier.get(place.key()).await.unwrap().is_none(), "{place:?}");
    }
}

#[tokio::test]
async fn a_damaged_entry_per_mount_is_an_error_and_nothing_is_deleted() {
    let barrier = test_barrier();
    put_per_mount(&barrier, &kv("a/")).await;
    barrier.put("core/mounts/broken", b"no json").await.unwrap();
    assert!(matches!(Tables::load(&barrier).await, Err(Error::Damaged(text)) if text.contains("core/mounts/broken")));
    assert_eq!(barrier.list("core/mounts/").await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_every_vault_has_is_added_once_and_what_is_missing_is_filled_in() {
    let barrier = test_barrier();
    let old = json!({"type": "mounts", "entries": [
        {"path": "old/", "type": "generic", "uuid": "u1"},
        // Releases of Vault from before local mounts.
        {"path": "cubbyhole/", "type": "cubbyhole", "uuid": "u2"},
    ]});
    barrier.put("core/mounts", old.to_string().as_bytes()).await.unwrap();
    let tables = Tables::load(&barrier).await.unwrap();
    assert_eq!(paths(&tables), ["auth/token/", "cubbyhole/", "identity/", "old/", "sys/"]);
    for entry in tables.entries() {
        assert!(!entry.accessor.is_empty() && !entry.backend_aware_uuid.is_empty() && entry.namespace_id == "root", "{entry:?}");
    }
    let again = Tables::load(&barrier).await.unwrap();
    assert_eq!(tables.entries().collect::<Vec<_>>(), again.entries().collect::<Vec<_>>());
}

#[tokio::test]
async fn mounts_of_other_namespaces_stay_in_the_table_and_out_of_service() {
    let barrier = test_barrier();
    let mut table = Table::new(Place::Mounts);
    table.entries_mut().push(Entry { namespace_id: "abc123".to_owned(), ..kv("theirs/") });
    table.store(&View::new(barrier.clone(), ""), Place::Mounts).await.unwrap();
    let mut tables = Tables::load(&barrier).await.unwrap();
    tables.add(kv("ours/")).await.unwrap();
    assert!(paths(&tables).contains(&"ours/".to_owned()) && !paths(&tables).contains(&"theirs/".to_owned()));
    let stored = Table::load(&View::new(barrier.clone(), ""), Place::Mounts).await.unwrap().unwrap();
    assert!(stored.entries().iter().any(|entry| entry.path == "theirs/"));
}

proptest! {
    #[test]
    fn every_entry_survives_being_stored(
        path in "[a-z/]{1,20}", description in ".*", options in proptest::option::of(proptest::collection::btree_map("[a-z]{1,5}", ".*", 0..3)),
        ttl in any::<u64>(), local in any::<bool>(), other in proptest::collection::btree_map("zz[a-z]{1,5}", any::<i64>(), 0..3),
    ) {
        let mut entry = Entry { path, description, options, local, ..kv("x/") };
        entry.config.default_lease_ttl = ttl;
        entry.other = other.into_iter().map(|(name, value)| (name, value.into())).collect();
        let mut table = Table::new(Place::Mounts);
        table.entries_mut().push(entry);
        prop_assert_eq!(Table::decode("", &table.encode().unwrap()).unwrap(), table);
    }
}

#[test]
fn accessors_and_paths_of_auth_mounts_carry_their_family() {
    let entry = Entry::new("auth", "token/", "token", "").unwrap();
    assert!(entry.accessor.starts_with("auth_token_") && entry.accessor.len() == "auth_token_".len() + 8);
    assert_eq!(entry.api_path(), "auth/token/");
    assert_eq!(entry.storage_prefix(), format!("auth/{}/", entry.uuid));
}

#[test]
fn a_table_that_unpacks_to_too_much_is_damaged_before_it_is_unpacked() {
    use std::io::Write as _;
    let nothing = vec![b' '; 33 << 20];
    let mut gzip = flate2::write::GzEncoder::new(vec![b'G'], flate2::Compression::best());
    gzip.write_all(&nothing).unwrap();
    let mut snappy = snap::write::FrameEncoder::new(vec![b'S']);
    snappy.write_all(&nothing).unwrap();
    for packed in [gzip.finish().unwrap(), snappy.into_inner().unwrap()] {
        assert!(packed.len() < 2 << 20, "{}", packed.len());
        let error = Table::decode("core/mounts", &packed).unwrap_err();
        assert!(matches!(&error, Error::Damaged(text) if text.contains("unpacks to more than")), "{error}");
    }
}
