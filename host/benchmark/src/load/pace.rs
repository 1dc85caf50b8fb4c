//! The schedule of an open loop: a thread that lets requests go when they are due.
//!
//! A thread, since the timers of the asynchronous runtime tick in milliseconds, and what they are late by would count as the server's.

use super::{Shape, Stop};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// A wish to stop is seen this soon.
const LONGEST: Duration = Duration::from_millis(100);
const SECOND: u128 = 1_000_000_000;

/// When requests are due, and which of them are.
pub(super) struct Pace {
    rps: u32,
    due: Semaphore,
    taken: AtomicU64,
}

impl Pace {
    pub(super) fn new(rps: u32) -> Self {
        Self { rps, due: Semaphore::new(0), taken: AtomicU64::new(0) }
    }

    /// Waits until a request is due that nobody has taken, and says when it was; none at the end.
    pub(super) async fn next(&self, start: Instant) -> Option<Instant> {
        self.due.acquire().await.ok()?.forget();
        Some(start + self.at(self.taken.fetch_add(1, Ordering::Relaxed)))
    }

    /// How long after the start a request is due.
    fn at(&self, number: u64) -> Duration {
        let nanoseconds = u128::from(number) * SECOND / u128::from(self.rps.max(1));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// How many requests are due before this time.
    fn before(&self, elapsed: Duration) -> u64 {
        u64::try_from((elapsed.as_nanos() * u128::from(self.rps)).div_ceil(SECOND)).unwrap_or(u64::MAX)
    }

    /// How many requests were handed out so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Lets requests go until the end, and says how many. What is due by then and waits for a worker is still sent, as long as the patience lasts.
    pub(super) fn drive(&self, start: Instant, shape: Shape, stop: &Stop) -> u64 {
        let all = self.before(shape.duration);
        let mut gone = 0;
        while gone < all && !stop.is_wished() {
            let elapsed = start.elapsed();
            // One that is due exactly now is due.
            let due = self.before(elapsed.saturating_add(Duration::from_nanos(1))).min(all);
            if due > gone {
                self.due.add_permits(usize::try_from(due - gone).unwrap_or(0));
                gone = due;
            } else {
                thread::sleep(self.at(gone).saturating_sub(elapsed).min(LONGEST));
            }
        }
        // What was let go is to be taken, too: it was due, and whoever looks at the times must see it. But a rate that is far beyond the server's would
        // never come to an end. (A permit that is on its way to a worker is lost when the semaphore closes, so those that were used are counted.)
        let patience = Instant::now() + shape.patience;
        while self.taken() < gone && !stop.is_wished() && Instant::now() < patience {
            thread::sleep(Duration::from_millis(1));
        }
        self.due.close();
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, Shape, Stop};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    #[test]
    fn requests_are_due_at_even_times() {
        let pace = Pace::new(3);
        assert_eq!(pace.at(0), Duration::ZERO);
        assert_eq!(pace.at(3), Duration::from_secs(1));
        assert_eq!(pace.before(Duration::from_secs(10)), 30);
        assert_eq!(pace.before(Duration::ZERO), 0);
        assert_eq!(pace.before(Duration::from_nanos(1)), 1);
        assert_eq!(pace.before(Duration::from_millis(334)), 2);
    }

    #[tokio::test]
    async fn all_that_is_due_is_handed_out_and_then_the_end() {
        let pace = Arc::new(Pace::new(10_000));
        // Its whole time is over when it starts, so that nothing depends on how fast this machine is.
        let start = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let driver = std::thread::spawn({
            let pace = Arc::clone(&pace);
            let shape = Shape { workers: 1, rps: 10_000, duration: Duration::from_millis(100), patience: Duration::from_secs(10) };
            move || pace.drive(start, shape, &Stop::default())
        });
        let mut due = Vec::new();
        while let Some(next) = pace.next(start).await {
            due.push(next);
        }
        assert_eq!((driver.join().unwrap(), pace.taken()), (1_000, 1_000));
        assert_eq!(due.len(), 1_000);
        assert_eq!(due[999] - start, Duration::from_micros(99_900));
    }
}
