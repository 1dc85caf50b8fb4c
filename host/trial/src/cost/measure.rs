//! Measuring: workers that do one operation after the other, for a while.

use std::time::{Duration, Instant};

use cofferdam_backend::Error;
use tokio::task::JoinSet;

use crate::Ended;
use crate::store::said;

/// How long one operation took.
pub(super) type Timed = Result<Duration, Error>;

/// How much is done of an operation.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// Workers that do it at the same time.
    pub(super) workers: u32,
    /// For how long.
    pub(super) time: Duration,
    /// How often at most, by each.
    pub(super) most: usize,
}

/// Times, sorted.
#[derive(Debug)]
pub(super) struct Measured {
    times: Vec<Duration>,
    workers: u32,
}

impl Measured {
    pub(super) fn new(mut times: Vec<Duration>, workers: u32) -> Measured {
        times.sort_unstable();
        Measured { times, workers }
    }

    /// How many they are.
    pub(super) fn calls(&self) -> u64 {
        self.times.len() as u64
    }

    /// So many of a hundred took no longer.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let at = (self.times.len() * percent).div_ceil(100).saturating_sub(1);
        self.times.get(at).copied().unwrap_or_default()
    }

    /// Operations per second: each worker begins the next when one ends, so they are as many as workers in the mean time of one.
    pub(super) fn per_second(&self) -> f64 {
        let total = self.times.iter().sum::<Duration>().as_secs_f64();
        let count = f64::from(u32::try_from(self.times.len()).unwrap_or(u32::MAX));
        if total > 0.0 { f64::from(self.workers) * count / total } else { 0.0 }
    }
}

/// Has each worker do it for the span, at least once. `once` is told which worker it is, and how often that has done it before. An error ends it.
pub(super) async fn measure<F, R>(what: &str, span: Span, once: F) -> Result<Measured, Ended>
where
    F: Fn(u32, u32) -> R + Clone + Send + 'static,
    R: Future<Output = Timed> + Send,
{
    let mut tasks = JoinSet::new();
    for worker in 0..span.workers {
        let once = once.clone();
        tasks.spawn(async move {
            let (began, mut times) = (Instant::now(), Vec::new());
            while times.is_empty() || (began.elapsed() < span.time && times.len() < span.most) {
                times.push(once(worker, u32::try_from(times.len()).unwrap_or(u32::MAX)).await?);
            }
            Ok::<_, Error>(times)
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(Ok(times)) => all.extend(times),
            Ok(Err(error)) => return Err(Ended::failed(format!("{what}: expected no error, found {}", said(&error)))),
            Err(error) => return Err(Ended::failed(format!("{what}: the measuring itself failed: {error}"))),
        }
    }
    Ok(Measured::new(all, span.workers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_rates() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let measured = Measured::new(times, 4);
        let percentiles = [50, 95, 99, 100].map(|percent| measured.percentile(percent).as_millis());
        assert_eq!(percentiles, [100, 190, 198, 200]);
        // A mean of 100.5 ms, four at a time.
        assert!((measured.per_second() - 39.8).abs() < 0.01, "{}", measured.per_second());
        let none = Measured::new(Vec::new(), 1);
        assert_eq!((none.percentile(99), none.per_second()), (Duration::ZERO, 0.0));
    }
}
