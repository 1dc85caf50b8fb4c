//! Every figure of each test, as vegeta's text report has them.

use super::columns::aligned;
use super::go::rounded;
use super::plain;
use crate::results::Metrics;
use crate::results::Target;

/// A section for each test, and the total last. The address stands above them where there are several.
#[must_use]
pub fn verbose(target: &Target, named: bool) -> String {
    let mut text = if named { format!("\nTarget: {}\n", plain(&target.target_addr)) } else { String::new() };
    let total = target.total().map(|total| ("TOTAL", total));
    for (test, metrics) in target.tests().into_iter().chain(total) {
        text.push_str(&format!("\n{}\n{}", plain(test), section(metrics)));
    }
    text.extend(target.unsent().map(|unsent| format!("\nNote: {unsent}\n")));
    text
}

fn section(metrics: &Metrics) -> String {
    let latencies = &metrics.latencies;
    let times = [latencies.min, latencies.mean, latencies.p50, latencies.p90, latencies.p95, latencies.p99, latencies.max];
    let attack = [metrics.duration.saturating_add(metrics.wait), metrics.duration, metrics.wait];
    // Two spaces after each, the last one too.
    let codes: String = metrics.status_codes.iter().map(|(code, count)| format!("{}:{count}  ", plain(code))).collect();
    let line = |name: &str, unit: &str, figures: String| vec![name.to_owned(), unit.to_owned(), figures];
    let mut text = aligned(&[
        line("Requests", "[total, rate, throughput]", format!("{}, {:.2}, {:.2}", metrics.requests, metrics.rate, metrics.throughput)),
        line("Duration", "[total, attack, wait]", attack.map(rounded).join(", ")),
        line("Latencies", "[min, mean, 50, 90, 95, 99, max]", times.map(rounded).join(", ")),
        line("Bytes In", "[total, mean]", format!("{}, {:.2}", metrics.bytes_in.total, metrics.bytes_in.mean)),
        line("Bytes Out", "[total, mean]", format!("{}, {:.2}", metrics.bytes_out.total, metrics.bytes_out.mean)),
        line("Success", "[ratio]", format!("{:.2}%", metrics.success * 100.0)),
        line("Status Codes", "[code:count]", codes),
    ]);
    text.push_str("Error Set:\n");
    for error in metrics.errors() {
        text.push_str(&plain(error));
        text.push('\n');
    }
    text
}
