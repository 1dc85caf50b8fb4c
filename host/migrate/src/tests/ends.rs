//! Snapshots at either end.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use cofferdam_snapshot::{Meta, Snapshot, Writer};

use super::faulty::{After, Faulty};
use super::{between, end, entries, expected, impatient};
use crate::{End, Error, Held, LOCK, Options};

fn file(path: &Path) -> End {
    End { name: format!("raft_snapshot {}", path.display()), held: Held::Snapshot(path.to_owned()) }
}

fn held(path: &Path) -> BTreeMap<String, Bytes> {
    let snapshot = Snapshot::open(path).unwrap();
    snapshot.entries().unwrap().map(|entry| entry.map(|(key, value)| (key, value.into())).unwrap()).collect()
}

fn written(path: &Path, entries: &BTreeMap<String, Bytes>) {
    let mut writer = Writer::create(path, Meta::default()).unwrap();
    for (key, value) in entries {
        writer.put(key, value.to_vec()).unwrap();
    }
    writer.finish().unwrap();
}

#[tokio::test]
async fn a_storage_goes_into_a_snapshot_and_out_of_it_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.snap");
    let mut given = entries(100);
    given.insert("core/sscGenCounter/".to_owned(), "kept".into());
    let source = Faulty::new(given.clone());
    let report = between(end("from", &source), file(&path), impatient()).run().await.unwrap();
    assert_eq!((held(&path), report.left_out.count), (expected(&given), 0));
    assert_eq!(source.snapshot(), given);
    // It is not overwritten unless told.
    let again = between(end("from", &source), file(&path), impatient()).run().await.unwrap_err();
    assert!(matches!(again, Error::NotEmpty { .. }) && source.snapshot() == given, "{again}");
    between(end("from", &source), file(&path), Options { overwrite: true, ..impatient() }).run().await.unwrap();
    let destination = Faulty::new(BTreeMap::new());
    let report = between(file(&path), end("to", &destination), impatient()).run().await.unwrap();
    assert_eq!((report.left_out.count, report.left_out.first[0].key.as_str()), (1, "core/sscGenCounter/"));
    given.remove("core/sscGenCounter/");
    assert_eq!(destination.snapshot(), expected(&given));
    between(file(&path), end("to", &destination), impatient()).verify().await.unwrap();
}

#[tokio::test]
async fn a_run_that_reads_a_snapshot_is_cut_everywhere_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.snap");
    let given = entries(30);
    written(&path, &given);
    for mutations in 0.. {
        let destination = Faulty::new(BTreeMap::new());
        let cut = destination.cut(mutations, After::Cut);
        if between(file(&path), end("to", &cut), impatient()).run().await.is_ok() {
            return;
        }
        between(file(&path), end("to", &destination), impatient()).run().await.unwrap();
        assert_eq!(destination.snapshot(), expected(&given), "cut after {mutations}");
    }
}

#[tokio::test]
async fn another_snapshot_under_the_same_name_is_not_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.snap");
    written(&path, &entries(30));
    let destination = Faulty::new(BTreeMap::new());
    between(file(&path), end("to", &destination.cut(10, After::Cut)), impatient()).run().await.unwrap_err();
    written(&path, &entries(31));
    let refused = between(file(&path), end("to", &destination), impatient()).run().await.unwrap_err();
    assert!(refused.to_string().contains("it is of raft_snapshot"), "{refused}");
}

#[tokio::test]
async fn a_run_that_writes_a_snapshot_begins_anew_and_keeps_the_source_locked_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.snap");
    let given = entries(30);
    let source = Faulty::new(given.clone());
    for mutations in 0..2 {
        // The first of the two locks the source, the second releases it.
        let cut = between(end("from", &source.cut(mutations, After::Cut)), file(&path), impatient()).run().await;
        assert!(cut.is_err() && source.snapshot().contains_key(LOCK) == (mutations == 1), "{mutations}");
    }
    between(end("from", &source), file(&path), impatient()).run().await.unwrap();
    assert_eq!((held(&path), source.snapshot()), (expected(&given), given));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_damaged_snapshot_leaves_the_destination_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.snap");
    written(&path, &entries(30));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let destination = Faulty::new(BTreeMap::new());
    let refused = between(file(&path), end("to", &destination), impatient()).run().await.unwrap_err();
    assert!(matches!(refused, Error::Snapshot(_)) && destination.snapshot().is_empty(), "{refused}");
}
