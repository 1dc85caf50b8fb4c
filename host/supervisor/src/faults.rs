//! The faults of one generation, counted until it does something right.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cofferdam_backend::Error;
use tokio::time::Instant;

use crate::options::Options;

/// Faults since the last success.
#[derive(Default)]
pub(crate) struct Faults {
    /// Whether there are any: all that a success looks at.
    any: AtomicBool,
    at: Mutex<VecDeque<Instant>>,
}

/// Whether the error is a fault of the guest.
pub(crate) fn is_fault(error: &Error) -> bool {
    matches!(error, Error::Breach(_) | Error::TimedOut(_))
}

impl Faults {
    fn at(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call did what it should.
    pub(crate) fn clear(&self) {
        if self.any.load(Ordering::Relaxed) {
            self.at().clear();
            self.any.store(false, Ordering::Relaxed);
        }
    }

    /// A call ended by a fault: returns whether that is one too many.
    pub(crate) fn add(&self, options: &Options) -> bool {
        let now = Instant::now();
        let mut at = self.at();
        at.push_back(now);
        while at.len() > options.faults || at.front().is_some_and(|first| now.duration_since(*first) > options.within) {
            at.pop_front();
        }
        self.any.store(true, Ordering::Relaxed);
        at.len() >= options.faults
    }

    /// Whether the last call did what it should.
    pub(crate) fn none(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }
}
