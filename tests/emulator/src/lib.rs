//! DynamoDB and KMS for tests and benches, without AWS.
//!
//! [`Dynalite`] and [`Moto`] are processes of other people's making, fetched by `cargo xtask fetch`; [`Mini`] is a table in memory for tests that
//! need speed or transactions, held to the other two by the same cases. A [`Proxy`] stands before any of them: it records every request, and does
//! on demand what none of the three does by itself (throttle, leave items unprocessed, fail, stall, cut, deliver late, have another clock).
//! [`Kms`] is a KMS in memory with a script of its own. Beside these, [`Registry`] is a registry of OCI artifacts, and [`Etcd`] the real etcd.
//!
//! The rule: what an emulator is not sure to do as DynamoDB does, it refuses. [`Mini`] takes no member and no expression that it does not know.

#![allow(clippy::indexing_slicing, reason = "members of JSON objects, in code that only tests and benches run")]

#[cfg(test)]
mod agreement;
mod client;
mod debian;
mod etcd;
mod kms;
mod listen;
mod mini;
mod ports;
mod process;
mod proxy;
mod registry;

pub use client::{Answer, Client};
pub use etcd::Etcd;
pub use kms::{ACCOUNT, Call, Kms, KmsAction, KmsEndpoint, NewKey};
pub use mini::{Applied, Mini};
pub use ports::free_port;
pub use process::{Dynalite, Keys, Moto};
pub use proxy::{Action, Gate, Proxy, Request, Rule, Upstream};
pub use registry::{Registry, RegistryOptions};
