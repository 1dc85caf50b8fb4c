//! What a run found: per target, per test and in total.
//!
//! The fields, their names and their units are those of vegeta's metrics as vault-benchmark writes them, so that either program
//! reads what the other saved. What we know beyond them (repetitions, the spread of the latencies, the pace over time) stands under
//! one key of its own, `details`, which the other ignores.

mod date;
mod file;
mod order;
mod tally;
mod target;

pub use file::ReadError;
pub use file::read;
pub use file::write;
pub use order::natural;
pub use tally::Outcome;
pub use tally::Start;
pub use tally::Tally;
pub use target::Details;
pub use target::Load;
pub use target::Percentile;
pub use target::Repetition;
pub use target::Target;

use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// The name under which all tests of a target are added up. No test may be called so.
pub const TOTAL: &str = "total";

/// What vegeta says of one test. Times are nanoseconds, rates are per second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// How long the answers took.
    pub latencies: Latencies,
    /// Bytes of the bodies received.
    #[serde(default)]
    pub bytes_in: Volume,
    /// Bytes of the bodies sent.
    #[serde(default)]
    pub bytes_out: Volume,
    /// When the first request was to be sent.
    #[serde(with = "date")]
    pub earliest: OffsetDateTime,
    /// When the last request was to be sent.
    #[serde(with = "date")]
    pub latest: OffsetDateTime,
    /// When the last answer was there.
    #[serde(with = "date")]
    pub end: OffsetDateTime,
    /// From the first request to the last; over repetitions, the sum of theirs.
    pub duration: u64,
    /// From the last request to the last answer.
    pub wait: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests sent per second of `duration`.
    pub rate: f64,
    /// Successes per second of `duration` and `wait`.
    #[serde(default)]
    pub throughput: f64,
    /// The share of requests answered with 200 to 399, from 0 to 1.
    pub success: f64,
    /// How often each status was answered; 0 stands for a request without an answer.
    pub status_codes: BTreeMap<String, u64>,
    /// The different errors, in the order of their text.
    #[serde(default)]
    pub errors: Option<Vec<String>>,
}

impl Metrics {
    /// The different errors.
    #[must_use]
    pub fn errors(&self) -> &[String] {
        self.errors.as_deref().unwrap_or_default()
    }
}

/// Latencies in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// The sum of all.
    pub total: u64,
    /// The mean.
    pub mean: u64,
    /// Half of the answers were not slower.
    #[serde(rename = "50th")]
    pub p50: u64,
    /// 90 of 100 answers were not slower. Absent in results of old releases.
    #[serde(rename = "90th", default)]
    pub p90: u64,
    /// 95 of 100 answers were not slower.
    #[serde(rename = "95th")]
    pub p95: u64,
    /// 99 of 100 answers were not slower.
    #[serde(rename = "99th")]
    pub p99: u64,
    /// The slowest.
    pub max: u64,
    /// The fastest. Absent in results of old releases.
    #[serde(default)]
    pub min: u64,
}

/// Bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Of all requests together.
    pub total: u64,
    /// Per request.
    pub mean: f64,
}

#[cfg(test)]
mod tests;
