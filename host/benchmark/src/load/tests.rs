use super::{Aim, Aimed, Counted, Counters, Shape, Stop, run};
use crate::client::Plan;
use crate::results::Repetition;
use crate::testing::{Server, remote};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use zeroize::Zeroizing;

fn aims(address: SocketAddr, tests: &[(&str, u32)]) -> Arc<Vec<Aim>> {
    let remote = remote(address);
    let aimed = |(name, weight): &(&str, u32)| {
        let plan = Plan::new("GET", &format!("{name}/"), Zeroizing::default()).numbered(10);
        Aimed { name: (*name).to_owned(), weight: *weight, request: plan.prepare(&remote) }
    };
    Arc::new(vec![Aim { tests: tests.iter().map(aimed).collect(), remote: Arc::clone(&remote) }])
}

fn shape(workers: u32, rps: u32, duration: Duration) -> Shape {
    Shape { workers, rps, duration, patience: Duration::from_secs(60) }
}

fn load(aims: &Arc<Vec<Aim>>, shape: Shape, threads: usize, stop: &Stop) -> (Repetition, Vec<(u64, u64)>) {
    let (counted, counters) = whole_load(aims, shape, threads, stop);
    assert_eq!(counted.unsent, 0);
    (counted.repetition, counters)
}

fn whole_load(aims: &Arc<Vec<Aim>>, shape: Shape, threads: usize, stop: &Stop) -> (Counted, Vec<(u64, u64)>) {
    let counters: Arc<Vec<Counters>> = Arc::new((0..threads).map(|_| Counters::default()).collect());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut found = runtime.block_on(run(aims, shape, stop, &counters)).unwrap();
    (found.remove(0), counters.iter().map(Counters::read).collect())
}

#[test]
fn a_closed_loop_counts_every_request_and_draws_by_weight() {
    let server = Server::start(|asked| (if asked.path.starts_with("/v1/rare") { 404 } else { 200 }, "body".to_owned()));
    let shape = shape(3, 0, Duration::from_millis(300));
    let (found, counters) = load(&aims(server.address, &[("often", 80), ("rare", 20), ("never", 0)]), shape, 2, &Stop::default());
    let seen = server.lines().iter().fold(BTreeMap::<String, u64>::new(), |mut seen, line| {
        *seen.entry(line.split('/').nth(2).unwrap().to_owned()).or_default() += 1;
        seen
    });
    let (often, rare, never) = (&found["often"], &found["rare"], &found["never"]);
    assert_eq!((often.requests(), rare.requests(), never.requests()), (seen["often"], seen["rare"], 0));
    assert_eq!((often.failures(), rare.failures()), (0, rare.requests()));
    assert_eq!(counters.iter().map(|counts| counts.0).sum::<u64>(), seen["often"] + seen["rare"]);
    assert_eq!(counters.iter().map(|counts| counts.1).sum::<u64>(), seen["rare"]);
    assert!(often.requests() > 2 * rare.requests() || often.requests() < 50, "{} and {}", often.requests(), rare.requests());
    let metrics = rare.metrics();
    assert_eq!(metrics.errors(), ["404 Not Found"]);
    assert_eq!((metrics.bytes_in.mean, metrics.status_codes.len()), (4.0, 1));
}

#[test]
fn an_open_loop_counts_the_wait_of_what_was_due() {
    // The first request takes long, and there is no other worker: those that were due meanwhile wait for it.
    let first = AtomicU32::new(1);
    let server = Server::start(move |_| {
        if first.swap(0, Ordering::Relaxed) == 1 {
            std::thread::sleep(Duration::from_millis(300));
        }
        (200, String::new())
    });
    let shape = shape(1, 100, Duration::from_millis(500));
    let (found, _) = load(&aims(server.address, &[("only", 100)]), shape, 1, &Stop::default());
    let metrics = found["only"].metrics();
    assert_eq!(metrics.requests, 50);
    assert_eq!(metrics.duration, 490_000_000);
    // Of 50 the first 25 were due 50 ms before its end or earlier.
    assert!(metrics.latencies.p50 >= 49_000_000, "{metrics:?}");
    assert!(metrics.latencies.max >= 290_000_000, "{metrics:?}");
}

#[test]
fn what_was_due_and_never_sent_is_counted() {
    let server = Server::start(|_| {
        std::thread::sleep(Duration::from_millis(50));
        (200, String::new())
    });
    // 50 are due, one worker sends at most six of them in this time.
    let shape = Shape { patience: Duration::from_millis(50), ..shape(1, 200, Duration::from_millis(250)) };
    let (counted, _) = whole_load(&aims(server.address, &[("only", 100)]), shape, 1, &Stop::default());
    let sent = counted.repetition["only"].requests();
    assert!(sent >= 1 && counted.unsent >= 40, "{sent} and {}", counted.unsent);
    assert_eq!(sent + counted.unsent, 50);
}

#[test]
fn who_does_not_answer_is_counted() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let shape = shape(2, 0, Duration::from_millis(100));
    let (found, _) = load(&aims(address, &[("only", 100)]), shape, 1, &Stop::default());
    let metrics = found["only"].metrics();
    assert!(metrics.requests >= 2 && metrics.success == 0.0, "{metrics:?}");
    assert!(metrics.errors()[0].starts_with("cannot connect: "), "{metrics:?}");
    assert_eq!(metrics.status_codes["0"], metrics.requests);
}

#[test]
fn a_wish_ends_the_load() {
    let stop = Stop::default();
    let wish = stop.clone();
    let server = Server::start(move |_| {
        wish.wish();
        (200, String::new())
    });
    for rps in [0, 10] {
        let stop = if rps == 0 { stop.clone() } else { Stop::default() };
        if rps > 0 {
            stop.wish();
        }
        let shape = shape(4, rps, Duration::from_secs(3600));
        load(&aims(server.address, &[("only", 100)]), shape, 2, &stop);
    }
}
