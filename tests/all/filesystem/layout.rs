//! The bytes on disk, held against Vault's layout as the native implementation and plain files have it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use cofferdam_backend::Storage;
use cofferdam_test_support::native::Native;

use super::{guest, open};
use crate::conformance::{delete, get, list, put, scan};

/// Every file and directory below `root` but the backend's own, with the bytes of files.
fn tree(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    fn collect(root: &Path, at: &Path, found: &mut BTreeMap<String, Option<Vec<u8>>>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                if name != ".cofferdam" {
                    collect(root, &path, found);
                    found.insert(name, None);
                }
            } else {
                found.insert(name, Some(fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(root, root, &mut found);
    found
}

const KEYS: [(&str, &[u8]); 8] = [
    ("core/keyring", b"\0\x01\x02 binary \xff"),
    ("core/mounts", b""),
    ("foo", b"leaf"),
    ("foo/bar", b"below"),
    ("_x", b"underscore"),
    ("x.temp", b"like a temporary file"),
    ("logical/7b5f/\u{e4}/deep/er", b"{\"Value\":\"\"}\n"),
    ("sys/token/id/h0123456789", &[0x3c; 70_000]),
];

async fn fill(storage: &dyn Storage) {
    for (key, value) in KEYS {
        put(storage, key, value).await;
    }
    put(storage, "gone/soon", "x").await;
    delete(storage, "gone/soon").await;
}

async fn holds(storage: &dyn Storage) {
    let expected: BTreeMap<String, Bytes> = KEYS.iter().map(|(key, value)| ((*key).to_owned(), Bytes::from_static(value))).collect();
    assert_eq!(scan(storage, 2, 3).await, expected);
    for (key, value) in KEYS {
        assert_eq!(get(storage, key).await.unwrap(), value, "{key}");
    }
    assert_eq!(list(storage, "").await, ["_x", "core/", "foo", "foo/", "logical/", "sys/", "x.temp"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guest_and_native_write_the_same_bytes_and_read_each_other() {
    let (ours, theirs) = (crate::filesystem::directory(), crate::filesystem::directory());
    fill(&*guest(ours.path()).await).await;
    fill(&Native::open(theirs.path(), true).unwrap()).await;
    let written = tree(ours.path());
    assert_eq!(written, tree(theirs.path()));
    assert_eq!(written["core/_keyring"].as_deref(), Some(&b"{\"Value\":\"AAECIGJpbmFyeSD/\"}\n"[..]));
    assert_eq!(written["core/_mounts"].as_deref(), Some(&b"{\"Value\":\"\"}\n"[..]));
    assert!(written["foo"].is_none() && written["_foo"].is_some());

    holds(&*guest(theirs.path()).await).await;
    holds(&Native::open(ours.path(), true).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_there_after_a_restart_and_left_over_temporary_files_are_not() {
    let directory = crate::filesystem::directory();
    fill(&*guest(directory.path()).await).await;
    let reserved = directory.path().join(".cofferdam");
    fs::write(reserved.join("0123456789abcdef.tmp"), "{\"Val").unwrap();
    fs::write(reserved.join("kept"), "not ours").unwrap();
    let storage = guest(directory.path()).await;
    holds(&*storage).await;
    assert!(!reserved.join("0123456789abcdef.tmp").exists());
    assert!(reserved.join("kept").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_vault_left_is_read_as_vault_reads_it() {
    let directory = crate::filesystem::directory();
    let root = directory.path();
    fs::create_dir_all(root.join("core/empty/nested")).unwrap();
    fs::write(root.join("core/_null"), "{\"Value\":null}\n").unwrap();
    fs::write(root.join("core/_old"), "{\"Key\":\"core/old\",\"Value\":\"b2xk\"}\n").unwrap();
    fs::write(root.join("core/_whole.temp"), "{\"Value\":\"dGVtcA==\"}\n").unwrap();
    fs::write(root.join("core/_cut.temp"), "").unwrap();
    fs::write(root.join("core/_zero"), "").unwrap();
    fs::write(root.join("core/README"), "no entry").unwrap();
    let storage = guest(root).await;
    assert_eq!(get(&*storage, "core/null").await, Some(Bytes::new()));
    assert_eq!(get(&*storage, "core/old").await.unwrap(), "old");
    assert_eq!(get(&*storage, "core/whole.temp").await.unwrap(), "temp");
    // Empty files are no entries, and a read leaves them alone.
    assert_eq!((get(&*storage, "core/cut.temp").await, get(&*storage, "core/zero").await), (None, None));
    assert!(root.join("core/_zero").exists());
    assert_eq!(scan(&*storage, 1, 2).await.into_keys().collect::<Vec<_>>(), ["core/null", "core/old", "core/whole.temp"]);
    // Folders in which nothing lies are not listed, nor is what an interrupted write left.
    assert_eq!(list(&*storage, "core/").await, ["null", "old", "whole.temp", "zero"]);
    assert!(list(&*storage, "core/empty/").await.is_empty());
    for key in ["core/null", "core/old", "core/whole.temp", "core/zero", "core/cut.temp"] {
        delete(&*storage, key).await;
    }
    assert!(list(&*storage, "").await.is_empty());
}

/// A path segment of kv v2 as it is stored: base 62 of the number whose bytes are `1:` and the base64 of nonce, ciphertext and tag.
fn kv_segment(plain: usize, byte: u8) -> String {
    use base64::Engine as _;
    const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let text = format!("1:{}", base64::engine::general_purpose::STANDARD.encode(vec![byte; 12 + plain + 16]));
    let mut number: Vec<u8> = text.into_bytes();
    let mut digits = Vec::new();
    while number.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = rest * 256 + u32::from(*byte);
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        digits.push(DIGITS[rest as usize]);
    }
    digits.reverse();
    String::from_utf8(digits).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_segment_of_kv_v2_is_110_bytes() {
    let directory = crate::filesystem::directory();
    let storage = guest(directory.path()).await;
    let limit = storage.descriptor().limits.segment as usize;
    for byte in [0, 0xff] {
        let longest = kv_segment(110, byte);
        assert!(longest.len() <= limit && kv_segment(111, byte).len() > limit, "{}", longest.len());
        let key = format!("logical/3f7a/metadata/{longest}/{longest}");
        put(&*storage, &key, "v").await;
        assert_eq!(get(&*storage, &key).await.unwrap(), "v");
        assert_eq!(list(&*storage, &format!("logical/3f7a/metadata/{longest}/")).await, [longest]);
        delete(&*storage, &key).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_checked_when_the_backend_opens() {
    let directory = crate::filesystem::directory();
    for (settings, expected) in [
        (&[("fsnc", "true")][..], "unknown setting \"fsnc\"; did you mean \"fsync\"?"),
        (&[("fsync", "sometimes")], "\"fsync\" is \"sometimes\"; it must be true or false"),
    ] {
        let error = open(directory.path(), settings).await.err().expect("it opened").to_string();
        assert!(error.contains(expected), "{error}");
    }
    for value in ["true", "false", "0", "T"] {
        let storage = open(directory.path(), &[("fsync", value)]).await.unwrap();
        put(&*storage, "k", value.to_owned()).await;
        assert_eq!(get(&*storage, "k").await.unwrap(), value);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_descriptor_says_what_the_layout_can_hold() {
    let directory = crate::filesystem::directory();
    let storage = guest(directory.path()).await;
    let descriptor = storage.descriptor();
    assert_eq!(descriptor.name, "filesystem");
    assert!(!descriptor.features.atomic_batch && descriptor.features.parallel_scan && descriptor.features.atomic_folders);
    assert_eq!((descriptor.limits.key, descriptor.limits.segment, descriptor.limits.value), (4_000, 254, 33 << 20));
}
