//! What egress counts. Labels come from fixed sets and from the operator's names of backends, never from a guest or the service.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | [`REQUESTS`] | counter: requests of the guest's | `backend`, `class`, `outcome` |
//! | [`SECONDS`] | histogram: how long those took that were answered | `backend`, `class` |
//! | [`SENT`] | counter: bytes of bodies | `backend` |
//! | [`RECEIVED`] | counter: bytes of bodies | `backend` |
//! | [`RETRIES`] | counter: requests that the host itself sent again | `backend`, `cause` |
//! | [`THROTTLES`] | counter: answers that ask for patience | `backend` |
//! | [`SIGNING`] | histogram, in seconds | `backend` |
//! | [`CONNECTING`] | histogram, in seconds | `backend`, `outcome` |
//! | [`REFUSALS`] | counter: requests that the binding does not allow | `backend`, `reason` |
//! | [`RESETS`] | counter: connections dropped because the lease ended | `backend` |
//!
//! `class` is `read`, `mutation` or `lock`. `outcome` is `ok`, `throttled`, `client-error`, `server-error`, `other-status`, `refused`, `unreachable`,
//! `interrupted`, `too-large`, `credentials` or `cancelled`. `cause` is `connection`, `clock` or `credentials`.

use std::time::{Duration, Instant};

use cofferdam_runtime::{AwsResponse, AwsSendError};
use metrics::{Counter, Histogram, counter, histogram};

use super::{Class, failure};

/// Requests of the guest's.
pub const REQUESTS: &str = "coffer.aws.requests";
/// How long answered requests took.
pub const SECONDS: &str = "coffer.aws.request.seconds";
/// Bytes of bodies sent.
pub const SENT: &str = "coffer.aws.bytes.sent";
/// Bytes of bodies received.
pub const RECEIVED: &str = "coffer.aws.bytes.received";
/// Requests that the host itself sent again.
pub const RETRIES: &str = "coffer.aws.retries";
/// Answers that ask for patience.
pub const THROTTLES: &str = "coffer.aws.throttles";
/// How long signing took.
pub const SIGNING: &str = "coffer.aws.signing.seconds";
/// How long connections took to come about.
pub const CONNECTING: &str = "coffer.aws.connect.seconds";
/// Requests that the binding does not allow.
pub const REFUSALS: &str = "coffer.aws.refusals";
/// Connections dropped because the lease ended.
pub const RESETS: &str = "coffer.aws.resets";

/// The handles of one backend. Those of every request are looked up once.
pub(super) struct Meter {
    backend: String,
    answered: [(Counter, Histogram); 3],
    sent: Counter,
    received: Counter,
    pub(super) signing: Histogram,
    pub(super) resets: Counter,
}

impl Meter {
    pub(super) fn new(backend: &str) -> Meter {
        let name = || backend.to_owned();
        let answered =
            Class::ALL.map(|class| (requests(backend, class, "ok"), histogram!(SECONDS, "backend" => name(), "class" => class.as_str())));
        // From the start, so that the first one is seen as an increase.
        counter!(THROTTLES, "backend" => name()).increment(0);
        Meter {
            answered,
            sent: counter!(SENT, "backend" => name()),
            received: counter!(RECEIVED, "backend" => name()),
            signing: histogram!(SIGNING, "backend" => name()),
            resets: counter!(RESETS, "backend" => name()),
            backend: name(),
        }
    }

    pub(super) fn start(&self, class: Class) -> Measure<'_> {
        Measure { meter: self, class, start: Instant::now(), done: false }
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent.increment(u64::try_from(bytes).unwrap_or_default());
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received.increment(u64::try_from(bytes).unwrap_or_default());
    }

    pub(super) fn retry(&self, cause: &'static str) {
        counter!(RETRIES, "backend" => self.backend.clone(), "cause" => cause).increment(1);
    }

    pub(super) fn connected(&self, outcome: &'static str, time: Duration) {
        histogram!(CONNECTING, "backend" => self.backend.clone(), "outcome" => outcome).record(time);
    }

    pub(super) fn refused(&self, reason: &'static str) {
        counter!(REFUSALS, "backend" => self.backend.clone(), "reason" => reason).increment(1);
    }
}

fn requests(backend: &str, class: Class, outcome: &'static str) -> Counter {
    counter!(REQUESTS, "backend" => backend.to_owned(), "class" => class.as_str(), "outcome" => outcome)
}

/// A request under way. Dropped without an outcome, it was given up by its caller.
pub(super) struct Measure<'a> {
    meter: &'a Meter,
    class: Class,
    start: Instant,
    done: bool,
}

impl Measure<'_> {
    pub(super) fn finish(mut self, result: &Result<AwsResponse, AwsSendError>) {
        self.done = true;
        let answered = self.meter.answered.get(self.class as usize);
        if let (Ok(answer), Some((ok, seconds))) = (result, answered) {
            seconds.record(self.start.elapsed());
            if (200..300).contains(&answer.status) {
                return ok.increment(1);
            }
        }
        self.record(outcome(result));
    }

    fn record(&self, outcome: &'static str) {
        if outcome == "throttled" {
            counter!(THROTTLES, "backend" => self.meter.backend.clone()).increment(1);
        }
        requests(&self.meter.backend, self.class, outcome).increment(1);
    }
}

impl Drop for Measure<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.record("cancelled");
        }
    }
}

fn outcome(result: &Result<AwsResponse, AwsSendError>) -> &'static str {
    match result {
        Ok(answer) => match answer.status {
            200..=299 => "ok",
            400.. if failure::kind(answer).is_some_and(|kind| kind.is_throttling()) => "throttled",
            400..=499 => "client-error",
            500.. => "server-error",
            _ => "other-status",
        },
        Err(AwsSendError::Refused(_)) => "refused",
        Err(AwsSendError::Unreachable(_)) => "unreachable",
        Err(AwsSendError::Interrupted(_)) => "interrupted",
        Err(AwsSendError::TooLarge(_)) => "too-large",
        Err(AwsSendError::Credentials(_)) => "credentials",
    }
}
