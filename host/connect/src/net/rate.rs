//! A rate with a burst. The rule: whoever takes from an empty bucket owes, and waits until it is paid; nobody is let in whose time would not suffice.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many a second, and so many at once.
#[derive(Debug)]
pub struct Rate {
    per_second: f64,
    burst: f64,
    bucket: Mutex<(f64, Instant)>,
}

impl Rate {
    /// A full bucket. Zero counts as one.
    pub fn new(per_second: u32, burst: u32) -> Rate {
        let burst = f64::from(burst.max(1));
        Rate { per_second: f64::from(per_second.max(1)), burst, bucket: Mutex::new((burst, Instant::now())) }
    }

    /// Takes one if that costs no time, and says whether it did.
    pub fn is_free(&self) -> bool {
        self.take(Instant::now(), Duration::ZERO).is_some()
    }

    /// Takes one and waits for it. False if that would last beyond the deadline; nothing is taken then, and nobody waits.
    pub async fn wait(&self, deadline: Instant) -> bool {
        let now = Instant::now();
        let Some(wait) = self.take(now, deadline.saturating_duration_since(now)) else { return false };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        true
    }

    /// Takes one, and says how long to wait. None if that would be longer than allowed; nothing is taken then.
    fn take(&self, now: Instant, at_most: Duration) -> Option<Duration> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, filled) = &mut *bucket;
        *tokens = (*tokens + now.saturating_duration_since(*filled).as_secs_f64() * self.per_second).min(self.burst);
        *filled = now.max(*filled);
        let left = *tokens - 1.0;
        let wait = if left >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-left / self.per_second) };
        if wait > at_most {
            return None;
        }
        *tokens = left;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_follows_waits_its_turn() {
        let rate = Rate::new(10, 5);
        let start = Instant::now();
        for _ in 0..5 {
            assert_eq!(rate.take(start, Duration::ZERO), Some(Duration::ZERO));
        }
        assert_eq!(rate.take(start, Duration::ZERO), None);
        let waits: Vec<_> = (0..3).map(|_| rate.take(start, Duration::from_secs(1)).unwrap().as_millis()).collect();
        assert_eq!(waits, [100, 200, 300]);
        assert_eq!(rate.take(start + Duration::from_millis(350), Duration::from_secs(1)).unwrap().as_millis(), 50);
        assert_eq!(rate.take(start + Duration::from_secs(60), Duration::ZERO), Some(Duration::ZERO));
    }
}
