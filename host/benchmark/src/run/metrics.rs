//! The load's figures for Prometheus, while it runs: those of vault-benchmark, at an address that the operator names.
//!
//! The rule: whoever asks gets the figures, at any path, and nothing else; a slow reader is left after a moment, and holds up nobody.

use crate::load::{Aim, Counters, so_far};
use crate::results::Tally;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A reader has this long to ask and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A question is no longer than this.
const LONGEST: u64 = 16 << 10;

/// The load that is under way: what it aims at, and what its threads count.
type Load = (Arc<Vec<Aim>>, Arc<Vec<Counters>>);

/// What is shown. Without an address nobody listens.
pub(super) struct Metrics {
    shown: Arc<Shown>,
    /// Ends with it.
    _tasks: JoinSet<()>,
}

struct Shown {
    labels: BTreeMap<String, String>,
    load: Mutex<Option<Load>>,
}

impl Metrics {
    /// Listens from now on. The error names the address.
    pub(super) async fn listen(address: Option<SocketAddr>, annotations: &BTreeMap<String, String>) -> Result<Self, String> {
        let labels = annotations.iter().map(|(name, value)| (label(name), value.clone())).collect();
        let shown = Arc::new(Shown { labels, load: Mutex::new(None) });
        let mut tasks = JoinSet::new();
        if let Some(address) = address {
            let listener = TcpListener::bind(address).await;
            let listener = listener.map_err(|error| format!("--metrics-address: cannot listen at {address}: {error}"))?;
            tasks.spawn(serve(listener, Arc::clone(&shown)));
        }
        Ok(Self { shown, _tasks: tasks })
    }

    /// From now on this load is shown; none after the last.
    pub(super) fn show(&self, load: Option<Load>) {
        *self.shown.load.lock().unwrap_or_else(PoisonError::into_inner) = load;
    }
}

async fn serve(listener: TcpListener, shown: Arc<Shown>) {
    let mut readers = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shown = Arc::clone(&shown);
                readers.spawn(async move {
                    // Whoever does not read to the end asks again.
                    let _answered = tokio::time::timeout(PATIENCE, answer(stream, &shown)).await;
                });
            }
            // Too many open files, say: that may pass.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        while readers.try_join_next().is_some() {}
    }
}

async fn answer(mut stream: TcpStream, shown: &Shown) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read.take(LONGEST)).lines();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let text = shown.text();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    write.write_all(head.as_bytes()).await?;
    write.write_all(text.as_bytes()).await?;
    write.shutdown().await
}

impl Shown {
    /// In the form that Prometheus reads. The counts are those of the repetition that runs, all servers together.
    fn text(&self) -> String {
        let load = self.load.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let mut text = format!("# TYPE bench_running gauge\nbench_running{labels} {}\n", u8::from(load.is_some()));
        let mut tests: BTreeMap<String, Tally> = BTreeMap::new();
        for (name, tally) in load.iter().flat_map(|(aims, counters)| so_far(aims, counters)).flatten() {
            match tests.get_mut(&name) {
                Some(held) => held.merge(&tally),
                None => {
                    tests.insert(name, tally);
                }
            }
        }
        text.push_str("# TYPE bench_attack_time_seconds summary\n");
        tests.iter().for_each(|(name, tally)| summary(&mut text, &quoted(name), tally));
        text.push_str("# TYPE bench_attack_errors counter\n");
        for (name, tally) in &tests {
            for (error, count) in tally.errors() {
                let _infallible = writeln!(text, "bench_attack_errors{{attack={},error={}}} {count}", quoted(name), quoted(error));
            }
        }
        text
    }
}

fn summary(text: &mut String, name: &str, tally: &Tally) {
    let latencies = tally.metrics().latencies;
    for (quantile, latency) in [("0.5", latencies.p50), ("0.9", latencies.p90), ("0.99", latencies.p99)] {
        let _infallible = writeln!(text, "bench_attack_time_seconds{{attack={name},quantile=\"{quantile}\"}} {}", seconds(latency));
    }
    let _infallible = writeln!(text, "bench_attack_time_seconds_sum{{attack={name}}} {}", seconds(latencies.total));
    let _infallible = writeln!(text, "bench_attack_time_seconds_count{{attack={name}}} {}", tally.requests());
}

fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A word of the operator's as the name of a label, which has letters, digits and underscores, and begins with no digit.
fn label(name: &str) -> String {
    let name: String = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::{label, quoted};

    #[test]
    fn labels_and_their_values_are_prometheuss() {
        assert_eq!((label("test-name"), label("1st"), label("a_b2")), ("test_name".to_owned(), "_1st".to_owned(), "a_b2".to_owned()));
        assert_eq!(quoted("a\"b\\c\nd"), "\"a\\\"b\\\\c\\nd\"");
    }
}
