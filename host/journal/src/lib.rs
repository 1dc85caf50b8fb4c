//! Group commit for a storage that keeps its entries in files: what is written goes into a journal, one sync for all that wait, and is kept in memory. Every so
//! often the last value of each key goes to its file, without a sync; then the file system is synced as a whole, and the journal begins anew.
//!
//! The rule: a write is acknowledged once it is in the journal, durably. Whoever reads finds it from then on, in memory or in its file. Until all that a journal
//! holds is known to be on the disk it stays, and whoever opens the storage after a crash applies it before anything else. A clean end leaves an empty journal.

mod commit;
mod format;
mod medium;
mod pending;
mod recover;
mod settle;
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
    /// Once it holds this many bytes. What is in memory is at most four times as much.
    pub size: u64,
    /// Once its first entry is this old.
    pub age: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { size: 8 << 20, age: Duration::from_secs(2) }
    }
}
