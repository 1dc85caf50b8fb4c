//! The built server as a process: real clients and the real `bao` beside it, hard kills, signals, TLS, stores exchanged.
//!
//! Rule: each test starts its own servers on free loopback ports in its own directory, bounds every wait, and ends what it
//! started also when it fails.

mod audit;
pub(crate) mod bao;
mod commands;
mod crash;
mod lifecycle;
mod parity;
mod plugins;
pub(crate) mod process;
mod refusals;
mod store;
mod tls;
pub(crate) mod traces;
mod vaultrs;
mod walkthrough;
