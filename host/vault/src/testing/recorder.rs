//! Keeps what is counted, for one test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};

/// The recorder. To be set with `metrics::set_default_local_recorder`.
#[derive(Default)]
pub(crate) struct Recorder(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    values: BTreeMap<String, f64>,
    samples: BTreeMap<String, usize>,
    labels: BTreeSet<(String, String)>,
}

struct Handle(Arc<Mutex<State>>, String);

impl Handle {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).values.entry(self.1.clone()).or_default());
    }
}

impl CounterFn for Handle {
    fn increment(&self, value: u64) {
        self.change(|count| *count += value as f64);
    }

    fn absolute(&self, value: u64) {
        self.change(|count| *count = value as f64);
    }
}

impl GaugeFn for Handle {
    fn increment(&self, value: f64) {
        self.change(|gauge| *gauge += value);
    }

    fn decrement(&self, value: f64) {
        self.change(|gauge| *gauge -= value);
    }

    fn set(&self, value: f64) {
        self.change(|gauge| *gauge = value);
    }
}

impl HistogramFn for Handle {
    fn record(&self, _: f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).samples.entry(self.1.clone()).or_default() += 1;
    }
}

impl Recorder {
    fn handle(&self, key: &Key) -> Arc<Handle> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.labels.extend(key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())));
        Arc::new(Handle(self.0.clone(), key.name().to_owned()))
    }

    /// What a gauge shows.
    pub(crate) fn gauge(&self, name: &str) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values.get(name).copied().unwrap_or_default()
    }

    /// What a counter has counted.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.gauge(name) as u64
    }

    /// How many samples a histogram has.
    pub(crate) fn samples(&self, name: &str) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).samples.get(name).copied().unwrap_or_default()
    }

    /// All labels that anything had.
    pub(crate) fn labels(&self) -> BTreeSet<(String, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).labels.clone()
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.handle(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.handle(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.handle(key))
    }
}
