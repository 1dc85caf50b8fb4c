//! The log, on standard error.
//!
//! The rule: no level shows a secret. Only this program's own lines go below a warning: those of libraries may show headers and bodies.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::settings::{LogFormat, LogLevel};

/// Starts logging for the whole process.
pub(crate) fn start(level: LogLevel, format: LogFormat) -> Result<(), String> {
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let layer = match format {
        LogFormat::Standard => lines.with_filter(filter(level)).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter(level)).boxed(),
    };
    tracing_subscriber::registry().with(layer).try_init().map_err(|error| format!("cannot start the log: {error}"))
}

fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Off => LevelFilter::OFF,
    };
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("coffer", level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn libraries_never_tell_what_they_carry() {
        for (level, own) in [(LogLevel::Trace, Level::TRACE), (LogLevel::Info, Level::INFO), (LogLevel::Warn, Level::WARN)] {
            let filter = filter(level);
            assert!(filter.would_enable("cofferdam_proxy::token", &own) && filter.would_enable("aws_config", &Level::WARN), "{level:?}");
            for library in ["aws_smithy_runtime", "hyper::proto::h1", "rustls::client", "hyper_util"] {
                assert!(!filter.would_enable(library, &Level::INFO), "{level:?}: {library}");
            }
        }
        assert!(!filter(LogLevel::Error).would_enable("aws_config", &Level::WARN));
        for target in ["cofferdam_proxy::token", "aws_config"] {
            assert!(!filter(LogLevel::Off).would_enable(target, &Level::ERROR), "{target}");
        }
    }
}
