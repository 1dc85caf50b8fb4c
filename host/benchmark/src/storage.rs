//! `coffer bench storage`: load on a storage alone, without a server before it, so that what a server costs and what its storage costs can be
//! told apart.
//!
//! The rules: a store that a server leads, or that is being migrated, is not touched; what is written lies below one prefix of its own and
//! is removed at the end, also after an error and after a signal. The storage comes from whoever calls this: nothing here knows how one is opened.

mod checks;
mod ground;
mod phases;

pub use checks::Refusal;
pub use checks::refuse_in_use;

use crate::arguments::RunArguments;
use crate::report::Mode;
use crate::results::Load;
use crate::results::Repetition;
use crate::results::Target;
use clap::Args;
use cofferdam_backend::Storage;
use ground::Ground;
use phases::PHASES;
use phases::Workers;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The load on a storage.
#[derive(Debug, Args)]
#[command(
    after_help = "Each operation is measured alone for the whole duration: put, get, list, and delete (of an entry that was put before,
uncounted). Entries lie below coffer-bench/ and are removed at the end.

Progress and log go to standard error, the report alone to standard output.

Exit codes: 0 the load ran, 1 wrong command line or configuration, 2 the storage cannot be opened or is in use, it failed, or the run was stopped."
)]
pub struct StorageArguments {
    /// Configuration file of the server whose storage is meant, or directory of such files; may be given several times
    #[arg(long, value_name = "FILE|DIR", required = true)]
    pub config: Vec<PathBuf>,
    /// How long each operation is measured, such as 30s
    #[arg(long, value_name = "TIME", value_parser = cofferdam_hcl::parse_duration, default_value = "10s")]
    pub duration: Duration,
    /// Calls in flight
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), default_value_t = 10)]
    pub workers: u32,
    /// Entries
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), default_value_t = 1_000)]
    pub keys: u32,
    /// Bytes of each value
    #[arg(long, alias = "value_size", value_name = "BYTES", value_parser = clap::value_parser!(u32).range(0..=33_554_432), default_value_t = 1_024)]
    pub value_size: u32,
    /// Run the load this many times, so that results can be compared with confidence
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub repeat: u32,
    /// Go ahead although the storage holds a vault and has no lock that would show whether a server runs on it
    #[arg(long, alias = "no_server_runs")]
    pub no_server_runs: bool,
    /// Write the results to this file as JSON, too, for review and compare
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Write a page with charts to this file, too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// terse, verbose or json
    #[arg(long, alias = "report_mode", value_enum, ignore_case = true, default_value = "terse")]
    pub report_mode: Mode,
}

impl StorageArguments {
    /// Of `coffer bench --storage-probe --config FILE`: what that does not say is as `coffer bench storage` has it.
    ///
    /// # Errors
    ///
    /// If no configuration is named.
    pub fn of_run(run: &RunArguments) -> Result<Self, String> {
        let config = run.config.clone().ok_or("--storage-probe: which storage? Give --config FILE, the configuration of its server")?;
        Ok(Self {
            config: vec![config],
            duration: run.duration.unwrap_or(Duration::from_secs(10)),
            workers: run.workers.unwrap_or(10),
            keys: 1_000,
            value_size: 1_024,
            repeat: run.repeat,
            no_server_runs: false,
            save: run.save.clone(),
            html: run.html.clone(),
            report_mode: run.report_mode.unwrap_or_default(),
        })
    }
}

/// What ended a run early. Its texts may hold a guest's, for the operator's terminal.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The storage failed before or after the load, in which failures are counted.
    #[error("{what}: {source}")]
    Backend {
        /// What was tried.
        what: &'static str,
        /// What the backend said.
        source: cofferdam_backend::Error,
    },
    /// It cannot hold what was asked for.
    #[error("--value-size: the storage holds values of at most {0} bytes")]
    TooLarge(u64),
    /// The measuring itself failed.
    #[error("the measurement failed: {0}")]
    Measuring(String),
}

/// What a run found.
#[derive(Debug)]
pub struct Measured {
    /// The results, those of an interrupted run too.
    pub target: Target,
    /// Why not all entries could be removed; they lie below this prefix.
    pub left: Option<(String, StorageError)>,
}

/// Runs the load until its end, or until `stop` is set, and removes what it wrote.
///
/// # Errors
///
/// If the entries to work on cannot be written. Failures under load are counted and do not end it.
pub async fn measure(
    storage: Arc<dyn Storage>,
    name: &str,
    arguments: &StorageArguments,
    stop: Arc<AtomicBool>,
) -> Result<Measured, StorageError> {
    let most = storage.descriptor().limits.value;
    if u64::from(arguments.value_size) > most {
        return Err(StorageError::TooLarge(most));
    }
    let ground = Arc::new(Ground::new(storage, arguments.keys, arguments.value_size)?);
    let workers = Workers { ground: Arc::clone(&ground), count: arguments.workers, duration: arguments.duration, stop: Arc::clone(&stop) };
    let outcome = repetitions(&workers, arguments.repeat).await;
    tracing::info!(prefix = ground.prefix(), "removing what was written");
    let left = ground.clear().await.err().map(|error| (ground.prefix().to_owned(), error));
    let load = Load {
        workers: arguments.workers.into(),
        duration: u64::try_from(arguments.duration.as_nanos()).unwrap_or(u64::MAX),
        program: format!("coffer {}", env!("CARGO_PKG_VERSION")),
        interrupted: stop.load(Ordering::Relaxed),
        ..Load::default()
    };
    let annotations =
        BTreeMap::from([("keys".to_owned(), arguments.keys.to_string()), ("value_size".to_owned(), arguments.value_size.to_string())]);
    match outcome {
        Ok(repetitions) => Ok(Measured { target: Target::new(name, load, annotations, &repetitions), left }),
        Err(error) => {
            if let Some((prefix, error)) = left {
                tracing::warn!(prefix, %error, "entries are left behind");
            }
            Err(error)
        }
    }
}

async fn repetitions(workers: &Workers, count: u32) -> Result<Vec<Repetition>, StorageError> {
    let mut repetitions = Vec::new();
    tracing::info!(prefix = workers.ground.prefix(), "writing the entries to work on");
    workers.seed().await?;
    for number in 1..=count {
        let mut repetition = Repetition::new();
        for phase in PHASES {
            if workers.stop.load(Ordering::Relaxed) {
                break;
            }
            tracing::info!(repetition = number, of = count, operation = phase.name(), "measuring");
            repetition.insert(phase.name().to_owned(), workers.run(phase).await?);
        }
        // One that was cut off before its first operation says nothing.
        if !repetition.is_empty() {
            repetitions.push(repetition);
        }
    }
    Ok(repetitions)
}

#[cfg(test)]
mod tests;
