use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use cofferdam_backend::Storage;
use cofferdam_runtime::{PoolPolicy, World};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder};

use super::{HOSTILE, commit, hostile, key};

/// Keeps counters by name and labels, as `name{label=value,…}`.
#[derive(Default)]
pub(crate) struct Counters(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counters {
    pub(crate) fn get(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Counter::from_arc(Arc::clone(self.0.lock().unwrap().entry(name).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn calls_breaches_and_refused_sockets_are_counted_by_backend_and_outcome() {
    let counters = Counters::default();
    with_local_recorder(&counters, || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let backend = hostile(|config| (config.name, config.limits.log_lines) = ("main".to_owned(), 1)).await;
            backend.put(&key("a"), "".into()).await.unwrap();
            backend.get(&key("a")).await.unwrap();
            backend.get(&key("a")).await.unwrap();
            commit(&backend, "panic").await.unwrap_err();
            commit(&backend, "error-forge").await.unwrap_err();
            commit(&backend, "sockets").await.unwrap();
            commit(&backend, "log-flood").await.unwrap();
            let sleep = key("do/sleep");
            assert!(tokio::time::timeout(std::time::Duration::from_millis(5), backend.get(&sleep)).await.is_err());
        });
    });
    let call = |operation: &str, outcome: &str| {
        counters.get(&format!("coffer.backend.calls{{backend=main,operation={operation},outcome={outcome}}}"))
    };
    assert_eq!((call("put", "ok"), call("get", "ok")), (1, 4));
    assert_eq!((call("get", "breach"), call("get", "denied"), call("get", "cancelled")), (1, 1, 1));
    assert_eq!(counters.get("coffer.backend.breaches{backend=main,kind=trap}"), 1);
    assert_eq!(counters.get("coffer.backend.sockets.refused{backend=main}"), 3);
    assert!(counters.get("coffer.backend.log.dropped{backend=main}") > 90_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_tells_what_it_is_and_what_it_did() {
    let backend = hostile(|config| (config.pool.size, config.limits.log_lines) = (2, 1)).await;
    let about = backend.about();
    assert_eq!((about.name.as_str(), about.world, about.contract.as_str()), ("hostile", World::StorageHa, "0.1.0"));
    assert_eq!(about.sha256, HOSTILE.inspect().sha256);
    assert!(about.grants.is_empty() && about.policy == PoolPolicy::Warm);
    let stats = backend.stats();
    assert_eq!((stats.calls, stats.errors, stats.pool.size, stats.pool.instances, stats.pool.idle), (0, 0, 3, 1, 1));
    assert!(stats.operations.is_empty() && stats.last_error.is_none() && stats.pool.memory > 0);

    backend.put(&key("a"), "".into()).await.unwrap();
    for _ in 0..3 {
        backend.get(&key("a")).await.unwrap();
    }
    commit(&backend, "spin").await.unwrap();
    commit(&backend, "sockets").await.unwrap();
    commit(&backend, "log-flood").await.unwrap();
    commit(&backend, "panic").await.unwrap_err();
    commit(&backend, "error-forge").await.unwrap_err();
    backend.lock().unwrap().read(&key("core/lock")).await.unwrap();
    let stats = backend.stats();
    assert_eq!((stats.calls, stats.errors), (10, 2));
    let of = |operation: &str| (stats.operations[operation].calls, stats.operations[operation].errors);
    assert_eq!((of("put"), of("get"), of("lock"), stats.operations.len()), ((1, 0), (8, 2), (1, 0), 3));
    assert!(stats.operations["get"].max >= 200_000 && stats.operations["get"].p50 <= stats.operations["get"].p90);
    assert_eq!(stats.breaches, BTreeMap::from([("trap", 1)]));
    assert_eq!((stats.sockets_refused, stats.pool.instances, stats.pool.idle), (3, 2, 2));
    assert!(stats.log_dropped > 90_000 && stats.pool.memory_highest > 0);
    let error = stats.last_error.as_ref().unwrap();
    assert_eq!((error.operation, error.case), ("get", "denied"));
    let written = serde_json::to_string(&(about, &stats)).unwrap();
    assert!(!written.contains("no\\n") && written.contains("\"policy\":\"warm\""), "{written}");
}
