//! The built server as a process, sealed by keys of KMS: with moto, which checks every signature, and with a KMS in memory for what moto is too kind about.
//!
//! Rule: as in [`crate::e2e`], each test starts its own servers, bounds every wait, and ends what it started also when it fails.

mod bao;
mod blob;
mod kill;
mod migration;
mod process;
mod regions;
mod snapshot;
mod standby;
mod state;
mod trouble;
