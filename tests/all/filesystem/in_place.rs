//! Values written over one another in place, as a host with a journal asks for.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use cofferdam_backend::{Key, Operation};

use super::{directory, guest, open};
use crate::conformance::{delete, get, put};

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_written_over_the_one_before_it_and_read_by_a_guest_that_does_not() {
    let directory = directory();
    let file = directory.path().join("a/b/_c");
    let storage = open(directory.path(), &[("fsync", "false"), ("in_place", "true")]).await.unwrap();
    put(&*storage, "a/b/c", vec![7; 2_000]).await;
    let first = inode(&file);
    for length in [1_999, 1_700, 3, 0, 1, 9_000] {
        put(&*storage, "a/b/c", vec![u8::try_from(length % 251).unwrap(); length]).await;
        let read = get(&*storage, "a/b/c").await.unwrap();
        assert_eq!((read.len(), inode(&file)), (length, first), "{length}");
    }
    delete(&*storage, "a/b/c").await;
    assert!(!directory.path().join("a").exists());
    put(&*storage, "a/b/c", "again").await;
    storage.forget();
    drop(storage);
    assert_eq!(get(&*guest(directory.path()).await, "a/b/c").await.as_deref(), Some(&b"again"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_another_name_and_what_a_link_leads_to_stay_as_they_are() {
    let directory = directory();
    let storage = open(directory.path(), &[("fsync", "false"), ("in_place", "true")]).await.unwrap();
    put(&*storage, "kept", "old").await;
    put(&*storage, "linked", "old").await;
    let (copy, elsewhere) = (directory.path().join("copy"), directory.path().join("elsewhere"));
    fs::hard_link(directory.path().join("_kept"), &copy).unwrap();
    let before = fs::read(&copy).unwrap();
    fs::rename(directory.path().join("_linked"), &elsewhere).unwrap();
    symlink("elsewhere", directory.path().join("_linked")).unwrap();
    for name in ["kept", "linked"] {
        put(&*storage, name, "new").await;
        assert_eq!(get(&*storage, name).await.as_deref(), Some(&b"new"[..]));
    }
    assert_eq!((fs::read(&copy).unwrap(), fs::read(&elsewhere).unwrap()), (before.clone(), before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_batch_an_entry_that_comes_gets_the_file_of_one_that_goes() {
    let directory = directory();
    let storage = open(directory.path(), &[("fsync", "false"), ("in_place", "true")]).await.unwrap();
    let key = |name: &str| Key::new(name).unwrap();
    put(&*storage, "old/deep/x", vec![1; 3_000]).await;
    put(&*storage, "kept", "as it is").await;
    put(&*storage, "linked", "as it is").await;
    let (file, copy) = (directory.path().join("old/deep/_x"), directory.path().join("copy"));
    let first = inode(&file);
    fs::hard_link(directory.path().join("_linked"), &copy).unwrap();
    let before = fs::read(&copy).unwrap();
    let batch = [
        Operation::Put(key("kept"), "again".into()),
        Operation::Put(key("new/y"), "short".into()),
        Operation::Put(key("new/z"), "z".into()),
        Operation::Put(key("new/w"), "w".into()),
        Operation::Delete(key("linked")),
        Operation::Delete(key("never/was")),
        Operation::Delete(key("old/deep/x")),
    ];
    storage.batch(batch.to_vec()).await.unwrap();
    assert_eq!(inode(&directory.path().join("new/_y")), first);
    assert!(!directory.path().join("old").exists() && !directory.path().join("_linked").exists());
    assert_eq!(fs::read(&copy).unwrap(), before, "a file with another name is nobody's");
    storage.forget();
    drop(storage);
    let other = guest(directory.path()).await;
    for (name, value) in [("kept", "again"), ("new/y", "short"), ("new/z", "z"), ("new/w", "w")] {
        assert_eq!(get(&*other, name).await.as_deref(), Some(value.as_bytes()), "{name}");
    }
    assert_eq!(get(&*other, "old/deep/x").await, None);
}
