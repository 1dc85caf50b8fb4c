//! How far a migration is, for whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Looking at both ends.
    #[default]
    Preparing,
    /// Counting the source's entries, and looking whether the destination can hold them.
    Counting,
    /// Removing what the destination holds.
    Emptying,
    /// Copying.
    Copying,
    /// Reading what the destination holds.
    Verifying,
    /// All is done.
    Done,
}

/// Counters that a migration moves while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    stage: Mutex<Stage>,
    entries: AtomicU64,
    bytes: AtomicU64,
    retries: AtomicU64,
}

/// What is set once for each phase.
#[derive(Clone, Copy, Debug, Default)]
struct Stage {
    phase: Phase,
    before: u64,
    total: Option<u64>,
    since: Option<Instant>,
}

/// What the counters say at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What is being done.
    pub phase: Phase,
    /// How many entries an earlier run had done of this phase.
    pub before: u64,
    /// How many entries are done of this phase, those included.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many there are, if that is known.
    pub total: Option<u64>,
    /// How often a call had to be made again, since the start.
    pub retries: u64,
    /// How long the phase has lasted.
    pub since: Duration,
}

impl Progress {
    /// What they say now.
    pub fn seen(&self) -> Seen {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let stage = self.stage();
        Seen {
            phase: stage.phase,
            before: stage.before,
            entries: read(&self.entries),
            bytes: read(&self.bytes),
            total: stage.total.filter(|total| *total > 0),
            retries: read(&self.retries),
            since: stage.since.map(|since| since.elapsed()).unwrap_or_default(),
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, phase: Phase, before: (u64, u64), total: Option<u64>) {
        let mut stage = self.stage();
        *stage = Stage { phase, before: before.0, total, since: Some(Instant::now()) };
        self.entries.store(before.0, Ordering::Relaxed);
        self.bytes.store(before.1, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, entries: u64, bytes: u64) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }
}
