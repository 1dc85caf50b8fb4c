//! What is to be said of a backend's health: cases and numbers, nothing that a guest said.

use std::time::SystemTime;

use serde::Serialize;

/// How a backend fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It serves.
    Running,
    /// It failed repeatedly and is about to be opened again; calls go on meanwhile, and may fail.
    Reopening,
    /// Calls fail at once.
    Quarantined,
}

/// A backend's health, and what was done for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// How it fares.
    pub state: Phase,
    /// The case of the error for which it does not run as it should.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<&'static str>,
    /// Since when, in seconds since 1970.
    #[serde(serialize_with = "seconds")]
    pub since: SystemTime,
    /// In how many seconds it is tried again, at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_in: Option<u64>,
    /// Counts the generations, from 1.
    pub generation: u64,
    /// When the generation that runs was opened.
    #[serde(serialize_with = "seconds")]
    pub opened: SystemTime,
    /// How often it was opened again.
    pub reopened: u64,
    /// How often the operator has replaced it.
    pub reloaded: u64,
}

impl Status {
    /// What is wrong, in words for clients; none if nothing is.
    pub fn trouble(&self) -> Option<String> {
        let state = match self.state {
            Phase::Running => return None,
            Phase::Reopening => "reopening",
            Phase::Quarantined => "quarantined",
        };
        Some(self.case.map_or_else(|| state.to_owned(), |case| format!("{state}: {case}")))
    }
}

fn seconds<S: serde::Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
