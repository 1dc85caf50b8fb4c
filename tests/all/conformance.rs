//! What every storage backend must do, run by the same code against the guests, through the runtime, and against independent native implementations of the
//! same layouts. The DynamoDB guest runs on three emulators, of which the slow one has a part of the cases; with strict fencing, on those that know transactions.
//!
//! [`vault`] holds the cases that OpenBao runs against each of its backends; [`contract`] what our contract adds; [`model`] random operations against
//! a map in memory.

mod contract;
mod model;
mod vault;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cofferdam_backend::{Folder, Key, Storage};
use cofferdam_tests::native::Native;
use cofferdam_tests::table;

use crate::dynamodb::{Emulator, ground};

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

/// A storage with nothing in it, and what it stands on.
struct Subject {
    storage: Arc<dyn Storage>,
    _ground: Box<dyn Any + Send>,
}

async fn filesystem() -> Subject {
    let directory = crate::filesystem::directory();
    Subject { storage: crate::filesystem::guest(directory.path()).await, _ground: Box::new(directory) }
}

async fn native_filesystem() -> Subject {
    let directory = crate::filesystem::directory();
    Subject { storage: Arc::new(Native::open(directory.path(), false).unwrap()), _ground: Box::new(directory) }
}

async fn dynamodb(emulator: Emulator) -> Subject {
    let ground = ground(emulator).await;
    Subject { storage: ground.open().await, _ground: Box::new(ground) }
}

async fn fenced_dynamodb(emulator: Emulator) -> Subject {
    let ground = ground(emulator).await;
    Subject { storage: crate::dynamodb::strict(&ground).await, _ground: Box::new(ground) }
}

async fn native_table(emulator: Emulator) -> Subject {
    let ground = ground(emulator).await;
    Subject { storage: Arc::new(table::Native::new(ground.table.clone())), _ground: Box::new(ground) }
}

/// Makes a test of each case, on storage that the expression makes.
macro_rules! cases {
    ($subject:expr; $($case:path as $name:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let subject = $subject.await;
            $case(&*subject.storage).await;
        })+
    };
}

/// All cases.
macro_rules! every_case {
    ($subject:expr) => {
        cases! {
            $subject;
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
            crate::conformance::model::random_operations_agree_with_a_map as random_operations_agree_with_a_map,
        }
    };
}

/// A few, for an emulator that is slow.
macro_rules! few_cases {
    ($subject:expr) => {
        cases! {
            $subject;
            crate::conformance::vault::prefixes as cases_20_to_23_prefixes,
            crate::conformance::contract::a_leaf_and_a_folder_of_one_name_are_unrelated as a_leaf_and_a_folder_of_one_name_are_unrelated,
            crate::conformance::contract::deleting_what_is_missing_changes_nothing as deleting_what_is_missing_changes_nothing,
            crate::conformance::contract::batches_apply_in_order as batches_apply_in_order,
        }
    };
}

mod on_the_filesystem_guest {
    every_case!(super::filesystem());
    cases!(super::filesystem(); crate::conformance::contract::limits_are_kept_to_the_byte as limits_are_kept_to_the_byte);
}

mod on_the_native_filesystem {
    every_case!(super::native_filesystem());
    cases!(super::native_filesystem(); crate::conformance::contract::limits_are_kept_to_the_byte as limits_are_kept_to_the_byte);
}

/// DynamoDB's limits are not the same for every segment: `dynamodb::limits` has them.
mod on_dynamodb_with_dynalite {
    every_case!(super::dynamodb(super::Emulator::Dynalite));
}

mod on_dynamodb_in_memory {
    every_case!(super::dynamodb(super::Emulator::Mini));
}

mod on_dynamodb_with_moto {
    few_cases!(super::dynamodb(super::Emulator::Moto));
}

mod on_dynamodb_with_strict_fencing_in_memory {
    every_case!(super::fenced_dynamodb(super::Emulator::Mini));
}

mod on_dynamodb_with_strict_fencing_with_moto {
    few_cases!(super::fenced_dynamodb(super::Emulator::Moto));
}

/// The native implementation on an emulator that is not ours (what is large takes too long there), and on ours.
mod on_the_native_table_with_dynalite {
    cases! {
        super::native_table(super::Emulator::Dynalite);
        crate::conformance::vault::basics as cases_1_to_18_basics,
        crate::conformance::vault::ten_keys as case_19_ten_keys,
        crate::conformance::vault::prefixes as cases_20_to_23_prefixes,
        crate::conformance::contract::values_are_any_bytes as values_are_any_bytes,
        crate::conformance::contract::keys_within_the_grammar_are_kept_apart as keys_within_the_grammar_are_kept_apart,
        crate::conformance::contract::a_leaf_and_a_folder_of_one_name_are_unrelated as a_leaf_and_a_folder_of_one_name_are_unrelated,
        crate::conformance::contract::deleting_what_is_missing_changes_nothing as deleting_what_is_missing_changes_nothing,
        crate::conformance::contract::names_sort_by_bytes_with_the_slash as names_sort_by_bytes_with_the_slash,
        crate::conformance::contract::batches_apply_in_order as batches_apply_in_order,
        crate::conformance::model::random_operations_agree_with_a_map as random_operations_agree_with_a_map,
    }
}

mod on_the_native_table_in_memory {
    every_case!(super::native_table(super::Emulator::Mini));
}
