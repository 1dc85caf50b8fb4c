//! What every storage backend must do: the checks of `coffer plugin test`, section contract, run against the guests, through the runtime, and against independent
//! native implementations of the same layouts. The DynamoDB guest runs on three emulators, of which the slow one has a part of the checks; with strict
//! fencing, on those that know transactions.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cofferdam_aws::TableSpec;
use cofferdam_backend::{Folder, Key, Storage};
use cofferdam_emulator::Keys;
use cofferdam_runtime::StorageConfig;
use cofferdam_test_support::native::Native;
use cofferdam_tests::table;
use cofferdam_trial::{Given, GuestSubject, Options, Outcome, Place, Subject};

use crate::dynamodb::{Emulator, Ground, ground};

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

/// What is tried, and what it stands on.
struct Tried {
    subject: Box<dyn Subject>,
    _ground: Box<dyn Any + Send>,
}

impl Tried {
    fn given(storage: Arc<dyn Storage>, ground: impl Any + Send) -> Tried {
        Tried { subject: Box::new(Given::storage("native", storage, None)), _ground: Box::new(ground) }
    }
}

async fn filesystem() -> Tried {
    let (runtime, component) = crate::filesystem::component();
    let config = StorageConfig::new("test");
    let subject = GuestSubject::new(Arc::clone(runtime), component.clone(), config, Vec::new(), Place::Directory);
    Tried { subject: Box::new(subject), _ground: Box::new(()) }
}

async fn native_filesystem() -> Tried {
    let directory = crate::filesystem::directory();
    Tried::given(Arc::new(Native::open(directory.path(), false).unwrap()), directory)
}

/// The guest as a server has it, with the host's journal before it.
async fn journaled_filesystem() -> Tried {
    let directory = crate::filesystem::directory();
    let storage = crate::filesystem::journaled(directory.path()).await;
    Tried::given(storage, directory)
}

/// The guest on a table of its own name.
async fn on_table(ground: &Ground, place: Place) -> GuestSubject {
    let (runtime, component) = crate::dynamodb::component();
    let mut config = StorageConfig::new("test");
    config.settings.push(("table".to_owned(), ground.name.clone()));
    let credentials = crate::dynamodb::credentials(&Keys::any()).await;
    config.grants.aws = Some(ground.binding(credentials, TableSpec::new(""), None));
    GuestSubject::new(Arc::clone(runtime), component.clone(), config, Vec::new(), place)
}

async fn dynamodb(emulator: Emulator) -> Tried {
    let ground = ground(emulator).await;
    let subject = on_table(&ground, Place::Root).await;
    subject.check_place().await.unwrap();
    Tried { subject: Box::new(subject), _ground: Box::new(ground) }
}

/// The example on a prefix of its own; none where there is no etcd and need not be.
async fn etcd() -> Option<Tried> {
    let ground = Arc::new(crate::etcd::Ground::new()?);
    let storage = ground.open().await;
    let lock = storage.lock();
    Some(Tried { subject: Box::new(Given::storage("etcd", storage, lock)), _ground: Box::new(ground) })
}

async fn fenced_etcd() -> Option<Tried> {
    let ground = crate::etcd::Ground::new()?;
    Some(Tried::given(crate::etcd::fenced(&ground, "the only one").await.0, ground))
}

async fn fenced_dynamodb(emulator: Emulator) -> Tried {
    let ground = ground(emulator).await;
    Tried::given(crate::dynamodb::strict(&ground).await, ground)
}

async fn native_table(emulator: Emulator) -> Tried {
    let ground = ground(emulator).await;
    Tried::given(Arc::new(table::Native::new(ground.table.clone())), ground)
}

/// Runs one check, which must pass.
async fn check(tried: impl Into<Option<Tried>>, id: &str) {
    let Some(tried) = tried.into() else { return };
    let options = Options { only: vec![format!("contract/{id}")], seed: 5, patience: Duration::from_secs(1_200), ..Options::default() };
    let report = cofferdam_trial::run(&*tried.subject, &options).await;
    let outcomes: Vec<&Outcome> = report.checks().map(|check| &check.outcome).collect();
    assert!(matches!(outcomes[..], [Outcome::Passed]), "{}", report.table());
}

/// Makes a test of each check, on what the expression makes.
macro_rules! cases {
    ($subject:expr; $($id:literal as $name:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            crate::conformance::check($subject.await, $id).await;
        })+
    };
}

/// All that any storage does.
macro_rules! every_case {
    ($subject:expr) => {
        cases! {
            $subject;
            "openbao-basics" as cases_1_to_18_basics,
            "openbao-ten-keys" as case_19_ten_keys,
            "openbao-prefixes" as cases_20_to_23_prefixes,
            "values-any-bytes" as values_are_any_bytes,
            "values-replaced" as values_are_replaced,
            "keys-kept-apart" as keys_within_the_grammar_are_kept_apart,
            "leaf-and-folder" as a_leaf_and_a_folder_of_one_name_are_unrelated,
            "delete-missing" as deleting_what_is_missing_changes_nothing,
            "batch-limits" as limits_of_batches_are_kept,
            "names-sort-by-bytes" as names_sort_by_bytes_with_the_slash,
            "list-after" as a_listing_goes_on_after_any_name,
            "large-folder" as a_large_folder_is_listed_whole,
            "pages-under-writes" as pages_under_writes_hold_what_stays_once,
            "folders-come-and-go" as folders_come_and_go,
            "batch-in-order" as batches_apply_in_order,
            "batch-seen-in-order" as batches_are_seen_in_order,
            "scan-complete" as a_scan_delivers_everything_once,
            "scan-segments-stay" as a_segment_depends_on_the_key_alone,
            "scan-cursor-lasts" as cursors_last,
            "scan-under-writes" as a_scan_under_writes_delivers_what_stays,
            "whole-values" as readers_see_whole_values,
            "race-in-one-folder" as puts_and_deletes_race_in_one_folder,
            "race-on-one-key" as puts_and_deletes_race_on_one_key,
            "random-operations" as random_operations_agree_with_a_map,
        }
    };
}

/// What is to be said of a guest only: it is opened anew, instance by instance, and stopped.
macro_rules! guest_cases {
    ($subject:expr) => {
        cases! {
            $subject;
            "opens" as it_opens,
            "limits-to-the-byte" as limits_are_kept_to_the_byte,
            "folders-after-opening-anew" as folders_of_another_instance,
            "scan-parallel" as a_scan_is_divided,
            "batch-stopped" as a_batch_that_is_stopped,
            "instances-share-nothing" as instances_share_nothing,
            "read-by-another" as read_by_another,
            "restart" as what_was_acknowledged_is_there_after_a_restart,
        }
    };
}

/// A lock's.
macro_rules! lock_cases {
    ($subject:expr) => {
        cases! {
            $subject;
            "lock-exclusion" as lock_exclusion,
            "lock-seen" as lock_seen,
            "lock-renew" as lock_renew,
            "lock-release" as lock_release,
            "lock-strangers" as lock_strangers,
            "lock-expiry" as lock_expiry,
            "lock-clocks" as lock_clocks,
            "lock-values" as lock_values,
            "lock-and-entry" as lock_and_entry,
            "lock-hidden" as lock_hidden,
            "lock-several" as lock_several,
            "lock-race" as lock_race,
            "lock-restart" as lock_restart,
        }
    };
}

/// A few, for an emulator that is slow.
macro_rules! few_cases {
    ($subject:expr) => {
        cases! {
            $subject;
            "openbao-prefixes" as cases_20_to_23_prefixes,
            "leaf-and-folder" as a_leaf_and_a_folder_of_one_name_are_unrelated,
            "delete-missing" as deleting_what_is_missing_changes_nothing,
            "batch-in-order" as batches_apply_in_order,
        }
    };
}

mod on_the_filesystem_guest {
    every_case!(super::filesystem());
    guest_cases!(super::filesystem());
}

mod on_the_filesystem_guest_with_a_journal {
    every_case!(super::journaled_filesystem());
    cases!(super::journaled_filesystem(); "limits-to-the-byte" as limits_are_kept_to_the_byte);
}

mod on_the_native_filesystem {
    every_case!(super::native_filesystem());
    cases!(super::native_filesystem(); "limits-to-the-byte" as limits_are_kept_to_the_byte);
}

mod on_dynamodb_with_dynalite {
    every_case!(super::dynamodb(super::Emulator::Dynalite));
    guest_cases!(super::dynamodb(super::Emulator::Dynalite));
    lock_cases!(super::dynamodb(super::Emulator::Dynalite));
}

mod on_dynamodb_in_memory {
    every_case!(super::dynamodb(super::Emulator::Mini));
    guest_cases!(super::dynamodb(super::Emulator::Mini));
    lock_cases!(super::dynamodb(super::Emulator::Mini));
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

mod on_etcd {
    every_case!(super::etcd());
    cases!(super::etcd(); "limits-to-the-byte" as limits_are_kept_to_the_byte);
    lock_cases!(super::etcd());
}

mod on_etcd_with_strict_fencing {
    few_cases!(super::fenced_etcd());
    cases! {
        super::fenced_etcd();
        "openbao-basics" as cases_1_to_18_basics,
        "race-in-one-folder" as puts_and_deletes_race_in_one_folder,
    }
}

/// The native implementation on an emulator that is not ours (what is large takes too long there), and on ours.
mod on_the_native_table_with_dynalite {
    cases! {
        super::native_table(super::Emulator::Dynalite);
        "openbao-basics" as cases_1_to_18_basics,
        "openbao-ten-keys" as case_19_ten_keys,
        "openbao-prefixes" as cases_20_to_23_prefixes,
        "values-any-bytes" as values_are_any_bytes,
        "keys-kept-apart" as keys_within_the_grammar_are_kept_apart,
        "leaf-and-folder" as a_leaf_and_a_folder_of_one_name_are_unrelated,
        "delete-missing" as deleting_what_is_missing_changes_nothing,
        "names-sort-by-bytes" as names_sort_by_bytes_with_the_slash,
        "batch-in-order" as batches_apply_in_order,
        "random-operations" as random_operations_agree_with_a_map,
    }
}

mod on_the_native_table_in_memory {
    every_case!(super::native_table(super::Emulator::Mini));
}

/// A trial in a table that holds other things: they are not seen, and they stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_holds_other_things_keeps_them() {
    let ground = ground(Emulator::Mini).await;
    let others = ground.open().await;
    put(&*others, "others/a/b", "theirs").await;
    put(&*others, "top", "theirs").await;
    let refused = on_table(&ground, Place::Root).await.check_place().await.unwrap_err().to_string();
    assert!(refused.contains("not empty") && refused.contains("--force"), "{refused}");

    let tried = on_table(&ground, Place::Folder).await;
    tried.check_place().await.unwrap();
    let before = ground.table.items().await.unwrap();
    let options = Options { quick: true, seed: 3, ..Options::default() };
    let report = cofferdam_trial::run(&tried, &options).await;
    assert!(report.passed(), "{}", report.table());
    let after = ground.table.items().await.unwrap();
    assert!(before.len() == after.len() && before.iter().all(|item| after.contains(item)), "{after:?}");
    others.forget();
    assert_eq!(list(&*others, "").await, ["others/", "top"]);
}
