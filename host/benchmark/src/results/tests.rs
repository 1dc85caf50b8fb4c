use super::Load;
use super::Outcome;
use super::Repetition;
use super::Start;
use super::TOTAL;
use super::Tally;
use super::Target;
use super::read;
use super::write;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;
use time::macros::datetime;

const MILLISECOND: Duration = Duration::from_millis(1);

fn start() -> Start {
    Start::at(Instant::now(), datetime!(2026-01-02 03:04:05.5 UTC))
}

fn add(tally: &mut Tally, due: Duration, latency: Duration, status: u16, error: Option<&str>) {
    let due = tally.start().instant() + due;
    tally.record(&Outcome { due, done: due + latency, status, bytes_in: 10, bytes_out: 4, error });
}

#[test]
fn the_figures_are_vegetas() {
    let mut tally = Tally::new(start()).unwrap();
    for number in 0..100 {
        add(&mut tally, MILLISECOND * 20 * number, MILLISECOND * (number + 1), 200, None);
    }
    add(&mut tally, Duration::from_secs(2), MILLISECOND * 500, 403, Some("403 Forbidden"));
    add(&mut tally, Duration::from_secs(2), MILLISECOND * 500, 0, Some("connection refused"));
    add(&mut tally, Duration::from_secs(2), MILLISECOND * 500, 403, Some("403 Forbidden"));
    let metrics = tally.metrics();
    assert_eq!((metrics.requests, tally.failures()), (103, 3));
    assert_eq!((metrics.duration, metrics.wait), (2_000_000_000, 500_000_000));
    assert!((metrics.rate - 51.5).abs() < 1e-9 && (metrics.throughput - 40.0).abs() < 1e-9, "{metrics:?}");
    assert!((metrics.success - 100.0 / 103.0).abs() < 1e-9);
    assert_eq!(metrics.status_codes, BTreeMap::from([("0".to_owned(), 1), ("200".to_owned(), 100), ("403".to_owned(), 2)]));
    assert_eq!(metrics.errors(), ["403 Forbidden", "connection refused"]);
    assert_eq!((metrics.latencies.min, metrics.latencies.max), (1_000_000, 500_000_000));
    assert_eq!(metrics.latencies.total, (5_050 + 1_500) * 1_000_000);
    let near = |found: u64, expected: u64| found.abs_diff(expected) <= expected / 500;
    assert!(near(metrics.latencies.p50, 52_000_000) && near(metrics.latencies.p95, 98_000_000), "{:?}", metrics.latencies);
    assert_eq!((metrics.bytes_in.total, metrics.bytes_out.total), (1_030, 412));
    assert_eq!(metrics.earliest, datetime!(2026-01-02 03:04:05.5 UTC));
    assert_eq!(metrics.end, datetime!(2026-01-02 03:04:08 UTC));
    assert_eq!(tally.pace().iter().sum::<u64>(), 100);
}

#[test]
fn an_outage_at_the_end_is_seen_as_long_as_the_load_lasted() {
    let repetition = || -> Repetition {
        let start = start();
        let (mut dies, mut lives) = (Tally::new(start).unwrap(), Tally::new(start).unwrap());
        for number in 0..39 {
            let (status, error) = if number < 18 { (200, None) } else { (0, Some("cannot connect")) };
            add(&mut dies, MILLISECOND * 100 * number, MILLISECOND, status, error);
        }
        // Nothing of this one fell into the last half second, which is no outage; what was answered after the end fills no second.
        (0..35).for_each(|number| add(&mut lives, MILLISECOND * 100 * number, MILLISECOND, 200, None));
        add(&mut lives, MILLISECOND * 3_990, MILLISECOND * 300, 200, None);
        BTreeMap::from([("dies".to_owned(), dies), ("lives".to_owned(), lives)])
    };
    let pace = |interrupted: bool| {
        let load = Load { duration: 4_000_000_000, interrupted, ..Load::default() };
        Target::new("http://a:1", load, BTreeMap::new(), &[repetition(), repetition()]).details.unwrap().pace
    };
    let (dies, lives) = ([10, 8, 0, 0, 10, 8, 0, 0], [10, 10, 10, 5, 10, 10, 10, 5]);
    assert_eq!((pace(false)["dies"].as_slice(), pace(false)["lives"].as_slice()), (dies.as_slice(), lives.as_slice()));
    assert_eq!(pace(true)["dies"], dies, "it was stopped after the last answer of all");
    // Stopped after four seconds of ten.
    let load = Load { duration: 10_000_000_000, interrupted: true, ..Load::default() };
    let stopped = Target::new("http://a:1", load, BTreeMap::new(), &[repetition()]).details.unwrap().pace;
    assert_eq!(stopped["dies"], [10, 8, 0, 0]);
}

#[test]
fn nothing_sent_is_nothing_found() {
    let tally = Tally::new(start()).unwrap();
    let metrics = tally.metrics();
    assert_eq!((metrics.requests, metrics.latencies, metrics.rate, metrics.success), (0, super::Latencies::default(), 0.0, 0.0));
    assert!(tally.percentiles().is_empty());
}

#[test]
fn repetitions_are_kept_and_their_pauses_left_out() {
    let base = Instant::now();
    let repetition = |after: u64, count: u32| -> Repetition {
        let wall = datetime!(2026-01-02 03:04:05 UTC) + Duration::from_secs(after);
        let mut tally = Tally::new(Start::at(base + Duration::from_secs(after), wall)).unwrap();
        for number in 0..count {
            add(&mut tally, Duration::from_secs(1) * number / (count - 1), MILLISECOND, 204, None);
        }
        BTreeMap::from([("writes".to_owned(), tally)])
    };
    let repetitions = [repetition(0, 101), repetition(3_600, 201)];
    let target = Target::new("http://a:1", Load::default(), BTreeMap::new(), &repetitions);
    let whole = &target.metrics["writes"];
    assert_eq!((whole.requests, whole.duration), (302, 2_000_000_000));
    assert!((whole.rate - 151.0).abs() < 1e-6, "{whole:?}");
    assert_eq!(whole.latest, datetime!(2026-01-02 04:04:06 UTC));
    assert_eq!(target.total(), Some(whole), "one test alone is the total");
    let rates: Vec<f64> = target.repetitions("writes").map(|each| each.rate.round()).collect();
    assert_eq!(rates, [101.0, 201.0]);
    assert_eq!(target.repetitions(TOTAL).count(), 2);
    let details = target.details.as_ref().unwrap();
    assert_eq!(details.percentiles["writes"].last().unwrap().latency, 1_000_000);
    assert_eq!(details.pace["writes"], [100, 200], "the last of each was answered in a second that had just begun");
    assert_eq!(read(&write(std::slice::from_ref(&target)).unwrap()).unwrap(), [target]);
}

proptest! {
    /// However requests are shared among workers, the sum is the same.
    #[test]
    fn workers_add_up(requests in proptest::collection::vec((0u64..5_000, 0u64..100_000_000_000, 0usize..4, any::<bool>()), 0..60)) {
        let start = start();
        let mut whole = Tally::new(start).unwrap();
        let mut workers: Vec<Tally> = (0..4).map(|_| Tally::new(start).unwrap()).collect();
        for (due, latency, worker, good) in requests {
            let (status, error) = if good { (200, None) } else { (503, Some("503 Service Unavailable")) };
            for tally in [&mut whole, &mut workers[worker]] {
                add(tally, Duration::from_millis(due), Duration::from_nanos(latency), status, error);
            }
        }
        let mut sum = Tally::new(start).unwrap();
        workers.iter().for_each(|worker| sum.merge(worker));
        prop_assert_eq!(sum.metrics(), whole.metrics());
        prop_assert_eq!(sum.percentiles(), whole.percentiles());
        prop_assert_eq!(sum.pace(), whole.pace());
        let latencies = whole.metrics().latencies;
        prop_assert!(latencies.min <= latencies.p50 && latencies.p50 <= latencies.p99 && latencies.p99 <= latencies.max);
    }
}
