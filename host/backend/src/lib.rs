//! What the vault asks of a backend, and nothing of how a backend is run.
//!
//! The vault is written against [`Storage`], [`Lock`] and [`Seal`]; the runtime implements them on top of WebAssembly
//! components. This crate is all that the two share, so that neither knows the other. The rule it keeps: what passes
//! through here has been checked. A [`Key`] is within the grammar of the contract, and an [`Error`]'s case says what to do.

mod error;
mod key;
mod lease;
mod seal;
mod storage;
mod trace;

pub use error::{Error, Part, Result};
pub use key::{Folder, InvalidKey, Key};
pub use lease::{BootInstant, Fence, Fencing, Lease};
pub use seal::{Held, Lock, Seal, Wrapped};
pub use storage::{Descriptor, Entry, Features, Limits, Operation, Page, ScanPage, Storage};
pub use trace::SPANS;
