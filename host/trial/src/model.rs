//! What a store must hold: the map in memory that answers are compared with.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cofferdam_backend::Operation;

/// Entries by key.
pub(crate) type Model = BTreeMap<String, Bytes>;

/// Does an operation.
pub(crate) fn apply(model: &mut Model, operation: &Operation) {
    match operation {
        Operation::Put(key, value) => model.insert(key.as_str().to_owned(), value.clone()),
        Operation::Delete(key) => model.remove(key.as_str()),
    };
}

/// The names directly below a folder.
pub(crate) fn names(model: &Model, folder: &str) -> BTreeSet<String> {
    let below = model.keys().filter_map(|key| key.strip_prefix(folder));
    below.filter_map(|rest| rest.split_inclusive('/').next()).map(str::to_owned).collect()
}
