//! When new credentials are asked for.
//!
//! The rule: early enough that a failed attempt can be repeated before the old ones end, whether they live for hours or for seconds, and not
//! at the same moment on every server.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// The most time that is left when new ones are asked for.
const AHEAD: Duration = Duration::from_mins(5);
/// The shortest pause between two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// How long to wait after getting credentials that live for `life`: all but a fifth of it, but at most five minutes of it, and jitter.
pub(crate) fn after_success(life: Duration) -> Duration {
    let ahead = (life / 5).min(AHEAD);
    let wait = life.saturating_sub(ahead).saturating_sub(jitter(ahead / 5));
    wait.max(PAUSE_MIN)
}

/// How long to wait after the `failures`th failure in a row, with `left` of the old ones' life.
pub(crate) fn after_failure(failures: u32, left: Duration) -> Duration {
    let doubled = BACKOFF_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(BACKOFF_MAX);
    let wait = doubled - jitter(doubled / 4);
    if left.is_zero() { wait } else { wait.min(left / 2).max(PAUSE_MIN) }
}

/// Somewhere between nothing and `most`. It need not be hard to guess.
fn jitter(most: Duration) -> Duration {
    let share = RandomState::new().build_hasher().finish() % 1024;
    most.saturating_mul(u32::try_from(share).unwrap_or(0)) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_in_the_last_fifth_and_at_most_five_and_a_half_minutes_before_the_end() {
        for _ in 0..100 {
            let of_seconds = after_success(Duration::from_secs(3));
            assert!(of_seconds <= Duration::from_millis(2400) && of_seconds >= Duration::from_millis(2280), "{of_seconds:?}");
            let of_hours = Duration::from_hours(6) - after_success(Duration::from_hours(6));
            assert!(of_hours >= AHEAD && of_hours <= Duration::from_mins(6), "{of_hours:?}");
        }
        assert_eq!(after_success(Duration::ZERO), PAUSE_MIN);
    }

    #[test]
    fn failures_wait_longer_and_longer_but_not_past_the_end() {
        let no_time = Duration::ZERO;
        assert!(after_failure(1, no_time) <= BACKOFF_MIN && after_failure(1, no_time) >= BACKOFF_MIN * 3 / 4);
        assert!(after_failure(40, no_time) <= BACKOFF_MAX && after_failure(40, no_time) >= BACKOFF_MAX * 3 / 4);
        assert!(after_failure(5, Duration::from_secs(2)) <= Duration::from_secs(1));
        assert_eq!(after_failure(5, Duration::from_millis(1)), PAUSE_MIN);
    }
}
