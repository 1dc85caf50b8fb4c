//! Results as a page: tables and charts in one file that loads nothing, runs nothing, and keeps.
//!
//! The rule: every text that is not ours (addresses, names of tests, errors of servers) goes through [`escape`].

mod chart;
mod scale;

use crate::compare::Verdict;
use crate::compare::table;
use crate::compare::table::Block;
use crate::report::Mode;
use crate::report::go_duration;
use crate::results::Metrics;
use crate::results::Target;
use chart::Chart;
use chart::Series;
use std::fmt::Write as _;

const STYLE: &str = include_str!("html/style.css");
/// Points a line may have: no screen shows more.
const POINTS: usize = 400;

/// A page of results.
#[must_use]
pub fn page(targets: &[Target]) -> String {
    document("Benchmark", &targets.iter().map(|target| section(target, "")).collect::<String>())
}

/// A page of a comparison: the verdicts, then the results of both sides.
pub(crate) fn comparison(blocks: &[Block], before: &[Target], after: &[Target]) -> String {
    let mut body = String::new();
    for Block { title, lines } in blocks {
        let _infallible = write!(body, "<section>\n<h2>{}</h2>\n<table>\n<thead><tr>", escape(title));
        body.extend(table::HEAD.iter().map(|cell| format!("<th>{}</th>", escape(cell))));
        body.push_str("</tr></thead>\n<tbody>\n");
        for (cells, verdict) in lines {
            let class = match verdict {
                Verdict::Better => "better",
                Verdict::Worse => "worse",
                _ => "open",
            };
            let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
            let _infallible = writeln!(body, "<tr class=\"{class}\">{cells}</tr>");
        }
        body.push_str("</tbody>\n</table>\n</section>\n");
    }
    body.extend(before.iter().map(|target| section(target, "A: ")));
    body.extend(after.iter().map(|target| section(target, "B: ")));
    document("Benchmark: comparison", &body)
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    )
}

fn section(target: &Target, side: &str) -> String {
    let mut text = format!("<section>\n<h2>{}{}</h2>\n", escape(side), escape(&target.target_addr));
    text.push_str(&load(target));
    text.push_str(&figures(target));
    for chart in [latencies(target), pace(target)].into_iter().flatten() {
        text.push_str(&chart.draw());
    }
    let verbose = crate::report::render(Mode::Verbose, std::slice::from_ref(target)).unwrap_or_default();
    let _infallible =
        write!(text, "<details><summary>All figures</summary><pre>{}</pre></details>\n</section>\n", escape(verbose.trim_start()));
    text
}

/// What was asked for, where it is known.
fn load(target: &Target) -> String {
    let Some(details) = &target.details else { return String::new() };
    let load = &details.load;
    let rate = if load.rps == 0 { "as fast as they are answered".to_owned() } else { format!("{} requests a second", load.rps) };
    let runs = if details.repetitions.is_empty() { 1 } else { details.repetitions.len() };
    let mut words = vec![format!("{} workers, {rate}, {} for {}", load.workers, times(runs), go_duration(load.duration))];
    if load.interrupted {
        words.push("stopped before its end".to_owned());
    }
    words.extend(target.unsent());
    words.extend(details.annotations.iter().map(|(name, value)| format!("{name}={value}")));
    if !load.program.is_empty() {
        words.push(load.program.clone());
    }
    format!("<p>{}</p>\n", escape(&words.join("; ")))
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

/// The table of the terse report.
fn figures(target: &Target) -> String {
    const HEAD: [&str; 10] = ["op", "count", "rate", "throughput", "mean", "50th%", "95th%", "99th%", "max", "successRatio"];
    let mut text = String::from("<table>\n<thead><tr>");
    text.extend(HEAD.iter().map(|cell| format!("<th>{cell}</th>")));
    text.push_str("</tr></thead>\n<tbody>\n");
    let total = target.total().map(|total| ("TOTAL", total));
    for (test, metrics) in target.tests().into_iter().chain(total) {
        let cells = row(test, metrics).map(|cell| format!("<td>{}</td>", escape(&cell)));
        let class = if test == "TOTAL" { " class=\"total\"" } else { "" };
        let _infallible = writeln!(text, "<tr{class}>{}</tr>", cells.concat());
    }
    text.push_str("</tbody>\n</table>\n");
    text
}

fn row(test: &str, metrics: &Metrics) -> [String; 10] {
    let latencies = &metrics.latencies;
    [
        test.to_owned(),
        metrics.requests.to_string(),
        format!("{:.2}", metrics.rate),
        format!("{:.2}", metrics.throughput),
        go_duration(latencies.mean),
        go_duration(latencies.p50),
        go_duration(latencies.p95),
        go_duration(latencies.p99),
        go_duration(latencies.max),
        format!("{:.2}%", metrics.success * 100.0),
    ]
}

/// Latency over the share of answers: the further right, the rarer.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a latency")]
fn latencies(target: &Target) -> Option<Chart> {
    let percentiles = |test: &str, metrics: &Metrics| -> Vec<(f64, f64)> {
        let kept = target.details.as_ref().and_then(|details| details.percentiles.get(test)).filter(|kept| !kept.is_empty());
        let found = &metrics.latencies;
        let few = [(0.0, found.min), (50.0, found.p50), (90.0, found.p90), (95.0, found.p95), (99.0, found.p99)];
        let points = kept.map_or_else(|| few.to_vec(), |kept| kept.iter().map(|point| (point.percent, point.latency)).collect());
        // The slowest of all has no place on a scale of rarity; a figure of zero none on a scale of factors.
        points.into_iter().filter(|(percent, latency)| *percent < 100.0 && *latency > 0).map(|(x, y)| (x, y as f64)).collect()
    };
    let series: Vec<Series> = target
        .tests()
        .into_iter()
        .filter(|(_, metrics)| metrics.requests > 0)
        .map(|(test, metrics)| Series { name: test.to_owned(), points: percentiles(test, metrics) })
        .collect();
    Chart::of("Latency by percentile", scale::rarity(), scale::times(&series)?, series)
}

/// Successes per second, second by second.
#[expect(clippy::cast_precision_loss, reason = "counts of one second")]
fn pace(target: &Target) -> Option<Chart> {
    let details = target.details.as_ref()?;
    let series: Vec<Series> = target
        .tests()
        .into_iter()
        .filter(|(_, metrics)| metrics.requests > 0)
        .filter_map(|(test, _)| Some((test, details.pace.get(test)?)))
        .map(|(test, counts)| {
            let width = counts.len().div_ceil(POINTS).max(1);
            let mean = |chunk: &[u64]| chunk.iter().sum::<u64>() as f64 / chunk.len().max(1) as f64;
            let points = counts.chunks(width).enumerate().map(|(number, chunk)| ((number * width) as f64, mean(chunk))).collect();
            Series { name: test.to_owned(), points }
        })
        .filter(|series| series.points.len() > 1)
        .collect();
    let (x, y) = (scale::seconds(&series)?, scale::amounts(&series)?);
    Chart::of("Throughput over time, per second", x, y, series)
}

/// Text as HTML shows it, in an element as in an attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter if letter.is_control() && letter != '\n' => escaped.push(char::REPLACEMENT_CHARACTER),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
