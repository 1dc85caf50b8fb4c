//! A run: sets the tests up at the first server, puts the load on all, removes what was set up, and reports.
//!
//! The rule: what was set up for tests that then do not run is removed, whatever `cleanup` says; a run that is stopped still cleans up and reports what there
//! is. A second signal ends it at once, and what then stays is named.

mod metrics;
mod progress;
#[cfg(test)]
mod tests;

use crate::client::{Api, ApiError, Line, Plan, Remote, STANDBY};
use crate::config::{Config, Settings, Task};
use crate::html;
use crate::kinds::{Site, Test};
use crate::load::{self, Aim, Aimed, Counters, LoadError, Shape, Stop};
use crate::report;
use crate::results::{self, Load, Repetition, Target};
use crate::saved::{self, SavedError};
use metrics::Metrics;
use serde_json::json;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroizing;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A local file is wrong.
    #[error("{0}")]
    Usage(String),
    /// Something was tried and did not work.
    #[error("{0}")]
    Failed(String),
}

/// What a run found.
pub struct Finding {
    /// For standard output.
    pub report: String,
    /// Why it is not all that was asked for.
    pub problem: Option<String>,
}

impl From<SavedError> for RunError {
    fn from(error: SavedError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<LoadError> for RunError {
    fn from(error: LoadError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What was due waits at least this long for a worker once the time is over.
const PATIENCE: Duration = Duration::from_secs(10);

/// Paths whose deletion removes what was set up, the last first.
type Undo = RefCell<Vec<String>>;

/// Does what the configuration says.
///
/// # Errors
///
/// If nothing was measured.
pub fn run(config: &Config) -> Result<Finding, RunError> {
    let (targets, interrupted) = match &config.task {
        Task::Review(path) => (saved::load(path)?, false),
        Task::Run(settings) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| RunError::Failed(format!("cannot start: {error}")))?;
            let found = runtime.block_on(until_signals(settings));
            // After a second signal threads of the load may still wait for answers.
            runtime.shutdown_background();
            found?
        }
    };
    if let Some(path) = &config.save {
        saved::save(path, &results::write(&targets).map_err(SavedError::Json)?)?;
    }
    if let Some(path) = &config.html {
        saved::save(path, &html::page(&targets))?;
    }
    let report = report::render(config.mode, &targets).map_err(SavedError::Json)?;
    Ok(Finding { report, problem: interrupted.then(|| "stopped before its end: the report is of what was done until then".to_owned()) })
}

async fn until_signals(settings: &Settings) -> Result<(Vec<Target>, bool), RunError> {
    let listen = |kind: SignalKind| signal(kind).map_err(|error| RunError::Failed(format!("cannot receive signals: {error}")));
    let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let (stop, undo) = (Stop::default(), Undo::default());
    tokio::select! {
        found = Box::pin(whole(settings, &stop, &undo)) => found,
        () = twice(interrupt, terminate, &stop) => {
            let left = undo.take();
            let left = if left.is_empty() { String::new() } else { format!("; not removed: {}", left.join(", ")) };
            Err(RunError::Failed(format!("stopped at once{left}")))
        }
    }
}

/// At the first signal wishes that all ends, and waits for a second.
async fn twice(mut interrupt: Signal, mut terminate: Signal, stop: &Stop) {
    for _ in 0..2 {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if !stop.is_wished() {
            tracing::warn!("stopping: once more to stop at once, and to leave behind what the tests set up");
            stop.wish();
        }
    }
}

async fn whole(settings: &Settings, stop: &Stop, undo: &Undo) -> Result<(Vec<Target>, bool), RunError> {
    let remotes = settings.addresses.iter().map(|address| Remote::new(address, settings).map(Arc::new));
    let remotes: Vec<Arc<Remote>> = remotes.collect::<Result<_, _>>().map_err(RunError::Usage)?;
    let first = remotes.first().ok_or_else(|| RunError::Usage("no server to put load on".to_owned()))?;
    let metrics = Metrics::listen(settings.metrics_address, &settings.annotations).await.map_err(RunError::Usage)?;
    tracing::info!("setting up targets");
    let plans = match set_up(settings, &mut Api::new(first).until(stop), undo).await {
        Ok(plans) => plans,
        Err(error) => {
            clean_up(first, undo).await;
            return Err(RunError::Failed(format!("target setup failed: {error}")));
        }
    };
    let aims: Arc<Vec<Aim>> = Arc::new(remotes.iter().map(|remote| aim(remote, settings, &plans)).collect());
    let found = match if settings.debug { probe(&aims).await } else { Ok(()) } {
        Ok(()) => repeat(settings, &aims, &metrics, stop).await,
        Err(error) => Err(error),
    };
    // Whoever stops only the cleaning up has a whole report.
    let interrupted = stop.is_wished();
    // A load that was never there leaves nothing that anybody wants.
    if settings.cleanup || found.is_err() {
        clean_up(first, undo).await;
    }
    let targets = found?;
    tracing::info!("benchmark complete");
    for target in &targets {
        failures(target);
    }
    Ok((targets, interrupted))
}

async fn set_up(settings: &Settings, api: &mut Api, undo: &Undo) -> Result<Vec<Plan>, String> {
    if let Some(path) = &settings.audit_path {
        let device = "sys/audit/bench-audit";
        let body = json!({"type": "file", "options": {"file_path": path}});
        api.call("PUT", device, Some(&body)).await.map_err(|error| format!("error enabling audit device: {error}"))?;
        undo.borrow_mut().push(device.to_owned());
    }
    let mut plans = Vec::new();
    for test in &settings.tests {
        tracing::debug!("setting up target {:?}", test.name);
        let mount = test.mount.clone().unwrap_or_else(|| test.name.clone());
        let mut site = Site { api: &mut *api, mount, random: settings.random_mounts, workers: settings.workers, undo };
        let plan = test.kind.set_up(&mut site).await;
        plans.push(plan.map_err(|error| describe(test, &error))?);
    }
    Ok(plans)
}

fn describe(test: &Test, error: &ApiError) -> String {
    match error {
        ApiError::Stopped => "stopped".to_owned(),
        error => format!("test {:?}: {error}", test.name),
    }
}

/// Removes what was set up. What cannot be removed is named, and the rest is removed all the same.
async fn clean_up(remote: &Arc<Remote>, undo: &Undo) {
    if undo.borrow().is_empty() {
        return;
    }
    tracing::info!("cleaning up targets");
    let mut api = Api::patient(remote);
    loop {
        // It stays in the list until it is gone: see the second signal.
        let Some(path) = undo.borrow().last().cloned() else { return };
        if let Err(error) = api.call("DELETE", &path, None).await {
            tracing::error!("error cleaning up, which leaves {path}: {error}");
        }
        undo.borrow_mut().pop();
    }
}

fn aim(remote: &Arc<Remote>, settings: &Settings, plans: &[Plan]) -> Aim {
    let tests = settings.tests.iter().zip(plans);
    let tests = tests.map(|(test, plan)| Aimed { name: test.name.clone(), weight: test.weight, request: plan.prepare(remote) });
    Aim { remote: Arc::clone(remote), tests: tests.collect() }
}

/// One request of each test to each server.
async fn probe(aims: &[Aim]) -> Result<(), RunError> {
    for aim in aims {
        let mut line = Line::new(&aim.remote);
        for test in &aim.tests {
            let mut bytes = Zeroizing::new(Vec::new());
            test.request.write(1, &mut bytes);
            let failed = |what: String| RunError::Failed(format!("test {:?} at {}: {what}", test.name, aim.remote.url()));
            let answer = line.exchange(&bytes, None).await.map_err(|fault| failed(fault.to_string()))?;
            tracing::debug!("test {:?} at {}: status {}, {} bytes", test.name, aim.remote.url(), answer.status, answer.bytes);
            if answer.status >= 400 {
                return Err(failed(format!("its request is answered with status {}", answer.status)));
            }
        }
    }
    Ok(())
}

/// The load, as often as it was asked for.
async fn repeat(settings: &Settings, aims: &Arc<Vec<Aim>>, metrics: &Metrics, stop: &Stop) -> Result<Vec<Target>, RunError> {
    let (duration, patience) = (settings.duration, settings.duration.max(PATIENCE));
    let shape = Shape { workers: settings.workers, rps: settings.rps, duration, patience };
    let workers = u64::from(shape.workers) * u64::try_from(aims.len()).unwrap_or(1);
    let mut found: Vec<(Vec<Repetition>, Vec<u64>)> = aims.iter().map(|_| Default::default()).collect();
    for number in 1..=settings.repeat {
        if stop.is_wished() {
            break;
        }
        let which = if settings.repeat > 1 { format!("{number} of {}", settings.repeat) } else { String::new() };
        let space = if which.is_empty() { "" } else { " " };
        tracing::info!("starting benchmarks{space}{which}: duration={}", report::go_duration(nanoseconds(shape.duration)));
        let counters: Arc<Vec<Counters>> = Arc::new((0..load::threads(workers)).map(|_| Counters::default()).collect());
        metrics.show(Some((Arc::clone(aims), Arc::clone(&counters))));
        let counted = tokio::select! {
            counted = load::run(aims, shape, stop, &counters) => counted?,
            () = progress::show(&counters, shape.duration, &which) => return Err(LoadError::Lost.into()),
        };
        progress::clear();
        for (found, counted) in found.iter_mut().zip(counted) {
            found.0.push(counted.repetition);
            found.1.push(counted.unsent);
        }
    }
    metrics.show(None);
    let load = Load {
        workers: u64::from(settings.workers),
        rps: u64::from(settings.rps),
        duration: nanoseconds(settings.duration),
        program: format!("coffer {}", env!("CARGO_PKG_VERSION")),
        interrupted: stop.is_wished(),
    };
    let target = |(aim, (found, unsent)): (&Aim, (Vec<Repetition>, Vec<u64>))| {
        let mut target = Target::new(aim.remote.url(), load.clone(), settings.annotations.clone(), &found);
        if let Some(details) = target.details.as_mut().filter(|_| settings.rps > 0) {
            details.unsent = unsent;
        }
        target
    };
    Ok(aims.iter().zip(found).map(target).collect())
}

/// Says what went wrong: the table only shows how often.
fn failures(target: &Target) {
    if let Some(unsent) = target.unsent() {
        tracing::warn!("{}: {unsent}", target.target_addr);
    }
    for (test, metrics) in target.tests() {
        // The table counts them as successes, as vegeta does.
        if let Some((status, count)) = metrics.status_codes.iter().find(|(status, _)| status.starts_with('3')) {
            tracing::warn!("{}, test {test:?}: {count} answers with status {status}: {STANDBY}", target.target_addr);
        }
        if let Some(error) = metrics.errors().first() {
            let more = metrics.errors().len() - 1;
            let more = if more > 0 { format!(", and {more} other errors") } else { String::new() };
            tracing::warn!(
                "{}, test {test:?}: {:.2}% failed: {}{more}",
                target.target_addr,
                (1.0 - metrics.success) * 100.0,
                report::plain(error)
            );
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
