//! A directory that holds what no server put there, and disks that refuse: each a clear error, or left out.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use cofferdam_backend::{Error, Storage};

use super::guest;
use crate::conformance::{delete, get, key, list, put, scan};

async fn get_error(storage: &dyn Storage, at: &str) -> Error {
    storage.get(&key(at)).await.expect_err("it was read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_entry_is_reported_with_its_key_and_left_as_it_is() {
    let directory = crate::filesystem::directory();
    let storage = guest(directory.path()).await;
    fs::create_dir(directory.path().join("a")).unwrap();
    for text in ["garbage", "{\"Value\":\"dGVz", "{\"Value\":\"!!!!\"}\n", "{}", "\0\0\0\0\0\0\0\0"] {
        let file = directory.path().join("a/_bad");
        fs::write(&file, text).unwrap();
        match get_error(&*storage, "a/bad").await {
            Error::Corrupt(why) => assert!(why.contains("a/bad"), "{why}"),
            other => panic!("{text:?}: {other:?}"),
        }
        assert!(matches!(storage.scan(0, 1, None, 10).await, Err(Error::Corrupt(_))), "a scan passed over {text:?}");
        assert_eq!(fs::read(&file).unwrap(), text.as_bytes());
    }
    put(&*storage, "a/bad", "good").await;
    assert_eq!(get(&*storage, "a/bad").await.unwrap(), "good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaf_and_the_folder_of_the_same_file_name_refuse_each_other() {
    let directory = crate::filesystem::directory();
    let storage = guest(directory.path()).await;
    for (first, second, folder) in
        [("foo", "_foo/x", "_foo/"), ("_foo/x", "foo", "_foo/"), ("a/b", "a/_b/c/d", "a/_b/"), ("a/_b/c/d", "a/b", "a/_b/")]
    {
        put(&*storage, first, "1").await;
        match storage.put(&key(second), "2".into()).await {
            Err(Error::InvalidKey(why)) => {
                let other = if first.len() < second.len() { first } else { folder };
                assert!(why.contains(second) && why.contains(other), "{first} then {second}: {why}");
            }
            other => panic!("{first} then {second}: {other:?}"),
        }
        assert_eq!(get(&*storage, second).await, None);
        delete(&*storage, second).await;
        assert_eq!(get(&*storage, first).await.unwrap(), "1");
        assert_eq!(scan(&*storage, 1, 10).await.len(), 1);
        delete(&*storage, first).await;
        assert!(list(&*storage, "").await.is_empty());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "something was left beside .cofferdam");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reserved_directory_is_out_of_reach() {
    let directory = crate::filesystem::directory();
    let storage = guest(directory.path()).await;
    fs::write(directory.path().join(".cofferdam/_x"), "{\"Value\":\"\"}\n").unwrap();
    for at in [".cofferdam/x", ".cofferdam/a/b"] {
        assert!(matches!(get_error(&*storage, at).await, Error::InvalidKey(_)));
        assert!(matches!(storage.put(&key(at), "v".into()).await, Err(Error::InvalidKey(_))));
        assert!(matches!(storage.delete(&key(at)).await, Err(Error::InvalidKey(_))));
    }
    assert!(list(&*storage, "").await.is_empty());
    assert!(list(&*storage, ".cofferdam/").await.is_empty());
    assert!(scan(&*storage, 1, 10).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_lead_out_are_refused_and_those_inside_followed() {
    let outside = crate::filesystem::directory();
    fs::write(outside.path().join("_secret"), "{\"Value\":\"c2VjcmV0\"}\n").unwrap();
    let directory = crate::filesystem::directory();
    let root = directory.path();
    let storage = guest(root).await;
    put(&*storage, "in/x", "inside").await;
    symlink(outside.path(), root.join("out")).unwrap();
    symlink(outside.path().join("_secret"), root.join("_file")).unwrap();
    symlink("../../../../../../../../../../etc", root.join("up")).unwrap();
    symlink("in/_x", root.join("_alias")).unwrap();
    symlink("gone", root.join("_dangling")).unwrap();
    symlink("_loop", root.join("_loop")).unwrap();
    for at in ["out/secret", "file", "up/passwd"] {
        match get_error(&*storage, at).await {
            Error::Denied(why) => assert!(why.contains("leads out"), "{at}: {why}"),
            other => panic!("{at}: {other:?}"),
        }
    }
    assert!(matches!(get_error(&*storage, "loop").await, Error::Corrupt(_)));
    assert!(matches!(storage.put(&key("out/new"), "v".into()).await, Err(Error::Denied(_))));
    assert!(matches!(storage.delete(&key("out/secret")).await, Err(Error::Denied(_))));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "something changed outside");
    assert!(root.join("out").is_symlink());
    assert_eq!(get(&*storage, "alias").await.unwrap(), "inside");
    assert_eq!(get(&*storage, "dangling").await, None);
    assert_eq!(list(&*storage, "").await, ["alias", "in/"]);
    // A put replaces the link, never what it leads to.
    put(&*storage, "file", "ours").await;
    assert_eq!(get(&*storage, "file").await.unwrap(), "ours");
    assert_eq!(fs::read(outside.path().join("_secret")).unwrap(), b"{\"Value\":\"c2VjcmV0\"}\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_names_the_link_to_a_directory_that_it_does_not_follow() {
    let directory = crate::filesystem::directory();
    let storage = guest(directory.path()).await;
    put(&*storage, "in/x", "inside").await;
    symlink("..", directory.path().join("in/round")).unwrap();
    match storage.scan(0, 1, None, 10).await {
        Err(Error::Corrupt(why)) => assert!(why.contains("in/round"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_no_key_has_are_left_out_and_the_rest_is_whole() {
    let directory = crate::filesystem::directory();
    let storage = guest(directory.path()).await;
    for number in 0..50 {
        put(&*storage, &format!("a/k{number:02}"), "v").await;
    }
    let at = directory.path().join("a");
    for name in [&b"_\xff\xfe"[..], b"_a\x80b", b"\xc3("] {
        fs::write(at.join(Path::new(std::ffi::OsStr::from_bytes(name))), "{\"Value\":\"\"}\n").unwrap();
    }
    for name in ["_new\nline", "_", "_.", "_..", "plain", "_\u{85}"] {
        fs::write(at.join(name), "{\"Value\":\"\"}\n").unwrap();
    }
    let names = list(&*storage, "a/").await;
    assert_eq!(names, (0..50).map(|number| format!("k{number:02}")).collect::<Vec<_>>());
    // A scan hides nothing that can be told: keys out of the grammar are there.
    let found = scan(&*storage, 1, 7).await;
    assert_eq!(found.len(), 54);
    assert!(["a/new\nline", "a/.", "a/..", "a/\u{85}"].iter().all(|key| found.contains_key(*key)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_loses_files_while_it_is_listed_is_listed_on() {
    let directory = crate::filesystem::directory();
    let storage = guest(directory.path()).await;
    let at = directory.path().join("a");
    fs::create_dir(&at).unwrap();
    for number in 0..5_000 {
        fs::write(at.join(format!("_stay{number:04}")), "{\"Value\":\"\"}\n").unwrap();
        fs::write(at.join(format!("_gone{number:04}")), "{\"Value\":\"\"}\n").unwrap();
    }
    // The last files go only when there was a listing meanwhile.
    let (listed, told) = std::sync::mpsc::channel();
    let remover = std::thread::spawn(move || {
        for number in 0..5_000 {
            if number == 4_900 {
                told.recv().unwrap();
            }
            fs::remove_file(at.join(format!("_gone{number:04}"))).unwrap();
        }
    });
    while !remover.is_finished() {
        let names = list(&*storage, "a/").await;
        assert_eq!(names.iter().filter(|name| name.starts_with("stay")).count(), 5_000);
        _ = listed.send(());
    }
    remover.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_in_a_files_place_is_no_entry() {
    let directory = crate::filesystem::directory();
    let storage = guest(directory.path()).await;
    fs::create_dir(directory.path().join("_d")).unwrap();
    assert_eq!(get(&*storage, "d").await, None);
    delete(&*storage, "d").await;
    assert!(directory.path().join("_d").is_dir());
    fs::write(directory.path().join("plain"), "x").unwrap();
    assert_eq!(get(&*storage, "plain/x").await, None);
    match storage.put(&key("plain/x"), "v".into()).await {
        Err(Error::Corrupt(why)) => assert!(why.contains("\"plain\""), "{why}"),
        other => panic!("{other:?}"),
    }
}
