//! Snapshots of the whole store: taken while requests go on, and put in place of all that is stored.
//!
//! Both are of what lies below the barrier, as ciphertext, and need no key but the seal's: the digests of an archive are under the seal of the server that made it.

mod line;
mod replace;
mod restore;
mod save;
#[cfg(test)]
mod tests;

pub(crate) use line::Lined;
pub use restore::Restored;
pub(crate) use restore::{CUT, MARKER_PATH};

/// The lock of several servers, which is theirs and not the store's: plain text, where a server of the field keeps it among the entries.
const LOCK_PATH: &str = "core/lock";

/// Whether the entry belongs to the servers and not to what is stored.
fn is_ours(key: &str) -> bool {
    key == LOCK_PATH || key == MARKER_PATH
}
