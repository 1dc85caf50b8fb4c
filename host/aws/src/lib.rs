//! AWS for guests that never see it: signing and sending happen here, in the host.
//!
//! A guest names an operation and a body. This crate checks what the operator allows, signs with the host's [`Credentials`], and
//! sends. The rule: no credential leaves it except as a signature, and none is ever written to a log, an error or a metric.

mod binding;
pub mod egress;
mod scan;

#[doc(hidden)]
pub use binding::fuzz;
pub use binding::{BillingMode, DynamoDb, KeySpec, KeySpecError, Kms, TableSpec};
pub use cofferdam_credentials::{Credentials, CredentialsError, Identity, LOG_FILTER_DENY, Providers, RegionRule, Sources, region};
pub use egress::{Egress, EgressError, EgressOptions, ForwardAnswer, ForwardError, Forwarded, Forwarder, Proxies, Service, WallClock};
