//! What the contract promises beyond OpenBao's cases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use cofferdam_backend::{Error, Operation, Part, Storage};
use futures_util::future::join_all;

use super::{delete, folder, get, key, list, list_after, put, scan};

pub(super) async fn values_are_any_bytes(storage: &dyn Storage) {
    let all: Vec<u8> = (0..=255).collect();
    let lengths = [0, 1, 2, 3, 4, 6_131, 6_132, 6_133, 49_151, 49_152, 49_153, 98_304, 200_001, 5 << 20];
    let limit = storage.descriptor().limits.value as usize;
    let lengths: Vec<usize> = lengths.into_iter().filter(|length| *length < limit).collect();
    let last = format!("v/{}", lengths.len() - 1);
    for (index, length) in lengths.into_iter().enumerate() {
        let value: Bytes = all.iter().copied().cycle().take(length).collect();
        put(storage, &format!("v/{index}"), value.clone()).await;
        assert_eq!(get(storage, &format!("v/{index}")).await.as_ref(), Some(&value), "{length} bytes");
    }
    // An empty value is an entry.
    assert_eq!(get(storage, "v/0").await, Some(Bytes::new()));
    assert!(list(storage, "v/").await.contains(&"0".to_owned()));
    put(storage, &last, "short").await;
    assert_eq!(get(storage, &last).await.unwrap(), "short");
}

pub(super) async fn keys_within_the_grammar_are_kept_apart(storage: &dyn Storage) {
    let long = "l".repeat(254);
    let deep = vec!["d"; 300].join("/");
    let keys = [
        "a",
        "A",
        "ä",
        "a\u{308}",
        "_",
        "__",
        "_q/b",
        ".a",
        "..a",
        "a..",
        "...",
        "a b",
        " ",
        "{\"Value\":\"\"}",
        "a\\b",
        "x:y|z*?<>",
        "~",
        "%2e",
        "$HOME",
        "'",
        "\u{202e}x",
        "\u{1f512}",
        "日本語/鍵",
        "x.temp",
        "x.temp.temp",
        "lock",
        "0123456789abcdef.tmp",
        ".cofferdam",
        "a/.cofferdam/b",
        "core/keyring",
        &long,
        &deep,
    ];
    for (index, at) in keys.iter().enumerate() {
        put(storage, at, index.to_string()).await;
    }
    for (index, at) in keys.iter().enumerate() {
        assert_eq!(get(storage, at).await.unwrap(), index.to_string(), "{at}");
    }
    let expected: BTreeMap<String, Bytes> =
        keys.iter().enumerate().map(|(index, at)| ((*at).to_owned(), index.to_string().into())).collect();
    assert_eq!(scan(storage, 1, 7).await, expected);
    for at in keys {
        let (above, leaf) = at.split_at(at.rfind('/').map_or(0, |slash| slash + 1));
        assert!(list(storage, above).await.contains(&leaf.to_owned()), "{at}");
        delete(storage, at).await;
        assert_eq!(get(storage, at).await, None, "{at}");
    }
    assert!(list(storage, "").await.is_empty());
}

pub(super) async fn a_leaf_and_a_folder_of_one_name_are_unrelated(storage: &dyn Storage) {
    for removed in ["a", "a/b"] {
        put(storage, "a", "leaf").await;
        put(storage, "a/b", "below").await;
        assert_eq!(list(storage, "").await, ["a", "a/"]);
        delete(storage, removed).await;
        let left = if removed == "a" { "a/" } else { "a" };
        assert_eq!(list(storage, "").await, [left]);
        delete(storage, "a").await;
        delete(storage, "a/b").await;
        assert!(list(storage, "").await.is_empty());
    }
}

pub(super) async fn deleting_what_is_missing_changes_nothing(storage: &dyn Storage) {
    put(storage, "a/b/c", "1").await;
    for missing in ["a", "a/b", "a/b/d", "a/b/c/d", "x", "x/y/z", "a/x/y"] {
        delete(storage, missing).await;
        delete(storage, missing).await;
        assert_eq!(get(storage, missing).await, None);
        assert_eq!(get(storage, "a/b/c").await.unwrap(), "1");
        assert_eq!(list(storage, "").await, ["a/"]);
        assert_eq!(list(storage, "a/").await, ["b/"]);
    }
    for missing in ["b/", "a/c/", "a/b/c/"] {
        assert!(list(storage, missing).await.is_empty(), "{missing}");
    }
}

pub(super) async fn names_sort_by_bytes_with_the_slash(storage: &dyn Storage) {
    for at in ["foo", "foo/x", "foo-1", "foo0", "Foo", "_foo", "fo", "é", "z", "foo.1/y"] {
        put(storage, at, "").await;
    }
    let sorted = ["Foo", "_foo", "fo", "foo", "foo-1", "foo.1/", "foo/", "foo0", "z", "é"];
    assert_eq!(list(storage, "").await, sorted);
    for limit in 1..=sorted.len() {
        let page = storage.list_page(&folder(""), "", limit as u32).await.unwrap();
        assert_eq!(page.names, sorted[..page.names.len()]);
        assert!(page.more || page.names.len() == sorted.len());
    }
    assert_eq!(list_after(storage, "", "foo/", 2).await, ["foo0", "z"]);
    assert_eq!(list_after(storage, "", "foo-", 2).await, ["foo-1", "foo.1/"]);
}

pub(super) async fn a_large_folder_is_listed_whole(storage: &dyn Storage) {
    const LEAVES: usize = 9_000;
    const FOLDERS: usize = 300;
    for chunk in (0..LEAVES).collect::<Vec<_>>().chunks(64) {
        join_all(chunk.iter().map(async |number| put(storage, &format!("big/{number:05}"), "v").await)).await;
    }
    for number in 0..FOLDERS {
        put(storage, &format!("big/{number:05}/x"), "v").await;
    }
    let mut expected: Vec<String> =
        (0..LEAVES).map(|number| format!("{number:05}")).chain((0..FOLDERS).map(|number| format!("{number:05}/"))).collect();
    expected.sort();
    assert!(list(storage, "big/").await == expected, "the listing is not whole");
    assert!(list_after(storage, "big/", "", 100_000).await == expected, "the listing in one page is not whole");
    assert_eq!(list_after(storage, "big/", "08997", 10).await, ["08998", "08999"]);
    assert_eq!(scan(storage, 3, 1_000).await.len(), LEAVES + FOLDERS);
}

pub(super) async fn pages_under_writes_hold_what_stays_once(storage: &dyn Storage) {
    let stays: Vec<String> = (0..300).map(|number| format!("s{number:04}")).collect();
    for name in &stays {
        put(storage, &format!("p/{name}"), "v").await;
    }
    let (done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let churn = async {
        while !done.load(Ordering::Relaxed) {
            let round = rounds.fetch_add(1, Ordering::Relaxed);
            let at = format!("p/s{:04}x", round % 300);
            put(storage, &at, "v").await;
            // What stays is written again, too.
            put(storage, &format!("p/{}", stays[round % 300]), "w").await;
            delete(storage, &at).await;
        }
    };
    let read = async {
        let mut listings = 0;
        while listings < 10 || rounds.load(Ordering::Relaxed) < 20 {
            listings += 1;
            let mut names: Vec<String> = Vec::new();
            loop {
                let after = names.last().cloned().unwrap_or_default();
                let page = storage.list_page(&folder("p/"), &after, 17).await.unwrap();
                names.extend(page.names);
                tokio::task::yield_now().await;
                if !page.more {
                    break;
                }
            }
            assert!(names.is_sorted_by(|a, b| a < b), "a name twice or out of order");
            let found: BTreeSet<&String> = names.iter().collect();
            assert!(stays.iter().all(|name| found.contains(name)), "a name that was there throughout is missing");
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(churn, read);
}

pub(super) async fn batches_apply_in_order(storage: &dyn Storage) {
    put(storage, "b/old", "1").await;
    let operations = vec![
        Operation::Put(key("b/new/x"), "2".into()),
        Operation::Delete(key("b/old")),
        Operation::Put(key("c"), Bytes::new()),
        Operation::Delete(key("b/absent")),
    ];
    storage.batch(operations).await.unwrap();
    assert_eq!(scan(storage, 1, 100).await, BTreeMap::from([("b/new/x".to_owned(), "2".into()), ("c".to_owned(), Bytes::new())]));
    storage.batch(vec![Operation::Delete(key("b/new/x")), Operation::Delete(key("c"))]).await.unwrap();
    assert!(list(storage, "").await.is_empty());
    storage.batch(Vec::new()).await.unwrap();
}

pub(super) async fn a_scan_delivers_everything_once(storage: &dyn Storage) {
    let mut expected = BTreeMap::new();
    for number in 0..200 {
        let at = match number % 4 {
            0 => format!("k{number}"),
            1 => format!("a/k{number}"),
            2 => format!("a/b{}/k", number % 12),
            _ => format!("c/d/e/f{number}/g"),
        };
        let value = Bytes::from(vec![number as u8; number * 37]);
        put(storage, &at, value.clone()).await;
        expected.insert(at, value);
    }
    for segments in [1, 2, 7, 1_024] {
        for limit in [1, 10, 100_000] {
            if segments == 1_024 && limit == 1 {
                continue;
            }
            assert!(scan(storage, segments, limit).await == expected, "{segments} segments, pages of {limit}");
        }
    }
}

pub(super) async fn a_scan_under_writes_delivers_what_stays(storage: &dyn Storage) {
    let stays: BTreeSet<String> = (0..200).map(|number| format!("s/{}/k{number}", number % 5)).collect();
    for at in &stays {
        put(storage, at, "v").await;
    }
    let (done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let churn = async {
        while !done.load(Ordering::Relaxed) {
            let round = rounds.fetch_add(1, Ordering::Relaxed);
            let at = format!("s/{}/j{}", round % 7, round % 50);
            put(storage, &at, "x").await;
            delete(storage, &at).await;
        }
    };
    let read = async {
        for limit in [1, 7, 1_000].into_iter().cycle() {
            if limit == 1 && rounds.load(Ordering::Relaxed) > 50 {
                break;
            }
            let found = scan(storage, 2, limit).await;
            for at in &stays {
                assert_eq!(found.get(at).map(Bytes::as_ref), Some(&b"v"[..]), "{at}");
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(churn, read);
}

pub(super) async fn readers_see_whole_values(storage: &dyn Storage) {
    let value = |number: u8| Bytes::from(vec![number; 3_000 + usize::from(number) * 100]);
    put(storage, "r/k", value(0)).await;
    let done = AtomicBool::new(false);
    let write = async {
        for number in 1..=100 {
            put(storage, "r/k", value(number)).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let read = async {
        let mut last = 0;
        while !done.load(Ordering::Relaxed) {
            let found = get(storage, "r/k").await.expect("the entry is there throughout");
            let number = found[0];
            assert_eq!(found, value(number));
            assert!(number >= last, "an older value after a newer one");
            last = number;
        }
    };
    tokio::join!(write, read);
    assert_eq!(get(storage, "r/k").await.unwrap(), value(100));
}

pub(super) async fn puts_and_deletes_race_in_one_folder(storage: &dyn Storage) {
    // Each worker has a key of its own, all in folders that come and go with it.
    let worker = async |worker: usize| {
        let at = format!("race/{}/{}/k{worker}", worker % 2, worker % 3);
        for round in 0..25 {
            let value = Bytes::from(format!("{worker} {round}"));
            put(storage, &at, value.clone()).await;
            assert_eq!(get(storage, &at).await, Some(value), "{at} vanished");
            let (above, _) = at.split_at(at.rfind('/').unwrap() + 1);
            assert!(list(storage, above).await.contains(&format!("k{worker}")), "{at} is not listed");
            delete(storage, &at).await;
            assert_eq!(get(storage, &at).await, None);
        }
        put(storage, &at, "last").await;
    };
    join_all((0..12).map(worker)).await;
    assert_eq!(scan(storage, 1, 100).await.len(), 12);
    for number in 0..12 {
        delete(storage, &format!("race/{}/{}/k{number}", number % 2, number % 3)).await;
    }
    assert!(list(storage, "").await.is_empty(), "a folder stayed");
}

pub(super) async fn limits_are_kept_to_the_byte(storage: &dyn Storage) {
    let limits = storage.descriptor().limits;
    let segment = "s".repeat(limits.segment as usize);
    let mut longest = String::new();
    while longest.len() + segment.len() + 1 < limits.key as usize {
        longest = format!("{longest}{segment}/");
    }
    longest.push_str(&"k".repeat(limits.key as usize - longest.len()));
    put(storage, &longest, "1").await;
    assert_eq!(get(storage, &longest).await.unwrap(), "1");
    assert_eq!(scan(storage, 1, 1).await.len(), 1);
    delete(storage, &longest).await;
    assert!(list(storage, "").await.is_empty());

    let largest = Bytes::from(vec![0xa5; limits.value as usize]);
    put(storage, "large", largest.clone()).await;
    assert!(get(storage, "large").await.unwrap() == largest);
    assert!(scan(storage, 1, 10).await.remove("large").unwrap() == largest);
    delete(storage, "large").await;

    if storage.descriptor().name == "native" {
        // Limits are the runtime's to check.
        return;
    }
    let over = [
        (format!("{segment}s"), Bytes::new(), Part::Segment),
        (format!("{segment}s/x"), Bytes::new(), Part::Segment),
        (format!("{longest}k"), Bytes::new(), Part::Key),
        ("v".to_owned(), Bytes::from(vec![0; limits.value as usize + 1]), Part::Value),
    ];
    for (at, value, what) in over {
        match storage.put(&key(&at), value).await {
            Err(Error::TooLarge { part, size, limit }) => {
                assert!(part == what && size == limit + 1 || part != Part::Value, "{part:?} {size} {limit}")
            }
            other => panic!("{what:?}: {other:?}"),
        }
    }
    assert!(list(storage, "").await.is_empty());
}
