//! Scans: everything that is stored, in pages and in parts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;

use crate::case::case;
use crate::case::ensure;
use crate::store::Store;
use crate::{Case, Ended, Ground, Verdict, script};

pub(super) const CASES: &[Case] = &[
    case!(
        "contract/scan-complete",
        "A scan delivers every entry once, whatever the number of segments and the size of pages",
        scan_is_complete
    ),
    case!("contract/scan-segments-stay", "Which segment an entry is in depends on its key alone", segments_stay),
    case!("contract/scan-parallel", "A scan of several segments is divided among them, if the backend claims that", segments_divide),
    case!("contract/scan-cursor-lasts", "A cursor stays good when the backend is opened anew", cursors_last),
    case!("contract/scan-under-writes", "A scan while others write delivers every entry that stays", scan_under_writes),
];

async fn filled(ground: &Ground<'_>, count: usize) -> Result<(Store, BTreeMap<String, Bytes>), Ended> {
    let store = ground.store().await?;
    let mut expected = BTreeMap::new();
    for number in 0..count {
        let at = match number % 4 {
            0 => format!("k{number}"),
            1 => format!("a/k{number}"),
            2 => format!("a/b{}/k{number}", number % 12),
            _ => format!("c/d/e/f{number}/g"),
        };
        let value = Bytes::from(vec![u8::try_from(number % 256).unwrap_or_default(); number * 37]);
        store.put(&at, value.clone()).await?;
        expected.insert(at, value);
    }
    Ok((store, expected))
}

async fn scan_is_complete(ground: &Ground<'_>) -> Verdict {
    let (store, expected) = filled(ground, ground.options.of(200, 60)).await?;
    for segments in [1, 2, 7, ground.options.of(1_024, 64)] {
        for limit in [1, 10, 100_000] {
            if segments > 7 && limit == 1 {
                continue;
            }
            store.must_scan(segments, limit, &expected).await?;
        }
    }
    for at in expected.keys() {
        store.delete(at).await?;
    }
    store.must_scan(3, 10, &BTreeMap::new()).await
}

/// Each key with the segment that delivers it.
async fn segments_of(store: &Store, segments: u32) -> Result<BTreeMap<String, u32>, Ended> {
    let mut found = BTreeMap::new();
    for segment in 0..segments {
        for key in store.scan_segment(segment, segments, 50).await?.into_keys() {
            let line = format!("scan in {segments} segments");
            let earlier = found.insert(key.clone(), segment);
            ensure!(earlier.is_none(), "{line}: {} was delivered by segments {earlier:?} and {segment}", script::name(&key));
        }
    }
    Ok(found)
}

async fn segments_stay(ground: &Ground<'_>) -> Verdict {
    let (store, expected) = filled(ground, 60).await?;
    let before = segments_of(&store, 5).await?;
    ensure!(before.keys().eq(expected.keys()), "scan in 5 segments: expected {} entries, found {}", expected.len(), before.len());
    // Half of the entries go, others come, and those that stay get another value.
    for (number, at) in expected.keys().enumerate() {
        match number % 2 {
            0 => store.delete(at).await?,
            _ => store.put(at, "another").await?,
        }
        store.put(&format!("n/{number}"), "new").await?;
    }
    let again = ground.again().await?;
    let after = segments_of(&again, 5).await?;
    for (key, segment) in before {
        let now = after.get(&key);
        ensure!(
            now.is_none_or(|now| *now == segment),
            "scan in 5 segments: {} was in segment {segment}, and is now in {now:?}",
            script::name(&key)
        );
    }
    ensure!(after.len() == 90, "scan in 5 segments: expected 90 entries, found {}", after.len());
    Ok(())
}

async fn segments_divide(ground: &Ground<'_>) -> Verdict {
    let (store, expected) = filled(ground, 100).await?;
    if !store.storage().descriptor().features.parallel_scan {
        return Err(Ended::skipped("the backend does not claim parallel-scan: it may deliver everything in one segment"));
    }
    let segments: BTreeSet<u32> = segments_of(&store, 4).await?.into_values().collect();
    ensure!(segments.len() > 1, "the backend claims parallel-scan, and one of 4 segments holds all of {} entries", expected.len());
    Ok(())
}

async fn cursors_last(ground: &Ground<'_>) -> Verdict {
    let (store, expected) = filled(ground, 40).await?;
    let mut found = BTreeMap::new();
    let mut cursor: Option<Bytes> = None;
    let mut storage = std::sync::Arc::clone(store.storage());
    drop(store);
    loop {
        let page = storage.scan(0, 1, cursor, 7).await;
        let page =
            page.map_err(|error| Ended::failed(format!("scan, with a cursor of an instance before: expected no error, found {error}")))?;
        ground.script.note(format!("scan segment 0 of 1, pages of 7 -> {} entries", page.entries.len()));
        for entry in page.entries {
            ensure!(found.insert(entry.key.clone(), entry.value).is_none(), "scan: {} was delivered twice", script::name(&entry.key));
        }
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
        drop(storage);
        storage = std::sync::Arc::clone(ground.again().await?.storage());
    }
    let missing: Vec<&String> = expected.keys().filter(|key| !found.contains_key(*key)).collect();
    ensure!(missing.is_empty(), "scan, opened anew after each page: missing {}", script::names(&missing));
    ensure!(found == expected, "scan, opened anew after each page: {} entries, not those that were stored", found.len());
    Ok(())
}

async fn scan_under_writes(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    let stays: BTreeSet<String> = (0..ground.options.of(200, 50)).map(|number: u32| format!("s/{}/k{number}", number % 5)).collect();
    for at in &stays {
        store.put(at, "v").await?;
    }
    let (done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let churn = async {
        while !done.load(Ordering::Relaxed) {
            let round = rounds.fetch_add(1, Ordering::Relaxed);
            let at = format!("s/{}/j{}", round % 7, round % 50);
            store.put(&at, "x").await?;
            store.delete(&at).await?;
            // A backend may answer at once, and the reader must have its turn.
            tokio::task::yield_now().await;
        }
        Ok::<_, Ended>(())
    };
    let read = async {
        for limit in [1, 7, 1_000].into_iter().cycle() {
            if limit == 1 && rounds.load(Ordering::Relaxed) > 50 {
                break;
            }
            // An entry may come more than once here.
            let mut found = BTreeMap::new();
            for segment in 0..2 {
                let mut cursor = None;
                loop {
                    let page = store.storage().scan(segment, 2, cursor, limit).await;
                    let page = page.map_err(|error| Ended::failed(format!("scan under writes: expected no error, found {error}")))?;
                    found.extend(page.entries.into_iter().map(|entry| (entry.key, entry.value)));
                    cursor = page.cursor;
                    if cursor.is_none() {
                        break;
                    }
                }
            }
            let missing: Vec<&String> = stays.iter().filter(|at| found.get(*at).is_none_or(|value| value.as_ref() != b"v")).collect();
            ensure!(
                missing.is_empty(),
                "scan in pages of {limit}, under writes: entries that were there throughout are missing: {}",
                script::names(&missing)
            );
        }
        done.store(true, Ordering::Relaxed);
        Ok(())
    };
    tokio::try_join!(churn, read)?;
    Ok(())
}
