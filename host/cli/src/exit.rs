//! Exit codes, and failures that end a command.

use std::process::ExitCode;

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It worked.
    Success,
    /// The command line, the configuration or a local file is wrong; for `status`, any error.
    Usage,
    /// The server refused, or could not be started or reached; for `status`, the vault is sealed; for `init -status`, there is none.
    Failed,
    /// Only of `migrate`: all is copied and verified, but for entries that the destination has no keys for and that are named.
    Partly,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Usage => 1,
            Exit::Failed => 2,
            Exit::Partly => 3,
        })
    }
}

/// Why a command ended.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub code: Exit,
    /// What is printed.
    pub message: String,
}

impl Failure {
    /// Something wrong on the command line, in the configuration or in a local file.
    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self { code: Exit::Usage, message: message.to_string() }
    }

    /// Something that was tried and did not work.
    pub(crate) fn failed(message: impl std::fmt::Display) -> Self {
        Self { code: Exit::Failed, message: message.to_string() }
    }
}

/// What a command ends with.
pub(crate) type Outcome = Result<Exit, Failure>;
