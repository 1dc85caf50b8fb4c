//! Writes and removals of which one import goes wrong: at each import in turn, on a folder of its own. What was acknowledged is there, what failed has happened
//! or has not, and nothing else is changed; also for who opens the store anew.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use cofferdam_backend::Operation;
use cofferdam_runtime::{Fault, Step};
use futures_util::future::try_join_all;

use super::injector::{Field, When, points, unreachable};
use super::model::{Model, apply, folders, listed, read, shown, states};
use crate::case::{case, ensure};
use crate::store::{Store, key};
use crate::{Case, Ended, Failed, Ground, OpenWith, Verdict, script};

pub(super) const CASES: &[Case] = &[
    case!(
        "fault/import-fails",
        "Whichever import of a write or a removal fails, nothing acknowledged is lost, and the error says why",
        import_fails
    ),
    case!("fault/throttled", "The same for an import that is asked for less: the error may be tried again", throttled),
    case!("fault/answer-lost", "The same for an import that is done and whose answer is lost", answer_lost),
    case!("fault/stopped", "The same if the instance ends there; a new one serves the next call", stopped),
    case!("fault/delayed", "Imports that linger delay calls, and do nothing else", delayed),
    case!(
        "fault/batch-kept",
        "A batch of which an import goes wrong is applied up to a point; whole or not at all, if batches are atomic",
        batch_kept
    ),
];

/// How long an import lingers.
const LINGERS: Duration = Duration::from_millis(3);
/// The length of a value that a guest may write in pieces.
const LONG: u64 = 60_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// The first entry of its folders.
    First,
    /// An entry beside another.
    Beside,
    /// A long value in place of a short one.
    Replace,
    /// The last entry of its folders is removed.
    Last,
    /// An entry is removed from beside another.
    Leave,
    /// Several removals and writes.
    Batch,
}

const SINGLE: &[Work] = &[Work::First, Work::Replace, Work::Last, Work::Beside, Work::Leave];

impl Work {
    /// What is there before, and what is done, all in this folder.
    fn plan(self, folder: &str, store: &Store) -> Result<(Model, Vec<Operation>), Ended> {
        let limits = store.limits();
        let at = |name: &str| format!("{folder}{name}");
        let put = |name: &str, value: Bytes| Ok::<_, Ended>(Operation::Put(key(&at(name))?, value));
        let delete = |name: &str| Ok::<_, Ended>(Operation::Delete(key(&at(name))?));
        let long = Bytes::from(vec![b'n'; usize::try_from(LONG.min(limits.value)).unwrap_or_default()]);
        let (before, operations): (&[&str], _) = match self {
            Work::First => (&[], vec![put("a/b/k", "new".into())?]),
            Work::Beside => (&["a/b/other"], vec![put("a/b/k", "new".into())?]),
            Work::Replace => (&["a/b/k"], vec![put("a/b/k", long)?]),
            Work::Last => (&["a/b/k"], vec![delete("a/b/k")?]),
            Work::Leave => (&["a/b/k", "a/b/other"], vec![delete("a/b/k")?]),
            Work::Batch => {
                let all =
                    [delete("0/k")?, put("1/l", "new".into())?, delete("2/k")?, put("0/l", "new".into())?, put("3/a/l", "new".into())?];
                (&["0/k", "1/k", "2/k"], all.into_iter().take(usize::try_from(limits.batch_operations).unwrap_or(usize::MAX)).collect())
            }
        };
        // What stays keeps the folder: what lies around it is never in question.
        let before = before.iter().chain(&["keep"]).map(|name| (at(name), Bytes::from_static(b"old"))).collect();
        Ok((before, operations))
    }
}

/// One call that was stepped in at, and what was found right after it.
struct Cut {
    folder: String,
    told: String,
    held: Model,
    /// All that it is about.
    keys: BTreeSet<String>,
    /// Whether it failed, and so may leave folders behind.
    failed: bool,
    script: Vec<String>,
}

impl Cut {
    /// A failure that is seen later.
    fn later(&self, ground: &Ground<'_>, ended: Ended) -> Ended {
        match ended {
            Ended::Failed(Failed { what, .. }) => {
                let script = self.script.iter().cloned().chain(["…".to_owned()]).chain(ground.script.lines()).collect();
                Ended::Failed(Failed { what: format!("{}; later: {what}", self.told), script })
            }
            skipped => skipped,
        }
    }

    fn spare(&self) -> BTreeSet<String> {
        if self.failed { self.keys.iter().flat_map(|key| folders(key)).map(str::to_owned).collect() } else { BTreeSet::new() }
    }
}

/// A check under way.
struct Cuts<'a> {
    field: Field<'a>,
    cuts: Vec<Cut>,
    hits: usize,
}

impl Cuts<'_> {
    /// Does the work once, and returns how many imports it called.
    async fn cut(&mut self, work: Work, how: (When, Step)) -> Result<usize, Ended> {
        let Cuts { field, cuts, hits } = self;
        let (ground, store) = (field.ground, &field.store);
        ground.script.clear();
        let folder = format!("f{}/", cuts.len());
        let (before, operations) = work.plan(&folder, store)?;
        for (key, value) in &before {
            store.put(key, value.clone()).await?;
        }
        let states = states(&before, &operations);
        let (storage, line) = (store.storage(), script::operations(&operations));
        let struck = match operations.as_slice() {
            [Operation::Put(key, value)] if work != Work::Batch => field.strike(how, &line, storage.put(key, value.clone())).await,
            [Operation::Delete(key)] if work != Work::Batch => field.strike(how, &line, storage.delete(key)).await,
            _ => field.strike(how, &format!("batch {line}"), storage.batch(operations.clone())).await,
        };
        struck.judge()?;
        let told = &struck.told;
        let keys: BTreeSet<String> = states.iter().flat_map(|state| state.keys().cloned()).collect();
        let held = read(store, keys.iter().map(String::as_str)).await?;
        let whole = states.last() == Some(&held);
        ensure!(
            struck.result.is_err() || whole,
            "{told}: it was acknowledged; expected {}, found {}",
            states.last().map(shown).unwrap_or_default(),
            shown(&held)
        );
        ensure!(
            states.contains(&held),
            "{told}: expected what is there before or after each step of it, beginning with {}, found {}",
            shown(&before),
            shown(&held)
        );
        let atomic = store.storage().descriptor().features.atomic_batch;
        ensure!(
            !atomic || whole || held == before,
            "{told}: the backend claims atomic-batch, and a part of the batch is applied: {}",
            shown(&held)
        );
        *hits += usize::from(struck.hit());
        cuts.push(Cut { folder, told: told.clone(), held, keys, failed: struck.result.is_err(), script: ground.script.lines() });
        Ok(struck.seen)
    }

    /// What was found right after each call is what is found later, by whoever opens the store anew; and all of it works as if nothing had been.
    async fn end(self) -> Verdict {
        let Cuts { field, cuts, .. } = self;
        let ground = field.ground;
        ground.script.clear();
        drop(field);
        let store = &ground.again().await?;
        let mut all = Model::new();
        for cut in &cuts {
            let found = read(store, cut.keys.iter().map(String::as_str)).await?;
            let same = if found == cut.held {
                listed(store, &cut.held, &cut.folder, &cut.spare()).await
            } else {
                Err(Ended::failed(format!("expected {}, found {}", shown(&cut.held), shown(&found))))
            };
            same.map_err(|ended| cut.later(ground, ended))?;
            all.extend(found);
        }
        let folders = cuts.iter().map(|cut| cut.folder.clone()).collect();
        super::model::shows("", &super::model::names(&all, ""), &store.list("").await?, &folders)?;
        store.must_scan(2, 100, &all).await?;
        let every = cuts.len().div_ceil(ground.options.of(40, 6)).max(1);
        for cut in cuts.iter().step_by(every) {
            ground.script.clear();
            restored(store, cut).await.map_err(|ended| cut.later(ground, ended))?;
        }
        Ok(())
    }
}

/// A later write, read and removal of the same entries leave nothing behind.
async fn restored(store: &Store, cut: &Cut) -> Verdict {
    for key in &cut.keys {
        store.put(key, "again").await?;
        store.must_get(key, Some(b"again")).await?;
    }
    for key in &cut.keys {
        store.delete(key).await?;
    }
    store.must_list::<&str>(&cut.folder, &[]).await?;
    let root = store.list("").await?;
    ensure!(!root.contains(&cut.folder), "list /: expected no {}, of which every entry is removed", cut.folder);
    Ok(())
}

/// Each of the works, with each of the steps at every import of it.
async fn cut(ground: &Ground<'_>, works: &[Work], steps: &[Step]) -> Verdict {
    let field = Field::open(ground, OpenWith::fresh()).await?;
    let mut cuts = Cuts { field, cuts: Vec::new(), hits: 0 };
    let mut rng = ground.options.rng();
    let most = ground.options.of(24, 3);
    for (number, work) in works.iter().enumerate() {
        for step in steps {
            let count = cuts.cut(*work, (When::Never, *step)).await?;
            for at in points(count, most, &mut rng) {
                cuts.cut(*work, (When::At(at), *step)).await?;
            }
        }
        let afterwards = format!("afterwards/{number}/k");
        cuts.field.store.put(&afterwards, "1").await?;
        cuts.field.store.must_get(&afterwards, Some(b"1")).await?;
        cuts.field.store.delete(&afterwards).await?;
    }
    if cuts.hits == 0 {
        return Err(unreachable("writes"));
    }
    cuts.end().await
}

fn singles(ground: &Ground<'_>) -> &'static [Work] {
    SINGLE.get(..ground.options.of(SINGLE.len(), 3)).unwrap_or(SINGLE)
}

async fn import_fails(ground: &Ground<'_>) -> Verdict {
    cut(ground, singles(ground), &[Fault::Unavailable, Fault::Denied, Fault::Full].map(Step::Fail)).await
}

async fn throttled(ground: &Ground<'_>) -> Verdict {
    cut(ground, singles(ground), &[Step::Fail(Fault::Throttled)]).await
}

async fn answer_lost(ground: &Ground<'_>) -> Verdict {
    cut(ground, singles(ground), &[Step::Lose]).await
}

async fn stopped(ground: &Ground<'_>) -> Verdict {
    cut(ground, singles(ground), &[Step::Stop]).await
}

async fn batch_kept(ground: &Ground<'_>) -> Verdict {
    let mut steps = vec![Step::Stop, Step::Lose, Step::Fail(Fault::Unavailable)];
    if !ground.options.quick {
        steps.extend([Fault::Throttled, Fault::Denied, Fault::Full].map(Step::Fail));
    }
    cut(ground, &[Work::Batch], &steps).await
}

/// One after the other, and many at a time.
async fn delayed(ground: &Ground<'_>) -> Verdict {
    let field = Field::open(ground, OpenWith::fresh()).await?;
    let mut cuts = Cuts { field, cuts: Vec::new(), hits: 0 };
    let late = Step::Delay(LINGERS);
    for work in SINGLE.iter().chain(&[Work::Batch]) {
        cuts.cut(*work, (When::Always, late)).await?;
    }
    if cuts.hits == 0 {
        return Err(unreachable("writes"));
    }
    let mut all: Model = cuts.cuts.iter().flat_map(|cut| cut.held.clone()).collect();
    let store = &cuts.field.store;
    cuts.field.injector.arm(When::Always, late);
    let plans = (0..8).map(|number| SINGLE.get(number % 2).unwrap_or(&Work::First).plan(&format!("m{number}/"), store));
    let plans = plans.collect::<Result<Vec<_>, _>>()?;
    let writes = plans.iter().map(|(before, operations)| async move {
        for (key, value) in before {
            store.put(key, value.clone()).await?;
        }
        for operation in operations {
            if let Operation::Put(key, value) = operation {
                store.put(key.as_str(), value.clone()).await?;
            }
        }
        Ok::<_, Ended>(())
    });
    try_join_all(writes).await?;
    for (before, operations) in &plans {
        all.extend(before.clone());
        operations.iter().for_each(|operation| apply(&mut all, operation));
    }
    cuts.field.injector.rest();
    store.must_scan(2, 100, &all).await?;
    listed(store, &all, "", &BTreeSet::new()).await?;
    cuts.end_after(&all).await
}

impl Cuts<'_> {
    /// As [`Cuts::end`], where more was stored than by cuts.
    async fn end_after(self, all: &Model) -> Verdict {
        let ground = self.field.ground;
        drop(self);
        ground.again().await?.must_scan(1, 100, all).await
    }
}
