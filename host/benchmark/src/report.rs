//! Results as text: for people, or to be kept.
//!
//! The texts are vault-benchmark's, to the byte where it fixes one, so that what reads its tables reads ours.

mod columns;
mod go;
mod table;
mod verbose;

pub(crate) use columns::aligned;
pub use go::duration as go_duration;
pub use table::terse;
pub use verbose::verbose;

use crate::results;
use crate::results::Target;

/// How results are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// A table with a row for each test.
    #[default]
    Terse,
    /// Every figure of each test.
    Verbose,
    /// To be kept, and shown or compared later.
    Json,
}

/// The text for standard output.
///
/// # Errors
///
/// If it cannot be written as JSON.
pub fn render(mode: Mode, targets: &[Target]) -> Result<String, serde_json::Error> {
    match mode {
        Mode::Terse => Ok(targets.iter().map(terse).collect()),
        Mode::Verbose => Ok(targets.iter().map(|target| verbose(target, targets.len() > 1)).collect()),
        Mode::Json => results::write(targets),
    }
}

/// Text of others (a server's status line, a test's name) on one line of a terminal: no control character gets through.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter }).collect()
}

#[cfg(test)]
mod tests;
