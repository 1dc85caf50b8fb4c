//! The table: a row for each test, and the total below a rule.

use super::columns::aligned;
use super::go::duration;
use super::plain;
use crate::results::Metrics;
use crate::results::Target;

const HEAD: [&str; 8] = ["op", "count", "rate", "throughput", "mean", "95th%", "99th%", "successRatio"];

/// The table of one target, an empty line after it. What vault-benchmark has not stands below it.
#[must_use]
pub fn terse(target: &Target) -> String {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    rows.extend(target.tests().into_iter().map(|(test, metrics)| row(test, metrics)));
    if let Some(total) = target.total() {
        rows.push(HEAD.map(|_| "---".to_owned()).to_vec());
        rows.push(row("TOTAL", total));
    }
    let unsent = target.unsent().map(|unsent| format!("Note: {unsent}\n\n")).unwrap_or_default();
    format!("Target: {}\n{}\n{unsent}", plain(&target.target_addr), aligned(&rows))
}

fn row(test: &str, metrics: &Metrics) -> Vec<String> {
    vec![
        plain(test),
        metrics.requests.to_string(),
        format!("{:.2}", metrics.rate),
        format!("{:.2}", metrics.throughput),
        duration(metrics.latencies.mean),
        duration(metrics.latencies.p95),
        duration(metrics.latencies.p99),
        format!("{:.2}%", metrics.success * 100.0),
    ]
}
