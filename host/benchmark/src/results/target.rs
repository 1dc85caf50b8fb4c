//! One target's results.

use super::Metrics;
use super::TOTAL;
use super::Tally;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What one repetition of the load counted, by the name of the test; without a total, which is added up here.
pub type Repetition = BTreeMap<String, Tally>;

/// What was found at one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its address.
    pub target_addr: String,
    /// By test, and [`TOTAL`]; over all repetitions.
    pub metrics: BTreeMap<String, Metrics>,
    /// What vault-benchmark does not keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// What we keep beyond vault-benchmark's results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// What was asked for.
    pub load: Load,
    /// Words of the operator on this run, from `annotate`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The metrics of each repetition, if there were several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repetitions: Vec<BTreeMap<String, Metrics>>,
    /// The spread of the latencies, by test.
    pub percentiles: BTreeMap<String, Vec<Percentile>>,
    /// Successes in each whole second, by test: one repetition after the other.
    pub pace: BTreeMap<String, Vec<u64>>,
    /// Requests that were due and never sent, by repetition; empty if nothing was due at any time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unsent: Vec<u64>,
}

/// The load that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// Most requests in flight.
    pub workers: u64,
    /// Requests per second; 0: each worker sends its next when its last is answered.
    pub rps: u64,
    /// How long each repetition was to take, in nanoseconds.
    pub duration: u64,
    /// The program, with its version.
    pub program: String,
    /// Whether the run was stopped before its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

/// A share of the answers, and what the slowest of them took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentile {
    /// From 0 to 100.
    pub percent: f64,
    /// Nanoseconds.
    pub latency: u64,
}

impl Target {
    /// Adds up what was counted. A test without a request is listed all the same.
    #[must_use]
    pub fn new(address: impl Into<String>, load: Load, annotations: BTreeMap<String, String>, repetitions: &[Repetition]) -> Self {
        let with_totals: Vec<Repetition> = repetitions.iter().map(with_total).collect();
        let mut by_test: BTreeMap<&str, Vec<&Tally>> = BTreeMap::new();
        for repetition in &with_totals {
            for (test, tally) in repetition {
                by_test.entry(test).or_default().push(tally);
            }
        }
        let mut metrics = BTreeMap::new();
        let mut details = Details { load, annotations, ..Details::default() };
        for (test, tallies) in &by_test {
            metrics.extend(Tally::metrics_of(tallies).map(|found| ((*test).to_owned(), found)));
            details.percentiles.insert((*test).to_owned(), merged(tallies).map(|whole| whole.percentiles()).unwrap_or_default());
        }
        let whole = Duration::from_nanos(details.load.duration);
        for (number, repetition) in with_totals.iter().enumerate() {
            // A run that was stopped ended with its last answer, whichever test had it.
            let stopped = details.load.interrupted && number + 1 == with_totals.len();
            for (test, tally) in repetition {
                let end = if stopped { whole.min(last_answer(repetition, tally)) } else { whole };
                details.pace.entry(test.clone()).or_default().extend(tally.whole_seconds(end));
            }
        }
        if repetitions.len() > 1 {
            details.repetitions = with_totals
                .iter()
                .map(|repetition| repetition.iter().map(|(test, tally)| (test.clone(), tally.metrics())).collect())
                .collect();
        }
        Self { metrics, target_addr: address.into(), details: Some(details) }
    }

    /// The tests in natural order (`test2` before `test10`), without the total.
    pub fn tests(&self) -> Vec<(&str, &Metrics)> {
        let mut tests: Vec<_> =
            self.metrics.iter().filter(|(test, _)| *test != TOTAL).map(|(test, metrics)| (test.as_str(), metrics)).collect();
        tests.sort_by(|(one, _), (two, _)| super::natural(one, two));
        tests
    }

    /// All tests together.
    #[must_use]
    pub fn total(&self) -> Option<&Metrics> {
        self.metrics.get(TOTAL)
    }

    /// How many requests were due and never sent, in words; none if there were none.
    #[must_use]
    pub fn unsent(&self) -> Option<String> {
        let unsent: u64 = self.details.iter().flat_map(|details| &details.unsent).sum();
        let due = unsent.saturating_add(self.total().map_or(0, |total| total.requests));
        (unsent > 0).then(|| format!("{unsent} of {due} requests that were due were not sent, and are in no figure: too much for the server, or for so few workers"))
    }

    /// The metrics of one test (or the total) in each repetition; empty if there was one only.
    pub fn repetitions<'a>(&'a self, test: &'a str) -> impl Iterator<Item = &'a Metrics> {
        self.details.iter().flat_map(|details| &details.repetitions).filter_map(move |repetition| repetition.get(test))
    }
}

/// When the last of all tests that began with this one was answered.
fn last_answer(repetition: &Repetition, tally: &Tally) -> Duration {
    let together = repetition.values().filter(|other| other.start().instant() == tally.start().instant());
    together.map(Tally::elapsed).max().unwrap_or_default()
}

fn merged(tallies: &[&Tally]) -> Option<Tally> {
    let (first, rest) = tallies.split_first()?;
    let mut whole = (*first).clone();
    rest.iter().for_each(|tally| whole.merge(tally));
    Some(whole)
}

fn with_total(repetition: &Repetition) -> Repetition {
    let tallies: Vec<&Tally> = repetition.values().collect();
    let mut all = repetition.clone();
    all.extend(merged(&tallies).map(|total| (TOTAL.to_owned(), total)));
    all
}
