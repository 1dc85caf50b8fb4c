//! The lock: OpenBao's cases for backends with high availability, as far as they are a backend's (the host has the timing); expiry, take-over and strangers; the item as
//! Vault writes it; and mutations that are bound to it.

use std::sync::Arc;
use std::time::Duration;

use cofferdam_backend::{Error, Fencing, Lease, Lock, Storage};
use cofferdam_emulator::{Action, Rule};
use cofferdam_runtime::StorageBackend;
use futures_util::future::join_all;
use serde_json::json;

use super::{Emulator, Ground, Opening, ground};
use crate::conformance::{get, key, put};
use crate::locks::{self, LOCK, acquire, claim, read};

/// Two servers on one table.
async fn two(emulator: Emulator) -> (Ground, Arc<dyn Lock>, Arc<dyn Lock>) {
    let ground = ground(emulator).await;
    let (one, other) = (ground.open().await.lock().unwrap(), ground.open().await.lock().unwrap());
    (ground, one, other)
}

async fn one_holds_it_at_a_time(emulator: Emulator) {
    let (_ground, one, other) = two(emulator).await;
    locks::one_holds_it_at_a_time(&*one, &*other, 300).await;
    // Other locks are other locks.
    assert!(one.try_acquire(&key("foo"), claim("x", "", 1), None).await.unwrap());
    assert_eq!(one.read(&key("foo")).await.unwrap().unwrap(), claim("x", "", 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_holds_it_at_a_time_on_dynalite() {
    one_holds_it_at_a_time(Emulator::Dynalite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_holds_it_at_a_time_on_moto() {
    one_holds_it_at_a_time(Emulator::Moto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_holds_it_at_a_time_in_memory() {
    one_holds_it_at_a_time(Emulator::Mini).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_saw_the_same_one_gets_it() {
    let ground = ground(Emulator::Dynalite).await;
    let all: Vec<Arc<dyn Lock>> = join_all((0..6).map(async |_| ground.open().await.lock().unwrap())).await;
    locks::of_many_who_saw_the_same_one_gets_it(&all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_item_is_vaults() {
    let (ground, one, _) = two(Emulator::Dynalite).await;
    assert!(acquire(&*one, claim("5b1e1cf6-8a3f-4c64-9f6f-07b9a1c1f7b3", "a leader's uuid", 1_800_000_000_123_456_789), None).await);
    assert_eq!(
        ground.table.items().await.unwrap(),
        [json!({
            "Path": {"S": "core"},
            "Key": {"S": "_lock"},
            "Value": {"B": "YSBsZWFkZXIncyB1dWlk"},
            "Identity": {"B": "NWIxZTFjZjYtOGEzZi00YzY0LTlmNmYtMDdiOWExYzFmN2Iz"},
            "Expires": {"N": "1800000000123456789"},
        })]
    );
}

/// Vault's early releases wrote no identity.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_without_identity_is_read_and_taken_over() {
    let (ground, one, _) = two(Emulator::Dynalite).await;
    let old = json!({"Path": {"S": "core"}, "Key": {"S": "_lock"}, "Value": {"B": "dQ=="}, "Expires": {"N": "17"}});
    ground.table.put_item(old).await.unwrap();
    let seen = read(&*one).await.unwrap();
    assert_eq!(seen, claim("", "u", 17));
    assert!(!acquire(&*one, claim("one", "v", 99), Some(claim("", "u", 16))).await);
    assert!(!one.renew(&key(LOCK), "one", 98).await.unwrap());
    assert!(acquire(&*one, claim("one", "v", 99), Some(seen)).await);
    assert_eq!(read(&*one).await.unwrap(), claim("one", "v", 99));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_answer_is_lost_is_looked_at_again() {
    let (ground, one, other) = two(Emulator::Dynalite).await;
    let lose = |operation: &str| {
        ground.proxy.clear();
        ground.proxy.rule(Rule::new(Action::CutAfter).of(&[operation]).times(1));
    };
    lose("UpdateItem");
    assert!(acquire(&*one, claim("one", "v", 1), None).await, "it is ours");
    lose("UpdateItem");
    assert!(one.renew(&key(LOCK), "one", 2).await.unwrap());
    assert_eq!(read(&*other).await.unwrap(), claim("one", "v", 2));
    lose("UpdateItem");
    assert!(!other.renew(&key(LOCK), "other", 3).await.unwrap());
    lose("DeleteItem");
    one.release(&key(LOCK), "one").await.unwrap();
    ground.proxy.clear();
    assert_eq!(read(&*other).await, None);
}

/// Data calls are all refused for load; the leader keeps its lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_waits_for_no_data() {
    let ground = ground(Emulator::Dynalite).await;
    let guest = ground.open_with(Opening { pool: 4, ..Opening::default() }).await.unwrap();
    let lock = guest.lock().unwrap();
    assert!(acquire(&*lock, claim("me", "v", 0), None).await);
    ground.proxy.rule(Rule::new(Action::Refuse("ProvisionedThroughputExceededException")).of(&["PutItem", "GetItem", "BatchGetItem"]));
    let waiting: Vec<_> = (0..16)
        .map(|number| {
            let guest = Arc::clone(&guest);
            tokio::spawn(async move { guest.put(&key(&format!("k{number}")), "v".into()).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for expires in 1..20 {
        let renewed = tokio::time::timeout(Duration::from_secs(20), lock.renew(&key(LOCK), "me", expires)).await;
        assert!(renewed.expect("a renewal waits behind data").unwrap());
    }
    ground.proxy.clear();
    for task in waiting {
        task.await.unwrap().unwrap();
    }
}

/// A guest whose mutations are bound to the lock, which it holds.
async fn fenced(ground: &Ground, identity: &str) -> (Arc<StorageBackend>, Arc<Lease>) {
    let lease = Lease::new(Fencing::Strict);
    let guest = ground.open_with(Opening { lease: Some(Arc::clone(&lease)), ..Opening::default() }).await.unwrap();
    locks::hold(&guest, &lease, identity).await;
    (guest, lease)
}

/// What conformance runs with strict fencing.
pub(crate) async fn strict(ground: &Ground) -> Arc<StorageBackend> {
    fenced(ground, "the only one").await.0
}

async fn a_deposed_leader_changes_nothing(emulator: Emulator) {
    let ground = ground(emulator).await;
    let (old, _held) = fenced(&ground, "old").await;
    put(&*old, "a/b/c", "old").await;
    put(&*old, "a/b/d", "old").await;
    // Another takes the lock, while the first believes that its lease goes on.
    let (new, _lease) = fenced(&ground, "new").await;
    let before = ground.table.items().await.unwrap();
    locks::deposed(&*old).await;
    let after = ground.table.items().await.unwrap();
    assert!(before.iter().all(|item| after.contains(item)) && before.len() == after.len(), "the deposed leader changed something");
    locks::succeeds(&new, &*old).await;
    // Everything that changed anything was one transaction with the look at the lock.
    for request in ground.proxy.take().iter().filter(|request| request.operation == "TransactWriteItems") {
        let first = request.json()["TransactItems"][0]["ConditionCheck"]["Key"].clone();
        assert_eq!(first, json!({"Path": {"S": "core"}, "Key": {"S": "_lock"}}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_leader_changes_nothing_on_moto() {
    a_deposed_leader_changes_nothing(Emulator::Moto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_leader_changes_nothing_in_memory() {
    a_deposed_leader_changes_nothing(Emulator::Mini).await;
}

/// The write that was sent before the lease ended and that arrives after another server took over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_delivered_late_takes_no_effect() {
    let ground = ground(Emulator::Mini).await;
    let (old, _) = fenced(&ground, "old").await;
    put(&*old, "k", "old").await;
    let gate = cofferdam_emulator::Gate::shut();
    ground.proxy.rule(Rule::new(Action::Hold(Arc::clone(&gate))).of(&["TransactWriteItems"]).times(1));
    let late = tokio::spawn({
        let old = Arc::clone(&old);
        async move { old.put(&key("k"), "late".into()).await }
    });
    gate.reached_by(1).await;
    let (new, _) = fenced(&ground, "new").await;
    put(&*new, "k", "new").await;
    gate.open();
    assert!(matches!(late.await.unwrap(), Err(Error::Conflict(_))));
    assert_eq!(get(&*new, "k").await.unwrap(), "new");
}

/// Transactions on one lock item meet each other, and so do a renewal and a transaction. That passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_meet_are_repeated_and_so_are_renewals() {
    let ground = ground(Emulator::Mini).await;
    let (guest, _) = fenced(&ground, "me").await;
    ground.proxy.rule(Rule::new(Action::Conflict).of(&["TransactWriteItems", "UpdateItem", "DeleteItem"]).percent(40));
    let lock = guest.lock().unwrap();
    let puts = join_all((0..24).map(async |number| put(&*guest, &format!("c/{}/k{number}", number % 3), number.to_string()).await));
    let renewals = async {
        for expires in 10..20 {
            assert!(lock.renew(&key(LOCK), "me", expires).await.unwrap());
        }
    };
    tokio::join!(puts, renewals);
    for number in 0..24 {
        assert_eq!(get(&*guest, &format!("c/{}/k{number}", number % 3)).await.unwrap(), number.to_string());
    }
    lock.release(&key(LOCK), "me").await.unwrap();
    assert_eq!(read(&*lock).await, None);
}
