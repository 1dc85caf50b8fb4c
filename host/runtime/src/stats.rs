//! What a backend has done since it was opened, for `sys/plugins`. Like the metrics it holds nothing that a guest said.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::breach::BreachKind;
use crate::inspect::{Inspection, World};
use crate::limits::{Grants, PoolOptions, PoolPolicy};
use crate::metrics::Operation;

#[cfg(test)]
mod tests;

/// Counts of one backend.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// Calls that ended, or whose caller went away.
    pub calls: u64,
    /// Those that failed.
    pub errors: u64,
    /// Instances lost to a breach, by its kind; among them the traps.
    pub breaches: BTreeMap<&'static str, u64>,
    /// By operation, only those that were called.
    pub operations: BTreeMap<&'static str, OperationStats>,
    /// The instances.
    pub pool: PoolStats,
    /// Calls of sockets that were refused.
    pub sockets_refused: u64,
    /// Log lines past the rate.
    pub log_dropped: u64,
    /// The last error.
    pub last_error: Option<LastError>,
}

/// What a backend is and what it was given, for `sys/plugins`.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// The operator's name of it.
    pub name: String,
    /// Its world of the contract.
    pub world: World,
    /// The version of the contract that it was built against.
    pub contract: String,
    /// The SHA-256 of its component, in hexadecimal.
    pub sha256: String,
    /// Its grants by name, each with what it lets the guest do, in words.
    pub grants: BTreeMap<&'static str, String>,
    /// Whether its instances are used again.
    pub policy: PoolPolicy,
}

impl About {
    pub(crate) fn new(name: &str, inspection: &Inspection, grants: &Grants, pool: &PoolOptions) -> About {
        About {
            name: name.to_owned(),
            world: inspection.world,
            contract: inspection.contract.clone(),
            sha256: inspection.sha256.clone(),
            grants: grants.describe(),
            policy: pool.policy,
        }
    }
}

/// Counts of one operation. Times are in microseconds and include the wait for an instance.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct OperationStats {
    /// Calls that ended.
    pub calls: u64,
    /// Those that failed.
    pub errors: u64,
    /// Half of the calls took no longer.
    pub p50: u64,
    /// Nine in ten took no longer.
    pub p90: u64,
    /// Of a hundred, 99 took no longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

/// Instances of a backend, that of its lock included.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct PoolStats {
    /// The most that may exist.
    pub size: usize,
    /// Those that exist.
    pub instances: usize,
    /// Those that wait for a call.
    pub idle: usize,
    /// Linear memory of those that wait, in bytes.
    pub memory: usize,
    /// The most linear memory that any instance had after a call, in bytes.
    pub memory_highest: usize,
}

/// The last error of a backend.
#[derive(Clone, Debug, Serialize)]
pub struct LastError {
    /// The operation.
    pub operation: &'static str,
    /// The error's case; its text is in the log only.
    pub case: &'static str,
    /// When, in seconds since 1970.
    #[serde(serialize_with = "seconds")]
    pub at: SystemTime,
}

fn seconds<S: serde::Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// The counts of one backend, shared by its pools and instances.
#[derive(Default)]
pub(crate) struct Tally {
    operations: [OperationTally; Operation::ALL.len()],
    breaches: [AtomicU64; BreachKind::ALL.len()],
    last_error: Mutex<Option<LastError>>,
    pub(crate) instances: AtomicUsize,
    memory_highest: AtomicUsize,
    memory_gauge: Option<metrics::Gauge>,
    pub(crate) sockets_refused: AtomicU64,
    pub(crate) log_dropped: AtomicU64,
}

#[derive(Default)]
struct OperationTally {
    errors: AtomicU64,
    /// In microseconds; none before the first call. Held for some tens of nanoseconds.
    times: Mutex<Option<Histogram<u64>>>,
}

impl OperationTally {
    fn record(&self, elapsed: Duration) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if times.is_none() {
            // Two digits, from a microsecond to longer than any call may take.
            *times = Histogram::new_with_max(HOUR, 2).ok();
        }
        if let Some(times) = &mut *times {
            times.saturating_record(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// None if there was no call.
    fn read(&self) -> Option<OperationStats> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let times = times.as_ref()?;
        Some(OperationStats {
            calls: times.len(),
            errors: self.errors.load(Relaxed),
            p50: times.value_at_quantile(0.5),
            p90: times.value_at_quantile(0.9),
            p99: times.value_at_quantile(0.99),
            max: times.max(),
        })
    }
}

/// In microseconds.
const HOUR: u64 = 3_600_000_000;

impl Tally {
    /// The counts of a backend of this name.
    pub(crate) fn new(backend: &str) -> Tally {
        Tally { memory_gauge: Some(crate::metrics::memory(backend)), ..Tally::default() }
    }

    /// Notes a call that has ended; `case` is that of its error.
    pub(crate) fn ended(&self, operation: Operation, elapsed: Duration, case: Option<&'static str>) {
        let Some(tally) = self.operations.get(operation as usize) else { return };
        tally.record(elapsed);
        if let Some(case) = case {
            tally.errors.fetch_add(1, Relaxed);
            let error = LastError { operation: operation.label(), case, at: SystemTime::now() };
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    /// Notes an instance lost.
    pub(crate) fn breach(&self, kind: BreachKind) {
        if let Some(count) = self.breaches.get(kind as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Notes the linear memory of an instance.
    pub(crate) fn memory(&self, used: usize) {
        if used > self.memory_highest.load(Relaxed) {
            self.memory_highest.fetch_max(used, Relaxed);
            if let Some(gauge) = &self.memory_gauge {
                // Another may have come with more meanwhile.
                gauge.set(u32::try_from(self.memory_highest.load(Relaxed)).unwrap_or(u32::MAX));
            }
        }
    }

    /// All of it; `size`, `idle` and `memory` of the pools are the caller's to fill in.
    pub(crate) fn read(&self) -> Stats {
        let operations: BTreeMap<_, _> =
            Operation::ALL.iter().zip(&self.operations).filter_map(|(operation, tally)| Some((operation.label(), tally.read()?))).collect();
        let breaches = BreachKind::ALL.iter().zip(&self.breaches).map(|(kind, count)| (kind.as_str(), count.load(Relaxed)));
        Stats {
            calls: operations.values().map(|operation| operation.calls).sum(),
            errors: operations.values().map(|operation| operation.errors).sum(),
            breaches: breaches.filter(|(_, count)| *count > 0).collect(),
            operations,
            pool: PoolStats {
                instances: self.instances.load(Relaxed),
                memory_highest: self.memory_highest.load(Relaxed),
                ..PoolStats::default()
            },
            sockets_refused: self.sockets_refused.load(Relaxed),
            log_dropped: self.log_dropped.load(Relaxed),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
