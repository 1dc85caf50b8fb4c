use super::*;
use crate::sha256;
use proptest::prelude::*;

fn entry() -> impl Strategy<Value = LockEntry> {
    (any::<[u8; 8]>(), any::<bool>(), "[ -~]{0,30}").prop_map(|(bytes, storage, pinned)| LockEntry {
        sha256: sha256(&bytes),
        kind: if storage { Kind::Storage } else { Kind::Seal },
        pinned,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(entries in prop::collection::btree_map("[^/\\pC]{1,40}", entry(), 0..8)) {
        let lock = Lock { plugins: entries.into_iter().map(|(name, entry)| (name + ".wasm", entry)).collect(), ..Lock::default() };
        let text = lock.to_text().unwrap();
        prop_assert_eq!(Lock::parse(text.as_bytes()), Ok(lock));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Lock::parse(&bytes);
    }

    /// A file that lost or changed a byte is not read as another statement of digests with more in it.
    #[test]
    fn a_changed_byte_adds_no_pin(at in 0usize..200, byte: u8) {
        let lock = sample();
        let mut bytes = lock.to_text().unwrap().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(read) = Lock::parse(&bytes) {
            prop_assert_eq!(read.plugins.len(), 1);
            prop_assert!(read.plugins.keys().all(|name| is_file_name(name)));
            prop_assert!(read.plugins.values().all(|entry| is_sha256(&entry.sha256)));
        }
    }
}

fn sample() -> Lock {
    let entry = LockEntry { sha256: sha256(b"etcd"), kind: Kind::Storage, pinned: "2026-03-01T12:00:00Z".to_owned() };
    Lock { plugins: BTreeMap::from([("etcd.wasm".to_owned(), entry)]), ..Lock::default() }
}

#[test]
fn it_reads_well_and_its_names_are_sorted() {
    let mut lock = sample();
    let entry = lock.plugins["etcd.wasm"].clone();
    lock.plugins.insert("a.wasm".to_owned(), LockEntry { kind: Kind::Seal, ..entry });
    let digest = sha256(b"etcd");
    let expected = format!(
        "{{\n  \"version\": 1,\n  \"plugins\": {{\n    \"a.wasm\": {{\n      \"sha256\": \"{digest}\",\n      \"kind\": \"seal\",\n      \
         \"pinned\": \"2026-03-01T12:00:00Z\"\n    }},\n    \"etcd.wasm\": {{\n      \"sha256\": \"{digest}\",\n      \"kind\": \"storage\",\n      \
         \"pinned\": \"2026-03-01T12:00:00Z\"\n    }}\n  }}\n}}\n"
    );
    assert_eq!(lock.to_text().unwrap(), expected);
}

#[test]
fn what_is_not_known_or_twice_there_refuses_the_file() {
    let good = sample().to_text().unwrap();
    let one = format!(r#""etcd.wasm": {{"sha256": "{}", "kind": "storage", "pinned": "x"}}"#, sha256(b"etcd"));
    let whole = |plugins: &str| format!(r#"{{"version": 1, "plugins": {{{plugins}}}}}"#);
    assert!(Lock::parse(whole(&one).as_bytes()).is_ok());
    let cases = [
        ("", "EOF"),
        ("[]", "expected struct"),
        (&whole(&format!("{one}, {one}")), "twice"),
        (&good.replace("\"plugins\"", "\"plugin\""), "unknown field"),
        (&good.replace("\"pinned\"", "\"by\""), "unknown field"),
        (&good.replace("storage", "audit"), "unknown variant"),
        (&good.replace("etcd.wasm", "../etcd.wasm"), "not the name of a .wasm file"),
        (&good.replace("etcd.wasm", "etcd"), "not the name of a .wasm file"),
        (&good.replace(&sha256(b"etcd"), &sha256(b"etcd").to_uppercase()), "64 lower-case"),
        (&good.replace(&sha256(b"etcd"), "00"), "64 lower-case"),
        (&format!("{good} x"), "trailing"),
    ];
    for (text, expected) in cases {
        let error = Lock::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, LockError::Malformed(_)), "{text}");
        assert!(error.to_string().contains(expected) && error.to_string().contains("coffer plugin pin --all"), "{error}");
    }
    let newer = good.replace("\"version\": 1", "\"version\": 2");
    assert_eq!(Lock::parse(newer.as_bytes()), Err(LockError::Version(2)));
}
