//! Group commit for a storage that keeps its entries in files: what is written goes into a journal first, one sync for all that wait, and to its file
//! without one. Every so often the file system is synced as a whole, and the journal begins anew.
//!
//! The rule: a write is acknowledged once it is in the journal, durably, and applied. Until all that a journal holds is known to be on the disk it stays, and
//! whoever opens the storage after a crash applies it again before anything else. A clean end leaves an empty journal.

mod commit;
mod format;
mod medium;
mod recover;
mod storage;
#[cfg(test)]
mod tests;
mod turns;

use std::time::Duration;

pub use medium::{Folder, Medium, Place};
pub use recover::recover;
pub use storage::Journaled;

/// When a journal is closed, its entries seen to the disk, and the other one taken.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Once it holds this many bytes.
    pub size: u64,
    /// Once its first entry is this old: what a crash leaves to be applied again is no more than that.
    pub age: Duration,
    /// For how long a write that may be half done is tried again before nothing more is written.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { size: 32 << 20, age: Duration::from_secs(2), patience: Duration::from_secs(300) }
    }
}
