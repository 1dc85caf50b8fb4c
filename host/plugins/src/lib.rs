//! Which bytes are a plugin, and whether they may run: the rules of the plugin directory, pins in the configuration and in a lock file, minisign
//! signatures, and fetching from an OCI registry.
//!
//! The rule: a file is opened once, checked by its descriptor, read once and hashed, and those bytes are what is handed on. Whoever could change the
//! file or put another in its place (its owner, the directory's, those who may write either, the same for every directory above) has to be root or
//! the user of this process. Outside of development something must vouch for the bytes: this release, a pin, or a signature by a key that the operator
//! trusts. What vouches against them (a pin with another digest, a bad signature) refuses them everywhere, also where something else vouches for them.
//!
//! This crate runs nothing, and knows neither the configuration's syntax nor what a component is.

mod digest;
mod error;
mod find;
mod list;
mod lock;
mod pins;
mod policy;
pub mod pull;
mod regular;
mod signature;
mod walk;

pub use digest::{is_sha256, sha256};
pub use error::{FindError, Problem, Stated};
pub use find::find;
pub use list::{Listed, list};
pub use lock::{LOCK_FILE, Lock, LockEntry, LockError};
pub use pins::{Change, Check, PinError, Pinned, State, Status, pin, unpin, verify};
pub use policy::{Found, Kind, Origin, Policy, Request, Trust};
pub use regular::read_regular;
pub use signature::{KeyError, Signature, SignatureError, TrustedKey};

/// The largest component that is read.
pub const MAX_COMPONENT: u64 = 256 * 1024 * 1024;
