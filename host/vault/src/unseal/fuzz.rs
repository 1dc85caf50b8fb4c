//! The journal, for [`crate::fuzz`].

use super::journal::Journal;

/// A change of the seal's entries that was written down.
pub fn journal(bytes: &[u8]) {
    if let Ok(journal) = Journal::parse(bytes) {
        let _ = journal.overlay();
    }
}
