//! Listings: their order, their pages, large folders, and folders that come and go.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::try_join_all;

use crate::case::case;
use crate::case::ensure;
use crate::{Case, Ended, Ground, OpenWith, Store, Verdict, script};

pub(super) const CASES: &[Case] = &[
    case!("contract/names-sort-by-bytes", "Names sort by their bytes, a folder's slash included", names_sort_by_bytes),
    case!("contract/list-after", "A listing goes on after any name, whether it exists or not", list_after),
    case!("contract/large-folder", "A folder with thousands of entries is listed whole", large_folder),
    case!(
        "contract/pages-under-writes",
        "Pages that are read while others write hold each name that stays exactly once",
        pages_under_writes
    ),
    case!(
        "contract/folders-come-and-go",
        "A folder is listed exactly as long as something is below it, however it came and went",
        folders_come_and_go
    ),
    case!("contract/folders-after-opening-anew", "The same for folders that another instance made or emptied", folders_after_opening_anew),
];

/// The folder's names, each page asked for after the last name of the one before.
async fn list_in_pages(store: &Store, at: &str, size: usize) -> Result<Vec<String>, Ended> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let after = names.last().cloned().unwrap_or_default();
        let page = store.page(at, &after, size).await?;
        names.extend(page.names);
        // Who writes meanwhile has its turn.
        tokio::task::yield_now().await;
        if !page.more {
            return Ok(names);
        }
    }
}

async fn names_sort_by_bytes(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    for at in ["foo", "foo/x", "foo-1", "foo0", "Foo", "_foo", "fo", "é", "z", "foo.1/y", "\u{ff5e}", "\u{1f512}"] {
        store.put(at, "").await?;
    }
    // U+1F512 comes after U+FF5E as bytes, before it as UTF-16.
    let sorted = ["Foo", "_foo", "fo", "foo", "foo-1", "foo.1/", "foo/", "foo0", "z", "é", "\u{ff5e}", "\u{1f512}"];
    store.must_list("", &sorted).await?;
    for limit in 1..=sorted.len() {
        let page = store.page("", "", limit).await?;
        let beginning = sorted.iter().take(page.names.len());
        ensure!(page.names.iter().eq(beginning), "list / limit {limit}: not the first names: {}", script::names(&page.names));
        ensure!(page.more || page.names.len() == sorted.len(), "list / limit {limit}: a part of the names that does not promise more");
    }
    Ok(())
}

async fn list_after(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    for at in ["l/foo", "l/foo/x", "l/foo-1", "l/foo0", "l/é", "l/foo.1/y"] {
        store.put(at, "").await?;
    }
    let sorted = ["foo", "foo-1", "foo.1/", "foo/", "foo0", "é"];
    let between =
        ["!", "f", "foo", "foo!", "foo-", "foo-1", "foo.", "foo.1", "foo.1/", "foo/", "foo/x", "foo0", "fop", "z", "é", "é!", "\u{1f512}"];
    for after in between {
        let rest: Vec<&str> = sorted.iter().copied().filter(|name| *name > after).collect();
        for limit in [1, 2, 100] {
            store.must_list_after("l/", after, limit, rest.get(..limit.min(rest.len())).unwrap_or_default()).await?;
        }
    }
    // A folder that is not there has no names after any.
    store.must_list_after::<&str>("none/", "a", 10, &[]).await?;
    store.must_list_after::<&str>("l/foo0/", "", 10, &[]).await
}

async fn large_folder(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    let (leaves, folders) = (ground.options.of(9_000, 600), ground.options.of(300, 30));
    for chunk in (0..leaves).collect::<Vec<u32>>().chunks(64) {
        try_join_all(chunk.iter().map(async |number| store.put(&format!("big/{number:05}"), "v").await)).await?;
    }
    for number in 0..folders {
        store.put(&format!("big/{number:05}/x"), "v").await?;
    }
    let names = (0..leaves).map(|number| format!("{number:05}")).chain((0..folders).map(|number| format!("{number:05}/")));
    let mut expected: Vec<String> = names.collect();
    expected.sort();
    store.must_list("big/", &expected).await?;
    let last = leaves - 1;
    store.must_list_after("big/", &format!("{:05}", last - 2), 10, &[format!("{:05}", last - 1), format!("{last:05}")]).await?;
    // In pages of many sizes.
    for size in [7_usize, 1_000].into_iter().skip(usize::from(ground.options.quick)) {
        let names = list_in_pages(store, "big/", size).await?;
        ensure!(names == expected, "list big/ in pages of {size}: expected {} names, found {}", expected.len(), names.len());
    }
    let scanned = store.scan(3, 1_000).await?.len();
    ensure!(scanned == expected.len(), "scan: expected {} entries, found {scanned}", expected.len());
    Ok(())
}

async fn pages_under_writes(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    let stays: Vec<String> = (0..ground.options.of(300, 60)).map(|number: u32| format!("s{number:04}")).collect();
    for name in &stays {
        store.put(&format!("p/{name}"), "v").await?;
    }
    let (done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let churn = async {
        for name in stays.iter().cycle() {
            if done.load(Ordering::Relaxed) {
                break;
            }
            rounds.fetch_add(1, Ordering::Relaxed);
            let at = format!("p/{name}x");
            store.put(&at, "v").await?;
            // What stays is written again, too.
            store.put(&format!("p/{name}"), "w").await?;
            store.delete(&at).await?;
            // A backend may answer at once, and the reader must have its turn.
            tokio::task::yield_now().await;
        }
        Ok::<_, Ended>(())
    };
    let read = async {
        let mut listings = 0;
        // Long enough that each of the names is written again, and again.
        while listings < 10 || rounds.load(Ordering::Relaxed) < 2 * stays.len() {
            listings += 1;
            let names = list_in_pages(store, "p/", 17).await?;
            ensure!(names.is_sorted_by(|one, other| one < other), "list p/ in pages of 17, under writes: a name twice or out of order");
            let found: BTreeSet<&String> = names.iter().collect();
            let missing: Vec<&String> = stays.iter().filter(|name| !found.contains(name)).collect();
            ensure!(
                missing.is_empty(),
                "list p/ in pages of 17, under writes: names that were there throughout are missing: {}",
                script::names(&missing)
            );
        }
        done.store(true, Ordering::Relaxed);
        Ok(())
    };
    tokio::try_join!(churn, read)?;
    Ok(())
}

/// What OpenBao and Vault got wrong in their time: a mark that is forgotten, one that is left, one that is removed though something is below.
async fn folders_come_and_go(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    // Made again by a put that may believe that it is there.
    for round in 0..3 {
        store.put("a/b/c/d", round.to_string()).await?;
        store.must_list("a/b/", &["c/"]).await?;
        store.delete("a/b/c/d").await?;
        store.must_list::<&str>("a/b/", &[]).await?;
        store.must_list::<&str>("a/", &[]).await?;
        store.must_list::<&str>("", &[]).await?;
    }
    // The last leaf of an inner folder goes; an outer one has another leaf, or another folder.
    store.put("a/x", "1").await?;
    store.put("a/b/c/d", "1").await?;
    store.put("a/b/e/f", "1").await?;
    store.delete("a/b/c/d").await?;
    store.must_list("a/b/", &["e/"]).await?;
    store.delete("a/x").await?;
    store.must_list("a/", &["b/"]).await?;
    store.must_list("", &["a/"]).await?;
    // A leaf of the folder's name is no folder.
    store.put("a/b", "leaf").await?;
    store.delete("a/b/e/f").await?;
    store.must_list("a/", &["b"]).await?;
    store.delete("a/b").await?;
    store.must_list::<&str>("", &[]).await?;
    // By a batch.
    let operation = |text: &str, put: bool| {
        let key = crate::store::key(text)?;
        Ok::<_, Ended>(if put { cofferdam_backend::Operation::Put(key, "1".into()) } else { cofferdam_backend::Operation::Delete(key) })
    };
    store.batch(vec![operation("m/n/o", true)?, operation("m/p", true)?]).await?;
    store.must_list("m/", &["n/", "p"]).await?;
    store.batch(vec![operation("m/n/o", false)?, operation("m/n/q", true)?]).await?;
    store.must_list("m/n/", &["q"]).await?;
    store.must_list("m/", &["n/", "p"]).await?;
    store.batch(vec![operation("m/p", false)?, operation("m/n/q", false)?]).await?;
    store.must_list::<&str>("", &[]).await?;
    store.put("m/n/o", "2").await?;
    store.must_list("", &["m/"]).await?;
    store.must_list("m/", &["n/"]).await?;
    store.must_list("m/n/", &["o"]).await
}

async fn folders_after_opening_anew(ground: &Ground<'_>) -> Verdict {
    let first = ground.open(OpenWith::fresh()).await?;
    let one = ground.store_of(&first).named("one");
    one.put("a/b/c", "1").await?;
    one.put("a/d/e", "1").await?;
    let other = ground.again().await?.named("other");
    other.must_list("a/", &["b/", "d/"]).await?;
    other.delete("a/b/c").await?;
    other.delete("a/d/e").await?;
    other.must_list::<&str>("", &[]).await?;
    // As on every change of leadership: what the first knew of folders is void.
    first.storage.forget();
    one.put("a/b/f", "2").await?;
    for store in [&one, &other] {
        store.must_list("", &["a/"]).await?;
        store.must_list("a/", &["b/"]).await?;
        store.must_list("a/b/", &["f"]).await?;
    }
    Ok(())
}
