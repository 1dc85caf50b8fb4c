//! Batches: their order, what is left of one that is cut short, and what readers see of one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bytes::Bytes;
use cofferdam_backend::Operation;
use cofferdam_runtime::{ImportCall, Probe, Step};

use crate::case::case;
use crate::case::ensure;
use crate::store::key;
use crate::{Case, Ended, Ground, OpenWith, Verdict, script};

pub(super) const CASES: &[Case] = &[
    case!("contract/batch-in-order", "A batch of puts and deletes is applied, those of missing entries included", batches_apply),
    case!(
        "contract/batch-seen-in-order",
        "Who sees a later operation of a batch sees the earlier ones; and the other way round, if batches are atomic",
        seen_in_order
    ),
    case!(
        "contract/batch-stopped",
        "A batch whose instance is stopped in the middle is applied up to a point; whole or not at all, if batches are atomic",
        stopped
    ),
];

async fn batches_apply(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    store.put("b/old", "1").await?;
    let operations = vec![
        Operation::Put(key("b/new/x")?, "2".into()),
        Operation::Delete(key("b/old")?),
        Operation::Put(key("c")?, Bytes::new()),
        Operation::Delete(key("b/absent")?),
    ];
    store.batch(operations).await?;
    store.must_scan(1, 100, &BTreeMap::from([("b/new/x".to_owned(), "2".into()), ("c".to_owned(), Bytes::new())])).await?;
    store.must_list("b/", &["new/"]).await?;
    store.batch(vec![Operation::Put(key("c")?, "3".into()), Operation::Delete(key("b/new/x")?)]).await?;
    store.must_get("c", Some(b"3")).await?;
    store.batch(vec![Operation::Delete(key("c")?)]).await?;
    store.must_list::<&str>("", &[]).await?;
    store.batch(Vec::new()).await
}

async fn round_of(store: &crate::Store, at: &str) -> Result<u32, Ended> {
    let value = store.get(at).await?;
    let number = value.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|text| text.parse().ok());
    number.ok_or_else(|| Ended::failed(format!("get {at}: expected the number of a round, found {}", script::found(value.as_ref()))))
}

async fn seen_in_order(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    let atomic = store.storage().descriptor().features.atomic_batch;
    let rounds = ground.options.of(60, 15);
    let write = |round: u32| {
        (0..5).map(|number| Ok(Operation::Put(key(&format!("o/{number}/k"))?, round.to_string().into()))).collect::<Result<_, Ended>>()
    };
    store.batch(write(0)?).await?;
    let done = AtomicBool::new(false);
    let writes = async {
        for round in 1..=rounds {
            store.batch(write(round)?).await?;
        }
        done.store(true, Ordering::Relaxed);
        Ok::<_, Ended>(())
    };
    let reads = async {
        while !done.load(Ordering::Relaxed) {
            let last = round_of(store, "o/4/k").await?;
            let first = round_of(store, "o/0/k").await?;
            ensure!(first >= last, "the last operation of batch {last} was seen, and after it the first of batch {first} only");
            let first = round_of(store, "o/0/k").await?;
            let last = round_of(store, "o/4/k").await?;
            ensure!(
                !atomic || last >= first,
                "the backend claims atomic-batch: the first operation of batch {first} was seen, and after it the last of batch {last} only"
            );
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    tokio::try_join!(writes, reads)?;
    for number in 0..5 {
        store.must_get(&format!("o/{number}/k"), Some(rounds.to_string().as_bytes())).await?;
    }
    Ok(())
}

/// Stops the instance at one import, once it is armed; counts them.
#[derive(Default)]
struct Stopper {
    armed: AtomicBool,
    at: AtomicU32,
    seen: AtomicU32,
}

impl Probe for Stopper {
    fn import(&self, _: ImportCall<'_>) -> Step {
        if !self.armed.load(Ordering::SeqCst) {
            return Step::Go;
        }
        let seen = self.seen.fetch_add(1, Ordering::SeqCst);
        if seen == self.at.load(Ordering::SeqCst) { Step::Stop } else { Step::Go }
    }
}

const ENTRIES: u32 = 6;

async fn stopped(ground: &Ground<'_>) -> Verdict {
    let mut points = ground.options.of(40, 8);
    let mut at = 0;
    // How many imports a whole batch calls is not known: the stop goes through the first ones, one by one, then in growing steps.
    while points > 0 {
        points -= 1;
        ground.script.clear();
        let stopper = Arc::new(Stopper::default());
        let probe = Arc::clone(&stopper) as Arc<dyn Probe>;
        let opened = ground.open(OpenWith { probe: Some(probe), ..OpenWith::fresh() }).await?;
        let store = ground.store_of(&opened);
        let name = |number: u32| format!("s/{}/k{number}", number % 3);
        for number in 0..ENTRIES / 2 {
            store.put(&name(number), "old").await?;
        }
        let operation = |number: u32| {
            let key = key(&name(number))?;
            Ok::<_, Ended>(if number < ENTRIES / 2 { Operation::Delete(key) } else { Operation::Put(key, "new".into()) })
        };
        let operations = (0..ENTRIES).map(operation).collect::<Result<Vec<_>, _>>()?;
        stopper.at.store(at, Ordering::SeqCst);
        stopper.armed.store(true, Ordering::SeqCst);
        let line = format!("batch {}, stopped at import {at}", script::operations(&operations));
        let result = store.storage().batch(operations).await;
        stopper.armed.store(false, Ordering::SeqCst);
        ground.script.note(format!("{line} -> {}", if let Err(error) = &result { error.case() } else { "ok" }));
        let seen = stopper.seen.load(Ordering::SeqCst);
        if seen == 0 {
            return Err(Ended::skipped("the component calls no import during a batch: there is no point at which to stop it"));
        }
        let atomic = store.storage().descriptor().features.atomic_batch;
        drop((store, opened));
        let store = ground.again().await?;
        let found = store.scan(1, 100).await?;
        let applied = |number: &u32| found.contains_key(&name(*number)) == (*number >= ENTRIES / 2);
        let count = u32::try_from((0..ENTRIES).filter(applied).count()).unwrap_or_default();
        let beginning = (0..ENTRIES).take_while(applied).count() == count as usize;
        ensure!(
            beginning,
            "{line}: some operations are applied and earlier ones are not; stored is {}",
            script::names(&found.keys().collect::<Vec<_>>())
        );
        ensure!(
            !atomic || count == 0 || count == ENTRIES,
            "{line}: the backend claims atomic-batch, and {count} of {ENTRIES} operations are applied"
        );
        ensure!(result.is_err() || count == ENTRIES, "{line}: it was acknowledged, and {count} of {ENTRIES} operations are applied");
        let whole = found.iter().filter(|(_, value)| value.as_ref() != b"old" && value.as_ref() != b"new").count();
        ensure!(whole == 0 && found.len() <= ENTRIES as usize, "{line}: {whole} values are neither the old nor the new one");
        if seen <= at {
            // It was past its end.
            return Ok(());
        }
        at += if at < 20 { 1 } else { at / 4 };
    }
    Ok(())
}
