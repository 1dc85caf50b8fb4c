//! `coffer bench`: load on a server that speaks Vault's API, and what it did under it.
//!
//! It runs the files of vault-benchmark unchanged, reports as it does, and reads what it saved; beyond it, latencies hold the wait of requests that were due,
//! runs are repeated, and two results are compared with confidence.

pub mod arguments;
mod client;
pub mod compare;
mod config;
#[cfg(test)]
mod examples;
pub mod html;
mod kinds;
mod load;
pub mod report;
pub mod results;
pub mod review;
mod run;
pub mod saved;
pub mod statistics;
pub mod storage;
#[cfg(test)]
mod testing;

pub use arguments::Arguments;
pub use arguments::Command;
pub use arguments::RunArguments;
pub use config::Config;
pub use config::ConfigError;
pub use config::Level;
pub use config::Variables;
pub use run::Finding;
pub use run::RunError;
pub use run::run;
