//! How far a migration is, for whoever shows it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking at both ends.
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

const PHASES: [Phase; 6] = [Phase::Preparing, Phase::Counting, Phase::Emptying, Phase::Copying, Phase::Verifying, Phase::Done];

/// Counters that a migration moves while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    before: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
    total: AtomicU64,
    retries: AtomicU64,
    since: Mutex<Option<Instant>>,
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
        Seen {
            phase: PHASES.get(usize::from(self.phase.load(Ordering::Relaxed))).copied().unwrap_or(Phase::Done),
            before: read(&self.before),
            entries: read(&self.entries),
            bytes: read(&self.bytes),
            total: Some(read(&self.total)).filter(|total| *total > 0),
            retries: read(&self.retries),
            since: self.since.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed()).unwrap_or_default(),
        }
    }

    pub(crate) fn enter(&self, phase: Phase, before: (u64, u64), total: Option<u64>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.before.store(before.0, Ordering::Relaxed);
        self.entries.store(before.0, Ordering::Relaxed);
        self.bytes.store(before.1, Ordering::Relaxed);
        self.total.store(total.unwrap_or(0), Ordering::Relaxed);
        let number = PHASES.iter().position(|other| *other == phase).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX);
        self.phase.store(number, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, entries: u64, bytes: u64) {
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }
}
