//! Random operations, compared after each with a map in memory.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cofferdam_backend::{Operation, Storage};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use super::{folder, key, list_after, scan};

#[derive(Clone, Debug)]
enum Step {
    Put(String, Vec<u8>),
    Get(String),
    Delete(String),
    List(String, String, usize),
    Batch(Vec<(String, Option<Vec<u8>>)>),
    Scan(u32, u32),
}

/// Few segments, so that keys meet: leaf beside folder, and names around the slash in the sorting.
fn segment() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a", "b", "a-", "a0", "é", "x.temp", "._"]).prop_map(str::to_owned)
}

fn some_key() -> impl Strategy<Value = String> {
    proptest::collection::vec(segment(), 1..4).prop_map(|segments| segments.join("/"))
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => proptest::collection::vec(any::<u8>(), 0..40), 1 => (0..60_000_usize).prop_map(|length| vec![7; length])]
}

fn step() -> impl Strategy<Value = Step> {
    let some_folder = prop_oneof![Just(String::new()), some_key().prop_map(|key| key + "/")];
    let after = prop_oneof![Just(String::new()), segment(), segment().prop_map(|segment| segment + "/")];
    prop_oneof![
        6 => (some_key(), value()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => some_key().prop_map(Step::Get),
        5 => some_key().prop_map(Step::Delete),
        3 => (some_folder, after, 1..6_usize).prop_map(|(folder, after, limit)| Step::List(folder, after, limit)),
        1 => proptest::collection::vec((some_key(), proptest::option::of(value())), 0..6).prop_map(Step::Batch),
        1 => (1..4_u32, 1..5_u32).prop_map(|(segments, limit)| Step::Scan(segments, limit)),
    ]
}

fn listing(model: &BTreeMap<String, Bytes>, at: &str) -> BTreeSet<String> {
    let below = model.keys().filter_map(|key| key.strip_prefix(at));
    below.map(|rest| rest.split_inclusive('/').next().unwrap().to_owned()).collect()
}

async fn apply(storage: &dyn Storage, model: &mut BTreeMap<String, Bytes>, step: Step) {
    match step {
        Step::Put(at, value) => {
            storage.put(&key(&at), value.clone().into()).await.unwrap();
            model.insert(at, value.into());
        }
        Step::Get(at) => assert_eq!(storage.get(&key(&at)).await.unwrap(), model.get(&at).cloned(), "{at}"),
        Step::Delete(at) => {
            storage.delete(&key(&at)).await.unwrap();
            model.remove(&at);
        }
        Step::List(at, after, limit) => {
            let expected: Vec<String> = listing(model, &at).into_iter().filter(|name| *name > after).take(limit).collect();
            assert_eq!(list_after(storage, &at, &after, limit).await, expected, "{limit} of {at:?} after {after:?}");
        }
        Step::Batch(changes) => {
            let changes: BTreeMap<String, Option<Vec<u8>>> = changes.into_iter().collect();
            let operation = |(at, value): (&String, &Option<Vec<u8>>)| match value {
                Some(value) => Operation::Put(key(at), value.clone().into()),
                None => Operation::Delete(key(at)),
            };
            storage.batch(changes.iter().map(operation).collect()).await.unwrap();
            for (at, value) in changes {
                match value {
                    Some(value) => model.insert(at, value.into()),
                    None => model.remove(&at),
                };
            }
        }
        Step::Scan(segments, limit) => assert_eq!(&scan(storage, segments, limit).await, model),
    }
    let root: Vec<String> = storage.list(&folder("")).await.unwrap();
    assert_eq!(root, listing(model, "").into_iter().collect::<Vec<_>>());
}

/// The steps are drawn from a fixed seed, so that a failure comes back; `PROPTEST_CASES` sets how many runs there are.
pub(super) async fn random_operations_agree_with_a_map(storage: &dyn Storage) {
    let mut runner = TestRunner::deterministic();
    let runs = Config::default().cases.div_ceil(16);
    for run in 0..runs {
        let steps = proptest::collection::vec(step(), 1..80).new_tree(&mut runner).unwrap().current();
        let mut model = BTreeMap::new();
        for (index, step) in steps.iter().enumerate() {
            eprintln!("run {run}, step {index}: {}", format!("{step:?}").chars().take(200).collect::<String>());
            apply(storage, &mut model, step.clone()).await;
        }
        for at in model.keys() {
            storage.delete(&key(at)).await.unwrap();
        }
        assert!(storage.list(&folder("")).await.unwrap().is_empty());
    }
}
