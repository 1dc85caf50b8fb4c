//! The credentials in use, and the task that keeps them fresh.
//!
//! The rule: only the task asks the source, one attempt at a time; whoever needs credentials reads what it holds, and waits only when there
//! is nothing valid. What an attempt came to, all who waited get.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials as Keys;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tracing::{error, info, warn};

use crate::choice::choose;
use crate::loader::Loader;
use crate::metrics::Meter;
use crate::{CredentialsError, Identity, Sources, schedule};

/// How long a failure answers for itself before somebody's need brings on another attempt.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);
/// The shortest time between two attempts that a service's refusal brings on.
const REJECTION_HOLDS: Duration = Duration::from_secs(10);
/// How often the task looks at the clock, which may jump.
const TICK: Duration = Duration::from_secs(15);

/// One identity's credentials, got before they are needed. Dropping it ends its task.
pub struct Credentials {
    shared: Arc<Shared>,
    state: watch::Receiver<State>,
    source: String,
    fixed: bool,
    /// When a refusal last brought on an attempt, and which one.
    rejected: Mutex<Option<(Instant, u64)>>,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared {
    wake: Notify,
    /// Set when valid credentials are to be replaced nevertheless.
    forced: AtomicBool,
}

/// What is known.
#[derive(Clone, Default)]
struct State {
    /// Attempts that have ended.
    attempts: u64,
    held: Option<Held>,
    failure: Option<(Instant, String)>,
}

#[derive(Clone)]
struct Held {
    keys: Keys,
    since: SystemTime,
}

impl Held {
    /// How long they are still valid, `None` if they do not expire.
    fn left(&self) -> Option<Duration> {
        self.keys.expiry().map(|expiry| expiry.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

impl State {
    fn valid(&self) -> Option<&Keys> {
        self.held.as_ref().filter(|held| held.left() != Some(Duration::ZERO)).map(|held| &held.keys)
    }

    fn left(&self) -> Duration {
        self.held.as_ref().and_then(Held::left).unwrap_or_default()
    }
}

impl Credentials {
    /// Chooses the identity's source and begins to get credentials from it. Fails if what is configured does not fit together; whether the
    /// source gives any, [`get`](Credentials::get) tells. `region` is that of the STS that a role is assumed at.
    pub async fn open(identity: Identity, region: &str, sources: &Sources) -> Result<Arc<Credentials>, CredentialsError> {
        let choice = choose(&identity.without_empty(), sources).await?;
        let source = choice.describe(sources);
        info!(%source, "AWS credentials");
        if !choice.unused.is_empty() {
            warn!(%source, unused = %choice.unused.join(", "), "more AWS credentials are configured than are used");
        }
        let (fixed, meter) = (choice.is_fixed(), Meter::new(&choice));
        let (publish, state) = watch::channel(State::default());
        let shared = Arc::<Shared>::default();
        let loader = Loader::new(choice, region, sources);
        let keeper = Keeper { loader, publish, shared: shared.clone(), source: source.clone(), meter };
        let task = tokio::spawn(keeper.run()).abort_handle();
        Ok(Arc::new(Credentials { shared, state, source, fixed, rejected: Mutex::default(), task }))
    }

    /// The credentials to sign with now. Waits only if there are none that are valid.
    pub async fn get(&self) -> Result<Keys, CredentialsError> {
        let next = {
            let state = self.state.borrow();
            if let Some(keys) = state.valid() {
                return Ok(keys.clone());
            }
            match &state.failure {
                Some((when, cause)) if when.elapsed() < FAILURE_HOLDS => return Err(self.error(&state, cause)),
                _ => state.attempts + 1,
            }
        };
        self.shared.wake.notify_one();
        let state = self.after(next).await;
        match (state.valid(), &state.failure) {
            (Some(keys), _) => Ok(keys.clone()),
            (None, Some((_, cause))) => Err(self.error(&state, cause)),
            (None, None) => Err(self.error(&state, "they had expired when they came")),
        }
    }

    /// The service has refused these credentials as expired, revoked or unknown: looks for others, and tells whether there are any, so that
    /// sending again is worthwhile. However many ask, the source is asked once, and not again for some seconds.
    pub async fn refresh_now(&self, refused: &Keys) -> bool {
        let others = |state: &State| state.valid().is_some_and(|keys| keys != refused);
        if others(&self.state.borrow()) {
            return true;
        }
        if self.fixed {
            return false;
        }
        let attempt = self.force();
        others(&self.after(attempt).await)
    }

    /// Where they come from, in words for the operator.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Begins an attempt, unless one was begun a moment ago, and tells its number.
    fn force(&self) -> u64 {
        let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, attempt)) = *rejected
            && when.elapsed() < REJECTION_HOLDS
        {
            return attempt;
        }
        let attempt = self.state.borrow().attempts + 1;
        *rejected = Some((Instant::now(), attempt));
        warn!(source = %self.source, "AWS has refused the credentials: getting others");
        self.shared.forced.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        attempt
    }

    async fn after(&self, attempt: u64) -> State {
        let mut state = self.state.clone();
        // The task ends only with `self`.
        let ended = state.wait_for(|state| state.attempts >= attempt).await.map(|state| state.clone());
        ended.unwrap_or_else(|_| self.state.borrow().clone())
    }

    fn error(&self, state: &State, cause: &str) -> CredentialsError {
        let (from, cause) = (self.source.clone(), cause.to_owned());
        if state.held.is_some() { CredentialsError::Expired { from, cause } } else { CredentialsError::Failed { from, cause } }
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("source", &self.source).finish_non_exhaustive()
    }
}

/// The task.
struct Keeper {
    loader: Loader,
    publish: watch::Sender<State>,
    shared: Arc<Shared>,
    source: String,
    meter: Meter,
}

impl Keeper {
    async fn run(self) {
        let mut failures = 0;
        loop {
            let wait = match self.load().await {
                Ok(left) => {
                    failures = 0;
                    left.map(schedule::after_success)
                }
                Err(()) => {
                    failures += 1;
                    Some(schedule::after_failure(failures, self.publish.borrow().left()))
                }
            };
            self.wait(wait.map(|wait| SystemTime::now() + wait)).await;
        }
    }

    /// One attempt. Its success is how long the new ones live.
    async fn load(&self) -> Result<Option<Duration>, ()> {
        let outcome = self.loader.load().await.and_then(|keys| {
            let held = Held { keys, since: SystemTime::now() };
            if held.left() == Some(Duration::ZERO) { Err(format!("they expired at {}", expiry(&held.keys))) } else { Ok(held) }
        });
        match outcome {
            Ok(held) => {
                let left = held.left();
                info!(source = %self.source, expires = %expiry(&held.keys), "new AWS credentials");
                self.meter.succeeded.increment(1);
                self.publish.send_modify(|state| {
                    *state = State { attempts: state.attempts + 1, held: Some(held), failure: None };
                });
                self.measure();
                Ok(left)
            }
            Err(cause) => {
                self.meter.failed.increment(1);
                let left = self.publish.borrow().left();
                if left.is_zero() {
                    error!(source = %self.source, %cause, "no AWS credentials");
                } else {
                    warn!(source = %self.source, %cause, left = left.as_secs(), "no new AWS credentials yet");
                }
                self.publish.send_modify(|state| {
                    state.attempts += 1;
                    state.failure = Some((Instant::now(), cause));
                });
                Err(())
            }
        }
    }

    /// Waits until then, or until somebody needs an attempt. It looks at the wall clock, which goes on while the machine sleeps.
    async fn wait(&self, until: Option<SystemTime>) {
        loop {
            let left = until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default());
            if left == Some(Duration::ZERO) {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.unwrap_or(TICK).min(TICK)) => self.measure(),
                () = self.shared.wake.notified() => {
                    // A wake-up that came during the last attempt has been answered by it.
                    let forced = self.shared.forced.swap(false, Ordering::AcqRel);
                    let state = self.publish.borrow();
                    let failed_now = state.failure.as_ref().is_some_and(|(when, _)| when.elapsed() < FAILURE_HOLDS);
                    if forced || (state.valid().is_none() && !failed_now) {
                        return;
                    }
                }
            }
        }
    }

    fn measure(&self) {
        let state = self.publish.borrow();
        if let Some(held) = &state.held {
            self.meter.age.set(held.since.elapsed().unwrap_or_default().as_secs_f64());
            if let Some(left) = held.left() {
                self.meter.left(left.as_secs_f64());
            }
        }
    }
}

fn expiry(keys: &Keys) -> String {
    let at = |expiry: SystemTime| OffsetDateTime::from(expiry).format(&Rfc3339).unwrap_or_default();
    keys.expiry().map_or_else(|| "never".to_owned(), at)
}
