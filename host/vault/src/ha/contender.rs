//! Getting the lock: reading it, waiting until it is old, claiming it.
//!
//! The rule: a lock is claimed if there is none, if it was this server's own, or if it read the same for TTL and margin; and the store takes
//! the claim only if the lock still is what was read. A claim without an answer counts once the lock is read with its identity.

use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use cofferdam_backend::{BootInstant, Error, Fence, Held, Key};

use super::{Ha, LOCK, locked};
use crate::barrier::Barrier;
use crate::crypto;

/// The digits of an expiry that count claims, so that none is stored twice: in nanoseconds about a millisecond.
const COUNTED: u64 = (1 << 20) - 1;
/// Identities remembered. Older ones cannot be in the lock: later claims have taken their place.
const REMEMBERED: usize = 64;

/// The lock, got.
pub(super) struct Claim {
    /// The lock and the identity that holds it.
    pub(super) fence: Fence,
    /// The lock's value: under which name this leader leaves its address.
    pub(super) leader: String,
    /// When the lease ends unless it is renewed.
    pub(super) end: BootInstant,
}

/// What was read, and since when it has not changed.
struct Seen {
    identity: String,
    expires: u64,
    since: BootInstant,
}

/// A server that watches the lock.
pub(super) struct Contender<'a> {
    ha: &'a Ha,
    seen: Option<Seen>,
    unreadable: bool,
}

impl<'a> Contender<'a> {
    pub(super) fn new(ha: &'a Ha) -> Contender<'a> {
        Contender { ha, seen: None, unreadable: false }
    }

    /// Reads the lock. None if that failed; what was seen before stays good, since a lock that changed would read differently for ever.
    pub(super) async fn look(&mut self) -> Option<Option<Held>> {
        match self.ha.read().await {
            Ok(held) => {
                if std::mem::take(&mut self.unreadable) {
                    tracing::info!("the lock of the storage can be read again");
                }
                let seen = self.seen.take();
                self.seen = held.as_ref().map(|held| match seen {
                    Some(seen) if seen.identity == held.identity && seen.expires == held.expires => seen,
                    // Taken after the answer: whatever renewed the lock was sent before.
                    _ => Seen { identity: held.identity.clone(), expires: held.expires, since: BootInstant::now() },
                });
                Some(held)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.unreadable, true) {
                    tracing::warn!(%error, "the lock of the storage cannot be read; this is tried again");
                }
                None
            }
        }
    }

    /// Claims the lock, which was read just now, if it may be claimed and this server is fit to lead.
    pub(super) async fn contend(&self, barrier: &Barrier, held: Option<Held>) -> Option<Claim> {
        let own = held.as_ref().is_some_and(|held| self.ha.is_own(&held.identity));
        let wait = self.ha.options.times.silence();
        let old = || self.seen.as_ref().is_some_and(|seen| seen.since.until(BootInstant::now()) >= wait);
        if held.is_some() && !own && !old() {
            return None;
        }
        // Nobody led between this server and this server if the lock is as it left it.
        let fit = if own { barrier.is_idle() } else { barrier.is_settled() };
        if !fit {
            tracing::debug!("not contending while writes of an earlier leadership may take effect");
            return None;
        }
        self.ha.claim(held).await.unwrap_or_else(|error| {
            tracing::error!(%error, "{LOCK} cannot be a lock");
            None
        })
    }
}

impl Ha {
    /// One step on the lock, which has little time.
    pub(super) async fn step<T>(&self, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let limit = self.options.times.step();
        tokio::time::timeout(limit, step).await.unwrap_or(Err(Error::TimedOut(limit)))
    }

    async fn read(&self) -> Result<Option<Held>, Error> {
        let key = Key::new(LOCK)?;
        self.step(self.options.lock.read(&key)).await
    }

    pub(super) fn is_own(&self, identity: &str) -> bool {
        locked(&self.own).iter().any(|own| own == identity)
    }

    /// An expiry a TTL from now by the store's time of day, that no claim or renewal of this server has stored before.
    pub(super) fn expires(&self) -> u64 {
        let now = self.options.lock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let end = u64::try_from((now + self.options.times.ttl).as_nanos()).unwrap_or(u64::MAX);
        end & !COUNTED | self.claims.fetch_add(1, Ordering::Relaxed) & COUNTED
    }

    async fn claim(&self, seen: Option<Held>) -> Result<Option<Claim>, Error> {
        let key = Key::new(LOCK)?;
        let (identity, leader) = (crypto::uuid(), crypto::uuid());
        let held = Held { value: Bytes::from(leader.clone()), identity: identity.clone(), expires: self.expires() };
        {
            let mut own = locked(&self.own);
            if own.len() >= REMEMBERED {
                own.pop_front();
            }
            own.push_back(identity.clone());
        }
        // Before it is sent: the lease ends before any contender may think so.
        let sent = BootInstant::now();
        let stored = match self.step(self.options.lock.try_acquire(&key, held, seen)).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%error, "claiming the lock of the storage had no answer; reading it back");
                let read = self.read().await;
                matches!(read, Ok(Some(held)) if held.identity == identity)
            }
        };
        let end = sent.after(self.options.times.ttl);
        // One that took too long is found in the lock at the next look, as this server's own.
        Ok((stored && BootInstant::now() < end).then_some(Claim { fence: Fence { key, identity }, leader, end }))
    }
}
