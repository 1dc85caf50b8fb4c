//! The log: standard error or a file, lines for people or JSON.

use crate::config::{Format, Level, LogConfig};
use crate::exit::Failure;
use std::fs::OpenOptions;
use std::io::IsTerminal;
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Libraries whose lines below a warning tell nothing about this server.
const QUIET: &[&str] =
    &["hyper", "hyper_util", "h2", "rustls", "tokio_rustls", "wasmtime", "cranelift", "cranelift_codegen", "regalloc2", "mio"];

/// Starts logging for the whole process.
pub(crate) fn start(config: &LogConfig) -> Result<(), Failure> {
    let (writer, colours) = match &config.file {
        None => (BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal()),
        Some(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            let file = file.map_err(|error| Failure::usage(format!("log_file {}: cannot be opened: {error}", path.display())))?;
            (BoxMakeWriter::new(Mutex::new(file)), false)
        }
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter(config.level.unwrap_or(Level::Info))))
        .with_writer(writer)
        .with_ansi(colours);
    let started = match config.format.unwrap_or(Format::Standard) {
        Format::Standard => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::failed(format!("cannot start the log: {error}")))
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
    let mut filter = name(level).to_owned();
    // At level error they have nothing to be quieted to.
    if level != Level::Error {
        for library in QUIET {
            filter.push_str(&format!(",{library}=warn"));
        }
    }
    filter
}
