//! What this crate counts. Labels come from fixed sets and from the operator's names of backends, never from a guest.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | [`CALLS`] | counter | `backend`, `operation`, `outcome` |
//! | [`SECONDS`] | histogram, in seconds, the wait for an instance included | `backend`, `operation`, `outcome` |
//! | `vault_BACKEND_get`, `…_put`, `…_delete`, `…_list` | summary, in milliseconds: the same as Vault has it, as `vault_dynamodb_get` | |
//! | [`INSTANCES`] | gauge: instances that exist | `backend` |
//! | [`MEMORY`] | gauge: the most linear memory that an instance had after a call, in bytes | `backend` |
//! | [`BREACHES`] | counter: instances lost to a breach | `backend`, `kind` |
//! | [`LOG_DROPPED`] | counter: log lines past the rate | `backend` |
//! | [`SOCKETS_REFUSED`] | counter: calls of `wasi:sockets` | `backend` |
//!
//! `outcome` is `ok`, `cancelled`, or the case of the error ([`Error::case`]).

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cofferdam_backend::{Error, Result};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::aws::Purpose;
use crate::breach::BreachKind;
use crate::stats::Tally;

/// Calls of a backend.
pub const CALLS: &str = "coffer.backend.calls";
/// How long calls took.
pub const SECONDS: &str = "coffer.backend.call.seconds";
/// Instances that exist.
pub const INSTANCES: &str = "coffer.backend.instances";
/// The most linear memory of an instance.
pub const MEMORY: &str = "coffer.backend.memory.highest.bytes";
/// Instances lost to a breach.
pub const BREACHES: &str = "coffer.backend.breaches";
/// Log lines of guests that were dropped.
pub const LOG_DROPPED: &str = "coffer.backend.log.dropped";
/// Calls of sockets that were refused.
pub const SOCKETS_REFUSED: &str = "coffer.backend.sockets.refused";

/// What is asked of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Get,
    Put,
    Delete,
    Prune,
    List,
    Batch,
    Scan,
    Lock,
    Wrap,
    Unwrap,
    KeyId,
    Health,
}

impl Operation {
    /// In the order of their declaration.
    pub(crate) const ALL: [Operation; 12] = [
        Operation::Get,
        Operation::Put,
        Operation::Delete,
        Operation::Prune,
        Operation::List,
        Operation::Batch,
        Operation::Scan,
        Operation::Lock,
        Operation::Wrap,
        Operation::Unwrap,
        Operation::KeyId,
        Operation::Health,
    ];

    /// What a guest that does this may send.
    pub(crate) fn purpose(self) -> Purpose {
        match self {
            Operation::Get | Operation::List | Operation::Scan | Operation::KeyId | Operation::Health => Purpose::Read,
            Operation::Put | Operation::Delete | Operation::Prune | Operation::Batch => Purpose::Mutation,
            Operation::Lock => Purpose::Lock,
            Operation::Wrap => Purpose::Wrap,
            Operation::Unwrap => Purpose::Unwrap,
        }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Operation::Get => "get",
            Operation::Put => "put",
            Operation::Delete => "delete",
            Operation::Prune => "prune",
            Operation::List => "list",
            Operation::Batch => "batch",
            Operation::Scan => "scan",
            Operation::Lock => "lock",
            Operation::Wrap => "wrap",
            Operation::Unwrap => "unwrap",
            Operation::KeyId => "key-id",
            Operation::Health => "health",
        }
    }
}

/// The handles of one backend. Those of successes are looked up once: they are on the hot path.
pub(crate) struct Meter {
    backend: String,
    succeeded: Vec<(Counter, Histogram)>,
    /// Under the names that Vault has for storages, by operation, once there is a call.
    vault: [OnceLock<Histogram>; Operation::ALL.len()],
    tally: Arc<Tally>,
}

impl Meter {
    pub(crate) fn new(backend: &str, tally: Arc<Tally>) -> Meter {
        let handles = |operation: Operation| handles(backend, operation, "ok");
        // From the start, so that the first one is seen as an increase.
        for kind in BreachKind::ALL {
            breaches(backend, kind).increment(0);
        }
        Meter {
            succeeded: Operation::ALL.into_iter().map(handles).collect(),
            vault: std::array::from_fn(|_| OnceLock::new()),
            backend: backend.to_owned(),
            tally,
        }
    }

    /// Begins to measure a call.
    pub(crate) fn start(&self, operation: Operation) -> Measure<'_> {
        Measure { meter: self, operation, start: Instant::now(), done: false }
    }

    fn as_vault(&self, operation: Operation, elapsed: Duration) {
        let counted = matches!(operation, Operation::Get | Operation::Put | Operation::Delete | Operation::List);
        if let Some(time) = self.vault.get(operation as usize).filter(|_| counted) {
            let name = || format!("vault_{}_{}", self.backend, operation.label());
            time.get_or_init(|| histogram!(name())).record(elapsed.as_secs_f64() * 1000.0);
        }
    }

    /// Counts an instance lost.
    pub(crate) fn breach(&self, kind: BreachKind) {
        self.tally.breach(kind);
        breaches(&self.backend, kind).increment(1);
    }
}

fn breaches(backend: &str, kind: BreachKind) -> Counter {
    counter!(BREACHES, "backend" => backend.to_owned(), "kind" => kind.as_str())
}

fn handles(backend: &str, operation: Operation, outcome: &'static str) -> (Counter, Histogram) {
    let labels = [("backend", backend.to_owned()), ("operation", operation.label().to_owned()), ("outcome", outcome.to_owned())];
    (counter!(CALLS, &labels), histogram!(SECONDS, &labels))
}

/// A call under way. Dropped without an outcome, it was cancelled by its caller.
pub(crate) struct Measure<'a> {
    meter: &'a Meter,
    operation: Operation,
    start: Instant,
    done: bool,
}

impl Measure<'_> {
    /// Ends the measurement.
    pub(crate) fn finish<T>(mut self, result: Result<T>) -> Result<T> {
        self.done = true;
        let elapsed = self.start.elapsed();
        self.meter.as_vault(self.operation, elapsed);
        match &result {
            Ok(_) => {
                self.meter.tally.ended(self.operation, elapsed, None);
                if let Some((calls, seconds)) = self.meter.succeeded.get(self.operation as usize) {
                    calls.increment(1);
                    seconds.record(elapsed);
                }
            }
            Err(error) => {
                let case = Error::case(error);
                self.meter.tally.ended(self.operation, elapsed, Some(case));
                self.record(case);
            }
        }
        result
    }

    fn record(&self, outcome: &'static str) {
        let (calls, seconds) = handles(&self.meter.backend, self.operation, outcome);
        calls.increment(1);
        seconds.record(self.start.elapsed());
    }
}

impl Drop for Measure<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.meter.tally.ended(self.operation, self.start.elapsed(), None);
            self.record("cancelled");
        }
    }
}

pub(crate) fn log_dropped(backend: &str) {
    counter!(LOG_DROPPED, "backend" => backend.to_owned()).increment(1);
}

pub(crate) fn sockets_refused(backend: &str) -> Counter {
    counter!(SOCKETS_REFUSED, "backend" => backend.to_owned())
}

pub(crate) fn memory(backend: &str) -> Gauge {
    gauge!(MEMORY, "backend" => backend.to_owned())
}

pub(crate) fn instances(backend: &str) -> Gauge {
    gauge!(INSTANCES, "backend" => backend.to_owned())
}
