//! The vault: everything between a request and the storage, knowing no wasm, no HTTP and no AWS.

pub mod audit;
pub mod auth;
pub mod barrier;
pub(crate) mod cache;
pub mod core;
pub mod cors;
pub mod crypto;
pub mod engine;
pub mod envelope;
#[doc(hidden)]
pub mod fuzz;
pub mod ha;
pub mod identity;
pub mod keyring;
pub mod kv;
pub mod lease;
pub mod lockout;
pub mod logical;
#[doc(hidden)]
pub mod measure;
pub(crate) mod mounts;
pub mod policy;
pub mod seal;
pub mod secret;
pub(crate) mod setting;
pub mod shamir;
pub(crate) mod system;
#[cfg(test)]
pub(crate) mod testing;
pub mod token;
pub mod unseal;
pub mod view;
