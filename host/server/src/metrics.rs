//! Metrics in Prometheus' text form.

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

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

    /// Everything recorded, as text.
    pub(crate) fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}
