//! A comparison as a table.

use super::Comparison;
use super::Line;
use super::Measure;
use super::Pair;
use super::Verdict;
use crate::report::aligned;
use crate::report::go_duration;
use crate::report::plain;

/// The table's head.
pub(crate) const HEAD: [&str; 7] = ["op", "measure", "A", "B", "change", "interval", "verdict"];

/// The whole text.
pub(super) fn text(comparison: &Comparison) -> String {
    let mut text = String::new();
    for pair in &comparison.targets {
        text.push_str(&heading(pair));
        let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
        rows.extend(pair.lines.iter().map(|line| cells(line).to_vec()));
        text.push_str(&aligned(&rows));
        pair.notes.iter().for_each(|note| text.push_str(&format!("Note: {}\n", plain(note))));
        text.push('\n');
    }
    text.push_str(&summary(comparison));
    text
}

/// The lines of a pair of targets as cells.
pub(crate) struct Block {
    /// Both addresses.
    pub(crate) title: String,
    /// A line each, with its verdict.
    pub(crate) lines: Vec<([String; 7], Verdict)>,
}

/// The lines, target by target.
pub(super) fn blocks(comparison: &Comparison) -> Vec<Block> {
    let block = |pair: &Pair| Block {
        title: format!("{} and {}", pair.before, pair.after),
        lines: pair.lines.iter().map(|line| (cells(line), line.verdict)).collect(),
    };
    comparison.targets.iter().map(block).collect()
}

fn heading(pair: &Pair) -> String {
    let [before, after] = pair.repetitions;
    format!("A: {} ({})\nB: {} ({})\n", plain(&pair.before), runs(before), plain(&pair.after), runs(after))
}

fn runs(count: usize) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}

fn cells(line: &Line) -> [String; 7] {
    let unit = if line.measure.is_share() { " points" } else { "%" };
    [
        plain(&line.op),
        name(line.measure).to_owned(),
        figure(line.measure, line.before),
        figure(line.measure, line.after),
        line.change.map_or_else(|| "-".to_owned(), |change| format!("{}{unit}", signed(change))),
        line.interval.map_or_else(|| "-".to_owned(), |interval| format!("{} to {}{unit}", signed(interval.low), signed(interval.high))),
        words(line.verdict).to_owned(),
    ]
}

/// In percent. What few and scattered runs leave open may go up to anything: the digits of that say nothing.
fn signed(change: f64) -> String {
    match format!("{:+.1}", change * 100.0) {
        _ if change >= 10.0 => ">+999".to_owned(),
        zero if zero == "-0.0" => "+0.0".to_owned(),
        text => text,
    }
}

fn name(measure: Measure) -> &'static str {
    match measure {
        Measure::Throughput => "throughput",
        Measure::Mean => "mean",
        Measure::P95 => "95th%",
        Measure::P99 => "99th%",
        Measure::Success => "successRatio",
        Measure::Unsent => "notSent",
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a latency: positive, and rounded to whole microseconds")]
fn figure(measure: Measure, figure: f64) -> String {
    match measure {
        Measure::Throughput => format!("{figure:.2}"),
        Measure::Success | Measure::Unsent => format!("{:.2}%", figure * 100.0),
        _ => go_duration((figure / 1_000.0).round() as u64 * 1_000),
    }
}

/// The verdict in words.
pub(crate) fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NoDifference => "no difference shown",
        Verdict::OneRun => "one run cannot tell",
        Verdict::Unclear => "repetitions cannot tell",
        Verdict::Nothing => "nothing measured",
    }
}

fn summary(comparison: &Comparison) -> String {
    let verdicts = [Verdict::Better, Verdict::Worse, Verdict::NoDifference, Verdict::OneRun, Verdict::Unclear, Verdict::Nothing];
    let counts: Vec<String> = verdicts
        .into_iter()
        .map(|verdict| (comparison.count(verdict), verdict))
        .filter(|(count, _)| *count > 0)
        .map(|(count, verdict)| format!("{count} {}", words(verdict)))
        .collect();
    let margin = if comparison.margin > 0.0 { format!(", beyond a margin of {} %", comparison.margin) } else { String::new() };
    let mut text = format!("{} (at {} % confidence{margin})\n", counts.join(", "), comparison.confidence);
    if comparison.count(Verdict::OneRun) > 0 {
        text.push_str(
            "One run cannot tell a difference from chance: run both with --repeat 5, or append the results of further runs to the files.\n",
        );
    }
    text
}
