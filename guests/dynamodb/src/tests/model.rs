//! Any run of operations against a map in memory, with any trouble of the service in between.

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_guest::storage::Operation;
use proptest::prelude::*;

use super::fake::Upset;
use super::{put, store};
use crate::place::folders;
use crate::store::Store;

#[derive(Clone, Debug)]
enum Step {
    Put(String, Vec<u8>),
    Delete(String),
    Batch(BTreeMap<String, Option<Vec<u8>>>),
}

fn key() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab_]", 1..4).prop_map(|segments| segments.join("/"))
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..3)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (key(), value()).prop_map(|(key, value)| Step::Put(key, value)),
        key().prop_map(Step::Delete),
        prop::collection::btree_map(key(), prop::option::of(value()), 1..5).prop_map(Step::Batch),
    ]
}

/// Trouble that a retry overcomes.
fn upset() -> impl Strategy<Value = Option<Upset>> {
    prop_oneof![
        4 => Just(None),
        1 => Just(Some(Upset::Answer(400, "ThrottlingException"))),
        1 => Just(Some(Upset::Answer(500, "InternalServerError"))),
        1 => Just(Some(Upset::Lost)),
        1 => (0..2_usize).prop_map(|most| Some(Upset::Partly(most))),
    ]
}

/// As the host does: the folders from the deepest outwards, as long as they are empty.
pub(super) fn prune(store: &Store, key: &str) {
    for folder in folders(key).collect::<Vec<_>>().into_iter().rev() {
        store.begin();
        if !store.prune(folder).unwrap() {
            break;
        }
    }
}

/// What a folder of the model lists.
fn listed(model: &BTreeMap<String, Vec<u8>>, folder: &str) -> Vec<String> {
    let below = model.keys().filter_map(|key| key.strip_prefix(folder));
    below.map(|rest| rest.split_inclusive('/').next().unwrap().to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_table_is_the_map(steps in prop::collection::vec(step(), 1..12), upsets in prop::collection::vec(upset(), 0..40)) {
        let (store, fake) = store();
        // Never so much trouble in a row that a call gives up.
        fake.world().upsets = upsets.into_iter().enumerate().map(|(at, upset)| upset.filter(|_| at % 6 != 5)).collect();
        let mut model = BTreeMap::new();
        for step in steps {
            store.begin();
            match step {
                Step::Put(key, value) => {
                    store.put(&key, value.clone(), 0).unwrap();
                    model.insert(key, value);
                }
                Step::Delete(key) => {
                    store.delete(&key).unwrap();
                    prune(&store, &key);
                    model.remove(&key);
                }
                Step::Batch(changes) => {
                    let operation = |(key, value): (&String, &Option<Vec<u8>>)| match value {
                        Some(value) => put(key, value),
                        None => Operation::Delete(key.clone()),
                    };
                    store.batch(changes.iter().map(operation).collect()).unwrap();
                    for (key, value) in changes {
                        if let Some(value) = value {
                            model.insert(key, value);
                        } else {
                            model.remove(&key);
                            prune(&store, &key);
                        }
                    }
                }
            }
            store.begin();
            for folder in ["", "a/", "b/", "_/", "a/a/", "a/b/", "_/_/"] {
                let page = store.list_page(folder, "", 100).unwrap();
                prop_assert_eq!(page.names, listed(&model, folder), "{:?}", folder);
            }
            let scanned: BTreeMap<_, _> = store.scan(0, 1, None, 1_000).unwrap().entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
            prop_assert_eq!(&scanned, &model);
        }
    }
}
