use cofferdam_test_support::Memory;

use super::*;
use crate::secret::Secret;
use crate::testing::{barrier_over, test_barrier};

#[tokio::test]
async fn nothing_passes_while_sealed() {
    let barrier = test_barrier();
    barrier.put("a/b", b"x").await.unwrap();
    barrier.seal();
    assert!(barrier.sealed());
    assert!(matches!(barrier.get("a/b").await, Err(Error::Sealed)));
    assert!(matches!(barrier.put("a/b", b"").await, Err(Error::Sealed)));
    assert!(matches!(barrier.delete("a/b").await, Err(Error::Sealed)));
    assert!(matches!(barrier.list("a/").await, Err(Error::Sealed)));
    assert!(matches!(barrier.list_page_of(barrier.epoch(), "a/", "", 1).await, Err(Error::Sealed)));
    let keyring = Keyring::generate(Arc::new(Secret::random().unwrap())).unwrap();
    assert!(matches!(barrier.replace(keyring), Err(Error::Sealed)));
    assert!(barrier.sealed());
}

#[tokio::test]
async fn the_storage_sees_names_but_no_plaintext() {
    let storage = Memory::default();
    let barrier = barrier_over(storage.clone());
    barrier.put("a/b", b"plaintext").await.unwrap();
    let stored = storage.snapshot();
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["a/b"]);
    assert_eq!(stored["a/b"].len(), 33 + 9);
    assert!(!stored["a/b"].windows(5).any(|window| window == b"plain"));
    assert_eq!(**barrier.get("a/b").await.unwrap().unwrap(), *b"plaintext");
    assert_eq!(barrier.list("a/").await.unwrap(), ["b"]);
    barrier.delete("a/b").await.unwrap();
    assert!(barrier.get("a/b").await.unwrap().is_none());
}

#[tokio::test]
async fn a_moved_or_damaged_entry_is_an_error_that_names_its_key() {
    let storage = Memory::default();
    let barrier = barrier_over(storage.clone());
    barrier.put("a", b"x").await.unwrap();
    let stored = storage.snapshot()["a"].clone();
    storage.put(&Key::new("moved").unwrap(), stored).await.unwrap();
    storage.put(&Key::new("short").unwrap(), Bytes::from_static(b"\0\0\0\x01")).await.unwrap();
    storage.put(&Key::new("term").unwrap(), Bytes::from_static(b"\0\0\0\x07\x02")).await.unwrap();
    for (key, text) in [("moved", "authentication"), ("short", "too short"), ("term", "term 7")] {
        match barrier.get(key).await {
            Err(Error::Damaged(error)) => assert!(error.starts_with(key) && error.contains(text), "{error}"),
            _ => panic!("{key}"),
        }
    }
}

#[tokio::test]
async fn entries_of_an_earlier_term_stay_readable() {
    let barrier = test_barrier();
    barrier.put("old", b"1").await.unwrap();
    let rotated = barrier.with_keyring(Keyring::rotated).unwrap();
    barrier.replace(rotated).unwrap();
    barrier.put("new", b"2").await.unwrap();
    assert_eq!(**barrier.get("old").await.unwrap().unwrap(), *b"1");
    assert_eq!(**barrier.get("new").await.unwrap().unwrap(), *b"2");
    let status = barrier.with_keyring(|keyring| Ok(keyring.status())).unwrap();
    assert_eq!((status.term, status.encryptions), (2, 1));
}
