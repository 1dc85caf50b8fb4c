//! Keeps backends running: opens a failed one again, puts one in quarantine that stays broken, and replaces one by another without
//! losing a call. It knows of no component and no file: what it supervises is opened by a [`Generation`]'s owner.
//!
//! A backend is run by one *generation* at a time. Rules this crate keeps:
//!
//! **A call runs to its end on the generation on which it began.** Another takes its place only when it has been opened and checked; what
//! cannot be opened, or is not compatible, or fails the check, changes nothing. The old generation goes when its last call has ended.
//!
//! **Only faults of the guest count**: breaches and calls that exceeded their deadline, a number of them in a row without one success.
//! A service that is away, throttles or denies is no fault of the guest.
//!
//! **A caller can hurt only its own calls.** Whoever finds a request that makes the guest trap must not be able to take the backend from
//! everybody else: so the host's own check decides. A backend that passes it is opened again, with growing pauses, and goes on; only one that fails it
//! again and again is put in quarantine, where calls fail at once, until it passes.
//!
//! **Text of a guest is for the log.** What [`Status`] shows is the error's case.
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | [`QUARANTINED`] | gauge: 1 while in quarantine | `plugin` |
//! | [`REOPENS`] | counter: attempts to open it again | `plugin`, `outcome`: `ok` or the error's case |
//! | [`RELOADS`] | counter: replacements that the operator asked for | `plugin`, `outcome`: `ok` or `refused` |

mod compatible;
mod faults;
mod generation;
mod options;
mod seal;
mod status;
mod storage;
mod supervisor;

pub use generation::{Generation, OpenFailure, SealGeneration, StorageGeneration};
pub use options::Options;
pub use seal::SupervisedSeal;
pub use status::{Phase, Status};
pub use storage::{SupervisedLock, SupervisedStorage};
pub use supervisor::{QUARANTINED, RELOADS, REOPENS, Replaced};

#[cfg(test)]
mod tests;
