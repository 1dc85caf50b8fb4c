//! Whether a key service is there.
//!
//! The rule: it is asked only when it is not known: a wrap or an unwrap that it did counts as an answer. What a client sees of a failure is its case.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cofferdam_backend::Error;

use super::metered::{LABEL, UNREACHABLE};
use super::options::{AutoSeal, HealthTimes};

/// What is known of one key service.
pub(crate) struct Pulse {
    name: String,
    state: Mutex<State>,
    #[cfg(test)]
    ahead: Mutex<Duration>,
}

#[derive(Default)]
struct State {
    answered: Option<Instant>,
    /// Since when checks fail, and the case of the last failure.
    failing: Option<(Instant, &'static str)>,
}

/// What a check has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    Same,
    /// The service does not answer any more.
    Lost,
    /// It does again.
    Back,
}

impl Pulse {
    pub(super) fn new(name: &str) -> Pulse {
        metrics::gauge!(UNREACHABLE, LABEL => name.to_owned()).set(0);
        Pulse {
            name: name.to_owned(),
            state: Mutex::default(),
            #[cfg(test)]
            ahead: Mutex::default(),
        }
    }

    fn now(&self) -> Instant {
        let now = Instant::now();
        #[cfg(test)]
        let now = now + *self.ahead.lock().unwrap();
        now
    }

    /// Lets time pass.
    #[cfg(test)]
    pub(crate) fn advance(&self, by: Duration) {
        *self.ahead.lock().unwrap() += by;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The seal's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// It did what it was asked.
    pub(super) fn answered(&self) {
        self.state().answered = Some(self.now());
    }

    /// The case of its failure, if the last check failed.
    pub(crate) fn failing(&self) -> Option<&'static str> {
        self.state().failing.map(|(_, case)| case)
    }

    /// Asks whether it is there, unless it has shown that within the interval.
    pub(crate) async fn check(&self, seal: &AutoSeal, times: &HealthTimes) -> Turn {
        let now = self.now();
        let (answered, failing) = {
            let state = self.state();
            (state.answered, state.failing)
        };
        let since = |begun: Instant| now.saturating_duration_since(begun);
        let known = answered.is_some_and(|at| match failing {
            // It did something since the last check.
            Some((begun, _)) => at > begun && since(at) < times.unhealthy,
            None => since(at) < times.interval,
        });
        let done = if known {
            Ok(())
        } else {
            match tokio::time::timeout(times.timeout, seal.backend.health()).await {
                Ok(done) => done,
                Err(_) => Err(Error::TimedOut(times.timeout)),
            }
        };
        self.judge(done, now)
    }

    fn judge(&self, done: Result<(), Error>, begun: Instant) -> Turn {
        let mut state = self.state();
        let since = |at: Instant| self.now().saturating_duration_since(at);
        let turn = match (&done, state.failing) {
            (Ok(()), None) => Turn::Same,
            (Ok(()), Some((at, _))) => {
                tracing::info!(seal = self.name, after_s = since(at).as_secs(), "the key service answers again");
                Turn::Back
            }
            (Err(error), None) => {
                tracing::warn!(seal = self.name, %error, "the key service does not answer as it should: while that lasts a restart may leave the vault sealed");
                Turn::Lost
            }
            (Err(error), Some(_)) => {
                tracing::debug!(seal = self.name, %error, "the key service still does not answer as it should");
                Turn::Same
            }
        };
        state.failing = done.err().map(|error| (state.failing.map_or(begun, |(at, _)| at), error.case()));
        let unreachable = state.failing.map_or(Duration::ZERO, |(at, _)| since(at));
        metrics::gauge!(UNREACHABLE, LABEL => self.name.clone()).set(unreachable.as_secs_f64() * 1000.0);
        turn
    }

    /// When to check next; `soon` if something waits for it.
    pub(crate) fn pause(&self, times: &HealthTimes, soon: bool) -> Duration {
        let state = self.state();
        if soon || state.failing.is_some() {
            return times.unhealthy;
        }
        // What it did meanwhile puts the next check off.
        let answered = state.answered.map_or(Duration::ZERO, |at| self.now().saturating_duration_since(at));
        times.interval.saturating_sub(answered).max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;
    use crate::testing::log::Log;
    use crate::testing::recorder::Recorder;
    use crate::testing::service::Service;

    const TIMES: HealthTimes = HealthTimes {
        enabled: true,
        interval: Duration::from_secs(3600),
        unhealthy: Duration::from_secs(60),
        timeout: Duration::from_secs(10),
    };

    #[tokio::test]
    async fn a_day_without_work_costs_24_checks_and_work_saves_them() {
        let service = Service::new("k");
        let (seal, pulse) = service.seal("east").metered();
        let day = async |work: Option<Duration>| {
            let (before, end) = (service.asked().2, pulse.now() + Duration::from_secs(24 * 3600 - 60));
            while pulse.now() < end {
                assert_eq!(pulse.check(&seal, &TIMES).await, Turn::Same);
                if work.is_some() {
                    seal.backend.wrap(&[1; 32]).await.unwrap();
                }
                pulse.advance(work.unwrap_or_else(|| pulse.pause(&TIMES, false)));
            }
            service.asked().2 - before
        };
        assert_eq!(day(None).await, 24);
        assert_eq!(day(Some(Duration::from_secs(600))).await, 1, "only the first: nothing was done for an hour before");
    }

    #[tokio::test]
    async fn a_service_that_fails_is_told_once_asked_more_often_and_told_when_it_is_back() {
        let recorder = Recorder::default();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let (log, _logged) = Log::begin();
        let service = Service::new("k");
        let (seal, pulse) = service.seal("east").metered();
        assert_eq!(pulse.check(&seal, &TIMES).await, Turn::Same);
        service.fail(Some(Error::Denied("text of the service".to_owned())));
        pulse.advance(TIMES.interval);
        assert_eq!(pulse.check(&seal, &TIMES).await, Turn::Lost);
        assert_eq!((pulse.failing(), pulse.pause(&TIMES, false)), (Some("denied"), TIMES.unhealthy));
        pulse.advance(TIMES.unhealthy);
        assert_eq!(pulse.check(&seal, &TIMES).await, Turn::Same);
        let shown = recorder.gauge(UNREACHABLE);
        assert!((60_000.0..70_000.0).contains(&shown), "{shown}");
        // What it does for others shows that it is back, without a question.
        service.fail(None);
        seal.backend.wrap(&[1; 32]).await.unwrap();
        let asked = service.asked().2;
        assert_eq!(pulse.check(&seal, &TIMES).await, Turn::Back);
        assert_eq!((service.asked().2, pulse.failing()), (asked, None));
        assert_eq!(recorder.gauge(UNREACHABLE), 0.0);
        assert_eq!((log.count(Level::WARN, "east"), log.count(Level::INFO, "east")), (1, 1));
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_a_failure() {
        struct Silent;
        #[async_trait::async_trait]
        impl cofferdam_backend::Seal for Silent {
            async fn wrap(&self, _: &[u8; 32]) -> Result<cofferdam_backend::Wrapped, Error> {
                std::future::pending().await
            }
            async fn unwrap(&self, _: &cofferdam_backend::Wrapped, _: &mut [u8; 32]) -> Result<(), Error> {
                std::future::pending().await
            }
            async fn unwrap_direct(&self, _: &cofferdam_backend::Wrapped) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
                std::future::pending().await
            }
            async fn key_id(&self) -> Result<String, Error> {
                std::future::pending().await
            }
            async fn health(&self) -> Result<(), Error> {
                std::future::pending().await
            }
        }
        let seal = AutoSeal { backend: std::sync::Arc::new(Silent), ..Service::new("k").seal("east") };
        let pulse = Pulse::new("east");
        let times = HealthTimes { timeout: Duration::from_millis(20), ..TIMES };
        assert_eq!(pulse.check(&seal, &times).await, Turn::Lost);
        assert_eq!(pulse.failing(), Some("timed-out"));
    }
}
