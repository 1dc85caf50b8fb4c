//! Metrics in Prometheus' text form.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// How often samples are folded together.
const UPKEEP: Duration = Duration::from_secs(5);

/// The process's metrics. Installed once, at start.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Makes this process record its metrics. Fails if another recorder was installed before.
    pub fn install() -> Result<Metrics, BuildError> {
        PrometheusBuilder::new().install_recorder().map(Metrics)
    }

    #[cfg(test)]
    pub(crate) fn of(handle: PrometheusHandle) -> Metrics {
        Metrics(handle)
    }

    /// Folds the samples of histograms together again and again: without it they pile up until somebody reads them.
    pub(crate) async fn upkeep(self) {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tick.tick().await;
            self.0.run_upkeep();
        }
    }

    /// Everything recorded, as text.
    pub(crate) fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}
