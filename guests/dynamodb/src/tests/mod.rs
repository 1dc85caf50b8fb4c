//! The whole logic, SDK included, over a table in memory.

mod control;
mod costs;
mod expression;
mod fake;
mod fences;
mod locks;
mod model;
mod opening;
mod patience;
mod reads;
mod writes;

use std::sync::Arc;

use cofferdam_guest::storage::{Entry, Operation};
use cofferdam_guest::{Error, Setting};

use self::fake::Fake;
use crate::options::Options;
use crate::store::Store;

/// A store over a new table in memory. The name of the table is the only setting, unless there are more.
fn store_with(more: &[(&str, &str)]) -> (Store, Arc<Fake>) {
    let fake = Arc::new(Fake::new());
    let settings =
        [("table", fake::TABLE)].iter().chain(more).map(|(name, value)| Setting { name: (*name).into(), value: (*value).into() });
    let store = Store::new(Options::read(settings.collect()).unwrap(), Arc::clone(&fake) as Arc<_>);
    store.begin();
    (store, fake)
}

fn store() -> (Store, Arc<Fake>) {
    store_with(&[])
}

fn put(key: &str, value: &[u8]) -> Operation {
    Operation::Put(Entry { key: key.into(), value: value.into() })
}

fn denied(error: Error) -> String {
    match error {
        Error::Denied(text) => text,
        other => panic!("{other:?}"),
    }
}
