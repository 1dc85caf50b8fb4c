//! The token: got by a login, renewed while that is possible, and got anew before it ends.
//!
//! The rule: what is handed out is valid by the wall clock, which goes on while the process is frozen; a login that fails is an error to who asked, and
//! never an old token beyond its end. One attempt at a time asks the server, whoever of those that wait for it goes away.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use cofferdam_credentials::Sources;
use http::{HeaderValue, Method};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
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

    /// What stands for it where it is only compared.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.expose().as_bytes()).into()
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

/// What an attempt to get a token came to; none while it is under way.
type Outcome = Option<Result<Token, LoginError>>;

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// The renewal or the login under way.
    attempt: Option<watch::Receiver<Outcome>>,
}

/// Keeps a valid token.
pub struct Keeper {
    way: Way,
    upstream: Arc<Upstream>,
    clock: Clock,
    grace: Duration,
    state: Mutex<State>,
}

impl Keeper {
    /// Not logged in yet. AWS's credentials come from this process's surroundings.
    pub fn new(settings: &Settings, upstream: Arc<Upstream>, clock: Clock) -> Arc<Keeper> {
        Keeper::with(settings, upstream, clock, Sources::system())
    }

    /// The same with other surroundings.
    pub fn with(settings: &Settings, upstream: Arc<Upstream>, clock: Clock, sources: Sources) -> Arc<Keeper> {
        let way = Way::new(settings, sources);
        Arc::new(Keeper { way, upstream, clock, grace: settings.grace, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that is valid now: logs in or renews first if it must. Who asks meanwhile gets what that comes to.
    pub async fn token(self: &Arc<Self>) -> Result<Token, LoginError> {
        let mut outcome = {
            let mut state = self.lock();
            let now = (self.clock)();
            if let Some(held) = state.held.as_ref().filter(|held| held.is_valid(now, self.grace) && !held.wants_renewal(now)) {
                return Ok(held.session.token.clone());
            }
            state.attempt.get_or_insert_with(|| self.attempt()).clone()
        };
        let told = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        told.unwrap_or(Err(LoginError::Answer("it was given up")))
    }

    /// In a task of its own: whoever asked may go away, and the others still wait for it.
    fn attempt(self: &Arc<Self>) -> watch::Receiver<Outcome> {
        let (tell, outcome) = watch::channel(None);
        let keeper = Arc::clone(self);
        tokio::spawn(async move {
            let under_way = UnderWay(&keeper);
            let came = keeper.fresh().await;
            drop(under_way);
            // Nobody may be there any more to hear it.
            let _ = tell.send(Some(came));
        });
        outcome
    }

    /// Renews the token that is there, if it has time left, or logs in.
    async fn fresh(&self) -> Result<Token, LoginError> {
        let renewable = {
            let mut state = self.lock();
            let now = (self.clock)();
            // Gone before the login, which may fail.
            state.held.take_if(|held| !held.is_valid(now, self.grace));
            state.held.as_ref().map(|held| (held.session.token.clone(), held.session.life))
        };
        if let Some((token, life)) = renewable {
            self.renew(&token, life).await;
            let mut state = self.lock();
            // A renewal takes its time, and a process may be frozen in it; or the token was revoked meanwhile.
            let now = (self.clock)();
            state.held.take_if(|held| !held.is_valid(now, self.grace));
            if let Some(held) = &state.held {
                return Ok(held.session.token.clone());
            }
        }
        let new = self.log_in().await?;
        let token = new.session.token.clone();
        self.lock().held = Some(new);
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
    async fn renew(&self, token: &Token, life: Duration) {
        let now = (self.clock)();
        let body = format!("{{\"increment\":{}}}", life.as_secs());
        let body = Some(Zeroizing::new(body.into_bytes()));
        let call = Call { method: Method::PUT, path: "auth/token/renew-self", token: Some(token), body, ..Call::default() };
        let renewed = self
            .upstream
            .call(&call)
            .await
            .and_then(|answer| session(&answer).ok_or_else(|| CallError::Unanswered("the renewal answered no token".to_owned())));
        let mut state = self.lock();
        let Some(held) = state.held.as_mut().filter(|held| held.session.token == *token) else { return };
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

    /// This token is not to be used any more: if it is the one that is there, the next use logs in. The server is not told.
    pub fn revoke(&self, token: &Token) {
        self.lock().held.take_if(|held| held.session.token == *token);
    }

    /// The states (`X-Vault-Index`) that the server had reached at the login.
    pub fn index(&self) -> Vec<HeaderValue> {
        self.lock().held.as_ref().map(|held| held.session.index.clone()).unwrap_or_default()
    }
}

/// An attempt under way, which has ended when this is dropped.
struct UnderWay<'a>(&'a Keeper);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().attempt = None;
    }
}
