//! The log: standard error or a file, lines for people or JSON; and, beside it, what records traces.
//!
//! The rule: no level shows a secret. What this server logs holds none; libraries that may are capped. Traces change nothing of the log: it leaves out
//! their spans.

use super::traces::SpanLayer;
use crate::config::{Format, Level, LogConfig};
use crate::exit::Failure;
use cofferdam_aws::LOG_FILTER_DENY;
use cofferdam_backend::SPANS;
use std::fs::OpenOptions;
use std::io::IsTerminal;
use std::sync::Mutex;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Beginnings of the names of libraries that never log below a warning, whatever level is asked for: their lines may show headers, bodies
/// and credentials, and tell nothing about this server. Those that `cofferdam-aws` names come on top.
const CAPPED: &[&str] = &["aws_", "tower", "tokio_rustls", "wasmtime", "cranelift", "regalloc2", "mio"];

/// Starts logging for the whole process, and recording spans if there is something that does.
pub(crate) fn start(config: &LogConfig, spans: Option<SpanLayer>) -> Result<(), Failure> {
    let (writer, colours) = match &config.file {
        None => (BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal()),
        Some(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            let file = file.map_err(|error| Failure::usage(format!("log_file {}: cannot be opened: {error}", path.display())))?;
            (BoxMakeWriter::new(Mutex::new(file)), false)
        }
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    let filter = EnvFilter::new(filter(config.level.unwrap_or(Level::Info)));
    let log = match config.format.unwrap_or(Format::Standard) {
        Format::Standard => lines.with_filter(filter).boxed(),
        Format::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let layers: Vec<SpanLayer> = std::iter::once(log).chain(spans).collect();
    tracing_subscriber::registry().with(layers).try_init().map_err(|error| Failure::failed(format!("cannot start the log: {error}")))
}

/// Vault's name of the level.
pub(crate) fn name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

fn filter(level: Level) -> String {
    let mut filter = format!("{},{SPANS}=off", name(level));
    // At level error they have nothing to be capped to.
    if level != Level::Error {
        for library in CAPPED.iter().chain(LOG_FILTER_DENY) {
            filter.push_str(&format!(",{library}=warn"));
        }
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::{Level, filter};
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::EnvFilter;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What a log of this level has of a few lines.
    fn logged(level: Level) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber =
            tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter(level))).with_writer(move || writer.clone()).with_ansi(false);
        tracing::subscriber::with_default(subscriber.finish(), || {
            tracing::trace!("own trace");
            let _request = tracing::error_span!(target: super::SPANS, "request", key = "SECRET").entered();
            tracing::error!("own error");
            let _span = tracing::debug_span!(target: "aws_smithy_runtime::client", "invoke", key = "SECRET").entered();
            tracing::trace!(target: "aws_config::imds", "SECRET");
            tracing::debug!(target: "aws_sdk_sts::operation", "SECRET");
            tracing::info!(target: "aws_sigv4", "SECRET");
            tracing::trace!(target: "hyper_util::client", "SECRET");
            tracing::debug!(target: "hyper::proto::h1", "SECRET");
            tracing::trace!(target: "h2::codec", "SECRET");
            tracing::trace!(target: "rustls::client", "SECRET");
            tracing::warn!(target: "aws_config", "a warning");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_level_lets_libraries_tell_what_they_carry() {
        for level in [Level::Trace, Level::Debug, Level::Info, Level::Warn] {
            let log = logged(level);
            assert!(!log.contains("SECRET"), "{level:?}: {log}");
            assert!(log.contains("own error") && log.contains("a warning"), "{level:?}: {log}");
            assert_eq!(log.contains("own trace"), level == Level::Trace, "{log}");
        }
        let log = logged(Level::Error);
        assert!(log.contains("own error") && !log.contains("warning") && !log.contains("SECRET"), "{log}");
    }
}
