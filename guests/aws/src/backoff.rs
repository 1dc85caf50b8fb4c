//! How long to wait before the next try: doubling, capped, and half of it by chance, so that instances that failed together do not return together.

use std::time::Duration;

/// The first wait after a refusal for load.
const THROTTLED: Duration = Duration::from_millis(50);
/// The first wait after a fault, which more likely is over at once.
const FAILED: Duration = Duration::from_millis(25);
/// The longest wait after either.
const LONGEST: Duration = Duration::from_secs(5);
/// The first wait after a conflict, and the longest: the other transaction takes milliseconds.
const CONFLICT: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(320)];

/// Why a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The service asks for less, or left some of the request undone.
    Throttled,
    /// The service failed, or there is no answer.
    Failed,
    /// A transaction on the same item is under way.
    Conflict,
}

/// The wait before the retry of this number, counted from zero. `chance` is any number.
pub(crate) fn wait(reason: Reason, retry: u32, chance: u64) -> Duration {
    let [first, longest] = match reason {
        Reason::Throttled => [THROTTLED, LONGEST],
        Reason::Failed => [FAILED, LONGEST],
        Reason::Conflict => CONFLICT,
    };
    let whole = first.saturating_mul(1_u32.checked_shl(retry).unwrap_or(u32::MAX)).min(longest);
    let half = whole / 2;
    let share = u32::try_from(chance & 0xffff).unwrap_or_default();
    half + half.saturating_mul(share) / 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let most = |retry| wait(Reason::Throttled, retry, u64::MAX);
        assert_eq!(most(0), Duration::from_millis(50));
        assert_eq!(most(1), Duration::from_millis(100));
        assert_eq!(most(6), Duration::from_millis(3_200));
        for retry in [7, 31, 32, 1_000] {
            assert_eq!(most(retry), LONGEST);
            assert_eq!(wait(Reason::Conflict, retry, u64::MAX), Duration::from_millis(320));
        }
    }

    #[test]
    fn half_of_a_wait_is_chance() {
        assert_eq!(wait(Reason::Throttled, 1, 0), Duration::from_millis(50));
        assert_eq!(wait(Reason::Failed, 0, 0), Duration::from_micros(12_500));
        let waits: Vec<_> = (0..100).map(|chance| wait(Reason::Failed, 3, chance * 600)).collect();
        assert!(waits.iter().all(|wait| (100..=200).contains(&wait.as_millis())), "{waits:?}");
        assert!(waits.iter().collect::<std::collections::BTreeSet<_>>().len() > 90);
    }
}
