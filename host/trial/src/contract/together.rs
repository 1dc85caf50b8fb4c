//! Many at a time, on many instances, and from one start to the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use cofferdam_runtime::{PoolOptions, PoolPolicy};
use futures_util::future::try_join_all;

use crate::case::case;
use crate::case::ensure;
use crate::{Case, Ended, Ground, OpenWith, Verdict, script};

pub(super) const CASES: &[Case] = &[
    case!(
        "contract/whole-values",
        "Readers beside a writer see whole values, and never an older one after a newer one",
        readers_see_whole_values
    ),
    case!(
        "contract/race-in-one-folder",
        "Puts and deletes that race in folders that come and go lose nothing and leave nothing",
        puts_and_deletes_race
    ),
    case!("contract/race-on-one-key", "Of puts and deletes that race on one key one is the last, whole", race_on_one_key),
    case!("contract/instances-share-nothing", "Nothing is needed that another instance kept in memory", instances_share_nothing),
    case!("contract/read-by-another", "What was acknowledged is seen at once by whoever opened the same store", read_by_another),
    case!("contract/restart", "What was acknowledged is there after the backend is opened anew", restart),
];

fn value(number: u8) -> Bytes {
    Bytes::from(vec![number; 3_000 + usize::from(number) * 100])
}

async fn readers_see_whole_values(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    let last = ground.options.of(100, 25);
    store.put("r/k", value(0)).await?;
    let done = AtomicBool::new(false);
    let write = async {
        for number in 1..=last {
            store.put("r/k", value(number)).await?;
        }
        done.store(true, Ordering::Relaxed);
        Ok::<_, Ended>(())
    };
    let read = async || {
        let mut last = 0;
        while !done.load(Ordering::Relaxed) {
            let found = store.get("r/k").await?;
            let number = found.as_ref().and_then(|found| found.first().copied());
            let number =
                number.ok_or_else(|| Ended::failed("get r/k: the entry is there throughout, and was not found beside a put of it"))?;
            ensure!(found == Some(value(number)), "get r/k: neither the old value nor the new one: {}", script::found(found.as_ref()));
            ensure!(number >= last, "get r/k: value {number} after value {last}: an older one after a newer one");
            last = number;
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    tokio::try_join!(write, read(), read())?;
    store.must_get("r/k", Some(&value(last))).await
}

async fn puts_and_deletes_race(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    let rounds = ground.options.of(25, 6);
    // Each worker has a key of its own, all in folders that come and go with it.
    let worker = async |worker: u32| {
        let above = format!("race/{}/{}/", worker % 2, worker % 3);
        let at = format!("{above}k{worker}");
        for round in 0..rounds {
            let value = format!("{worker} {round}");
            store.put(&at, value.clone()).await?;
            store.must_get(&at, Some(value.as_bytes())).await?;
            let names = store.list(&above).await?;
            ensure!(
                names.contains(&format!("k{worker}")),
                "list {above}: k{worker}, which was stored before, is missing: {}",
                script::names(&names)
            );
            let names = store.list("race/").await?;
            ensure!(names.contains(&format!("{}/", worker % 2)), "list race/: {}/, below which {at} is, is missing", worker % 2);
            store.delete(&at).await?;
            store.must_get(&at, None).await?;
        }
        store.put(&at, "last").await
    };
    try_join_all((0..12).map(worker)).await?;
    let scanned = store.scan(1, 100).await?.len();
    ensure!(scanned == 12, "scan: expected the 12 entries of 12 workers, found {scanned}");
    for number in 0..12 {
        store.delete(&format!("race/{}/{}/k{number}", number % 2, number % 3)).await?;
    }
    store.must_list::<&str>("", &[]).await
}

async fn race_on_one_key(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    for round in 0..ground.options.of(20, 5) {
        try_join_all((0..8_u8).map(async |worker| match worker {
            7 => store.delete("x/y/k").await,
            _ => store.put("x/y/k", value(worker)).await,
        }))
        .await?;
        let found = store.get("x/y/k").await?;
        let whole = found.as_ref().is_none_or(|found| (0..7).any(|worker| *found == value(worker)));
        ensure!(whole, "round {round}: get x/y/k: none of the values that were stored: {}", script::found(found.as_ref()));
        let names: &[&str] = if found.is_some() { &["k"] } else { &[] };
        store.must_list("x/y/", names).await?;
        let names: &[&str] = if found.is_some() { &["x/"] } else { &[] };
        store.must_list("", names).await?;
    }
    store.delete("x/y/k").await?;
    store.must_list::<&str>("", &[]).await
}

async fn instances_share_nothing(ground: &Ground<'_>) -> Verdict {
    // A fresh instance for each call.
    let pool = PoolOptions { policy: PoolPolicy::Ephemeral, ..PoolOptions::default() };
    let opened = ground.open(OpenWith { pool: Some(pool), ..OpenWith::fresh() }).await?;
    let store = &ground.store_of(&opened);
    let mut expected = BTreeMap::new();
    for number in 0..20 {
        let at = format!("i/{}/k{number}", number % 4);
        store.put(&at, number.to_string()).await?;
        store.must_get(&at, Some(number.to_string().as_bytes())).await?;
        expected.insert(at, Bytes::from(number.to_string()));
    }
    store.must_list("i/", &["0/", "1/", "2/", "3/"]).await?;
    store.must_scan(2, 3, &expected).await?;
    for at in expected.keys() {
        store.delete(at).await?;
        store.must_get(at, None).await?;
    }
    store.must_list::<&str>("", &[]).await
}

async fn read_by_another(ground: &Ground<'_>) -> Verdict {
    let one = ground.store().await?.named("one");
    let other = ground.again().await?.named("other");
    for round in 0..5 {
        let (at, value) = (format!("w/{round}/k"), round.to_string());
        one.put(&at, value.clone()).await?;
        other.must_get(&at, Some(value.as_bytes())).await?;
        other.must_list(&format!("w/{round}/"), &["k"]).await?;
        one.put(&at, "again").await?;
        other.must_get(&at, Some(b"again")).await?;
        other.must_scan(1, 10, &BTreeMap::from([(at.clone(), "again".into())])).await?;
        one.delete(&at).await?;
        other.must_get(&at, None).await?;
        other.must_list::<&str>("", &[]).await?;
    }
    Ok(())
}

async fn restart(ground: &Ground<'_>) -> Verdict {
    let mut expected = BTreeMap::new();
    {
        let store = ground.store().await?;
        for number in 0..50_u8 {
            let at = format!("p/{}/q{number}", number % 7);
            store.put(&at, value(number)).await?;
            expected.insert(at, value(number));
        }
        for number in (0..50_u8).step_by(5) {
            let at = format!("p/{}/q{number}", number % 7);
            store.delete(&at).await?;
            expected.remove(&at);
        }
        store.put("p/1/q1", "overwritten").await?;
        expected.insert("p/1/q1".to_owned(), "overwritten".into());
    }
    let store = ground.again().await?;
    store.must_scan(2, 10, &expected).await?;
    for (at, value) in &expected {
        store.must_get(at, Some(value)).await?;
    }
    for number in 0..7 {
        let above = format!("p/{number}/");
        let names: Vec<&str> = expected.keys().filter_map(|at| at.strip_prefix(&above)).collect();
        store.must_list(&above, &names).await?;
    }
    Ok(())
}
