//! What the operator says of a backend's egress, and what is wrong with it. The rule: numbers have defaults that no honest guest meets.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cofferdam_credentials::{Endpoint, EndpointError, is_region, suffix};

use super::proxy::Proxies;

/// The most bytes of a request: DynamoDB takes 16 MiB.
const REQUEST: usize = 17 << 20;
/// The most bytes of an answer: DynamoDB gives 16 MiB.
const RESPONSE: usize = 17 << 20;
/// Requests of one call of a guest: a batch of 100 single writes with some repetitions of each, or a table that is waited for.
const SENDS: u32 = 512;
/// Bytes of one call, both ways together.
const BYTES: u64 = 256 << 20;
/// Requests a second of one backend.
const RATE: u32 = 20_000;

/// A service that requests may go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service {
    /// DynamoDB.
    #[default]
    DynamoDb,
    /// The Key Management Service.
    Kms,
}

impl Service {
    /// Its name in host names and signatures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::DynamoDb => "dynamodb",
            Service::Kms => "kms",
        }
    }

    /// The type of its bodies.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Service::DynamoDb => "application/x-amz-json-1.0",
            Service::Kms => "application/x-amz-json-1.1",
        }
    }
}

/// The machine's time of day.
pub type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Where requests go, and how many.
#[derive(Clone)]
pub struct EgressOptions {
    /// `http://host:port` or `https://host:port` in place of the service's own address.
    pub endpoint: Option<String>,
    /// The region, which is part of address and signature.
    pub region: String,
    /// The service.
    pub service: Service,
    /// The authorities to trust (PEM) in place of the system's.
    pub ca_cert: Option<PathBuf>,
    /// The proxies to go through.
    pub proxies: Proxies,
    /// The most bytes of a request's body.
    pub max_request_bytes: usize,
    /// The most bytes of an answer's body.
    pub max_response_bytes: usize,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a request may take, the host's own repetitions included.
    pub request_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Requests a second, those on locks not counted.
    pub rate: u32,
    /// Requests at once before the rate counts.
    pub burst: u32,
    /// Requests of one call.
    pub sends_per_call: u32,
    /// Bytes of one call, both ways together.
    pub bytes_per_call: u64,
    /// The time of day, before it is corrected by the service's.
    pub clock: WallClock,
}

impl Default for EgressOptions {
    fn default() -> EgressOptions {
        EgressOptions {
            endpoint: None,
            region: String::new(),
            service: Service::default(),
            ca_cert: None,
            proxies: Proxies::none(),
            max_request_bytes: REQUEST,
            max_response_bytes: RESPONSE,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            rate: RATE,
            burst: RATE,
            sends_per_call: SENDS,
            bytes_per_call: BYTES,
            clock: Arc::new(SystemTime::now),
        }
    }
}

impl EgressOptions {
    /// Where requests go.
    pub(super) fn resolve(&self) -> Result<Endpoint, EgressError> {
        let region = &self.region;
        if !is_region(region) {
            return Err(EgressError::Region(region.clone()));
        }
        let of_service = || format!("https://{}.{region}.{}", self.service.name(), suffix(region));
        Ok(Endpoint::parse(&self.endpoint.clone().unwrap_or_else(of_service))?)
    }
}

impl fmt::Debug for EgressOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &mut f.debug_struct("EgressOptions");
        let options = options.field("endpoint", &self.endpoint).field("region", &self.region).field("service", &self.service);
        options.field("ca_cert", &self.ca_cert).field("proxies", &self.proxies).finish_non_exhaustive()
    }
}

/// Why requests cannot be sent as the operator wants.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The address is not one.
    #[error("endpoint: {0}")]
    Endpoint(#[from] EndpointError),
    /// The region is not a name.
    #[error("region: {0:?} is not a region: letters a to z, digits and hyphens are expected, as in us-east-1")]
    Region(String),
    /// The authorities to trust are not to be had.
    #[error("ca_cert: {path}: {cause}")]
    Authorities {
        /// The file, or what the system keeps them in.
        path: String,
        /// What is wrong.
        cause: String,
    },
    /// A proxy variable that is of no use.
    #[error("{variable}: {cause}")]
    Proxy {
        /// The variable.
        variable: &'static str,
        /// What is wrong. The value may hold a password.
        cause: &'static str,
    },
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_the_address_of_its_partition() {
        let resolved = |region: &str| EgressOptions { region: region.to_owned(), ..EgressOptions::default() }.resolve();
        for (region, address) in [
            ("us-east-1", "https://dynamodb.us-east-1.amazonaws.com"),
            ("us-gov-west-1", "https://dynamodb.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "https://dynamodb.cn-north-1.amazonaws.com.cn"),
            ("us-isob-east-1", "https://dynamodb.us-isob-east-1.sc2s.sgov.gov"),
        ] {
            assert_eq!(resolved(region).unwrap().to_string(), address);
        }
        for region in ["", "us-east-1.evil.example", "us-east-1/x", "US-EAST-1", "a b", "-x", "x@y", "x:1", "x#"] {
            assert!(matches!(resolved(region), Err(EgressError::Region(_))), "{region}");
        }
    }
}
