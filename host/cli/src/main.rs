//! `coffer`: the server, and the commands that an operator needs beside it.
//!
//! The rule: before anything else the process closes what could leak (file rights, core dumps); the exit code says whether a command
//! worked, as Vault's do.

mod args;
mod bench;
mod client;
mod component;
mod config;
mod exit;
mod harden;
mod migrate;
mod operator;
mod output;
mod plugin;
mod server;
mod snapshot;
mod status;

use args::{Arguments, Command};
use clap::Parser;
use exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    // No thread runs yet, and none may before this is done: the umask and the limits are the process's.
    let hardened = harden::process();
    if std::env::args_os().nth(1).is_some_and(|argument| argument == server::COMPILE) {
        return ExitCode::from(cofferdam_runtime::compile_from_stdin());
    }
    let arguments = match Arguments::try_parse_from(args::normalized(std::env::args_os())) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors.
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            return match error.print() {
                Ok(()) => code.into(),
                Err(_) => Exit::Usage.into(),
            };
        }
    };
    let environment = config::Environment::of_process();
    let result = match arguments.command {
        Command::Server(arguments) => hardened.map_err(Into::into).and_then(|()| server::run(arguments, &environment)),
        Command::Status(arguments) => client::block_on(status::run(&arguments, &environment)),
        Command::Operator(command) => client::block_on(operator::run(&command, &environment)),
        Command::Plugin(command) => plugin::run(&command, &environment),
        Command::Snapshot(command) => client::block_on(snapshot::run(&command, &environment)),
        Command::Migrate(arguments) => migrate::run(&arguments, &environment),
        Command::Bench(arguments) => bench::run(&arguments, &environment),
        Command::Proxy(arguments) => proxy(&arguments),
    };
    match result {
        Ok(code) => code.into(),
        Err(failure) => {
            eprintln!("{}", failure.message);
            failure.code.into()
        }
    }
}

/// `coffer proxy`, which is also a program of its own.
fn proxy(arguments: &cofferdam_proxy::Arguments) -> exit::Outcome {
    match cofferdam_proxy::run(arguments, &cofferdam_proxy::Environment::of_process()) {
        Ok(()) => Ok(Exit::Success),
        Err(error) if error.is_usage() => Err(exit::Failure::usage(error)),
        Err(error) => Err(exit::Failure::failed(error)),
    }
}
