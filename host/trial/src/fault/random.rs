//! Random writes, removals and batches, of which many go wrong at some import. Kept is what each key may have after calls that failed; a read settles it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cofferdam_backend::{Error, Operation};
use cofferdam_runtime::Step;
use proptest::test_runner::TestRng;

use super::injector::{FAILURES, Field, When, below, unreachable};
use super::model::{Model, folders, listed};
use crate::case::{case, ensure};
use crate::store::{Store, key};
use crate::{Case, Ended, Ground, OpenWith, Verdict, script};

pub(super) const CASES: &[Case] = &[case!(
    "fault/listings-whole",
    "After random calls of which many failed, every listing and a scan show what is stored",
    listings_whole
)];

const KEYS: &[&str] = &["a", "a/b", "a/b/c", "a/b/d", "a/e/f/g", "h/i", "h/j/k", "h/j/l"];

/// What each key may have.
#[derive(Default)]
struct Known {
    may: BTreeMap<&'static str, BTreeSet<Option<Bytes>>>,
    /// The folders of calls that failed.
    spare: BTreeSet<String>,
}

impl Known {
    fn may(&mut self, at: &'static str) -> &mut BTreeSet<Option<Bytes>> {
        self.may.entry(at).or_insert_with(|| BTreeSet::from([None]))
    }

    /// A change was made, or may have been.
    fn changed(&mut self, at: &'static str, value: Option<Bytes>, sure: bool) {
        let may = self.may(at);
        if sure {
            may.clear();
        } else {
            self.spare.extend(folders(at).map(str::to_owned));
        }
        self.may(at).insert(value);
    }

    /// What a read has found.
    fn found(&mut self, at: &'static str, found: Option<Bytes>) -> Verdict {
        let may = self.may(at);
        let expected = may.iter().map(|value| script::found(value.as_ref())).collect::<Vec<_>>().join(" or ");
        ensure!(may.contains(&found), "get {at}: expected {expected}, found {}", script::found(found.as_ref()));
        *may = BTreeSet::from([found]);
        Ok(())
    }
}

type Change = (&'static str, Option<Bytes>);

fn change(rng: &mut TestRng, number: usize) -> Change {
    let at = KEYS.get(below(rng, KEYS.len())).copied().unwrap_or("a");
    (at, (below(rng, 3) > 0).then(|| Bytes::from(format!("v{number}"))))
}

/// Half of the calls go wrong, at one of as many imports as the last one called with which nothing was wrong.
fn how(rng: &mut TestRng, imports: usize) -> (When, Step) {
    let step = match below(rng, 6) {
        4 => Step::Lose,
        5 => Step::Stop,
        other => FAILURES.get(other).map_or(Step::Stop, |fault| Step::Fail(*fault)),
    };
    if below(rng, 2) == 0 { (When::Never, step) } else { (When::At(below(rng, imports)), step) }
}

async fn listings_whole(ground: &Ground<'_>) -> Verdict {
    let mut rng = ground.options.rng();
    let mut any = false;
    for _ in 0..ground.options.of(12, 3) {
        any |= round(ground, &mut rng).await?;
    }
    if any { Ok(()) } else { Err(unreachable("writes")) }
}

async fn round(ground: &Ground<'_>, rng: &mut TestRng) -> Result<bool, Ended> {
    ground.script.clear();
    let mut field = Field::open(ground, OpenWith::fresh()).await?;
    let (mut known, mut any, mut imports) = (Known::default(), false, 1);
    for number in 0..40 {
        let batch = below(rng, 6) == 0;
        let changes: BTreeMap<&'static str, Option<Bytes>> = (0..if batch { 4 } else { 1 }).map(|_| change(rng, number)).collect();
        let operation = |(at, value): (&&'static str, &Option<Bytes>)| {
            let key = key(at)?;
            Ok::<_, Ended>(value.clone().map_or_else(|| Operation::Delete(key.clone()), |value| Operation::Put(key.clone(), value)))
        };
        let operations = changes.iter().map(operation).collect::<Result<Vec<_>, _>>()?;
        let line = script::operations(&operations);
        let storage = field.store.storage();
        let struck = match operations.as_slice() {
            [Operation::Put(key, value)] => field.strike(how(rng, imports), &line, storage.put(key, value.clone())).await,
            [Operation::Delete(key)] => field.strike(how(rng, imports), &line, storage.delete(key)).await,
            _ => field.strike(how(rng, imports), &format!("batch {line}"), storage.batch(operations)).await,
        };
        any |= struck.hit();
        if !struck.hit() {
            imports = struck.seen;
        }
        // Where the host prunes folders, a prune that is in doubt has it refuse puts for a while; who opens anew begins anew.
        let waits = !storage.descriptor().features.atomic_folders && !struck.hit() && matches!(struck.result, Err(Error::Unavailable(_)));
        if !waits {
            struck.judge()?;
        }
        for (at, value) in changes {
            known.changed(at, value, struck.result.is_ok());
        }
        if waits {
            field = Field::open(ground, OpenWith::again()).await?;
        }
        if below(rng, 4) == 0 {
            let at = KEYS.get(below(rng, KEYS.len())).copied().unwrap_or("a");
            known.found(at, field.store.get(at).await?)?;
        }
    }
    drop(field);
    let store = &ground.again().await?;
    settle(store, &mut known).await?;
    Ok(any)
}

/// Everything is as one of the possible runs left it, and can be removed to the last folder.
async fn settle(store: &Store, known: &mut Known) -> Verdict {
    let mut model = Model::new();
    for at in KEYS {
        let found = store.get(at).await?;
        known.found(at, found.clone())?;
        model.extend(found.map(|value| ((*at).to_owned(), value)));
    }
    listed(store, &model, "", &known.spare).await?;
    store.must_scan(2, 3, &model).await?;
    for at in KEYS {
        store.put(at, "again").await?;
    }
    for at in KEYS {
        store.delete(at).await?;
    }
    store.must_list::<&str>("", &[]).await
}
