//! `coffer-proxy`: `coffer proxy` as a program of its own, for places where size and start count, such as a Lambda layer.
//!
//! The rule: before anything else the process closes what could leak (file rights, core dumps); the exit codes are those of `coffer`.

use std::process::ExitCode;

use clap::Parser;
use cofferdam_proxy::{Arguments, Environment};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Logs in to a server that speaks Vault's API, and hands out its secrets on this machine, by a proxy and by files.
#[derive(Debug, Parser)]
#[command(name = "coffer-proxy", version, max_term_width = 110)]
struct CommandLine {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    // A sandbox may forbid it, and goes on to be one.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Help and version are no errors.
            let code = u8::from(error.use_stderr());
            return ExitCode::from(if error.print().is_ok() { code } else { 1 });
        }
    };
    match cofferdam_proxy::run(&line.arguments, &Environment::of_process()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(if error.is_usage() { 1 } else { 2 })
        }
    }
}
