//! `coffer migrate`: all that one storage or raft snapshot holds goes to another, offline.
//!
//! The rule: success is said of a copy that was compared with its source and of nothing else. Whatever ends it earlier says what stays behind and what to do.

mod ends;
mod failure;
mod raft;
mod show;

use crate::args::MigrateArguments;
use crate::config::{Environment, Level, LogConfig, MigrationConfig, MigrationEnd, load_migration};
use crate::exit::{Exit, Failure, Outcome};
use crate::server::{component_runtime, listen, logging};
use cofferdam_aws::{Providers, Sources};
use cofferdam_migrate::{Migration, Options, Progress};
pub(crate) use ends::name as storage_name;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio::signal::unix::SignalKind;

/// Runs the command.
pub(crate) fn run(arguments: &MigrateArguments, environment: &Environment) -> Outcome {
    let given = arguments.config.clone().or_else(|| environment.value("MIGRATE_CONFIG_PATH").map(PathBuf::from));
    let path = given.ok_or_else(|| Failure::usage("Must specify exactly one config path using -config"))?;
    let config = load_migration(&path, environment).map_err(|error| Failure::usage(format!("error loading configuration: {error}")))?;
    if let MigrationEnd::Raft(settings) = &config.destination
        && !arguments.reset
    {
        return Err(Failure::usage(raft::instead(&path, settings)));
    }
    let level = arguments.log_level.or(config.level).unwrap_or(Level::Warn);
    logging::start(&LogConfig { level: Some(level), ..LogConfig::default() }, None)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let _turn = turn(&path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?.block_on(until_stopped(arguments, &path, config))
}

/// Held as long as this process lives: the same file is not migrated by two of this machine at once.
fn turn(path: &Path) -> Result<File, Failure> {
    let fail = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(|error| fail(&error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(fail(&"another coffer migrate runs with this file: wait for its end")),
        Err(error) => Err(fail(&format!("cannot be locked: {error}"))),
    }
}

async fn until_stopped(arguments: &MigrateArguments, path: &Path, config: MigrationConfig) -> Outcome {
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let stopped = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::select! {
        outcome = Box::pin(migrate(arguments, path, config)) => outcome,
        () = stopped => {
            println!("==> Migration shutdown triggered");
            Err(Failure::failed(failure::interrupted(path)))
        }
    }
}

async fn migrate(arguments: &MigrateArguments, path: &Path, config: MigrationConfig) -> Outcome {
    let begin = Instant::now();
    let (runtime, providers) = (component_runtime()?, Providers::new(Sources::system()));
    let options = Options {
        start: arguments.start.clone(),
        max_parallel: arguments.max_parallel.into(),
        overwrite: arguments.overwrite,
        count: !arguments.skip_count,
        ..Options::default()
    };
    let source = ends::open(&config.source, true, &runtime, &providers).await?;
    if arguments.reset {
        cofferdam_migrate::reset(&source, options.patience).await.map_err(|error| failure::of(error, path))?;
        println!("Success! Migration lock reset (if it was set).");
        return Ok(Exit::Success);
    }
    ends::apart(&config)?;
    let destination = ends::open(&config.destination, arguments.verify_only, &runtime, &providers).await?;
    if source.name == destination.name {
        return Err(Failure::usage(format!("storage_source and storage_destination are the same: {}", source.name)));
    }
    let progress = Arc::new(Progress::default());
    let migration = Migration { source, destination, options, progress: Arc::clone(&progress) };
    let work = async { if arguments.verify_only { migration.verify().await } else { migration.run().await } };
    let result = show::beside(&progress, work).await;
    let report = result.map_err(|error| failure::of(error, path))?;
    show::report(&report, begin.elapsed(), arguments.verify_only)
}
