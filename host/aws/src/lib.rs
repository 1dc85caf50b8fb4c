//! AWS for guests that never see it: credentials, signing and sending happen here, in the host.
//!
//! A guest names an operation and a body. This crate holds the credentials ([`Credentials`]), checks what the operator allows, signs and
//! sends. The rule: no credential leaves it except as a signature, and none is ever written to a log, an error or a metric.

mod binding;
mod caller;
pub mod credentials;
pub mod egress;
mod scan;

#[doc(hidden)]
pub use binding::fuzz;
pub use binding::{BillingMode, DynamoDb, KeySpec, KeySpecError, Kms, TableSpec};
pub use caller::{CallerEndpoint, CallerIdentity};
pub use credentials::{Credentials, CredentialsError, Identity, LOG_FILTER_DENY, Providers, RegionRule, Sources, region};
pub use egress::{Egress, EgressError, EgressOptions, ForwardAnswer, ForwardError, Forwarded, Forwarder, Proxies, Service, WallClock};
