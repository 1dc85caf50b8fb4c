//! Counts while the load runs: cheap to add to, and added up afterwards.
//!
//! One tally belongs to one thread or worker at a time; nothing here is shared. It takes about 100 KiB (the histogram keeps three
//! digits), so with very many workers let several of them fill one.

use super::Latencies;
use super::Metrics;
use super::Percentile;
use super::Volume;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;
use time::OffsetDateTime;

/// Digits of a latency that the histogram keeps.
const DIGITS: u8 = 3;
/// Different errors that are kept: enough to see what is wrong, and no more memory than that.
const ERRORS: usize = 200;
/// Seconds whose pace is kept: two days.
const SECONDS: usize = 2 * 86_400;
/// Where the spread is read, in percent: dense towards the tail.
const PERCENTS: [f64; 21] =
    [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 75.0, 80.0, 85.0, 90.0, 92.5, 95.0, 97.0, 98.0, 99.0, 99.5, 99.9, 99.99, 100.0];

/// The moment a load began, on both clocks: latencies come from the monotonic one, dates from the other.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    instant: Instant,
    wall: OffsetDateTime,
}

impl Start {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self::at(Instant::now(), OffsetDateTime::now_utc())
    }

    /// The same moment as each clock shows it.
    #[must_use]
    pub const fn at(instant: Instant, wall: OffsetDateTime) -> Self {
        Self { instant, wall }
    }

    /// The monotonic side.
    #[must_use]
    pub const fn instant(&self) -> Instant {
        self.instant
    }

    fn wall(&self, instant: Instant) -> OffsetDateTime {
        match instant.checked_duration_since(self.instant) {
            Some(since) => self.wall + since,
            None => self.wall - self.instant.duration_since(instant),
        }
    }
}

/// One request and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// When it was to be sent: with a fixed rate this is its place in the schedule, not when a worker came to it.
    pub due: Instant,
    /// When its answer was there, or its failure known.
    pub done: Instant,
    /// The answer's status; 0 if there was none.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes_in: u64,
    /// Bytes of the request's body.
    pub bytes_out: u64,
    /// What went wrong: for a status outside 200 to 399 its line (`403 Forbidden`), without an answer the cause. Never a body.
    pub error: Option<&'a str>,
}

/// Counts of one test in one repetition.
#[derive(Clone, Debug)]
pub struct Tally {
    start: Start,
    latencies: Histogram<u64>,
    total: u128,
    fastest: u64,
    slowest: u64,
    requests: u64,
    successes: u64,
    bytes_in: u64,
    bytes_out: u64,
    span: Option<Span>,
    statuses: BTreeMap<u16, u64>,
    errors: BTreeMap<String, u64>,
    pace: Vec<u64>,
}

/// First and last request, last answer.
#[derive(Clone, Copy, Debug)]
struct Span {
    earliest: Instant,
    latest: Instant,
    end: Instant,
}

impl Span {
    fn join(self, other: Self) -> Self {
        Self { earliest: self.earliest.min(other.earliest), latest: self.latest.max(other.latest), end: self.end.max(other.end) }
    }
}

impl Tally {
    /// An empty one. `None` cannot happen with a constant number of digits; it is there because the histogram says so.
    #[must_use]
    pub fn new(start: Start) -> Option<Self> {
        let mut latencies = Histogram::new(DIGITS).ok()?;
        latencies.auto(true);
        Some(Self {
            start,
            latencies,
            total: 0,
            fastest: u64::MAX,
            slowest: 0,
            requests: 0,
            successes: 0,
            bytes_in: 0,
            bytes_out: 0,
            span: None,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            pace: Vec::new(),
        })
    }

    /// Adds one request.
    pub fn record(&mut self, outcome: &Outcome<'_>) {
        let latency = nanoseconds(outcome.done.saturating_duration_since(outcome.due));
        // It grows to hold any latency there is; one it cannot hold counts as the longest it can.
        if self.latencies.record(latency).is_err() {
            self.latencies.saturating_record(latency);
        }
        self.total += u128::from(latency);
        self.fastest = self.fastest.min(latency);
        self.slowest = self.slowest.max(latency);
        self.requests += 1;
        self.bytes_in += outcome.bytes_in;
        self.bytes_out += outcome.bytes_out;
        let span = Span { earliest: outcome.due, latest: outcome.due, end: outcome.done };
        self.span = Some(self.span.map_or(span, |held| held.join(span)));
        *self.statuses.entry(outcome.status).or_default() += 1;
        if (200..400).contains(&outcome.status) {
            self.successes += 1;
            self.tick(outcome.done);
        }
        if let Some(error) = outcome.error {
            if let Some(count) = self.errors.get_mut(error) {
                *count += 1;
            } else if self.errors.len() < ERRORS {
                self.errors.insert(error.to_owned(), 1);
            }
        }
    }

    fn tick(&mut self, done: Instant) {
        let second = done.saturating_duration_since(self.start.instant).as_secs();
        let second = usize::try_from(second).unwrap_or(usize::MAX);
        if second >= SECONDS {
            return;
        }
        if second >= self.pace.len() {
            self.pace.resize(second + 1, 0);
        }
        if let Some(count) = self.pace.get_mut(second) {
            *count += 1;
        }
    }

    /// Adds what another worker counted of the same repetition.
    pub fn merge(&mut self, other: &Self) {
        // With `auto` the histogram grows; it cannot refuse another of the same digits.
        let _grown = self.latencies.add(&other.latencies);
        self.total += other.total;
        self.fastest = self.fastest.min(other.fastest);
        self.slowest = self.slowest.max(other.slowest);
        self.requests += other.requests;
        self.successes += other.successes;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.span = match (self.span, other.span) {
            (Some(one), Some(two)) => Some(one.join(two)),
            (one, two) => one.or(two),
        };
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (error, count) in &other.errors {
            if self.errors.len() < ERRORS || self.errors.contains_key(error) {
                *self.errors.entry(error.clone()).or_default() += count;
            }
        }
        if self.pace.len() < other.pace.len() {
            self.pace.resize(other.pace.len(), 0);
        }
        for (count, more) in self.pace.iter_mut().zip(&other.pace) {
            *count += more;
        }
    }

    /// Requests counted so far.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Requests counted so far that were not answered with 200 to 399.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.requests - self.successes
    }

    /// The different errors, and how often each came.
    pub fn errors(&self) -> impl Iterator<Item = (&str, u64)> {
        self.errors.iter().map(|(error, count)| (error.as_str(), *count))
    }

    /// When the load began.
    #[must_use]
    pub const fn start(&self) -> Start {
        self.start
    }

    /// Successes in each second since the start.
    #[must_use]
    pub fn pace(&self) -> &[u64] {
        &self.pace
    }

    /// How long after the start the last answer was there.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.span.map_or(Duration::ZERO, |span| span.end.saturating_duration_since(self.start.instant))
    }

    /// The same, with zeros for the seconds up to `end` in which nothing succeeded any more. A last second that is not whole is left out: it would look as
    /// if the server had slowed down.
    #[must_use]
    pub fn whole_seconds(&self, end: Duration) -> Vec<u64> {
        let seconds = |time: Duration| usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
        let mut counts: Vec<u64> = self.pace.iter().take(seconds(self.elapsed().max(end))).copied().collect();
        counts.resize(seconds(end).clamp(counts.len(), SECONDS), 0);
        counts
    }

    /// The spread of the latencies.
    #[must_use]
    pub fn percentiles(&self) -> Vec<Percentile> {
        if self.requests == 0 {
            return Vec::new();
        }
        PERCENTS.iter().map(|percent| Percentile { percent: *percent, latency: self.quantile(percent / 100.0) }).collect()
    }

    /// What vegeta would say.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let span = self.span.unwrap_or(Span { earliest: self.start.instant, latest: self.start.instant, end: self.start.instant });
        let duration = span.latest.duration_since(span.earliest);
        let wait = span.end.saturating_duration_since(span.latest);
        self.over(span, duration, wait)
    }

    /// Metrics of several repetitions together. Their pauses do not count: durations and waits are added up.
    #[must_use]
    pub fn metrics_of(repetitions: &[&Self]) -> Option<Metrics> {
        let (first, rest) = repetitions.split_first()?;
        let mut whole = (*first).clone();
        rest.iter().for_each(|tally| whole.merge(tally));
        let mut metrics = whole.metrics();
        if !rest.is_empty() {
            let each: Vec<Metrics> = repetitions.iter().map(|tally| tally.metrics()).collect();
            metrics.duration = each.iter().map(|one| one.duration).sum();
            metrics.wait = each.iter().map(|one| one.wait).sum();
            (metrics.rate, metrics.throughput) = rates(whole.requests, whole.successes, metrics.duration, metrics.wait);
            metrics.earliest = each.iter().filter(|one| one.requests > 0).map(|one| one.earliest).min().unwrap_or(metrics.earliest);
            metrics.latest = each.iter().map(|one| one.latest).max().unwrap_or(metrics.latest);
            metrics.end = each.iter().map(|one| one.end).max().unwrap_or(metrics.end);
        }
        Some(metrics)
    }

    fn over(&self, span: Span, duration: Duration, wait: Duration) -> Metrics {
        let (duration, wait) = (nanoseconds(duration), nanoseconds(wait));
        let (rate, throughput) = rates(self.requests, self.successes, duration, wait);
        Metrics {
            latencies: Latencies {
                total: u64::try_from(self.total).unwrap_or(u64::MAX),
                mean: u64::try_from(self.total.checked_div(u128::from(self.requests)).unwrap_or(0)).unwrap_or(u64::MAX),
                p50: self.quantile(0.50),
                p90: self.quantile(0.90),
                p95: self.quantile(0.95),
                p99: self.quantile(0.99),
                max: self.slowest,
                min: if self.requests == 0 { 0 } else { self.fastest },
            },
            bytes_in: Volume { total: self.bytes_in, mean: ratio(self.bytes_in, self.requests) },
            bytes_out: Volume { total: self.bytes_out, mean: ratio(self.bytes_out, self.requests) },
            earliest: self.start.wall(span.earliest),
            latest: self.start.wall(span.latest),
            end: self.start.wall(span.end),
            duration,
            wait,
            requests: self.requests,
            rate,
            throughput,
            success: ratio(self.successes, self.requests),
            status_codes: self.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
            errors: Some(self.errors.keys().cloned().collect()),
        }
    }

    /// The histogram rounds up within its digits; nothing is slower than the slowest, nor faster than the fastest.
    fn quantile(&self, quantile: f64) -> u64 {
        if self.requests == 0 {
            return 0;
        }
        self.latencies.value_at_quantile(quantile).clamp(self.fastest, self.slowest)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Requests and successes per second, by vegeta's rule: one single request has no duration, and its rate is the count.
#[expect(clippy::cast_precision_loss, reason = "a rate, not a count")]
fn rates(requests: u64, successes: u64, duration: u64, wait: u64) -> (f64, f64) {
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    if duration == 0 {
        return (requests as f64, successes as f64);
    }
    (requests as f64 / seconds(duration), successes as f64 / (seconds(duration) + seconds(wait)))
}

#[expect(clippy::cast_precision_loss, reason = "a mean, not a count")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
