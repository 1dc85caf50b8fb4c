//! What is refused, what is named, and what stays as it was.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::faulty::{After, Faulty};
use super::{entries, expected, impatient, migration};
use crate::{Error, LOCK, Options};

fn with(entries: &BTreeMap<String, Bytes>, key: &str, value: impl Into<Bytes>) -> BTreeMap<String, Bytes> {
    let mut entries = entries.clone();
    entries.insert(key.to_owned(), value.into());
    entries
}

#[tokio::test]
async fn a_destination_that_is_not_empty_is_refused_unless_told() {
    let given = entries(20);
    let there = BTreeMap::from([("logical/old".to_owned(), Bytes::from("x")), ("core/key-0".to_owned(), Bytes::from("old"))]);
    let (source, destination) = (Faulty::new(given.clone()), Faulty::new(there.clone()));
    let refused = migration(&source, &destination, impatient()).run().await.unwrap_err();
    assert_eq!(refused.to_string(), "to is not empty: it holds the entry \"core/key-0\"");
    assert_eq!((source.snapshot(), destination.snapshot()), (given.clone(), there));
    migration(&source, &destination, Options { overwrite: true, ..impatient() }).run().await.unwrap();
    assert_eq!(destination.snapshot(), expected(&given));
}

#[tokio::test]
async fn locks_of_others_are_kept_and_the_sources_is_reset() {
    let lock = r#"{"start":"2026-01-02T03:04:05Z"}"#;
    let source = Faulty::new(with(&entries(5), LOCK, lock));
    let destination = Faulty::new(BTreeMap::new());
    let refused = migration(&source, &destination, impatient()).run().await.unwrap_err();
    assert_eq!(refused.to_string(), "from: storage migration in progress (started: 2026-01-02T03:04:05Z)");
    let end = super::end("from", &source);
    assert!(crate::reset(&end, impatient().patience).await.unwrap());
    assert!(!crate::reset(&end, impatient().patience).await.unwrap());
    assert_eq!(source.snapshot(), entries(5));
    // At the destination it may be what keeps a half copy from being used: it is not reset.
    let destination = Faulty::new(BTreeMap::from([(LOCK.to_owned(), Bytes::from(lock))]));
    let refused = migration(&source, &destination, impatient()).run().await.unwrap_err();
    assert!(refused.to_string().starts_with("to: storage migration in progress"), "{refused}");
}

#[tokio::test]
async fn half_a_copy_is_not_gone_on_with_once_the_source_was_unlocked() {
    let given = entries(40);
    let (source, destination) = (Faulty::new(given.clone()), Faulty::new(BTreeMap::new()));
    let cut = migration(&source, &destination.cut(20, After::Cut), impatient()).run().await.unwrap_err();
    assert_eq!(cut.to_string(), "error writing entry: to: backend unavailable: cut off");
    // Neither a server nor another migration may take the half for a store.
    let onwards = migration(&destination, &Faulty::new(BTreeMap::new()), impatient()).run().await.unwrap_err();
    assert!(matches!(onwards, Error::HalfSource(_)), "{onwards}");
    assert!(crate::reset(&super::end("to", &destination), impatient().patience).await.is_err());
    crate::reset(&super::end("from", &source), impatient().patience).await.unwrap();
    let refused = migration(&source, &destination, impatient()).run().await.unwrap_err();
    assert!(refused.to_string().contains("the source was unlocked since"), "{refused}");
    let other = Options { start: Some("m".to_owned()), ..impatient() };
    assert!(migration(&source, &destination, other).run().await.unwrap_err().to_string().contains("another first key"));
    migration(&source, &destination, Options { overwrite: true, ..impatient() }).run().await.unwrap();
    assert_eq!(destination.snapshot(), expected(&given));
}

#[tokio::test]
async fn a_source_without_entries_is_not_migrated() {
    let source = Faulty::new(BTreeMap::from([("core/lock".to_owned(), Bytes::from("x"))]));
    let destination = Faulty::new(BTreeMap::new());
    for count in [true, false] {
        let refused = migration(&source, &destination, Options { count, ..impatient() }).run().await.unwrap_err();
        assert_eq!(refused.to_string(), "from holds no entries");
        assert!(destination.snapshot().is_empty() && source.snapshot().len() == 1);
    }
}

#[tokio::test]
async fn what_is_too_large_is_named_before_anything_is_written() {
    let given = with(&with(&entries(20), "logical/large", vec![0; 101]), &"k".repeat(200), "v");
    let source = Faulty::new(given.clone());
    let mut destination = Faulty::new(BTreeMap::new());
    destination.descriptor.limits.value = 100;
    destination.descriptor.limits.key = 150;
    match migration(&source, &destination, impatient()).run().await {
        Err(Error::TooLarge { unfit, untouched: true, .. }) => {
            let mut named: Vec<_> = unfit.first.iter().map(|unfit| unfit.reason.as_str()).collect();
            named.sort_unstable();
            assert_eq!(named, ["key too large: 200 bytes, at most 150", "value too large: 101 bytes, at most 100"]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((source.snapshot(), destination.snapshot().len()), (given, 0));
    // Uncounted, all else is copied, and the destination stays locked.
    let uncounted = Options { count: false, ..impatient() };
    for _ in 0..2 {
        match migration(&source, &destination, uncounted.clone()).run().await {
            Err(Error::TooLarge { unfit, untouched: false, .. }) => assert_eq!(unfit.count, 2),
            other => panic!("{other:?}"),
        }
        assert!(destination.snapshot().contains_key(LOCK) && source.snapshot().contains_key(LOCK));
    }
}

#[tokio::test]
async fn keys_that_the_destination_has_not_are_left_out_and_named() {
    let odd = ["core/sscGenCounter/", "a//b", "reserved/x", "bell\u{7}"];
    let given = odd.iter().fold(entries(20), |entries, key| with(&entries, key, "v"));
    let (source, destination) = (Faulty::new(given), Faulty::new(BTreeMap::new()));
    let report = migration(&source, &destination, impatient()).run().await.unwrap();
    let mut named: Vec<_> = report.left_out.first.iter().map(|unfit| unfit.key.as_str()).collect();
    named.sort_unstable();
    assert_eq!(named, ["a//b", "bell\u{7}", "core/sscGenCounter/", "reserved/x"]);
    assert_eq!((report.left_out.count, destination.snapshot()), (4, expected(&entries(20))));
}

#[tokio::test]
async fn verifying_alone_changes_nothing_and_finds_every_difference() {
    let given = entries(30);
    let (source, destination) = (Faulty::new(given.clone()), Faulty::new(expected(&given)));
    let report = migration(&source, &destination, impatient()).verify().await.unwrap();
    assert_eq!(report.source.total().entries, 31);
    let missing = {
        let mut some = expected(&given);
        some.pop_last();
        some
    };
    let changed = with(&expected(&given), "core/key-0", "other");
    let more = with(&expected(&given), "sys/more", "v");
    for (wrong, folder) in [(missing, "sys/"), (changed, "core/"), (more, "sys/")] {
        let before = wrong.clone();
        let destination = Faulty::new(wrong);
        match migration(&source, &destination, impatient()).verify().await {
            Err(Error::Differs(report)) => {
                let differing: Vec<_> =
                    report.source.rows().filter(|(folder, sum)| report.destination.of(folder) != **sum).map(|(folder, _)| folder).collect();
                assert_eq!(differing, [folder]);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((destination.snapshot(), source.snapshot()), (before, given.clone()));
    }
}

#[tokio::test]
async fn only_keys_from_the_start_on_are_touched() {
    let given = entries(30);
    let there = BTreeMap::from([("a".to_owned(), Bytes::from("stays"))]);
    let (source, destination) = (Faulty::new(given.clone()), Faulty::new(there));
    let options = Options { start: Some("logical/".to_owned()), ..impatient() };
    migration(&source, &destination, options).run().await.unwrap();
    let mut wanted: BTreeMap<_, _> = expected(&given).into_iter().filter(|(key, _)| key.as_str() >= "logical/").collect();
    wanted.insert("a".to_owned(), "stays".into());
    assert_eq!(destination.snapshot(), wanted);
}
