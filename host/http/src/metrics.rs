//! What the grant counts. Labels come from fixed sets and from the operator's names of backends, never from a guest or a server.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | [`REQUESTS`] | counter: requests of the guest's | `backend`, `outcome` |
//! | [`SECONDS`] | histogram: how long those took that were answered | `backend` |
//! | [`SENT`] | counter: bytes of bodies | `backend` |
//! | [`RECEIVED`] | counter: bytes of bodies | `backend` |
//! | [`CONNECTING`] | histogram, in seconds: connections that came about, or not | `backend`, `outcome` |
//!
//! `outcome` of a request is `ok`, `client-error`, `server-error`, `other-status`, `refused`, `unreachable`, `interrupted`, `too-large` or `cancelled`;
//! of a connection `ok` or `failed`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cofferdam_runtime::HttpError;
use http::Response;
use metrics::{Counter, Histogram, counter, histogram};

/// Requests of the guest's.
pub const REQUESTS: &str = "coffer.http.requests";
/// How long answered requests took.
pub const SECONDS: &str = "coffer.http.request.seconds";
/// Bytes of bodies sent.
pub const SENT: &str = "coffer.http.bytes.sent";
/// Bytes of bodies received.
pub const RECEIVED: &str = "coffer.http.bytes.received";
/// How long connections took to come about.
pub const CONNECTING: &str = "coffer.http.connect.seconds";

/// The handles of one backend. Those of every request are looked up once.
#[derive(Clone)]
pub(crate) struct Meter {
    backend: String,
    ok: Counter,
    seconds: Histogram,
    sent: Counter,
    received: Counter,
}

impl Meter {
    pub(crate) fn new(backend: &str) -> Meter {
        let name = || backend.to_owned();
        Meter {
            ok: counter!(REQUESTS, "backend" => name(), "outcome" => "ok"),
            seconds: histogram!(SECONDS, "backend" => name()),
            sent: counter!(SENT, "backend" => name()),
            received: counter!(RECEIVED, "backend" => name()),
            backend: name(),
        }
    }

    pub(crate) fn start(&self) -> Measure<'_> {
        Measure { meter: self, start: Instant::now(), done: false }
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.increment(bytes);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.received.increment(bytes);
    }

    pub(crate) fn connected(&self, ok: bool, time: Duration) {
        let outcome = if ok { "ok" } else { "failed" };
        histogram!(CONNECTING, "backend" => self.backend.clone(), "outcome" => outcome).record(time);
    }
}

/// A request under way. Dropped without an outcome, it was given up by its caller.
pub(crate) struct Measure<'a> {
    meter: &'a Meter,
    start: Instant,
    done: bool,
}

impl Measure<'_> {
    pub(crate) fn finish(mut self, result: &Result<Response<Bytes>, HttpError>) {
        self.done = true;
        if result.is_ok() {
            self.meter.seconds.record(self.start.elapsed());
        }
        match outcome(result) {
            "ok" => self.meter.ok.increment(1),
            outcome => self.record(outcome),
        }
    }

    fn record(&self, outcome: &'static str) {
        counter!(REQUESTS, "backend" => self.meter.backend.clone(), "outcome" => outcome).increment(1);
    }
}

impl Drop for Measure<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.record("cancelled");
        }
    }
}

fn outcome(result: &Result<Response<Bytes>, HttpError>) -> &'static str {
    match result {
        Ok(answer) => match answer.status().as_u16() {
            200..=299 => "ok",
            400..=499 => "client-error",
            500..=599 => "server-error",
            _ => "other-status",
        },
        Err(HttpError::Refused(_)) => "refused",
        Err(HttpError::Unreachable(_)) => "unreachable",
        Err(HttpError::Interrupted(_)) => "interrupted",
        Err(HttpError::TooLarge(_)) => "too-large",
    }
}
