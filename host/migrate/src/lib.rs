//! Copies all that one end holds to another: storages and raft snapshots.
//!
//! What is copied is ciphertext, so no key and no server is needed. The rules:
//!
//! - **Nothing is missed.** Entries are read by `scan`, which hides nothing; whatever the destination cannot hold is named.
//! - **Half is never taken for whole.** As long as the copy has not been verified, the destination holds the entry `core/migration`, with which no server
//!   starts; a snapshot appears under its name when it is whole. The source holds it too, so that nothing changes meanwhile.
//! - **It can be cut anywhere.** That entry of the destination also says how far the copy is, as durably as the destination keeps anything: whoever runs the
//!   same migration again goes on from there, on any machine.
//! - **Little is in memory**, whatever the number of entries: two pages for each part that is read at once, and the sums.

mod board;
mod copy;
mod empty;
mod end;
mod error;
mod progress;
mod read;
mod retry;
mod run;
mod state;
mod sums;
#[cfg(test)]
mod tests;
mod write;

pub use end::{End, Held};
pub use error::{Error, Result};
pub use progress::{Phase, Progress, Seen};
pub use run::{Migration, Options, Report, reset};
pub use state::{LOCK, Unfit, Unfits};
pub use sums::{Sum, Sums};
