//! The wish that a run ends early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shared by who wishes and who obeys.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on nothing new is begun.
    pub(crate) fn wish(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was wished.
    pub(crate) fn is_wished(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
