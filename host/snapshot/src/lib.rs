//! The raft snapshot archive of OpenBao and Vault, read and written as a stream.
//!
//! The archive is the one form in which either server hands out all that it holds: a gzip of a tar of what the snapshot is (`meta.json`), the entries
//! (`state.bin`), their digests (`SHA256SUMS`), and those once more under the seal (`SHA256SUMS.sealed`). The rules: whatever is read has been checked as a
//! whole before its first entry is given, and is checked again while it is given, since the file may change meanwhile; whatever is written appears under its name only
//! when it is whole and on the disk; and neither way holds more than one entry in memory.

mod error;
mod frame;
#[doc(hidden)]
pub mod fuzz;
mod meta;
mod read;
mod sort;
mod sums;
#[cfg(test)]
mod tests;
mod unpack;
mod write;

pub use error::{Error, Result};
pub use frame::MAX_ENTRY;
pub use meta::{Configuration, Meta, Server};
pub use read::{Contents, Entries, Snapshot};
pub use write::{Finished, Part, Writer};

/// The members of an archive, as they are named.
pub(crate) const META: &str = "meta.json";
pub(crate) const STATE: &str = "state.bin";
pub(crate) const SUMS: &str = "SHA256SUMS";
pub(crate) const SEALED: &str = "SHA256SUMS.sealed";

/// The longest member besides the entries, in bytes; the other servers read no more.
pub(crate) const MAX_MEMBER: u64 = 8_191;
