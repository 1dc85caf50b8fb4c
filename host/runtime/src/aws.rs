//! The grant `aws`: who answers a guest's `aws.send`.
//!
//! This crate knows no AWS. It hands operation and body to the [`Aws`] of the backend's grant, with what the running call still may do. The
//! rule: an [`AwsCall`] lives as long as one call of the guest and never longer, so that nothing that one call was allowed carries over.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

/// What a guest is doing when it sends. What may be sent depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// `attach`: nothing may be sent.
    Attach,
    /// `open`: may create what is missing.
    Open,
    /// `get`, `list-page`, `scan`, and of a seal `key-id` and `health`.
    Read,
    /// `put`, `delete`, `prune`, `batch`.
    Mutation,
    /// The interface `lock`.
    Lock,
    /// `wrap`.
    Wrap,
    /// `unwrap`.
    Unwrap,
}

/// One call of a guest, as far as it sends: its purpose, its deadline, and what it has used.
#[derive(Debug)]
pub struct AwsCall {
    /// What the guest is doing.
    pub purpose: Purpose,
    /// When the call is ended, whatever it waits for.
    pub deadline: Instant,
    /// Requests sent, retries by the host not counted.
    pub sends: u32,
    /// Bytes of bodies sent.
    pub sent: u64,
    /// Bytes of bodies received.
    pub received: u64,
    /// Set by the [`Aws`] when the service has said during this call that the bound resource does not exist.
    pub missing: bool,
    /// Set by the [`Aws`] when this call has created the bound resource.
    pub created: bool,
}

impl AwsCall {
    /// A call that has sent nothing.
    pub fn new(purpose: Purpose, time: Duration) -> AwsCall {
        AwsCall { purpose, deadline: Instant::now() + time, sends: 0, sent: 0, received: 0, missing: false, created: false }
    }
}

/// The service's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsResponse {
    /// The HTTP status.
    pub status: u16,
    /// Those headers that a guest may see, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer. The texts are for the guest and hold nothing secret and no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AwsSendError {
    /// The binding does not allow it; nothing was sent.
    Refused(String),
    /// Nothing of the request was taken up by the service.
    Unreachable(String),
    /// Whether the service acted is unknown.
    Interrupted(String),
    /// The answer is larger than this many bytes.
    TooLarge(u64),
    /// No usable credentials.
    Credentials(String),
}

/// The one service that a backend may send requests to. It checks, signs and sends.
#[async_trait]
pub trait Aws: fmt::Debug + Send + Sync + 'static {
    /// What it lets a guest do, in words for the operator.
    fn describe(&self) -> String;

    /// Sends one request of the guest's and waits for the answer.
    ///
    /// Dropping the future gives the request up; the service may have taken it up nevertheless.
    async fn send(&self, call: &mut AwsCall, operation: &str, body: Vec<u8>) -> Result<AwsResponse, AwsSendError>;

    /// The time of day as the service has it, as far as it is known.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
