use std::thread;

use super::*;

#[test]
fn only_what_was_called_is_listed_and_percentiles_hold() {
    let tally = Tally::default();
    for microseconds in 1..=1000 {
        tally.ended(Operation::Get, Duration::from_micros(microseconds), None);
    }
    tally.ended(Operation::Put, Duration::from_secs(100_000), Some("denied"));
    tally.breach(BreachKind::Trap);
    tally.memory(7);
    tally.memory(5);
    let stats = tally.read();
    assert_eq!((stats.calls, stats.errors), (1001, 1));
    assert_eq!(stats.operations.keys().copied().collect::<Vec<_>>(), ["get", "put"]);
    let get = stats.operations["get"];
    assert_eq!((get.calls, get.errors), (1000, 0));
    let near = |found: u64, wanted: u64| assert!(found.abs_diff(wanted) <= wanted / 50, "{found} is not near {wanted}");
    near(get.p50, 500);
    near(get.p90, 900);
    near(get.p99, 990);
    near(get.max, 1000);
    assert!(stats.operations["put"].max >= HOUR, "a time past the scale counts as the longest");
    assert_eq!(stats.breaches, BTreeMap::from([("trap", 1)]));
    assert_eq!(stats.pool.memory_highest, 7);
    let error = stats.last_error.unwrap();
    assert_eq!((error.operation, error.case), ("put", "denied"));
}

#[test]
fn nothing_is_lost_when_threads_count_at_once() {
    let tally = Tally::default();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..10_000_u64 {
                    tally.ended(Operation::List, Duration::from_micros(n), (n % 10 == 0).then_some("busy"));
                }
            });
        }
    });
    let stats = tally.read();
    assert_eq!((stats.calls, stats.errors), (40_000, 4_000));
}

#[test]
fn every_kind_and_operation_has_a_place_of_its_own() {
    let tally = Tally::default();
    for kind in BreachKind::ALL {
        tally.breach(kind);
    }
    for operation in Operation::ALL {
        tally.ended(operation, Duration::ZERO, None);
    }
    let stats = tally.read();
    assert!(stats.breaches.len() == BreachKind::ALL.len() && stats.breaches.values().all(|count| *count == 1), "{:?}", stats.breaches);
    assert!(stats.operations.len() == Operation::ALL.len() && stats.operations.values().all(|operation| operation.calls == 1));
}
