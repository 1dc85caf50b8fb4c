//! Puts and deletes at the same time in folders that they share.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cofferdam_backend::{Folder, Key, Storage};
use futures_util::future::join_all;

const TASKS: usize = 16;
const ROUNDS: usize = 150;

/// Folders of three depths, few enough that they come and go all the time.
const FOLDERS: [&str; 6] = ["s/", "s/a/", "s/a/b/", "s/a/c/", "s/d/", "s/d/e/f/"];

/// Every key that listing from the root leads to. A folder that is listed must hold something.
async fn keys(storage: &dyn Storage) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let names = storage.list(&Folder::new(&folder).unwrap()).await.unwrap();
        assert!(folder.is_empty() || !names.is_empty(), "{folder:?} is listed but holds nothing");
        for name in names {
            let path = format!("{folder}{name}");
            if name.ends_with('/') {
                folders.push(path);
            } else {
                assert!(keys.insert(path));
            }
        }
    }
    keys
}

fn folders_on_disk(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".cofferdam" && !name.starts_with('_')).collect()
}

/// One task's part of the storm: puts and deletes of its own keys, each read back at once. Returns what it has left there.
async fn storm(storage: Arc<dyn Storage>, task: usize) -> BTreeSet<String> {
    let mut left = BTreeSet::new();
    // A linear congruence: each task goes through the folders in an order of its own.
    let mut random = task as u64 + 1;
    for round in 0..ROUNDS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let text = format!("{}{task}", FOLDERS[(random >> 33) as usize % FOLDERS.len()]);
        let key = Key::new(&text).unwrap();
        if left.remove(&text) {
            storage.delete(&key).await.unwrap();
            assert_eq!(storage.get(&key).await.unwrap(), None, "{text} after its delete");
        } else {
            let value = Bytes::from(format!("{task} {round}"));
            storage.put(&key, value.clone()).await.unwrap();
            assert_eq!(storage.get(&key).await.unwrap(), Some(value), "{text} after its put");
            left.insert(text);
        }
    }
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn puts_and_deletes_at_once_in_shared_folders_lose_nothing_and_leave_nothing() {
    let directory = super::directory();
    let storage = super::guest(directory.path()).await;
    let tasks = (0..TASKS).map(|task| tokio::spawn(storm(Arc::clone(&storage), task)));
    let left: BTreeSet<String> = join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect();
    assert!(!left.is_empty());
    assert_eq!(keys(&*storage).await, left);

    // All at once, so that deletes race to remove the folders, too.
    let deletes = left.iter().map(|text| {
        let (storage, key) = (Arc::clone(&storage), Key::new(text).unwrap());
        tokio::spawn(async move { storage.delete(&key).await.unwrap() })
    });
    join_all(deletes).await.into_iter().for_each(Result::unwrap);
    assert_eq!(keys(&*storage).await, BTreeSet::new());
    assert_eq!(folders_on_disk(directory.path()), [""; 0], "folders that are empty are gone");

    for folder in FOLDERS {
        let key = Key::new(format!("{folder}after")).unwrap();
        storage.put(&key, Bytes::from_static(b"after")).await.unwrap();
        assert_eq!(storage.get(&key).await.unwrap().unwrap(), "after");
    }
    assert_eq!(keys(&*storage).await.len(), FOLDERS.len());
}
