//! `coffer bench storage`: opens the storage of a server's configuration as the server would, and has it measured.

use crate::config::{self, Environment, Level, LogConfig};
use crate::exit::{Exit, Failure, Outcome};
use crate::migrate::storage_name;
use crate::output::print;
use crate::server::{Durable, component_runtime, listen, logging, open_storage};
use cofferdam_aws::{Providers, Sources};
use cofferdam_benchmark::report;
use cofferdam_benchmark::saved;
use cofferdam_benchmark::storage::{Refusal, StorageArguments, StorageError, measure, refuse_in_use};
use cofferdam_benchmark::{html, results};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::SignalKind;

/// Runs the command.
pub(super) fn run(arguments: &StorageArguments, environment: &Environment) -> Outcome {
    let mut config =
        config::look(&arguments.config, environment).map_err(|error| Failure::usage(format!("error loading configuration: {error}")))?;
    logging::start(&LogConfig { level: Some(Level::Info), ..LogConfig::default() }, None)?;
    // Nobody leads here, so nobody can be fenced off: whether a server does is asked below.
    config.storage.ha = None;
    if let Some(path) = config.storage.path.as_ref().filter(|path| !path.exists()) {
        let message =
            format!("{}: path: there is no directory {}: start the server once, or make it", config.storage.place, path.display());
        return Err(Failure::usage(message));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?.block_on(probe(arguments, &config))
}

async fn probe(arguments: &StorageArguments, config: &config::Config) -> Outcome {
    let stop = stop_by_signal()?;
    let (runtime, providers) = (component_runtime()?, Providers::new(Sources::system()));
    let opened = open_storage(config, &runtime, &providers, Durable::AsConfigured).await?;
    let (entries, lock) = (opened.entries(), opened.storage.current().backend.lock());
    // A directory is locked against servers as long as it is open here.
    let alone = config.storage.path.is_some() || arguments.no_server_runs;
    refuse_in_use(&*entries, lock.as_deref(), alone).await.map_err(|refusal: Refusal| Failure::failed(refusal))?;
    let measured = measure(entries, &storage_name(config), arguments, stop).await;
    opened.close().await;
    let measured = measured.map_err(|error| match error {
        StorageError::TooLarge(_) => Failure::usage(error),
        error => Failure::failed(error),
    })?;
    let targets = [measured.target];
    let json = |error: serde_json::Error| Failure::failed(format!("cannot write JSON: {error}"));
    print(&report::render(arguments.report_mode, &targets).map_err(json)?)?;
    if let Some(path) = &arguments.save {
        saved::save(path, &results::write(&targets).map_err(json)?).map_err(Failure::usage)?;
    }
    if let Some(path) = &arguments.html {
        saved::save(path, &html::page(&targets)).map_err(Failure::usage)?;
    }
    if let Some((prefix, error)) = measured.left {
        return Err(Failure::failed(format!("entries are left behind below {prefix}, which no vault reads: {error}")));
    }
    let [target] = &targets;
    if target.details.as_ref().is_some_and(|details| details.load.interrupted) {
        return Err(Failure::failed("the run was stopped before its end; what it wrote is removed"));
    }
    Ok(Exit::Success)
}

/// Set by SIGINT and SIGTERM: the load ends, and what it wrote is removed.
fn stop_by_signal() -> Result<Arc<AtomicBool>, Failure> {
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        told.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}
