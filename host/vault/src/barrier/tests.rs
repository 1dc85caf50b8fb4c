use cofferdam_backend::Limits;
use cofferdam_test_support::{Cut, Memory};

use super::*;
use crate::secret::Secret;
use crate::testing::told::Told;
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

/// What a batch of four puts and a delete comes to in a storage of these limits, and how it ended; the last put is of `last` bytes.
async fn told(atomic: bool, limits: Limits, last: usize) -> (Vec<String>, Result<()>) {
    let mut storage = Told::over(Cut::after(Memory::default(), i64::MAX));
    (storage.descriptor.features.atomic_batch, storage.descriptor.limits) = (atomic, limits);
    let calls = Arc::clone(&storage.calls);
    let barrier = Barrier::new(Arc::new(storage));
    barrier.unseal(Keyring::generate(Arc::new(Secret::random().unwrap())).unwrap());
    let epoch = barrier.epoch();
    let mut changes = ["a/1", "a/2", "b/3"].map(|key| barrier.change_of(epoch, key, Some(b"x")).unwrap()).into_iter().collect::<Vec<_>>();
    changes.push(barrier.change_of(epoch, "gone", None).unwrap());
    changes.push(barrier.change_of(epoch, "b/4", Some(&vec![0; last])).unwrap());
    let done = barrier.batch_of(epoch, changes).await;
    if done.is_ok() {
        assert_eq!(**barrier.get("a/1").await.unwrap().unwrap(), *b"x");
        assert_eq!(barrier.list("b/").await.unwrap(), ["3", "4"]);
    }
    let calls = calls.lock().unwrap().clone();
    (calls, done)
}

const LIMITS: Limits = Limits { key: 100, segment: 100, value: 1_000, batch_operations: 10, batch_bytes: 10_000 };
const ONE_BY_ONE: [&str; 5] = ["put a/1", "put a/2", "put b/3", "delete gone", "put b/4"];

#[tokio::test]
async fn a_batch_is_one_call_of_a_storage_that_takes_it_as_a_whole() {
    assert_eq!(told(true, LIMITS, 1).await.0, ["batch a/1 a/2 b/3 gone b/4"]);
    assert_eq!(told(false, LIMITS, 1).await.0, ONE_BY_ONE);
}

#[tokio::test]
async fn a_batch_past_the_limits_of_the_storage_is_several_in_the_same_order() {
    for (most, expected) in [
        (0, &ONE_BY_ONE[..]),
        (1, &ONE_BY_ONE),
        (2, &["batch a/1 a/2", "batch b/3 gone", "put b/4"]),
        (4, &["batch a/1 a/2 b/3 gone", "put b/4"]),
        (5, &["batch a/1 a/2 b/3 gone b/4"]),
    ] {
        assert_eq!(told(true, Limits { batch_operations: most, ..LIMITS }, 1).await.0, expected, "{most}");
    }
    // A put of one byte takes 3 of the key and 34 of ciphertext; four and the deletion are 152.
    for (bytes, expected) in [
        (36, &["put a/1", "put a/2", "put b/3", "delete gone", "put b/4"][..]),
        (74, &["batch a/1 a/2", "batch b/3 gone", "put b/4"]),
        (151, &["batch a/1 a/2 b/3 gone", "put b/4"]),
        (152, &["batch a/1 a/2 b/3 gone b/4"]),
    ] {
        let (calls, done) = told(true, Limits { batch_bytes: bytes, ..LIMITS }, 1).await;
        assert!(done.is_ok() && calls == expected, "{bytes}: {calls:?} {done:?}");
    }
}

#[tokio::test]
async fn a_value_that_is_too_large_is_refused_in_a_batch_as_by_itself() {
    let by_itself = told(false, LIMITS, 1_000).await.1.unwrap_err();
    for limits in [LIMITS, Limits { batch_bytes: 500, ..LIMITS }] {
        let (_, in_a_batch) = told(true, limits, 1_000).await;
        assert!(matches!(in_a_batch, Err(Error::TooLarge(_))));
        assert_eq!(in_a_batch.unwrap_err().to_string(), by_itself.to_string());
    }
}

#[tokio::test]
async fn a_batch_from_before_a_seal_is_not_made_after_it() {
    let storage = Memory::default();
    let barrier = barrier_over(storage.clone());
    let epoch = barrier.epoch();
    let keyring = barrier.with_keyring(|keyring| Keyring::from_stored(keyring.root().clone(), &keyring.to_stored()?)).unwrap();
    let changes = |epoch| ["a", "b"].map(|key| barrier.change_of(epoch, key, Some(b"x")));
    let made: Vec<Change> = changes(epoch).into_iter().collect::<Result<_>>().unwrap();
    barrier.seal();
    barrier.unseal(keyring);
    assert!(matches!(barrier.batch_of(epoch, made).await, Err(Error::Sealed)));
    assert!(changes(epoch).iter().all(|change| matches!(change, Err(Error::Sealed))));
    assert!(storage.snapshot().is_empty());
}
