//! The rate of the crate's own requests. The rule: over any time, no more than the burst and what the rate allows for that time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A bucket that fills at a rate.
pub(super) struct Pace {
    rate: f64,
    burst: f64,
    /// How full, and when it was.
    bucket: Mutex<(f64, Instant)>,
}

impl Pace {
    /// Full.
    pub(super) fn new(rate: f64, burst: u32) -> Pace {
        let burst = f64::from(burst.max(1));
        Pace { rate, burst, bucket: Mutex::new((burst, Instant::now())) }
    }

    /// Takes one, which may be one that is still to come, and waits for it.
    pub(super) async fn wait(&self) {
        let wait = {
            let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let full = (bucket.0 + now.duration_since(bucket.1).as_secs_f64() * self.rate).min(self.burst) - 1.0;
            *bucket = (full, now);
            if full < 0.0 { Duration::try_from_secs_f64(-full / self.rate).unwrap_or(Duration::MAX) } else { Duration::ZERO }
        };
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Pace;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_the_rest_waits() {
        let pace = Pace::new(2.0, 3);
        let start = Instant::now();
        for seconds in [0.0, 0.0, 0.0, 0.5, 1.0] {
            pace.wait().await;
            let waited = start.elapsed().as_secs_f64();
            assert!((waited - seconds).abs() < 0.01, "{waited} {seconds}");
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let start = Instant::now();
        for _ in 0..3 {
            pace.wait().await;
        }
        assert!(start.elapsed() < Duration::from_millis(10));
    }
}
