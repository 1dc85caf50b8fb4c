//! The items in the table, held against Vault's layout as the native implementation writes it, and as they may lie in a table exported from Vault.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cofferdam_backend::{Error, Key, Storage};
use cofferdam_tests::table::{Native, item, lost, primary};
use serde_json::{Value, json};

use super::{Emulator, ground, walk};
use crate::conformance::{delete, get, key, list, put, scan};

const KEYS: [(&str, &[u8]); 9] = [
    ("core/keyring", b"\0\x01\x02 binary \xff"),
    ("core/mounts", b""),
    ("foo", b"leaf"),
    ("foo/bar", b"below"),
    ("_x", b"underscore"),
    ("core/_x", b"underscore below"),
    ("logical/7b5f/\u{e4}/deep/er", b"{\"Value\":\"\"}\n"),
    ("sys/token/id/h0123456789", &[0x3c; 70_000]),
    (" ", b"the name of the root"),
];

async fn fill(storage: &dyn Storage) {
    for (key, value) in KEYS {
        put(storage, key, value).await;
    }
    put(storage, "gone/soon/entirely", "x").await;
    delete(storage, "gone/soon/entirely").await;
}

async fn holds(storage: &dyn Storage) {
    let expected: BTreeMap<String, Bytes> = KEYS.iter().map(|(key, value)| ((*key).to_owned(), Bytes::from_static(value))).collect();
    assert_eq!(scan(storage, 2, 3).await, expected);
    for (key, value) in KEYS {
        assert_eq!(get(storage, key).await.unwrap(), value, "{key}");
    }
    assert_eq!(walk(storage).await, expected.into_keys().collect::<Vec<_>>());
    assert_eq!(list(storage, "").await, [" ", "_x", "core/", "foo", "foo/", "logical/", "sys/"]);
}

fn sorted(mut items: Vec<Value>) -> Vec<Value> {
    items.sort_by_key(Value::to_string);
    items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guest_and_native_write_the_same_items_and_read_each_other() {
    let (ours, theirs) = (ground(Emulator::Dynalite).await, ground(Emulator::Dynalite).await);
    let guest = ours.open().await;
    fill(&*guest).await;
    fill(&Native::new(theirs.table.clone())).await;
    let written = sorted(ours.table.items().await.unwrap());
    assert_eq!(written, sorted(theirs.table.items().await.unwrap()));
    // As Vault has them, written out once.
    for expected in [
        json!({"Path": {"S": "core"}, "Key": {"S": "keyring"}, "Value": {"B": "AAECIGJpbmFyeSD/"}}),
        json!({"Path": {"S": "core"}, "Key": {"S": "mounts"}, "Value": {"NULL": true}}),
        json!({"Path": {"S": " "}, "Key": {"S": "core/"}, "Value": {"NULL": true}}),
        json!({"Path": {"S": " "}, "Key": {"S": "foo"}, "Value": {"B": "bGVhZg=="}}),
        json!({"Path": {"S": "foo"}, "Key": {"S": "bar"}, "Value": {"B": "YmVsb3c="}}),
        json!({"Path": {"S": "logical/7b5f"}, "Key": {"S": "\u{e4}/"}, "Value": {"NULL": true}}),
    ] {
        assert!(written.contains(&expected), "{expected} is missing");
    }
    assert!(ours.proxy.complaints().is_empty(), "{:?}", ours.proxy.complaints());

    holds(&*theirs.open().await).await;
    holds(&Native::new(ours.table.clone())).await;
    // A fresh guest, which knows of no folder.
    holds(&*ours.open().await).await;
}

/// What a table exported from Vault may hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_written_by_hand_are_read_listed_and_scanned_whole() {
    let ground = ground(Emulator::Dynalite).await;
    let raw = |path: &str, name: &str, value: Value| json!({"Path": {"S": path}, "Key": {"S": name}, "Value": value});
    let items = [
        item("core/keyring", b"ring"),
        item("core/", b""),
        item("core/empty", b""),
        // Marks without the attribute, as an import may leave them, and an entry whose value is missing.
        json!({"Path": {"S": " "}, "Key": {"S": "logical/"}}),
        json!({"Path": {"S": "core"}, "Key": {"S": "valueless"}}),
        // Releases of before 2016: a text in base64.
        raw("core", "old", json!({"S": "b2xk"})),
        raw("core", "none", json!({"NULL": true})),
        // Attributes that are no concern of ours.
        json!({"Path": {"S": "core"}, "Key": {"S": "more"}, "Value": {"B": "bQ=="}, "TTL": {"N": "17"}, "Note": {"S": "x"}}),
        item("logical/x/", b""),
        item("logical/x/_hidden", b"hidden by Vault"),
        item("_top", b"too"),
        // Locks: as today, of a release without identity, and one beside them that is none.
        json!({"Path": {"S": "core"}, "Key": {"S": "_lock"}, "Value": {"B": "dQ=="}, "Identity": {"B": "aQ=="}, "Expires": {"N": "1"}}),
        json!({"Path": {"S": "core"}, "Key": {"S": "_old"}, "Value": {"B": "dQ=="}, "Expires": {"N": "1"}}),
        item("core/_nolock", b"leaf"),
        // A doubled slash, which Vault's cleaning never makes, and control characters: out of our grammar.
        raw("odd//x", "k", json!({"B": "b2Rk"})),
        raw("odd", "a\nb", json!({"B": "b2Rk"})),
        raw("odd", "x", json!({"B": "ZmluZQ=="})),
        item("odd/", b""),
    ];
    for item in items {
        ground.table.put_item(item).await.unwrap();
    }
    let guest = ground.open().await;
    let expected: BTreeMap<String, Bytes> = [
        ("core/keyring", "ring"),
        ("core/empty", ""),
        ("core/valueless", ""),
        ("core/old", "old"),
        ("core/none", ""),
        ("core/more", "m"),
        ("logical/x/_hidden", "hidden by Vault"),
        ("_top", "too"),
        ("core/_nolock", "leaf"),
        ("odd//x/k", "odd"),
        ("odd/a\nb", "odd"),
        ("odd/x", "fine"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), Bytes::from(value)))
    .collect();
    for (segments, limit) in [(1, 1), (1, 1_000), (4, 3)] {
        assert_eq!(scan(&*guest, segments, limit).await, expected, "{segments} segments, pages of {limit}");
    }
    for (at, value) in &expected {
        if let Ok(at) = Key::new(at) {
            assert_eq!(guest.get(&at).await.unwrap().as_ref(), Some(value), "{at}");
        }
    }
    assert_eq!(list(&*guest, "").await, ["_top", "core/", "logical/", "odd/"]);
    assert_eq!(list(&*guest, "core/").await, ["_nolock", "empty", "keyring", "more", "none", "old", "valueless"]);
    assert_eq!(list(&*guest, "logical/x/").await, ["_hidden"]);
    // Names out of the grammar stand in no listing: nobody could ask for them. They are in a scan, and so in an export.
    assert_eq!(list(&*guest, "odd/").await, ["x"]);
    // Overwritten, an old item has the form of a new one.
    put(&*guest, "core/old", "new").await;
    assert_eq!(ground.table.get_item("core/old").await.unwrap().unwrap(), item("core/old", b"new"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_item_is_an_error_and_stays_as_it_is() {
    let ground = ground(Emulator::Dynalite).await;
    let damaged = json!({"Path": {"S": " "}, "Key": {"S": "k"}, "Value": {"L": []}});
    ground.table.put_item(damaged.clone()).await.unwrap();
    let guest = ground.open().await;
    match guest.get(&key("k")).await {
        Err(Error::Corrupt(text)) => assert!(text.contains("\"k\""), "{text}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(ground.table.get_item("k").await.unwrap().unwrap(), damaged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_are_in_no_listing_and_no_scan_and_no_entry_gets_at_them() {
    let ground = ground(Emulator::Dynalite).await;
    let lock =
        json!({"Path": {"S": "core"}, "Key": {"S": "_lock"}, "Value": {"B": "dQ=="}, "Identity": {"B": "aQ=="}, "Expires": {"N": "1"}});
    ground.table.put_item(lock.clone()).await.unwrap();
    let guest = ground.open().await;
    assert_eq!(get(&*guest, "core/_lock").await, None);
    assert!(guest.put(&key("core/_lock"), "x".into()).await.is_err());
    delete(&*guest, "core/_lock").await;
    assert_eq!(ground.table.get_item("core/_lock").await.unwrap().unwrap(), lock);
    assert!(list(&*guest, "").await.is_empty() && list(&*guest, "core/").await.is_empty());
    assert!(scan(&*guest, 1, 10).await.is_empty());
    // A folder in which only a lock is left goes with its last entry.
    put(&*guest, "core/k", "v").await;
    assert_eq!(list(&*guest, "").await, ["core/"]);
    delete(&*guest, "core/k").await;
    assert!(list(&*guest, "").await.is_empty());
    assert_eq!(ground.table.items().await.unwrap(), [lock]);
}

/// A hundred locks before the first name: pages of a listing that are empty by themselves are none to the caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_goes_on_past_locks() {
    let ground = ground(Emulator::Mini).await;
    for number in 0..100 {
        let (path, name) = ("f", format!("_{number:03}"));
        let lock =
            json!({"Path": {"S": path}, "Key": {"S": name}, "Value": {"B": "dQ=="}, "Identity": {"B": "aQ=="}, "Expires": {"N": "1"}});
        ground.table.put_item(lock).await.unwrap();
    }
    let guest = ground.open().await;
    put(&*guest, "f/k", "v").await;
    for limit in [1, 7, 1_000] {
        assert_eq!(crate::conformance::list_after(&*guest, "f/", "", limit).await, ["k"]);
    }
    delete(&*guest, "f/k").await;
    assert!(list(&*guest, "").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_folder_that_the_layout_cannot_tell_from_the_root_is_refused() {
    let ground = ground(Emulator::Dynalite).await;
    let guest: Arc<dyn Storage> = ground.open().await;
    put(&*guest, "a", "in the root").await;
    assert!(matches!(guest.put(&key(" /a"), "x".into()).await, Err(Error::InvalidKey(_))));
    assert_eq!(get(&*guest, "a").await.unwrap(), "in the root");
    let items = ground.table.items().await.unwrap();
    assert!(items.len() == 1 && lost(&items).is_empty() && items[0]["Key"] == primary("a")["Key"]);
}
