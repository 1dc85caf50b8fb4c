//! Signing and sending. The rule: a request goes to the operator's endpoint and nowhere else, signed for it; no redirect, nothing secret in a log.
//!
//! What the host itself repeats is what a guest could not know of: a connection that does not come about, one that breaks under a read, a
//! signature whose time was wrong, credentials that were replaced. Whatever the service answers otherwise is the guest's to see; and a mutation that may have been
//! taken up is never repeated here.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use cofferdam_backend::Lease;
use cofferdam_connect::net::Rate;
use cofferdam_credentials::{Credentials, CredentialsError, Endpoint};
use cofferdam_runtime::{AwsCall, AwsResponse, AwsSendError};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use tracing::Instrument;

use self::clock::Clock;
use self::dial::Dialer;
use self::exchange::{Answer, Failure, exchange};
use self::failure::Remedy;
use self::metrics::Meter;
use self::pool::{Connection, Pool};
use self::sign::Signer;
use crate::binding::refusal::{Reason, Refusal};

mod clock;
mod dial;
mod exchange;
pub(crate) mod failure;
mod forward;
pub mod metrics;
mod options;
mod pool;
mod proxy;
mod sign;
mod stream;
mod tls;
mod trace;

#[cfg(test)]
pub(crate) mod tests;

pub use self::forward::{ForwardAnswer, ForwardError, Forwarded, Forwarder};
pub use self::options::{EgressError, EgressOptions, Service, WallClock};
pub use self::proxy::Proxies;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("cofferdam/", env!("CARGO_PKG_VERSION")));

/// How often a request is sent anew for its connection's sake, and how long is waited before the first time.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(25);

/// A request's class. Each has its own connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Read,
    Mutation,
    Lock,
}

impl Class {
    const ALL: [Class; 3] = [Class::Read, Class::Mutation, Class::Lock];

    fn as_str(self) -> &'static str {
        match self {
            Class::Read => "read",
            Class::Mutation => "mutation",
            Class::Lock => "lock",
        }
    }
}

/// A request that the binding allows.
pub(crate) struct Outgoing<'a> {
    pub(crate) class: Class,
    /// The header `x-amz-target`.
    pub(crate) target: &'static str,
    pub(crate) body: Bytes,
    /// Whether it may be sent again although it may have been taken up.
    pub(crate) repeatable: bool,
    /// What must be held while it is under way.
    pub(crate) lease: Option<&'a Lease>,
    pub(crate) deadline: Instant,
}

/// One backend's way to its service.
pub struct Egress {
    backend: String,
    options: EgressOptions,
    endpoint: Endpoint,
    content_type: HeaderValue,
    dialer: Dialer,
    credentials: Arc<Credentials>,
    signer: Signer,
    clock: Clock,
    rate: Rate,
    warnings: Rate,
    pools: [Arc<Pool>; 3],
    meter: Meter,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("backend", &self.backend).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Egress {
    /// The way of one backend. Nothing is sent yet.
    pub fn new(backend: &str, options: EgressOptions, credentials: Arc<Credentials>) -> Result<Egress, EgressError> {
        let endpoint = options.resolve()?;
        let dialer = Dialer::new(endpoint.clone(), &options)?;
        let content_type = options.service.content_type();
        let egress = Egress {
            backend: backend.to_owned(),
            signer: Signer::new(options.service.name(), &options.region, content_type, &endpoint.authority),
            content_type: HeaderValue::from_static(content_type),
            dialer,
            endpoint,
            credentials,
            clock: Clock::new(Arc::clone(&options.clock)),
            rate: Rate::new(options.rate, options.burst),
            warnings: Rate::new(1, 10),
            pools: Class::ALL.map(|_| Pool::new(options.idle_timeout)),
            meter: Meter::new(backend),
            options,
        };
        match egress.dialer.proxy() {
            Some(proxy) => tracing::info!(backend, endpoint = %egress.endpoint, ?proxy, "requests to AWS go through a proxy"),
            None => tracing::info!(backend, endpoint = %egress.endpoint, "requests to AWS"),
        }
        if !egress.endpoint.tls && !egress.endpoint.is_loopback() {
            tracing::warn!(backend, endpoint = %egress.endpoint, "requests to AWS are not encrypted: use https");
        }
        Ok(egress)
    }

    /// Where requests go, in words for the operator.
    pub fn describe(&self) -> String {
        format!("{} ({})", self.endpoint, self.options.region)
    }

    /// The time of day as the service has it, as far as it is known.
    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Whether a call may send this much more.
    pub(crate) fn admit(&self, call: &AwsCall, size: usize) -> Result<(), Refusal> {
        let options = &self.options;
        if size > options.max_request_bytes {
            return Err(Refusal::new(
                Reason::Size,
                format!("the body has {size} bytes, at most {} are allowed", options.max_request_bytes),
            ));
        }
        let sends = options.sends_per_call;
        if call.sends >= sends {
            return Err(Refusal::new(Reason::Calls, format!("this call has sent {sends} requests, which is the most that one may")));
        }
        let bytes = call.sent.saturating_add(call.received).saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
        if bytes > options.bytes_per_call {
            return Err(Refusal::new(
                Reason::Calls,
                format!("this call would exceed {} bytes, which is the most that one may send and receive", options.bytes_per_call),
            ));
        }
        Ok(())
    }

    /// Counts a refusal, and tells the operator.
    pub(crate) fn refuse(&self, refusal: Refusal) -> AwsSendError {
        self.meter.refused(refusal.reason.as_str());
        if self.warnings.is_free() {
            tracing::warn!(backend = self.backend, reason = refusal.reason.as_str(), "a request of the guest's is refused: {refusal}");
        }
        refusal.into()
    }

    /// Sends a request and waits for the answer.
    pub(crate) async fn send(&self, outgoing: Outgoing<'_>) -> Result<AwsResponse, AwsSendError> {
        let measure = self.meter.start(outgoing.class);
        let deadline = outgoing.deadline.min(Instant::now() + self.options.request_timeout);
        let mut uncertain = false;
        let result = match tokio::time::timeout_at(deadline.into(), self.persist(&outgoing, deadline, &mut uncertain)).await {
            Ok(result) => result,
            Err(_) if uncertain => Err(AwsSendError::Interrupted("no answer in time".to_owned())),
            Err(_) => Err(AwsSendError::Unreachable("no connection in time".to_owned())),
        };
        measure.finish(&result);
        result
    }

    /// Sends until there is an answer for the guest. `uncertain` says whether the service may have taken it up.
    async fn persist(&self, outgoing: &Outgoing<'_>, deadline: Instant, uncertain: &mut bool) -> Result<AwsResponse, AwsSendError> {
        self.wait_for_rate(outgoing, deadline).await?;
        let (mut tries, mut clock_tried, mut credentials_tried) = (0, false, false);
        loop {
            let credentials = self.credentials.get().await.map_err(|error| self.no_credentials(&error))?;
            let time = self.clock.now();
            let span = trace::span(&self.backend, outgoing.target);
            let attempt = self.attempt(outgoing, &credentials, time, tries > 0, uncertain).instrument(span.clone()).await;
            trace::end(&span, &attempt);
            match attempt {
                Ok(answer) => {
                    *uncertain = false;
                    match failure::kind(&answer).map_or(Remedy::None, |kind| kind.remedy()) {
                        Remedy::Time if !clock_tried && self.has_moved_from(time) => {
                            clock_tried = true;
                            self.meter.retry("clock");
                        }
                        Remedy::Credentials if !credentials_tried && self.credentials.refresh_now(&credentials).await => {
                            credentials_tried = true;
                            self.meter.retry("credentials");
                        }
                        _ => return Ok(answer),
                    }
                }
                Err(failure) => {
                    tries += 1;
                    let again = tries < TRIES && is_worth_repeating(&failure, outgoing.repeatable);
                    if !again {
                        return Err(self.give_up(failure, *uncertain));
                    }
                    self.meter.retry("connection");
                    // A kept connection that had been closed says nothing of the service.
                    if tries > 1 || matches!(failure, Failure::Dial(_)) {
                        tokio::time::sleep(PAUSE * (1 << tries)).await;
                    }
                }
            }
        }
    }

    async fn wait_for_rate(&self, outgoing: &Outgoing<'_>, deadline: Instant) -> Result<(), AwsSendError> {
        if outgoing.class == Class::Lock || self.rate.wait(deadline).await {
            return Ok(());
        }
        self.meter.refused("rate");
        Err(AwsSendError::Unreachable(format!("this backend sends more than {} requests a second", self.options.rate)))
    }

    /// Whether the clock was corrected since a request was signed at `time`, so that another signature can be better.
    fn has_moved_from(&self, time: SystemTime) -> bool {
        let now = self.clock.now();
        now.duration_since(time).or_else(|_| time.duration_since(now)).unwrap_or_default() > Duration::from_secs(20)
    }

    async fn attempt(
        &self,
        outgoing: &Outgoing<'_>,
        credentials: &aws_credential_types::Credentials,
        time: SystemTime,
        fresh: bool,
        uncertain: &mut bool,
    ) -> Result<AwsResponse, Failure> {
        let pool = self.pool(outgoing.class);
        if outgoing.lease.is_some_and(|lease| lease.remaining().is_none()) {
            self.reset();
            return Err(Failure::NoLease);
        }
        let kept = if fresh { None } else { pool.take().await };
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.dial(pool, outgoing.class).await?,
        };
        let request = self.request(outgoing, credentials, time)?;
        // After all that may take time.
        if let Some(lease) = outgoing.lease {
            let left = lease.remaining().ok_or(Failure::NoLease)?;
            connection.bound(left);
        }
        let before = std::mem::replace(uncertain, true);
        self.meter.sent(outgoing.body.len());
        let sent = self.clock.wall();
        let answer = exchange(&mut connection, request, outgoing.lease, self.options.max_response_bytes).await;
        let Answer { response, date } = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                drop(connection);
                match failure {
                    Failure::Unsent(_) => *uncertain = before,
                    Failure::LeaseEnded => {
                        self.meter.resets.increment(1);
                        self.reset();
                    }
                    _ => {}
                }
                return Err(failure);
            }
        };
        pool.give(connection).await;
        self.meter.received(response.body.len());
        self.clock.observe(&self.backend, date.as_ref(), sent);
        Ok(response)
    }

    async fn dial(&self, pool: &Pool, class: Class) -> Result<Connection, Failure> {
        let start = Instant::now();
        let generation = pool.generation();
        let dialled = match self.dialer.dial().await {
            Ok(stream) => Connection::over(stream, generation, class == Class::Mutation).await,
            Err(error) => Err(error),
        };
        self.meter.connected(if dialled.is_ok() { "ok" } else { "failed" }, start.elapsed());
        dialled.map_err(Failure::Dial)
    }

    fn request(
        &self,
        outgoing: &Outgoing<'_>,
        credentials: &aws_credential_types::Credentials,
        time: SystemTime,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let start = Instant::now();
        let signed = self.signer.sign(credentials, outgoing.target, &outgoing.body, time).map_err(Failure::Unsigned)?;
        self.meter.signing.record(start.elapsed());
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(header::HOST, self.endpoint.authority.clone());
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        headers.insert(TARGET, HeaderValue::from_static(outgoing.target));
        headers.insert(DATE, signed.date);
        if let Some(token) = signed.token {
            headers.insert(TOKEN, token);
        }
        headers.insert(header::AUTHORIZATION, signed.authorization);
        headers.insert(header::USER_AGENT, AGENT);
        let mut request = Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/");
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn pool(&self, class: Class) -> &Arc<Pool> {
        let [read, mutation, lock] = &self.pools;
        match class {
            Class::Read => read,
            Class::Mutation => mutation,
            Class::Lock => lock,
        }
    }

    /// Drops the connections of mutations that wait.
    fn reset(&self) {
        let dropped = self.pool(Class::Mutation).reset();
        self.meter.resets.increment(u64::try_from(dropped).unwrap_or_default());
    }

    /// The cause names roles, files and endpoints: it is the operator's alone.
    fn no_credentials(&self, error: &CredentialsError) -> AwsSendError {
        if self.warnings.is_free() {
            tracing::warn!(backend = self.backend, %error, "a request to AWS has no credentials");
        }
        AwsSendError::Credentials("there are none; the server's log says why".to_owned())
    }

    /// What the guest is told, and more of it the operator.
    fn give_up(&self, failure: Failure, uncertain: bool) -> AwsSendError {
        if let Failure::NoLease = failure {
            return self.refuse(Refusal::new(Reason::Lease, "this server does not hold the lease"));
        }
        if self.warnings.is_free() {
            tracing::warn!(backend = self.backend, endpoint = %self.endpoint, "a request to AWS has no answer: {}", failure.detail());
        }
        match failure {
            Failure::LeaseEnded => AwsSendError::Interrupted("the lease ended before the answer came".to_owned()),
            Failure::TooLarge => AwsSendError::TooLarge(u64::try_from(self.options.max_response_bytes).unwrap_or(u64::MAX)),
            Failure::Unsigned(cause) => AwsSendError::Credentials(cause.to_owned()),
            failure @ (Failure::Dial(_) | Failure::Unsent(_)) if !uncertain => AwsSendError::Unreachable(failure.to_string()),
            failure => AwsSendError::Interrupted(failure.to_string()),
        }
    }
}

fn is_worth_repeating(failure: &Failure, repeatable: bool) -> bool {
    match failure {
        // It would not come to another end.
        Failure::Dial(dial::DialError::Metadata) => false,
        Failure::Dial(_) | Failure::Unsent(_) => true,
        Failure::Broken(_) => repeatable,
        Failure::TooLarge | Failure::NoLease | Failure::LeaseEnded | Failure::Unsigned(_) => false,
    }
}
