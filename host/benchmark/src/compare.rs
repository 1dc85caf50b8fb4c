//! `coffer bench compare`: two saved results, and a verdict on each figure.
//!
//! A difference counts only if it is larger than the repetitions of either side differ among themselves; see [`crate::statistics`]. So one
//! run on either side gets no verdict. Repetitions come from `--repeat`, or from several results of one target in one file, which is how
//! runs of vault-benchmark are brought together.

mod side;
pub(crate) mod table;

use crate::html;
use crate::report::Mode;
use crate::results::Metrics;
use crate::results::TOTAL;
use crate::results::Target;
use crate::saved::SavedError;
use crate::saved::load;
use crate::saved::save;
use crate::statistics;
use crate::statistics::CONFIDENCE;
use crate::statistics::Interval;
use clap::Args;
use serde::Serialize;
use side::Side;
use std::path::PathBuf;

/// What is compared.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// Results from before
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// Results from after
    #[arg(value_name = "B")]
    pub after: PathBuf,
    /// Call a difference of up to this many percent none
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    pub margin: f64,
    /// End with exit code 2 if a figure is worse
    #[arg(long)]
    pub fail_on_worse: bool,
    /// A table (terse or verbose, which are the same here), or JSON
    #[arg(long, alias = "report_mode", value_enum, ignore_case = true, default_value = "terse")]
    pub report_mode: Mode,
    /// Write a page with charts to this file, too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

fn percent(text: &str) -> Result<f64, String> {
    text.trim_end_matches('%')
        .parse::<f64>()
        .ok()
        .filter(|number| (0.0..=1_000.0).contains(number))
        .ok_or_else(|| "expected percent, such as 2 or 2.5".to_owned())
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The confidence of the intervals, in percent.
    pub confidence: u8,
    /// What was called no difference, in percent.
    pub margin: f64,
    /// A pair of targets each.
    pub targets: Vec<Pair>,
}

/// Two targets that were compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The address before.
    pub before: String,
    /// The address after.
    pub after: String,
    /// Repetitions on either side.
    pub repetitions: [usize; 2],
    /// Figure by figure.
    pub lines: Vec<Line>,
    /// What makes the comparison less than it seems.
    pub notes: Vec<String>,
}

/// One figure of one test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The test, or `TOTAL`.
    pub op: String,
    /// What was measured.
    pub measure: Measure,
    /// The mean of the repetitions before: of figures per second and of nanoseconds the geometric one, since they differ by factors; of shares, and where
    /// a figure is zero, the arithmetic one.
    pub before: f64,
    /// The mean of the repetitions after.
    pub after: f64,
    /// From the mean before to that after: 0.1 is ten percent more; for a share the difference itself.
    pub change: Option<f64>,
    /// Where the change lies: around it, as factors or differences go.
    pub interval: Option<Interval>,
    /// What to make of it.
    pub verdict: Verdict,
}

/// What is compared of each test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Successes per second.
    Throughput,
    /// The mean latency.
    Mean,
    /// The latency of 95 of 100.
    #[serde(rename = "95th")]
    P95,
    /// The latency of 99 of 100.
    #[serde(rename = "99th")]
    P99,
    /// The share of successes.
    Success,
    /// The share of the requests that were due and never sent; of the total alone, and only if there were some.
    Unsent,
}

impl Measure {
    /// Those of every test.
    const ALL: [Self; 5] = [Self::Throughput, Self::Mean, Self::P95, Self::P99, Self::Success];

    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a latency")]
    fn of(self, metrics: &Metrics) -> f64 {
        match self {
            Self::Throughput => metrics.throughput,
            Self::Mean => metrics.latencies.mean as f64,
            Self::P95 => metrics.latencies.p95 as f64,
            Self::P99 => metrics.latencies.p99 as f64,
            Self::Success => metrics.success,
            // It is no test's: see `Side::unsent`.
            Self::Unsent => 0.0,
        }
    }

    const fn is_share(self) -> bool {
        matches!(self, Self::Success | Self::Unsent)
    }

    const fn is_better_if_more(self) -> bool {
        matches!(self, Self::Throughput | Self::Success)
    }
}

/// What the figures show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// Better, by more than chance and the margin.
    #[serde(rename = "better")]
    Better,
    /// Worse, by more than chance and the margin.
    #[serde(rename = "worse")]
    Worse,
    /// What difference there is may be chance, or is within the margin. It does not say that there is none.
    #[serde(rename = "no difference shown")]
    NoDifference,
    /// There is one run on a side.
    #[serde(rename = "one run cannot tell")]
    OneRun,
    /// The repetitions do not say how far off their figures may be: they do not scatter, or some are zero.
    #[serde(rename = "repetitions cannot tell")]
    Unclear,
    /// There is no figure on a side.
    #[serde(rename = "nothing measured")]
    Nothing,
}

impl Comparison {
    /// How many lines have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.targets.iter().flat_map(|pair| &pair.lines).filter(|line| line.verdict == verdict).count()
    }
}

/// A comparison, and its text for standard output.
#[derive(Debug)]
pub struct Compared {
    /// For standard output.
    pub text: String,
    /// Whether a figure is worse and the command is to fail for it.
    pub failed: bool,
}

/// Reads both files and compares them.
///
/// # Errors
///
/// If a file cannot be read or written, holds something else than results, or the two do not fit together.
pub fn run(arguments: &CompareArguments) -> Result<Compared, SavedError> {
    let (before, after) = (load(&arguments.before)?, load(&arguments.after)?);
    let comparison = compare(&before, &after, arguments.margin).map_err(SavedError::Unfit)?;
    let text = match arguments.report_mode {
        Mode::Json => format!("{}\n", serde_json::to_string(&comparison)?),
        Mode::Terse | Mode::Verbose => table::text(&comparison),
    };
    if let Some(path) = &arguments.html {
        save(path, &html::comparison(&table::blocks(&comparison), &before, &after))?;
    }
    Ok(Compared { text, failed: arguments.fail_on_worse && comparison.count(Verdict::Worse) > 0 })
}

/// Compares the first target before with the first after, and so on.
///
/// # Errors
///
/// If there are more targets on one side, or no test is on both.
pub fn compare(before: &[Target], after: &[Target], margin: f64) -> Result<Comparison, String> {
    let (before, after) = (side::sides(before), side::sides(after));
    if before.len() != after.len() {
        return Err(format!("A has results of {} targets and B of {}: each target is compared with one", before.len(), after.len()));
    }
    let targets = before.iter().zip(&after).map(|(before, after)| pair(before, after, margin / 100.0)).collect::<Result<_, _>>()?;
    Ok(Comparison { confidence: CONFIDENCE, margin, targets })
}

fn pair(before: &Side<'_>, after: &Side<'_>, margin: f64) -> Result<Pair, String> {
    let (tests, others) = before.tests_with(after);
    if tests.is_empty() {
        return Err(format!("A ({}) and B ({}) have no test in common", before.address, after.address));
    }
    let mut notes: Vec<String> = others.iter().map(|(test, place)| format!("{test} is only in {place}")).collect();
    notes.extend(side::differing_load(before, after));
    let mut lines: Vec<Line> = tests
        .iter()
        .flat_map(|test| {
            Measure::ALL.map(|measure| line(test, measure, &before.figures(test, measure), &after.figures(test, measure), margin))
        })
        .collect();
    if before.is_overloaded() || after.is_overloaded() {
        lines.push(line(TOTAL, Measure::Unsent, &before.unsent(), &after.unsent(), margin));
        notes.push(
            "requests that were due and never sent are in no other figure: at a rate that is too high the other lines say little"
                .to_owned(),
        );
    }
    Ok(Pair {
        before: before.address.to_owned(),
        after: after.address.to_owned(),
        repetitions: [before.repetitions.len(), after.repetitions.len()],
        lines,
        notes,
    })
}

fn line(test: &str, measure: Measure, before: &[f64], after: &[f64], margin: f64) -> Line {
    let is_share = measure.is_share();
    // The means are those that the interval is of; where a figure is zero there is none.
    let has_zero = before.iter().chain(after).any(|figure| *figure <= 0.0);
    let mean = if is_share || has_zero { statistics::average } else { statistics::geometric };
    let (one, two) = (mean(before), mean(after));
    let change = match (one, two) {
        (Some(one), Some(two)) if is_share => Some(two - one),
        (Some(one), Some(two)) if one > 0.0 => Some(two / one - 1.0),
        _ => None,
    };
    let interval = if is_share { statistics::difference(before, after) } else { statistics::change(before, after) };
    let rises = match interval {
        Some(interval) if interval.low > margin => Some(true),
        Some(interval) if interval.high < -margin => Some(false),
        Some(_) => None,
        None => differs_in_kind(before, after).filter(|_| change.is_none_or(|change| change.abs() > margin)),
    };
    let verdict = match rises {
        Some(rises) if rises == measure.is_better_if_more() => Verdict::Better,
        Some(_) => Verdict::Worse,
        None if interval.is_some() => Verdict::NoDifference,
        None if before.is_empty() || after.is_empty() => Verdict::Nothing,
        None if before.len() == 1 || after.len() == 1 => Verdict::OneRun,
        None => Verdict::Unclear,
    };
    let op = if test == TOTAL { "TOTAL" } else { test }.to_owned();
    Line { op, measure, before: one.unwrap_or(0.0), after: two.unwrap_or(0.0), change, interval, verdict }
}

/// Whether it rises from nothing or falls to nothing: all of several repetitions are zero on one side, and none on the other. No scatter is needed to see that.
fn differs_in_kind(before: &[f64], after: &[f64]) -> Option<bool> {
    let none = |figures: &[f64]| figures.len() > 1 && figures.iter().all(|figure| *figure == 0.0);
    let some = |figures: &[f64]| figures.len() > 1 && figures.iter().all(|figure| *figure > 0.0);
    if none(before) && some(after) { Some(true) } else { (some(before) && none(after)).then_some(false) }
}

#[cfg(test)]
mod tests;
