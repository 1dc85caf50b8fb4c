//! Two or three servers in this process, on one table, and what happens to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam_backend::Fencing;
use cofferdam_emulator::{Action, Gate, Rule};
use cofferdam_vault::logical::{Error, Operation};
use serde_json::json;

use super::cluster::{Clocks, Cluster, LONG, TIMES, name};
use super::writers::Writers;
use crate::late::Lateness;

const RIGHT: Clocks = Clocks { wall: 0, service: 0 };
/// Everything but the steps that keep a lock.
const DATA: [&str; 8] = ["PutItem", "DeleteItem", "GetItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem", "TransactWriteItems"];

/// How much longer than the times say a take-over may take: a busy machine also has to unseal, which is computing.
const SLACK: Duration = Duration::from_secs(10);

/// Waits for another leader than `old`, which must come in time. Gives the new one.
async fn taken_over(cluster: &Cluster, old: usize) -> usize {
    led_in_time(cluster, |next| next != old).await
}

async fn led_in_time(cluster: &Cluster, wanted: impl Fn(usize) -> bool) -> usize {
    let (late, begun) = (Lateness::measure(), Instant::now());
    let next = cluster.active_of(wanted).await;
    let (took, limit) = (begun.elapsed(), 2 * TIMES.ttl + TIMES.margin + SLACK);
    assert!(took <= limit + late.so_far(), "{took:?} until the take-over, {limit:?} and {:?} of lateness are allowed", late.so_far());
    next
}

/// Two leaders in a row lose their way to DynamoDB under writes. The third one is the last that has not.
async fn cut_off(fencing: Fencing, clocks: [Clocks; 3]) {
    let cluster = Cluster::new(fencing, &clocks).await;
    let writers = Writers::start(&cluster);
    for _ in 0..2 {
        let at = cluster.active().await;
        // Long enough for whoever goes by the clocks to take the lock away; the journal's story tells.
        tokio::time::sleep(TIMES.silence() + TIMES.renew).await;
        cluster.servers[at].proxy.allow(0);
        taken_over(&cluster, at).await;
        assert!(!cluster.servers[at].active());
        cluster.servers[at].proxy.clear();
        cluster.redirects(at).await;
    }
    let written = writers.finish(&cluster).await;
    let story = cluster.story();
    assert!(story.foreign.is_empty(), "{:?}", story.foreign);
    assert!(written > 50 && story.leaders.len() >= 3, "{written} writes, {:?} led", story.leaders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_is_replaced_in_time() {
    cut_off(Fencing::Strict, [RIGHT; 3]).await;
}

/// One server's wall clock is minutes behind; the others' times of expiry are minutes ahead, and minutes past when they are written.
const WRONG: [Clocks; 3] = [Clocks { wall: -420, service: 1 }, Clocks { wall: 660, service: 600 }, Clocks { wall: 0, service: -600 }];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_are_minutes_off_decide_nothing() {
    cut_off(Fencing::Lease, WRONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_are_minutes_off_decide_nothing_with_strict_fencing() {
    cut_off(Fencing::Strict, WRONG).await;
}

/// One after the other dies in the middle of writes, without giving anything back.
async fn crash(fencing: Fencing) {
    let cluster = Cluster::new(fencing, &[RIGHT; 3]).await;
    let writers = Writers::start(&cluster);
    for _ in 0..2 {
        let at = cluster.active().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.servers[at].crash();
        taken_over(&cluster, at).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    writers.finish(&cluster).await;
    assert!(cluster.story().foreign.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_crashes_is_replaced_in_time() {
    crash(Fencing::Lease).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_crashes_is_replaced_in_time_with_strict_fencing() {
    crash(Fencing::Strict).await;
}

/// A write leaves the leader in time, and something on the way keeps it until another server leads and has written there. Returns how many changes
/// took effect that were not the lock's holder's, and what is stored.
async fn delivered_late(fencing: Fencing) -> (usize, u64) {
    let cluster = Cluster::new(fencing, &[RIGHT; 2]).await;
    cluster.put("x", 1).await;
    let old = cluster.active().await;
    let proxy = &cluster.servers[old].proxy;
    let gate = Gate::shut();
    let kind = if fencing == Fencing::Strict { "TransactWriteItems" } else { "PutItem" };
    proxy.rule(Rule::new(Action::Hold(Arc::clone(&gate))).of(&[kind]).times(1));
    let late = tokio::spawn({
        let cluster = Arc::clone(&cluster);
        async move { cluster.servers[old].call(&cluster.root, Operation::Update, "s/x", json!({"v": 2})).await }
    });
    gate.reached_by(1).await;
    let held = proxy.requests().iter().rposition(|request| request.operation == kind && request.status.is_none()).unwrap();
    proxy.rule(Rule::new(Action::CutBefore).of(&["UpdateItem"]));
    taken_over(&cluster, old).await;
    cluster.put("x", 3).await;
    let answer = late.await.unwrap();
    assert!(matches!(answer, Some(Err(Error::LeadershipLost | Error::Storage(_)))), "acknowledged: {answer:?}");
    gate.open();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = proxy.requests()[held].status {
            break status;
        }
        assert!(begun.elapsed() < LONG, "it was never delivered");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(status, if fencing == Fencing::Strict { 400 } else { 200 });
    proxy.clear();
    cluster.redirects(old).await;
    // Past every cache: the next leader reads the table.
    cluster.done(Operation::Update, "sys/step-down", json!({})).await;
    let stored = cluster.get("x").await.as_u64().unwrap();
    let story = cluster.story();
    assert!(story.foreign.iter().all(|change| change.who == name(old)), "{:?}", story.foreign);
    (story.foreign.len(), stored)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_delivered_after_the_take_over_is_refused_with_strict_fencing() {
    assert_eq!(delivered_late(Fencing::Strict).await, (0, 3));
}

/// The window that remains by default, as documented: the write is not acknowledged, and takes effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_delivered_after_the_take_over_is_at_least_not_acknowledged() {
    assert_eq!(delivered_late(Fencing::Lease).await, (1, 2));
}

async fn step_down(fencing: Fencing) {
    let cluster = Cluster::new(fencing, &[RIGHT; 3]).await;
    let writers = Writers::start(&cluster);
    for _ in 0..6 {
        let at = cluster.active().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let told = cluster.servers[at].call(&cluster.root, Operation::Update, "sys/step-down", json!({})).await;
        assert!(matches!(told, Some(Ok(_) | Err(Error::Standby | Error::LeadershipLost))), "{told:?}");
        assert!(!cluster.servers[at].active());
        // Another one, unless the machine stood still until its pause was over.
        led_in_time(&cluster, |_| true).await;
    }
    let written = writers.finish(&cluster).await;
    let story = cluster.story();
    assert!(story.foreign.is_empty(), "{:?}", story.foreign);
    assert!(written > 20 && story.leaders.len() >= 7, "{written} writes, {:?} led", story.leaders);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stepping_down_again_and_again_loses_nothing() {
    step_down(Fencing::Lease).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stepping_down_again_and_again_loses_nothing_with_strict_fencing() {
    step_down(Fencing::Strict).await;
}

/// For as many renewals as five minutes have by default: sixty. A machine that is late by as much as a lease lasts takes the leadership away: then nothing was seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_data_is_all_throttled_stays_the_leader() {
    for _ in 0..5 {
        let late = Lateness::measure();
        if throttled().await {
            return;
        }
        // It is lost to a renewal that is as late as what the margin leaves of the lease.
        assert!(
            late.so_far() >= (TIMES.ttl - TIMES.margin) / 2,
            "the leadership was lost, and the machine was late by {:?} only",
            late.so_far()
        );
    }
    panic!("this machine is too busy");
}

/// Throttles all data of the leader. Returns whether it stayed the leader.
async fn throttled() -> bool {
    let cluster = Cluster::new(Fencing::Strict, &[RIGHT; 2]).await;
    let writers = Writers::start(&cluster);
    let at = cluster.active().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (before, proxy) = (cluster.story().leaders, &cluster.servers[at].proxy);
    proxy.take();
    proxy.rule(Rule::new(Action::Refuse("ProvisionedThroughputExceededException")).of(&DATA));
    tokio::time::sleep(10 * TIMES.ttl).await;
    let sent = proxy.take();
    let refused = sent.iter().filter(|request| request.status == Some(400)).count();
    let renewed = sent.iter().filter(|request| request.operation == "UpdateItem" && request.status == Some(200)).count();
    let stayed = cluster.servers[at].active();
    proxy.clear();
    cluster.put("x", 1).await;
    let leaders = cluster.story().leaders;
    writers.finish(&cluster).await;
    assert!(cluster.story().foreign.is_empty());
    if !stayed || leaders != before {
        return false;
    }
    assert!(refused > 30 && renewed > 15, "{refused} requests were refused, {renewed} renewals were not");
    true
}
