//! DynamoDB's bad days: it asks for less, leaves parts of batches undone, fails, stalls, and connections break. Whatever was acknowledged is there; whatever was not says
//! so, with an error that may be tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam_backend::{Error, Operation, Storage};
use cofferdam_emulator::{Action, Gate, Rule};
use cofferdam_tests::table::lost;
use futures_util::future::join_all;

use super::{Emulator, Ground, Opening, ground, walk};
use crate::conformance::{delete, get, key, list, put, scan};

const DATA: [&str; 7] = ["PutItem", "DeleteItem", "GetItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem"];

/// Puts and deletes under the rules. What was acknowledged is there in the end, and what was not may be; returns how many were acknowledged and refused.
async fn run_under(ground: &Ground, retries: &str, rules: &[Rule], time: Duration) -> (usize, usize) {
    let guest = ground.open_with(Opening { settings: vec![("dynamodb_max_retries", retries)], ..Opening::default() }).await.unwrap();
    for rule in rules {
        ground.proxy.rule(rule.clone());
    }
    let end = Instant::now() + time;
    let worker = async |worker: usize| {
        let (mut acknowledged, mut refused, mut may_be) = (0, 0, BTreeMap::<String, Vec<Option<String>>>::new());
        let mut round = 0;
        // On a slow machine until enough was done.
        while Instant::now() < end || round < 40 {
            round += 1;
            let at = format!("f/{}/{}/k{worker}-{}", worker % 3, round % 2, round % 5);
            let value = (round % 4 != 0).then(|| format!("{worker} {round}"));
            let result = match (&value, round % 7) {
                (Some(value), 6) => guest.batch(vec![Operation::Put(key(&at), value.clone().into())]).await,
                (Some(value), _) => guest.put(&key(&at), value.clone().into()).await,
                (None, _) => guest.delete(&key(&at)).await,
            };
            let values = may_be.entry(at).or_insert_with(|| vec![None]);
            match result {
                Ok(()) => {
                    acknowledged += 1;
                    *values = vec![value];
                }
                Err(Error::Throttled(_) | Error::Unavailable(_)) => {
                    refused += 1;
                    values.push(value);
                }
                Err(other) => panic!("{other:?} may not be tried again"),
            }
        }
        (acknowledged, refused, may_be)
    };
    let all = join_all((0..12).map(worker)).await;
    ground.proxy.clear();
    let entries = ground.table.entries().await.unwrap();
    assert!(lost(&ground.table.items().await.unwrap()).is_empty(), "folders without marks");
    assert_eq!(walk(&*ground.open().await).await, entries.keys().cloned().collect::<Vec<_>>());
    let (mut acknowledged, mut refused) = (0, 0);
    for (yes, no, may_be) in all {
        acknowledged += yes;
        refused += no;
        for (at, values) in may_be {
            let stored = entries.get(&at).map(|value| String::from_utf8(value.to_vec()).unwrap());
            assert!(values.contains(&stored), "{at}: {stored:?} is stored, one of {values:?} must be");
        }
    }
    (acknowledged, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttled_for_seconds_nothing_acknowledged_is_lost() {
    let ground = ground(Emulator::Mini).await;
    let rules = [
        Rule::new(Action::Refuse("ProvisionedThroughputExceededException")).of(&DATA).percent(40),
        Rule::new(Action::Refuse("ThrottlingException")).of(&DATA).percent(10),
        Rule::new(Action::Partly(1)).of(&["BatchWriteItem", "BatchGetItem"]).percent(50),
    ];
    let (acknowledged, refused) = run_under(&ground, "2", &rules, Duration::from_secs(2)).await;
    assert!(acknowledged > 20 && refused > 20, "{acknowledged} acknowledged, {refused} refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_failures_and_broken_connections_nothing_acknowledged_is_lost() {
    let ground = ground(Emulator::Dynalite).await;
    let rules = [
        Rule::new(Action::Status(500)).of(&DATA).percent(20),
        Rule::new(Action::Status(503)).of(&DATA).percent(10),
        Rule::new(Action::CutBefore).of(&DATA).percent(10),
        Rule::new(Action::CutAfter).of(&DATA).percent(10),
        Rule::new(Action::Delay(Duration::from_millis(40))).of(&DATA).percent(10),
    ];
    let (acknowledged, refused) = run_under(&ground, "1", &rules, Duration::from_secs(2)).await;
    assert!(acknowledged > 20 && refused > 5, "{acknowledged} acknowledged, {refused} refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_batch_leaves_undone_is_done() {
    let ground = ground(Emulator::Dynalite).await;
    ground.proxy.rule(Rule::new(Action::Partly(1)).of(&["BatchWriteItem", "BatchGetItem"]));
    let guest = ground.open().await;
    put(&*guest, "a/b/c/d/e/k", "v").await;
    let operations: Vec<String> = ground.proxy.take().into_iter().map(|request| request.operation).collect();
    assert_eq!(operations.iter().filter(|operation| *operation == "BatchWriteItem").count(), 5, "{operations:?}");
    assert!(lost(&ground.table.items().await.unwrap()).is_empty());
    // One that is never done is no success, and the entry is not stored without its folders.
    ground.proxy.clear();
    ground.proxy.rule(Rule::new(Action::Partly(0)).of(&["BatchWriteItem"]));
    let impatient = ground.open_impatient().await;
    let result = impatient.put(&key("x/y/z"), "v".into()).await;
    assert!(matches!(result, Err(Error::Throttled(_))), "{result:?}");
    assert_eq!(ground.table.get_item("x/y/z").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_asks_for_less_is_asked_less_and_the_error_says_when() {
    let ground = ground(Emulator::Mini).await;
    let guest = ground.open_with(Opening { settings: vec![("dynamodb_max_retries", "3")], ..Opening::default() }).await.unwrap();
    put(&*guest, "k", "old").await;
    ground.proxy.rule(Rule::new(Action::Refuse("ProvisionedThroughputExceededException")).of(&DATA));
    ground.proxy.take();
    let begin = Instant::now();
    match guest.put(&key("k"), "new".into()).await {
        Err(Error::Throttled(delay)) => assert!(delay >= Duration::from_millis(100), "{delay:?}"),
        other => panic!("{other:?}"),
    }
    // 50, 100 and 200 ms, of which half is left to chance.
    assert!(begin.elapsed() >= Duration::from_millis(175), "{:?}", begin.elapsed());
    assert_eq!(ground.proxy.take().len(), 4);
    assert!(matches!(guest.get(&key("k")).await, Err(Error::Throttled(_))));
    assert!(matches!(guest.list(&crate::conformance::folder("")).await, Err(Error::Throttled(_))));
    ground.proxy.clear();
    assert_eq!(get(&*guest, "k").await.unwrap(), "old");
    // A moment's refusals are not seen at all.
    ground.proxy.rule(Rule::new(Action::Refuse("ThrottlingException")).of(&DATA).times(3));
    put(&*guest, "k", "newer").await;
    assert_eq!(get(&*guest, "k").await.unwrap(), "newer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_fail_are_errors_and_never_absent_entries() {
    let ground = ground(Emulator::Mini).await;
    let guest = ground.open_impatient().await;
    for number in 0..5 {
        put(&*guest, &format!("a/k{number}"), "v").await;
    }
    for action in [
        Action::Status(500),
        Action::CutBefore,
        Action::CutAfter,
        Action::Refuse("ThrottlingException"),
        Action::Refuse("ResourceNotFoundException"),
    ] {
        ground.proxy.rule(Rule::new(action.clone()));
        let told = |error: Error| assert!(matches!(error, Error::Unavailable(_) | Error::Throttled(_)), "{action:?}: {error:?}");
        told(guest.get(&key("a/k1")).await.unwrap_err());
        told(guest.list(&crate::conformance::folder("a/")).await.unwrap_err());
        told(guest.scan(0, 1, None, 10).await.unwrap_err());
        told(guest.put(&key("a/k1"), "w".into()).await.unwrap_err());
        told(guest.delete(&key("a/k1")).await.unwrap_err());
        ground.proxy.clear();
    }
    // Cut after its effect, the delete may have been done: it was, and the host was told that this is open.
    assert_eq!(list(&*guest, "a/").await.len() + usize::from(get(&*guest, "a/k1").await.is_none()), 5);
    assert_eq!(scan(&*guest, 1, 2).await.len(), list(&*guest, "a/").await.len());
}

/// A call that hangs ends by its own time; others go on beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_hangs_holds_up_no_other() {
    let ground = ground(Emulator::Mini).await;
    let guest = ground.open_with(Opening { pool: 2, ..Opening::default() }).await.unwrap();
    put(&*guest, "k", "v").await;
    let gate = Gate::shut();
    ground.proxy.rule(Rule::new(Action::Hold(Arc::clone(&gate))).of(&["GetItem"]).times(1));
    let hanging = tokio::spawn({
        let guest = Arc::clone(&guest);
        async move { guest.get(&key("k")).await }
    });
    gate.reached_by(1).await;
    for number in 0..20 {
        put(&*guest, &format!("n/{number}"), "v").await;
        assert_eq!(get(&*guest, "k").await.unwrap(), "v");
        assert!(number > 0 || !hanging.is_finished(), "they waited for the one that hangs");
    }
    gate.open();
    assert_eq!(hanging.await.unwrap().unwrap().unwrap(), "v");
    for number in 0..20 {
        delete(&*guest, &format!("n/{number}")).await;
    }
}
