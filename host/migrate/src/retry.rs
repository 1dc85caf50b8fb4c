//! Trying again what a backend could not do now.

use std::time::{Duration, Instant};

use cofferdam_backend::{Error, Result};

use crate::progress::Progress;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(15);

/// How often a guest may break a rule before that is taken for its way.
const BREACHES: u32 = 3;

/// How long one call is tried for, and where it is counted that it was made again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience<'a> {
    pub(crate) limit: Duration,
    pub(crate) progress: &'a Progress,
}

impl Patience<'_> {
    /// Calls until it works, until the error is one that another call does not cure, or until patience ends.
    pub(crate) async fn persist<T>(self, call: impl AsyncFn() -> Result<T>) -> Result<T> {
        let begin = Instant::now();
        let (mut pause, mut breaches) = (FIRST, 0);
        loop {
            let error = match call().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let wanted = match &error {
                Error::Throttled(delay) => *delay,
                Error::Unavailable(_) | Error::Busy(_) | Error::Quarantined(_) | Error::TimedOut(_) | Error::Conflict(_) => Duration::ZERO,
                Error::Breach(_) if breaches < BREACHES => {
                    breaches += 1;
                    Duration::ZERO
                }
                _ => return Err(error),
            };
            let wait = jittered(pause).max(wanted);
            if begin.elapsed() + wait > self.limit {
                return Err(error);
            }
            self.progress.retried();
            tracing::debug!(%error, wait_ms = wait.as_millis(), "a call failed and is made again");
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST);
        }
    }
}

/// Between three and five quarters of it, so that calls which failed together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let chance = uuid::Uuid::new_v4().as_bytes().first().copied().unwrap_or_default();
    pause.mul_f64(0.75 + f64::from(chance) / 512.0)
}
