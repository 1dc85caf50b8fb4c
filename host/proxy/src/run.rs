//! One run: log in, write the files, listen, say so, and go on until a signal or Lambda ends it.
//!
//! The rule: nobody finds the proxy before it can answer, nor Lambda the extension. What a start fails of is told once, to Lambda too.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::cache::Answers;
use crate::files::Files;
use crate::forward::Forwarder;
use crate::lambda::{Event, Extension, LambdaError, time_left};
use crate::log;
use crate::serve::{Listener, Serving};
use crate::settings::{Arguments, Environment, Settings, SettingsError};
use crate::token::{Keeper, system_clock};
use crate::upstream::Upstream;

/// How long requests under way are waited for after a signal; a second one ends the wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// By which an extension finds Lambda.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// Why a run ended that should not have.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The settings are wrong, or a file that they name is.
    #[error("{0}")]
    Settings(SettingsError),
    /// A file that the settings name, or the place to listen, cannot be used.
    #[error("{0}")]
    Local(String),
    /// What was tried did not work.
    #[error("{0}")]
    Failed(String),
}

impl RunError {
    /// Whether it is the operator's to mend, on this machine.
    pub fn is_usage(&self) -> bool {
        matches!(self, RunError::Settings(_) | RunError::Local(_))
    }
}

impl From<LambdaError> for RunError {
    fn from(error: LambdaError) -> RunError {
        RunError::Failed(error.to_string())
    }
}

fn failed(error: impl std::fmt::Display) -> RunError {
    RunError::Failed(error.to_string())
}

/// Runs until a signal, until Lambda's end, or, where only files are written once, until these are there.
pub fn run(arguments: &Arguments, environment: &Environment) -> Result<(), RunError> {
    // One thread is enough for what one machine asks, and needs the least.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let outcome = match Settings::load(arguments, environment) {
            Ok(settings) => Ok(settings),
            Err(error) => Err((environment.variable(RUNTIME_API).map(str::to_owned), RunError::Settings(error))),
        };
        let settings = match outcome {
            Ok(settings) => settings,
            Err((lambda, error)) => return Err(report(lambda.as_deref(), error).await),
        };
        log::start(settings.log_level, settings.log_format).map_err(RunError::Failed)?;
        let mut signals = Signals::new().map_err(failed)?;
        let lambda = settings.lambda.clone();
        let started = tokio::select! {
            biased;
            () = signals.next() => return Ok(()),
            started = Running::start(&settings) => started,
        };
        match started {
            Ok(running) => running.go_on(&settings, &mut signals).await,
            Err(error) => Err(report(lambda.as_deref(), error).await),
        }
    })
}

/// Tells Lambda, which logs it with the function's failed start.
async fn report(lambda: Option<&str>, error: RunError) -> RunError {
    if let Some(address) = lambda {
        let told = async { Extension::register(address, &own_name()).await?.init_error(&error.to_string()).await };
        if let Err(why) = told.await {
            return RunError::Failed(format!("{error}\n{why}"));
        }
    }
    error
}

/// The file's name, by which Lambda knows an extension.
fn own_name() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    std::path::Path::new(&path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// SIGTERM and SIGINT.
struct Signals(Signal, Signal);

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// What runs after the start.
struct Running {
    serving: Option<Serving>,
    /// The watched files and the cache's sweep; aborted at the end.
    beside: JoinSet<()>,
    stays: bool,
}

impl Running {
    async fn start(settings: &Settings) -> Result<Running, RunError> {
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        let clock = system_clock();
        let upstream = Arc::new(Upstream::new(settings).map_err(RunError::Local)?);
        let keeper = Keeper::new(settings, Arc::clone(&upstream), Arc::clone(&clock));
        keeper.token().await.map_err(|error| failed(format!("cannot log in at {}: {error}", settings.address.url())))?;
        let mut beside = JoinSet::new();
        let mut stays = settings.mode.serves();
        if settings.mode.writes_files() && !settings.secrets.is_empty() {
            let files = Files::new(settings, Arc::clone(&upstream), Arc::clone(&keeper), Arc::clone(&clock));
            files.write().await.map_err(failed)?;
            if settings.watch.is_some() {
                stays = true;
                beside.spawn(files.watch());
            }
        }
        let serving = if settings.mode.serves() {
            let answers = settings.cache.map(|cache| Answers::new(cache, clock));
            let forwarder = Arc::new(Forwarder::new(upstream, keeper, answers));
            let listener = Listener::bind(&settings.listen).await.map_err(RunError::Local)?;
            // On standard output, whatever the log shows: who starts the proxy may wait for this line. Who does not may have closed it.
            let _ = writeln!(std::io::stdout(), "coffer proxy: ready on {} for {}", listener.name(), settings.address.url());
            beside.spawn(sweep(Arc::clone(&forwarder)));
            Some(Serving::start(listener, forwarder))
        } else {
            None
        };
        Ok(Running { serving, beside, stays })
    }

    async fn go_on(mut self, settings: &Settings, signals: &mut Signals) -> Result<(), RunError> {
        let (patience, outcome) = match &settings.lambda {
            Some(address) => match extend(address, signals).await {
                Ok(patience) => (patience, Ok(())),
                Err(error) => (Duration::ZERO, Err(error)),
            },
            None => {
                if self.stays {
                    signals.next().await;
                }
                (PATIENCE, Ok(()))
            }
        };
        self.beside.abort_all();
        if let Some(serving) = self.serving.take() {
            let all = tokio::select! {
                all = serving.stop(patience) => all,
                () = signals.next() => false,
            };
            if !all {
                tracing::warn!("ended before every request was answered");
            }
        }
        outcome
    }
}

/// Waits for Lambda's end, or for a signal; gives the time that is left for requests under way.
async fn extend(address: &str, signals: &mut Signals) -> Result<Duration, RunError> {
    let extension = Extension::register(address, &own_name()).await?;
    loop {
        let event = tokio::select! {
            () = signals.next() => return Ok(PATIENCE),
            event = extension.next() => event,
        };
        match event {
            Ok(Event::Invoke) => {}
            Ok(Event::Shutdown { reason, deadline }) => {
                tracing::info!(reason, "Lambda ends the function");
                return Ok(time_left(deadline, SystemTime::now()));
            }
            Err(error) => {
                // If this does not get through either, the log and the exit code say it.
                let _ = extension.exit_error(&error.to_string()).await;
                return Err(error.into());
            }
        }
    }
}

/// Wipes kept answers that are too old, also if nobody asks for them.
async fn sweep(forwarder: Arc<Forwarder>) {
    let Some(answers) = forwarder.answers() else { return };
    loop {
        tokio::time::sleep(answers.sweep_interval()).await;
        answers.sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_read_without_a_warning() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/proxy/proxy.hcl");
        let settings = Settings::load(&Arguments { config: Some(path), ..Arguments::default() }, &Environment::default()).unwrap();
        assert!(settings.warnings.is_empty() && settings.watch.is_some() && settings.secrets.len() == 1, "{settings:?}");
    }

    #[test]
    fn an_extension_has_the_name_of_its_file() {
        assert!(own_name().starts_with("cofferdam_proxy-"), "{}", own_name());
    }
}
