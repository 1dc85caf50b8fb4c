//! Names for what a guest can do wrong.
//!
//! Limits that this crate enforces fail with a [`Breach`] inside the engine's error; [`Breach::of`] finds it again, or names
//! what the engine itself refused.

use std::fmt;

use cofferdam_backend::Error;
use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, format_err};
use wasmtime_wasi_http::FieldMapError;

use crate::log;

/// Which rule a guest broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreachKind {
    /// More memory, tables or inner instances than allowed.
    Memory,
    /// More computing time than allowed.
    Cpu,
    /// Recursion too deep.
    Stack,
    /// More handles than allowed.
    Handles,
    /// More bytes handed to the host at once than allowed.
    Response,
    /// An answer that the contract does not allow.
    Contract,
    /// A seal that did with a key, or with its answer, something else than it was asked.
    Key,
    /// The guest ended itself by a trap: a panic, `abort`, an exit, an access out of bounds.
    Trap,
}

impl BreachKind {
    /// In the order of their declaration.
    pub(crate) const ALL: [BreachKind; 8] = [
        BreachKind::Memory,
        BreachKind::Cpu,
        BreachKind::Stack,
        BreachKind::Handles,
        BreachKind::Response,
        BreachKind::Contract,
        BreachKind::Key,
        BreachKind::Trap,
    ];

    /// The name, as it begins the text of [`Error::Breach`] and labels metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            BreachKind::Memory => "memory",
            BreachKind::Cpu => "cpu",
            BreachKind::Stack => "stack",
            BreachKind::Handles => "handles",
            BreachKind::Response => "response",
            BreachKind::Contract => "contract",
            BreachKind::Key => "key",
            BreachKind::Trap => "trap",
        }
    }

    /// The kind that an error of a backend names; none if it is no breach.
    pub fn of(error: &Error) -> Option<BreachKind> {
        let Error::Breach(text) = error else { return None };
        let name = text.split(':').next()?;
        BreachKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for BreachKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rule that a guest broke, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct Breach {
    /// Which rule.
    pub kind: BreachKind,
    /// How, for the operator.
    pub detail: String,
}

impl Breach {
    pub(crate) fn new(kind: BreachKind, detail: impl Into<String>) -> Breach {
        Breach { kind, detail: detail.into() }
    }

    /// The breach behind an error that ended a guest's call.
    pub(crate) fn of(error: wasmtime::Error) -> Breach {
        tracing::debug!(error = crate::log::bounded(&format!("{error:#}")), "a guest's call ended");
        Breach::untold(error)
    }

    /// The same, and nothing of it is logged.
    pub(crate) fn untold(error: wasmtime::Error) -> Breach {
        if let Some(breach) = error.downcast_ref::<Breach>() {
            return breach.clone();
        }
        // The engine's own refusals that have no public type are known by their text; tests hold these to it.
        let text = error.root_cause().to_string();
        let kind = match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => BreachKind::Stack,
            Some(_) => BreachKind::Trap,
            None if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) => BreachKind::Handles,
            None if matches!(error.downcast_ref(), Some(FieldMapError::TotalSizeTooBig | FieldMapError::TooManyFields)) => {
                BreachKind::Response
            }
            None if text.contains("fuel allocated for hostcalls") => BreachKind::Response,
            None if text.contains("handle") && text.contains("limit") => BreachKind::Handles,
            None => BreachKind::Trap,
        };
        Breach { kind, detail: log::bounded(&text) }
    }
}

impl From<Breach> for Error {
    fn from(breach: Breach) -> Error {
        Error::Breach(breach.to_string())
    }
}

/// A broken rule of the contract.
pub(crate) fn contract(detail: impl Into<String>) -> Breach {
    Breach::new(BreachKind::Contract, detail)
}

/// The breach as an error that the engine carries to the caller.
pub(crate) fn trap(kind: BreachKind, detail: impl Into<String>) -> wasmtime::Error {
    format_err!(Breach::new(kind, detail))
}
