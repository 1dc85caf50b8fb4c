//! When a backend counts as broken, and how often it is tried again.

use std::time::Duration;

/// Thresholds and pauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// So many faults in a row, without a success in between, have the backend opened again.
    pub faults: usize,
    /// Only if they came within this time.
    pub within: Duration,
    /// The pause before the first attempt to open it again; each further one waits twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// After so many attempts in vain it is put in quarantine.
    pub attempts: u32,
    /// A backend that was opened again is taken for mended after this time; if it fails earlier, the pauses go on growing.
    pub probation: Duration,
    /// The pause before the first attempt to end a quarantine; grows likewise.
    pub first_probe: Duration,
    /// The longest of these.
    pub longest_probe: Duration,
    /// How long the check of a generation may take.
    pub check: Duration,
    /// How long the calls of a replaced generation may go on before a warning says so.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            faults: 5,
            within: Duration::from_secs(60),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            attempts: 3,
            probation: Duration::from_secs(300),
            first_probe: Duration::from_secs(30),
            longest_probe: Duration::from_secs(300),
            check: Duration::from_secs(30),
            drain: Duration::from_secs(120),
        }
    }
}

impl Options {
    /// The pause after so many attempts to open it again.
    pub(crate) fn pause(&self, attempts: u32) -> Duration {
        grown(self.first_pause, attempts, self.longest_pause)
    }

    /// The pause after so many attempts to end a quarantine.
    pub(crate) fn probe(&self, attempts: u32) -> Duration {
        grown(self.first_probe, attempts, self.longest_probe)
    }
}

fn grown(first: Duration, doublings: u32, longest: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let options = Options::default();
        let seconds: Vec<u64> = (0..8).map(|attempts| options.pause(attempts).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(options.pause(u32::MAX), options.longest_pause);
        assert_eq!([0, 1, 4, 9].map(|attempts| options.probe(attempts).as_secs()), [30, 60, 300, 300]);
    }
}
