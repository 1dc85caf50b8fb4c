//! AWS credentials of the host: whose it signs with, and how they stay fresh.
//!
//! An [`Identity`] is what the operator wrote; one source is picked for it by what is configured and never by trying, so that a
//! chosen source that fails is an error with its cause, and nothing weaker is used in its place. [`Credentials`] holds what the source gave
//! and gets new ones before they expire, in a task of its own: requests only read. [`CallerIdentity`] is a login signed with them.
//!
//! The rule: no credential leaves but to be signed with, and none is ever written to a log, an error or a metric. The sources are the official SDK's
//! parts where they can be told their surroundings; [`Sources`] is the one place that reads the environment.

mod cache;
mod caller;
mod choice;
mod container;
mod endpoint;
mod error;
mod identity;
mod imds;
mod keys;
mod loader;
pub mod metrics;
mod network;
mod profile;
mod region;
mod registry;
mod schedule;
mod sources;
mod sts;
#[cfg(test)]
mod tests;

pub use cache::Credentials;
pub use caller::{CallerEndpoint, CallerIdentity};
pub use endpoint::{Endpoint, EndpointError, is_region, suffix};
pub use error::{CredentialsError, chain};
pub use identity::Identity;
pub use region::{RegionRule, region};
pub use registry::Providers;
pub use sources::Sources;

/// Log targets of the SDK and of what is below it that a subscriber must hold at `warn`: beneath that they write requests with their headers
/// and bodies, session tokens among them.
pub const LOG_FILTER_DENY: &[&str] = &[
    "aws_config",
    "aws_credential_types",
    "aws_runtime",
    "aws_sdk_sts",
    "aws_sigv4",
    "aws_smithy_http",
    "aws_smithy_http_client",
    "aws_smithy_runtime",
    "aws_smithy_runtime_api",
    "aws_smithy_types",
    "h2",
    "hyper",
    "hyper_util",
    "rustls",
];
