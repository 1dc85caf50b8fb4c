//! Traffic on file: what a trial's component asked by the grants `aws` and `http`, and what came of it, so that the same trial runs again with no
//! service behind it, no credentials and no network.
//!
//! A [`Recorder`] stands before the grants and notes, check by check; a [`Player`] stands in their place and answers as was noted. Both see requests before the
//! host adds or signs anything, so that no credential is on the way through them. The rule: a player makes up nothing. A request that the recording does not have
//! at this place fails the check, whatever the component makes of it.
//!
//! What differs from run to run is put right on both sides alike: seed and time of day come from the recording; the members of a JSON request are sorted; servers, accounts and
//! the keys that a seal is given are placeholders (see [`scrub`]). Checks whose calls race are left out by name, and what does not
//! play back at once is left out when the recording is made.

mod exchange;
mod file;
#[doc(hidden)]
pub mod fuzz;
mod player;
mod recorder;
mod scrub;
mod taped;
#[cfg(test)]
mod tests;

use crate::report::Outcome;

pub use file::Header;
pub use player::Player;
pub use recorder::Recorder;
pub use taped::Taped;

/// What is told of each check, and may keep it from being run.
pub trait Tape: Send + Sync {
    /// A check begins. Why it is not run, if it is not.
    fn begin(&self, id: &str) -> Option<String>;

    /// The check has ended, with what it would come to; returns what it comes to.
    fn end(&self, outcome: Outcome) -> Outcome;

    /// A key that a seal is about to be given: it is on no tape.
    fn key(&self, dek: &[u8; 32]);

    /// Whether there is nothing behind the backend now that could be asked.
    fn is_silent(&self) -> bool;
}

/// Checks of which no recording is made, and why: what is asked in them, and how often, is settled by who is faster.
const RACES: &str = "not recorded: its calls race, and who wins is not the same twice";
const RACING: &[&str] = &[
    "contract/pages-under-writes",
    "contract/scan-under-writes",
    "contract/batch-seen-in-order",
    "contract/whole-values",
    "contract/race-in-one-folder",
    "contract/race-on-one-key",
    "contract/lock-race",
];
/// Sections of which no recording is made, and why.
const SECTIONS: &[(&str, &str)] = &[
    ("conduct/", "not recorded: it looks at one long course of calls as a whole"),
    ("cost/", "not recorded: it measures time, of which a recording has none"),
];

/// Why no recording is made of a check, if that is settled before it is run.
fn left_out(id: &str) -> Option<&'static str> {
    let section = SECTIONS.iter().find(|(section, _)| id.starts_with(section)).map(|(_, why)| *why);
    section.or_else(|| RACING.contains(&id).then_some(RACES))
}

/// Whether [`word`] says so.
fn is_word(text: &str) -> bool {
    matches!(text, "passed" | "skipped" | "failed")
}

/// The outcome in one word.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Skipped { .. } => "skipped",
        Outcome::Failed { .. } => "failed",
    }
}
