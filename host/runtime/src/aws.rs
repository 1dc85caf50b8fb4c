//! The grant `aws`: who answers a guest's `aws.send`.
//!
//! This crate knows no AWS. It hands operation and body to the [`Aws`] of the backend's grant, with what the running call still may do. The
//! rule: an [`AwsCall`] lives as long as one call of the guest and never longer, so that nothing that one call was allowed carries over.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Error, Wrapped};
use zeroize::Zeroizing;

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
    /// The key that a seal handles, during `wrap` and `unwrap`.
    pub key: Option<KeyCall>,
}

impl AwsCall {
    /// A call that has sent nothing.
    pub fn new(purpose: Purpose, time: Duration) -> AwsCall {
        AwsCall { purpose, deadline: Instant::now() + time, sends: 0, sent: 0, received: 0, missing: false, created: false, key: None }
    }
}

/// What a seal is asked in one call, and what the service answered to it. The [`Aws`] reads what was asked and notes what came of it; the
/// runtime judges the guest by it.
pub struct KeyCall {
    /// What the guest was asked.
    pub asked: KeyAsked,
    /// The service's one answer that was handed to the guest.
    pub answered: Option<KeyAnswered>,
    /// Set when the guest sent what it was not asked for, in the host's words: the call ends as the guest's breach, whatever the guest returns.
    pub refused: Option<String>,
    /// Set when what was asked for cannot be done, or when the answer is not one to the request: the call ends with this error, whatever the
    /// guest returns. The guest has seen no such answer.
    pub unfit: Option<Error>,
    /// The service's last error, in the host's words: the text of the guest's error, whose own text is not kept.
    pub trouble: Option<String>,
}

/// What a seal is asked.
pub enum KeyAsked {
    /// To have this key encrypted.
    Wrap(Zeroizing<[u8; 32]>),
    /// To have this blob decrypted.
    Unwrap {
        /// The blob and the key that it names, as stored.
        wrapped: Wrapped,
        /// Whether the blob may hold something else than a 32-byte key.
        direct: bool,
    },
}

/// What the service answered.
pub enum KeyAnswered {
    /// To a request to encrypt.
    Wrapped(Wrapped),
    /// To a request to decrypt.
    Plain(Zeroizing<Vec<u8>>),
}

impl KeyCall {
    /// A call of which nothing was sent.
    pub fn new(asked: KeyAsked) -> KeyCall {
        KeyCall { asked, answered: None, refused: None, unfit: None, trouble: None }
    }
}

impl fmt::Debug for KeyCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = &mut f.debug_struct("KeyCall");
        let call = call.field("asked", &self.asked).field("answered", &self.answered);
        call.field("refused", &self.refused).field("unfit", &self.unfit).field("trouble", &self.trouble).finish()
    }
}

impl fmt::Debug for KeyAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyAsked::Wrap(_) => f.write_str("Wrap(…)"),
            KeyAsked::Unwrap { wrapped, direct } => f.debug_struct("Unwrap").field("wrapped", wrapped).field("direct", direct).finish(),
        }
    }
}

impl fmt::Debug for KeyAnswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyAnswered::Wrapped(wrapped) => f.debug_tuple("Wrapped").field(wrapped).finish(),
            KeyAnswered::Plain(_) => f.write_str("Plain(…)"),
        }
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
