//! What may be stored after calls of which some failed, and whether the listings show it.

use std::collections::BTreeSet;

use cofferdam_backend::Operation;

use crate::case::ensure;
use crate::store::Store;
use crate::{Ended, Verdict, script};

pub(super) use crate::model::{Model, apply, names};

/// What is stored after each beginning of the operations, that of none first.
pub(super) fn states(before: &Model, operations: &[Operation]) -> Vec<Model> {
    let mut states = vec![before.clone()];
    let mut now = before.clone();
    for operation in operations {
        apply(&mut now, operation);
        states.push(now.clone());
    }
    states
}

/// The folders of a key.
pub(super) fn folders(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').filter_map(|(at, _)| key.get(..=at))
}

/// The entries in a few words.
pub(super) fn shown(model: &Model) -> String {
    let all: Vec<String> = model.iter().map(|(key, value)| format!("{} = {}", script::name(key), script::value(value))).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

/// Reads these keys.
pub(super) async fn read<'k>(store: &Store, keys: impl IntoIterator<Item = &'k str>) -> Result<Model, Ended> {
    let mut found = Model::new();
    for key in keys {
        if let Some(value) = store.get(key).await? {
            found.insert(key.to_owned(), value);
        }
    }
    Ok(found)
}

/// Every folder shows what is in it and nothing else, but for the `spare` folders: those of calls that failed, which may be left with nothing in them.
/// Looked at are the folders of the model that begin with `below`, and the spare ones.
pub(super) async fn listed(store: &Store, model: &Model, below: &str, spare: &BTreeSet<String>) -> Verdict {
    let mut all: BTreeSet<&str> = model.keys().flat_map(|key| folders(key)).filter(|folder| folder.starts_with(below)).collect();
    all.insert(below);
    all.extend(spare.iter().map(String::as_str));
    for folder in all {
        let (expected, found) = (names(model, folder), store.list(folder).await?);
        shows(folder, &expected, &found, spare)?;
    }
    Ok(())
}

/// The same for one listing.
pub(super) fn shows(folder: &str, expected: &BTreeSet<String>, found: &[String], spare: &BTreeSet<String>) -> Verdict {
    let line = format!("list {}", script::name(folder));
    let missing: Vec<&String> = expected.iter().filter(|name| found.binary_search(name).is_err()).collect();
    ensure!(missing.is_empty(), "{line}: {} is stored and not listed; found {}", script::names(&missing), script::names(found));
    let extra = |name: &&String| !expected.contains(*name) && !spare.contains(&format!("{folder}{name}"));
    let extra: Vec<&String> = found.iter().filter(extra).collect();
    ensure!(extra.is_empty(), "{line}: {} is listed and not stored", script::names(&extra));
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_folder_of_a_failed_call_may_be_listed_and_nothing_else() {
        let model = Model::from([("a/b/k".to_owned(), Bytes::new())]);
        let spare = BTreeSet::from(["a/c/".to_owned()]);
        let shows = |found: &[&str]| {
            let found: Vec<String> = found.iter().map(|&name| name.to_owned()).collect();
            super::shows("a/", &names(&model, "a/"), &found, &spare).is_ok()
        };
        assert!(shows(&["b/"]) && shows(&["b/", "c/"]));
        assert!(!shows(&["c/"]) && !shows(&["b/", "d/"]) && !shows(&["b/", "c"]));
        assert_eq!(folders("a/b/k").collect::<Vec<_>>(), ["a/", "a/b/"]);
    }
}
