//! Random operations, compared after each with a map in memory. A failure is shrunk to few operations, and they are the script.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cofferdam_backend::Operation;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::case::case;
use crate::model::{self, Model, names};
use crate::store::{Store, key};
use crate::{Case, Ended, Failed, Ground, OpenWith, Verdict};

pub(super) const CASES: &[Case] =
    &[case!("contract/random-operations", "Random operations leave what a map in memory holds", random_operations_agree_with_a_map)];

/// The longest that a failure is made shorter.
const SHRINKING: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
enum Step {
    Put(String, Vec<u8>),
    Get(String),
    Delete(String),
    List(String, String, usize),
    Batch(Vec<(String, Option<Vec<u8>>)>),
    Scan(u32, u32),
    Open,
}

/// Few segments, so that keys meet: leaf beside folder, and names around the slash in the sorting.
fn segment() -> impl Strategy<Value = String, Tree: Send> {
    proptest::sample::select(vec!["a", "b", "a-", "a0", "é", "x.temp", "._"]).prop_map(str::to_owned)
}

fn some_key() -> impl Strategy<Value = String, Tree: Send> {
    proptest::collection::vec(segment(), 1..4).prop_map(|segments| segments.join("/"))
}

fn value() -> impl Strategy<Value = Vec<u8>, Tree: Send> {
    prop_oneof![4 => proptest::collection::vec(any::<u8>(), 0..40), 1 => (0..60_000_usize).prop_map(|length| vec![7; length])]
}

fn step() -> impl Strategy<Value = Step, Tree: Send> {
    let some_folder = prop_oneof![Just(String::new()), some_key().prop_map(|key| key + "/")];
    let after = prop_oneof![Just(String::new()), segment(), segment().prop_map(|segment| segment + "/")];
    prop_oneof![
        24 => (some_key(), value()).prop_map(|(key, value)| Step::Put(key, value)),
        8 => some_key().prop_map(Step::Get),
        20 => some_key().prop_map(Step::Delete),
        12 => (some_folder, after, 1..6_usize).prop_map(|(folder, after, limit)| Step::List(folder, after, limit)),
        4 => proptest::collection::vec((some_key(), proptest::option::of(value())), 0..6).prop_map(Step::Batch),
        4 => (1..4_u32, 1..5_u32).prop_map(|(segments, limit)| Step::Scan(segments, limit)),
        1 => Just(Step::Open),
    ]
}

async fn apply(ground: &Ground<'_>, store: &mut Store, model: &mut Model, step: Step) -> Verdict {
    match step {
        Step::Put(at, value) => {
            store.put(&at, value.clone()).await?;
            model.insert(at, value.into());
        }
        Step::Get(at) => store.must_get(&at, model.get(&at).map(Bytes::as_ref)).await?,
        Step::Delete(at) => {
            store.delete(&at).await?;
            model.remove(&at);
        }
        Step::List(at, after, limit) => {
            let expected: Vec<String> = names(model, &at).into_iter().filter(|name| *name > after).take(limit).collect();
            store.must_list_after(&at, &after, limit, &expected).await?;
        }
        Step::Batch(changes) => {
            let changes: BTreeMap<String, Option<Vec<u8>>> = changes.into_iter().collect();
            let operation = |(at, value): (&String, &Option<Vec<u8>>)| match value {
                Some(value) => Ok::<_, Ended>(Operation::Put(key(at)?, value.clone().into())),
                None => Ok(Operation::Delete(key(at)?)),
            };
            let operations = changes.iter().map(operation).collect::<Result<Vec<_>, _>>()?;
            store.batch(operations.clone()).await?;
            operations.iter().for_each(|operation| model::apply(model, operation));
        }
        Step::Scan(segments, limit) => store.must_scan(segments, limit, model).await?,
        Step::Open => *store = ground.again().await?,
    }
    store.must_list("", &names(model, "").into_iter().collect::<Vec<_>>()).await
}

/// One run on an empty store; at its end everything is looked at.
async fn play(ground: &Ground<'_>, steps: Vec<Step>) -> Verdict {
    ground.script.clear();
    let mut store = ground.store_of(&ground.open(OpenWith::fresh()).await?);
    let mut model = Model::new();
    for step in steps {
        apply(ground, &mut store, &mut model, step).await?;
    }
    for (at, value) in &model {
        store.must_get(at, Some(value)).await?;
    }
    store.must_scan(1, 100, &model).await?;
    for at in model.keys() {
        store.delete(at).await?;
    }
    store.must_list::<&str>("", &[]).await
}

/// The steps are drawn from the run's seed, so that a failure comes back. A failing run is made shorter as long as it fails.
async fn random_operations_agree_with_a_map(ground: &Ground<'_>) -> Verdict {
    let mut runner = TestRunner::new_with_rng(Config::default(), ground.options.rng());
    let steps = proptest::collection::vec(step(), 1..80);
    for _ in 0..ground.options.of(32, 6) {
        let mut tree = steps.new_tree(&mut runner).map_err(|reason| Ended::failed(format!("no random operations: {reason}")))?;
        if let Err(Ended::Failed(first)) = play(ground, tree.current()).await {
            return Err(Ended::Failed(shrink(ground, &mut tree, Failed { script: ground.script.lines(), ..first }).await));
        }
    }
    Ok(())
}

/// The shortest run that fails, as far as it is found in time.
async fn shrink(ground: &Ground<'_>, tree: &mut impl ValueTree<Value = Vec<Step>>, mut failed: Failed) -> Failed {
    let end = Instant::now() + SHRINKING;
    let mut shorter = tree.simplify();
    while shorter && Instant::now() < end {
        match play(ground, tree.current()).await {
            Err(Ended::Failed(again)) => {
                failed = Failed { script: ground.script.lines(), ..again };
                shorter = tree.simplify();
            }
            _ => shorter = tree.complicate(),
        }
    }
    failed
}
