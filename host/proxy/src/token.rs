//! The token: got by a login, renewed while that is possible, and got anew before it ends.
//!
//! The rule: what is handed out is valid by the wall clock, which goes on while the process is frozen; a login that fails is an error to who asked, and
//! never an old token beyond its end. One asks the server, the others wait for what it gets.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use cofferdam_credentials::Sources;
use http::{HeaderValue, Method};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::login::{LoginError, Session, Way, session};
use crate::settings::Settings;
use crate::upstream::{Call, CallError, Upstream};

/// The wall clock: it goes on while the process is frozen.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The machine's.
pub fn system_clock() -> Clock {
    Arc::new(SystemTime::now)
}

/// A renewal that failed is not tried again for so long, lest every request waits for it.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// The part of a token's life that is left when it is renewed.
const RENEWED_AT: u32 = 5;

/// A token. Copies share the text, which is wiped with the last.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<Zeroizing<String>>);

impl Token {
    pub(crate) fn new(text: Zeroizing<String>) -> Token {
        Token(Arc::new(text))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The value of `X-Vault-Token`, marked as secret; none if no header can hold it.
    pub fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(self.expose()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// A token and its time.
struct Held {
    session: Session,
    since: SystemTime,
    /// No renewal before.
    renewal: SystemTime,
}

impl Held {
    fn new(session: Session, since: SystemTime) -> Held {
        Held { session, since, renewal: since }
    }

    /// What is left of it, none if it does not end. A clock that was set back to before it was got says nothing: it counts as ended.
    fn left(&self, now: SystemTime) -> Option<Duration> {
        let ttl = self.session.ttl?;
        Some(now.duration_since(self.since).map_or(Duration::ZERO, |age| ttl.saturating_sub(age)))
    }

    fn is_valid(&self, now: SystemTime, grace: Duration) -> bool {
        self.left(now).is_none_or(|left| left > grace)
    }

    fn wants_renewal(&self, now: SystemTime) -> bool {
        let short = self.left(now).is_some_and(|left| left < self.session.life / RENEWED_AT);
        self.session.renewable && short && now >= self.renewal
    }
}

/// Keeps a valid token.
pub struct Keeper {
    way: Way,
    upstream: Arc<Upstream>,
    clock: Clock,
    grace: Duration,
    held: Mutex<Option<Held>>,
    revoked: AtomicBool,
}

impl Keeper {
    /// Not logged in yet. AWS's credentials come from this process's surroundings.
    pub fn new(settings: &Settings, upstream: Arc<Upstream>, clock: Clock) -> Keeper {
        Keeper::with(settings, upstream, clock, Sources::system())
    }

    /// The same with other surroundings.
    pub fn with(settings: &Settings, upstream: Arc<Upstream>, clock: Clock, sources: Sources) -> Keeper {
        let way = Way::new(settings, sources);
        Keeper { way, upstream, clock, grace: settings.grace, held: Mutex::default(), revoked: AtomicBool::new(false) }
    }

    /// A token that is valid now: logs in or renews first if it must. Callers wait for each other.
    pub async fn token(&self) -> Result<Token, LoginError> {
        let mut held = self.held.lock().await;
        let now = (self.clock)();
        let revoked = self.revoked.swap(false, Ordering::AcqRel);
        if let Some(valid) = held.as_mut().filter(|held| !revoked && held.is_valid(now, self.grace)) {
            if valid.wants_renewal(now) {
                self.renew(valid).await;
            }
            // A renewal takes its time, and a process may be frozen in it.
            if valid.is_valid((self.clock)(), self.grace) {
                return Ok(valid.session.token.clone());
            }
        }
        // Gone before the login, which may fail or whose caller may go away.
        *held = None;
        let new = self.log_in().await?;
        let token = new.session.token.clone();
        *held = Some(new);
        Ok(token)
    }

    async fn log_in(&self) -> Result<Held, LoginError> {
        let now = (self.clock)();
        let session = self.way.enter(&self.upstream, now).await?;
        let (ttl, renewable) = (session.ttl, session.renewable);
        tracing::info!(?ttl, renewable, "logged in");
        if ttl.is_some_and(|ttl| ttl <= self.grace) {
            tracing::warn!(?ttl, grace = ?self.grace, "the token's life is not longer than the grace period: every request logs in again");
        }
        Ok(Held::new(session, now))
    }

    /// As well as can be: the token that is there is still valid.
    async fn renew(&self, held: &mut Held) {
        let now = (self.clock)();
        let body = format!("{{\"increment\":{}}}", held.session.life.as_secs());
        let body = Some(Zeroizing::new(body.into_bytes()));
        let token = held.session.token.clone();
        let call = Call { method: Method::PUT, path: "auth/token/renew-self", token: Some(&token), body, ..Call::default() };
        let renewed = self
            .upstream
            .call(&call)
            .await
            .and_then(|answer| session(&answer).ok_or_else(|| CallError::Unanswered("the renewal answered no token".to_owned())));
        match renewed {
            Ok(renewed) => {
                tracing::debug!(ttl = ?renewed.ttl, "renewed the token");
                // A renewal names no new states.
                let index = std::mem::take(&mut held.session.index);
                *held = Held::new(Session { index, ..renewed }, now);
            }
            Err(error) => {
                held.renewal = (self.clock)() + RENEWAL_PAUSE;
                tracing::warn!(%error, "the token could not be renewed");
            }
        }
    }

    /// The token is not to be used any more: the next use logs in again. The server is not told.
    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    /// The states (`X-Vault-Index`) that the server had reached at the login.
    pub async fn index(&self) -> Vec<HeaderValue> {
        self.held.lock().await.as_ref().map(|held| held.session.index.clone()).unwrap_or_default()
    }
}
