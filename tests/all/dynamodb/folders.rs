//! Folders: none is ever gone while a leaf lies below it. Each case is one in which Vault's algorithm loses a folder (or hides a leaf), and is run
//! on that, too: there it must find the loss.

use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cofferdam_backend::{Operation, Storage};
use cofferdam_emulator::{Action, Gate, Rule};
use cofferdam_tests::table::vault::Vault;
use cofferdam_tests::table::{Table, lost};
use futures_util::future::join_all;

use super::{Emulator, Ground, Opening, ground, walk};
use crate::conformance::{delete, folder, key, list, put};

/// What is wrong with the folders; nothing, if all leaves are reached.
async fn wrong(storage: &dyn Storage, table: &Table, expected: &[&str]) -> Option<String> {
    let lost = lost(&table.items().await.unwrap());
    let reached = walk(storage).await;
    (!lost.is_empty() || reached != expected).then(|| format!("folders without marks: {lost:?}; reached: {reached:?}"))
}

/// The guest and Vault's algorithm, each on a table of its own: a case must hold of the one, and find the other's fault.
async fn both(case: impl AsyncFn(&dyn Storage, &Ground) -> Option<String>) {
    let ours = ground(Emulator::Dynalite).await;
    let guest = ours.open().await;
    assert_eq!(case(&*guest, &ours).await, None);
    let theirs = ground(Emulator::Dynalite).await;
    let vault = Vault::new(Table::new(theirs.proxy.endpoint(), &theirs.name));
    assert!(case(&vault, &theirs).await.is_some(), "the case does not find what Vault's algorithm does wrong");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_stays_when_the_leaf_of_its_name_goes() {
    both(async |storage, ground| {
        put(storage, "a/foo", "leaf").await;
        put(storage, "a/foo/bar", "below").await;
        delete(storage, "a/foo").await;
        wrong(storage, &ground.table, &["a/foo/bar"]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_stays_when_the_folder_of_its_leafs_name_goes() {
    both(async |storage, ground| {
        put(storage, "a/b/c", "last child").await;
        put(storage, "a/b", "leaf").await;
        delete(storage, "a/b/c").await;
        wrong(storage, &ground.table, &["a/b"]).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_that_begin_with_an_underscore_are_listed() {
    both(async |storage, ground| {
        put(storage, "a/_b", "leaf").await;
        put(storage, "_c", "leaf").await;
        wrong(storage, &ground.table, &["_c", "a/_b"]).await
    })
    .await;
}

/// The request with which a delete takes the mark away waits; meanwhile a put below that folder comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_between_a_deletes_look_and_its_removal_keeps_its_folder() {
    both(async |storage, ground| {
        put(storage, "a/x", "1").await;
        let gate = Gate::shut();
        // Vault deletes entry and mark at once, the guest one after the other.
        ground.proxy.rule(Rule::new(Action::Hold(Arc::clone(&gate))).of(&["BatchWriteItem"]).times(1));
        ground.proxy.rule(Rule::new(Action::Hold(Arc::clone(&gate))).of(&["DeleteItem"]).after(1).times(1));
        let late = async {
            gate.reached_by(1).await;
            // Vault's put goes through at once. The guest's waits in the host until the delete is over.
            let mut put = std::pin::pin!(put(storage, "a/y", "2"));
            let through = tokio::time::timeout(Duration::from_secs(3), put.as_mut()).await;
            gate.open();
            if through.is_err() {
                put.await;
            }
        };
        tokio::join!(delete(storage, "a/x"), late);
        wrong(storage, &ground.table, &["a/y"]).await
    })
    .await;
}

/// Thirty-two tasks, two to a folder, put and delete a key of their own; of each two, one ends with a put and the other with a delete. In half of the folders the
/// one's leaf has the name of the other's folder. Returns the keys that are there in the end.
async fn storm(storage: &dyn Storage, rounds: usize) -> Vec<String> {
    let worker = async |worker: usize| {
        let (pair, first) = (worker / 2, worker.is_multiple_of(2));
        let leaf = match (pair % 2, first) {
            (0, true) => "a",
            (0, false) => "b",
            (_, true) => "x",
            (_, false) => "x/k",
        };
        let at = format!("s/{}/p{pair}/{leaf}", pair % 4);
        for round in 0..rounds {
            put(storage, &at, round.to_string()).await;
            delete(storage, &at).await;
        }
        if first {
            put(storage, &at, "kept").await;
        }
        first.then_some(at)
    };
    let mut kept: Vec<String> = join_all((0..32).map(worker)).await.into_iter().flatten().collect();
    kept.sort();
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puts_and_deletes_of_32_instances_lose_no_folder() {
    let ground = ground(Emulator::Dynalite).await;
    let guest = ground.open_with(Opening { pool: 32, ..Opening::default() }).await.unwrap();
    let stays = ["s/0/stays", "s/1/p1/stays"];
    for at in stays {
        put(&*guest, at, "v").await;
    }
    let looked = async {
        for _ in 0..20 {
            let found = walk(&*guest).await;
            assert!(stays.iter().all(|at| found.iter().any(|one| one == at)), "an entry that stays was not reached: {found:?}");
        }
    };
    let (mut kept, ()) = tokio::join!(storm(&*guest, 10), looked);
    kept.extend(stays.map(str::to_owned));
    kept.sort();
    let expected: Vec<&str> = kept.iter().map(String::as_str).collect();
    assert_eq!(wrong(&*guest, &ground.table, &expected).await, None);
    // Another server, which remembers nothing of this one.
    assert_eq!(wrong(&*ground.open().await, &ground.table, &expected).await, None);
    for at in kept {
        delete(&*guest, &at).await;
    }
    assert!(ground.table.items().await.unwrap().is_empty(), "a mark stayed without an entry");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_storm_finds_vaults_losses() {
    for _ in 0..10 {
        let ground = ground(Emulator::Dynalite).await;
        storm(&Vault::new(Table::new(ground.proxy.endpoint(), &ground.name)), 10).await;
        if !lost(&ground.table.items().await.unwrap()).is_empty() {
            return;
        }
    }
    panic!("ten storms lost no folder: they are too weak");
}

/// A step of the run that is cut short.
enum Step {
    Put(&'static str),
    Delete(&'static str),
    Batch(&'static [&'static str], &'static str),
}

const STEPS: [Step; 9] = [
    Step::Put("p/q/r/one"),
    Step::Put("p/q/r/two"),
    Step::Put("p/s"),
    Step::Delete("p/q/r/one"),
    Step::Put("p/q/leaf"),
    Step::Delete("p/q/r/two"),
    Step::Put("p/q/r/_three"),
    Step::Batch(&["u/v/w", "u/v/x", "p/q/y"], "p/q/leaf"),
    Step::Delete("p/q/r/_three"),
];

/// The steps up to the first that fails. What must be stored, and what may.
async fn run(storage: &dyn Storage) -> (BTreeMap<String, Bytes>, Vec<String>) {
    let mut stored = BTreeMap::new();
    for (number, step) in STEPS.iter().enumerate() {
        let value = Bytes::from(number.to_string());
        let (done, puts, deletes): (_, &[&str], &[&str]) = match step {
            Step::Put(at) => (storage.put(&key(at), value.clone()).await, slice::from_ref(at), &[]),
            Step::Delete(at) => (storage.delete(&key(at)).await, &[], slice::from_ref(at)),
            Step::Batch(puts, deleted) => {
                let mut operations: Vec<Operation> = puts.iter().map(|at| Operation::Put(key(at), value.clone())).collect();
                operations.push(Operation::Delete(key(deleted)));
                (storage.batch(operations).await, puts, slice::from_ref(deleted))
            }
        };
        if done.is_err() {
            let open = puts.iter().chain(deletes).map(|at| (*at).to_owned()).collect();
            return (stored, open);
        }
        stored.extend(puts.iter().map(|at| ((*at).to_owned(), value.clone())));
        for at in deletes {
            stored.remove(*at);
        }
    }
    (stored, Vec::new())
}

/// Runs the steps with the hindrance that `hinder` puts before the request of number `cut`, and looks at what is left. False once the run was not hindered.
async fn cut_at(cut: i64, hinder: fn(&Ground, i64)) -> bool {
    let ground = ground(Emulator::Dynalite).await;
    // One retry, so that a batch of which a part was left undone can go on.
    let guest = ground.open_with(Opening { settings: vec![("dynamodb_max_retries", "1")], ..Opening::default() }).await.unwrap();
    ground.proxy.take();
    hinder(&ground, cut);
    let (stored, open) = run(&*guest).await;
    drop(guest);
    ground.proxy.clear();

    let items = ground.table.items().await.unwrap();
    assert!(lost(&items).is_empty(), "cut at request {cut}: folders without marks: {:?}", lost(&items));
    let entries = ground.table.entries().await.unwrap();
    for (at, value) in stored.iter().filter(|(at, _)| !open.contains(at)) {
        assert_eq!(entries.get(at), Some(value), "cut at request {cut}: {at} was acknowledged");
    }
    for at in entries.keys() {
        assert!(stored.contains_key(at) || open.contains(at), "cut at request {cut}: {at} was never put, or its delete was acknowledged");
    }
    // Another server finds them all, and can go on.
    let fresh = ground.open().await;
    assert_eq!(walk(&*fresh).await, entries.keys().cloned().collect::<Vec<_>>(), "cut at request {cut}");
    for at in entries.keys() {
        delete(&*fresh, at).await;
    }
    // An empty folder may have stayed, which lists as one. It goes with the next delete below it.
    for at in ["p/q/r/x", "p/q/x", "u/v/x"] {
        put(&*fresh, at, "").await;
        delete(&*fresh, at).await;
    }
    assert!(fresh.list(&folder("")).await.unwrap().is_empty() && ground.table.items().await.unwrap().is_empty());
    !open.is_empty()
}

/// All numbers of requests until the run comes through.
async fn cut_everywhere(hinder: fn(&Ground, i64)) {
    let mut cut = 0;
    loop {
        let hindered = join_all((cut..cut + 8).map(|cut| cut_at(cut, hinder))).await;
        cut += 8;
        assert!(cut < 100, "the run never comes through");
        if hindered.contains(&false) {
            assert!(cut >= 16 && hindered.is_sorted_by(|a, b| a >= b), "{cut}: {hindered:?}");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_before_any_request_no_entry_is_without_its_folders() {
    cut_everywhere(|ground, cut| ground.proxy.allow(cut)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_after_any_request_took_effect_no_entry_is_without_its_folders() {
    cut_everywhere(|ground, cut| {
        ground.proxy.rule(Rule::new(Action::CutAfter).after(cut as u64).times(1));
        ground.proxy.allow(cut + 1);
    })
    .await;
}

/// Batches take effect in part, and then nothing more does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_within_a_batch_no_entry_is_without_its_folders() {
    cut_everywhere(|ground, cut| {
        ground.proxy.rule(Rule::new(Action::Partly(1)).of(&["BatchWriteItem"]));
        ground.proxy.allow(cut);
    })
    .await;
    // Vault's batch begins with the entry.
    let ground = ground(Emulator::Dynalite).await;
    let vault = Vault::new(Table::new(ground.proxy.endpoint(), &ground.name));
    ground.proxy.rule(Rule::new(Action::Partly(1)).of(&["BatchWriteItem"]));
    ground.proxy.allow(1);
    vault.put(&key("p/q/leaf"), "v".into()).await.unwrap_err();
    assert!(!lost(&ground.table.items().await.unwrap()).is_empty());
}

/// An empty folder is of no harm, but it is no entry either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_that_a_failed_put_left_behind_goes_with_the_next_delete() {
    let ground = ground(Emulator::Dynalite).await;
    for action in [Action::Refuse("AccessDeniedException"), Action::CutBefore] {
        let guest = ground.open_impatient().await;
        ground.proxy.rule(Rule::new(action.clone()).of(&["PutItem"]));
        guest.put(&key("a/b/c"), "v".into()).await.unwrap_err();
        ground.proxy.clear();
        assert_eq!(list(&*guest, "").await, ["a/"]);
        assert!(list(&*guest, "a/b/").await.is_empty());
        // Of a put that was cut short the host does not know whether it will yet take effect: its folders are for another server to prune.
        let next = if matches!(action, Action::CutBefore) { ground.open().await } else { guest };
        put(&*next, "a/b/d", "v").await;
        delete(&*next, "a/b/d").await;
        assert!(ground.table.items().await.unwrap().is_empty(), "{action:?}");
    }
}
