//! `coffer bench`: load on servers and on storages, and what its results say. The load, the reports and the comparison are `cofferdam_benchmark`'s; only
//! what needs the runtime is here.

mod probe;

use crate::config::{Environment, Level, LogConfig};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::print;
use crate::server::logging;
use cofferdam_benchmark::arguments::{Arguments, Command, RunArguments};
use cofferdam_benchmark::storage::StorageArguments;
use cofferdam_benchmark::{RunError, compare, review};

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, environment: &Environment) -> Outcome {
    match &arguments.command {
        None => load(&arguments.run, environment),
        Some(Command::Run(run)) => load(run, environment),
        Some(Command::Review(arguments)) => {
            print(&review::run(arguments).map_err(Failure::usage)?)?;
            Ok(Exit::Success)
        }
        Some(Command::Compare(arguments)) => {
            let compared = compare::run(arguments).map_err(Failure::usage)?;
            print(&compared.text)?;
            Ok(if compared.failed { Exit::Failed } else { Exit::Success })
        }
        Some(Command::Storage(arguments)) => probe::run(arguments, environment),
    }
}

/// The load of a file of tests, or that of a storage if the flag says so.
fn load(arguments: &RunArguments, environment: &Environment) -> Outcome {
    if arguments.storage_probe {
        return probe::run(&StorageArguments::of_run(arguments).map_err(Failure::usage)?, environment);
    }
    let variables = |name: &str| environment.variable(name).map(str::to_owned);
    let config = cofferdam_benchmark::Config::load(arguments, &variables).map_err(Failure::usage)?;
    let level = match config.level {
        cofferdam_benchmark::Level::Trace => Level::Trace,
        cofferdam_benchmark::Level::Debug => Level::Debug,
        cofferdam_benchmark::Level::Info => Level::Info,
        cofferdam_benchmark::Level::Warn => Level::Warn,
        cofferdam_benchmark::Level::Error => Level::Error,
    };
    logging::start(&LogConfig { level: Some(level), ..LogConfig::default() }, None)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let finding = cofferdam_benchmark::run(&config).map_err(|error| match error {
        RunError::Usage(message) => Failure::usage(message),
        RunError::Failed(message) => Failure::failed(message),
    })?;
    print(&finding.report)?;
    match finding.problem {
        None => Ok(Exit::Success),
        Some(problem) => Err(Failure::failed(problem)),
    }
}
