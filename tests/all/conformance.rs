//! What every storage backend must do, run by the same code against the filesystem guest, through the runtime, and against an independent native
//! implementation of the same layout.
//!
//! [`vault`] holds the cases that OpenBao runs against each of its backends; [`contract`] what our contract adds; [`model`] random operations against
//! a map in memory.

mod contract;
mod model;
mod vault;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cofferdam_backend::{Folder, Key, Storage};
use cofferdam_tests::native::Native;

use crate::filesystem::guest;

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub(crate) fn folder(text: &str) -> Folder {
    Folder::new(text).unwrap()
}

pub(crate) async fn put(storage: &dyn Storage, at: &str, value: impl Into<Bytes>) {
    storage.put(&key(at), value.into()).await.unwrap_or_else(|error| panic!("put {at}: {error}"));
}

pub(crate) async fn get(storage: &dyn Storage, at: &str) -> Option<Bytes> {
    storage.get(&key(at)).await.unwrap_or_else(|error| panic!("get {at}: {error}"))
}

pub(crate) async fn delete(storage: &dyn Storage, at: &str) {
    storage.delete(&key(at)).await.unwrap_or_else(|error| panic!("delete {at}: {error}"));
}

pub(crate) async fn list(storage: &dyn Storage, at: &str) -> Vec<String> {
    storage.list(&folder(at)).await.unwrap_or_else(|error| panic!("list {at}: {error}"))
}

/// All names after `after`, at most `limit` in all, whatever the size of the backend's pages.
pub(crate) async fn list_after(storage: &dyn Storage, at: &str, after: &str, limit: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    while names.len() < limit {
        let last = names.last().map_or(after, String::as_str).to_owned();
        let page = storage.list_page(&folder(at), &last, (limit - names.len()) as u32).await.unwrap();
        assert!(page.names.len() <= limit - names.len(), "a page over its limit");
        assert!(!(page.more && page.names.is_empty()), "an empty page that promises more");
        names.extend(page.names);
        if !page.more {
            break;
        }
    }
    names
}

/// Everything that a scan delivers, over all segments; no key in more than one of them.
pub(crate) async fn scan(storage: &dyn Storage, segments: u32, limit: u32) -> BTreeMap<String, Bytes> {
    let mut found = BTreeMap::new();
    for segment in 0..segments {
        let mut cursor = None;
        loop {
            let page = storage.scan(segment, segments, cursor, limit).await.unwrap();
            for entry in page.entries {
                let key = entry.key.clone();
                assert!(found.insert(entry.key, entry.value).is_none(), "{key} was delivered twice");
            }
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
    }
    found
}

async fn native(directory: &Path) -> Arc<dyn Storage> {
    Arc::new(Native::open(directory, false).unwrap())
}

/// Makes a test of each case for each implementation, on an empty directory.
macro_rules! cases {
    ($($case:path as $name:ident),+ $(,)?) => {
        mod on_the_guest {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let directory = crate::filesystem::directory();
                $case(&*super::guest(directory.path()).await).await;
            })+
        }

        mod on_the_native_one {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let directory = crate::filesystem::directory();
                $case(&*super::native(directory.path()).await).await;
            })+
        }
    };
}

cases! {
    crate::conformance::vault::basics as cases_1_to_18_basics,
    crate::conformance::vault::ten_keys as case_19_ten_keys,
    crate::conformance::vault::prefixes as cases_20_to_23_prefixes,
    crate::conformance::contract::values_are_any_bytes as values_are_any_bytes,
    crate::conformance::contract::keys_within_the_grammar_are_kept_apart as keys_within_the_grammar_are_kept_apart,
    crate::conformance::contract::a_leaf_and_a_folder_of_one_name_are_unrelated as a_leaf_and_a_folder_of_one_name_are_unrelated,
    crate::conformance::contract::deleting_what_is_missing_changes_nothing as deleting_what_is_missing_changes_nothing,
    crate::conformance::contract::names_sort_by_bytes_with_the_slash as names_sort_by_bytes_with_the_slash,
    crate::conformance::contract::a_large_folder_is_listed_whole as a_large_folder_is_listed_whole,
    crate::conformance::contract::pages_under_writes_hold_what_stays_once as pages_under_writes_hold_what_stays_once,
    crate::conformance::contract::batches_apply_in_order as batches_apply_in_order,
    crate::conformance::contract::a_scan_delivers_everything_once as a_scan_delivers_everything_once,
    crate::conformance::contract::a_scan_under_writes_delivers_what_stays as a_scan_under_writes_delivers_what_stays,
    crate::conformance::contract::readers_see_whole_values as readers_see_whole_values,
    crate::conformance::contract::puts_and_deletes_race_in_one_folder as puts_and_deletes_race_in_one_folder,
    crate::conformance::contract::limits_are_kept_to_the_byte as limits_are_kept_to_the_byte,
    crate::conformance::model::random_operations_agree_with_a_map as random_operations_agree_with_a_map,
}
