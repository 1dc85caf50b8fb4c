//! What is noted of one read while no traces are wanted: spans that nobody records, and the metrics that are always there.
//!
//! The log is set up as the server's is, so that it decides about the spans as there. Both sides enter recorder and subscriber in the same way; only one notes anything.

use std::future::ready;

use anyhow::{Context, Result};
use cofferdam_backend::SPANS;
use cofferdam_vault::measure::one_read;
use futures_util::FutureExt;
use metrics::with_local_recorder;
use metrics_exporter_prometheus::PrometheusBuilder;
use tracing::dispatcher::with_default;
use tracing_subscriber::EnvFilter;

use crate::Bench;
use crate::row::{Judge, Row};
use crate::sample::pair;

/// The row of what is noted.
pub(crate) async fn measure(bench: &Bench) -> Result<Row> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let filter = EnvFilter::try_new(format!("info,{SPANS}=off"))?;
    let log = tracing::Dispatch::new(tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::sink).finish());
    let noted = |work: fn() -> Option<()>| {
        let done = with_default(&log, || with_local_recorder(&recorder, work));
        ready(done.context("what is noted of a read waits for nothing"))
    };
    let (ours, floor) = pair(bench.rounds(1200), 100, |_| noted(|| one_read().now_or_never()), |_| noted(|| Some(()))).await?;
    Ok(Row::new("notes of a read, traces off", "us", ours, ("the same, nothing noted", floor), Judge::Added, (1.0, 0.5)))
}
