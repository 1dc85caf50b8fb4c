//! Random cuts, delays, lost answers and step-downs, under writes: never two leaders, never a lost acknowledged write.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

/// A small generator of the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

async fn trouble(cluster: &Cluster, random: &mut Random) {
    let active = cluster.servers.iter().position(Server::active).filter(|_| random.below(2) == 0);
    let server = &cluster.servers[active.unwrap_or(usize::try_from(random.below(3)).unwrap())];
    let link = server.node.link();
    let millis = Duration::from_millis;
    match random.below(7) {
        0 => link.cut(true),
        1 => link.cut_lock(true),
        2 => link.delay(millis(random.below(300)), millis(random.below(200))),
        3 => link.lose_answers(3),
        4 => link.skew(i64::try_from(random.below(1200)).unwrap() - 600),
        5 => link.hold(cofferdam_test_support::Hold::BeforeSend),
        _ => drop(server.call(&cluster.root, Operation::Update, "sys/step-down", json!({})).await),
    }
    tokio::time::sleep(millis(50 + random.below(900))).await;
    for server in &cluster.servers {
        let link = server.node.link();
        link.cut(false);
        link.cut_lock(false);
        link.lose_answers(0);
        link.delay(Duration::ZERO, Duration::ZERO);
        link.hold(cofferdam_test_support::Hold::None);
    }
    // Longer than any delay above: nothing that was given up is under way any more.
    tokio::time::sleep(millis(350)).await;
    cluster.servers.iter().for_each(|server| server.core.settle());
}

async fn storm(fencing: Fencing, seed: u64) {
    let shared = Shared::default();
    // A short lease, so that it ends often.
    let (ttl, margin) = (Duration::from_millis(300), Duration::from_millis(250));
    let servers = (0..3).map(|number| server(&shared, fencing, number, Times { ttl, renew: ttl / 4, margin, ..times(ttl) })).collect();
    let cluster = Arc::new(Cluster::of(shared, servers).await);
    let over = Arc::new(AtomicBool::new(false));
    let two = Arc::new(AtomicU64::new(0));
    // On a thread of its own, so that it sees what happens between the others.
    let watch = {
        let (over, two) = (over.clone(), two.clone());
        let leases: Vec<_> = cluster.servers.iter().map(|server| server.node.lease().clone()).collect();
        std::thread::spawn(move || {
            let held = || leases.iter().map(|lease| lease.remaining().is_some()).collect::<Vec<bool>>();
            while !over.load(Ordering::SeqCst) {
                // Looked at twice: one may end and another begin between two looks.
                let (first, second) = (held(), held());
                if first.iter().zip(&second).filter(|(first, second)| **first && **second).count() > 1 {
                    two.fetch_add(1, Ordering::SeqCst);
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        })
    };
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let (cluster, over) = (cluster.clone(), over.clone());
            tokio::spawn(async move {
                // The last value that was acknowledged, and the last that was tried.
                let (mut acknowledged, mut tried) = (None, 0);
                while !over.load(Ordering::SeqCst) {
                    for server in &cluster.servers {
                        tried += 1;
                        let body = json!({ "v": tried });
                        if server.call(&cluster.root, Operation::Update, &format!("s/{writer}"), body).await.is_ok() {
                            acknowledged = Some(tried);
                            let read = server.call(&cluster.root, Operation::Read, &format!("s/{writer}"), Value::Null).await;
                            if let Ok(read) = read {
                                assert_eq!(read["v"], json!(tried), "writer {writer} read another value than it wrote");
                            }
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                (writer, acknowledged, tried)
            })
        })
        .collect();
    let mut random = Random(seed);
    let begun = Instant::now();
    // One loss for certain.
    let active = &cluster.servers[cluster.active().await];
    active.node.link().cut(true);
    tokio::time::sleep(ttl + margin).await;
    active.node.link().cut(false);
    while begun.elapsed() < Duration::from_secs(12) {
        trouble(&cluster, &mut random).await;
    }
    cluster.active().await;
    over.store(true, Ordering::SeqCst);
    watch.join().unwrap();
    let mut last = BTreeMap::new();
    for writer in writers {
        let (writer, acknowledged, tried) = writer.await.unwrap();
        last.insert(writer, (acknowledged, tried));
    }
    assert_eq!((two.load(Ordering::SeqCst), cluster.shared.overtaken()), (0, 0), "two leaders, seed {seed}");
    assert!(cluster.shared.acquisitions() > 2, "there was no trouble, seed {seed}");
    for (writer, (acknowledged, tried)) in last {
        let acknowledged: u64 = acknowledged.unwrap();
        let stored = cluster.get(&writer.to_string()).await.as_u64().unwrap();
        // A later one may have taken effect without an answer.
        assert!((acknowledged..=tried).contains(&stored), "writer {writer}: {stored} of {acknowledged}..={tried}, seed {seed}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_makes_no_two_leaders_and_loses_nothing() {
    storm(Fencing::Lease, 20_261_122).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_with_strict_fencing_makes_no_two_leaders_and_loses_nothing() {
    storm(Fencing::Strict, 7).await;
}
