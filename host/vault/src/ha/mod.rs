//! High availability: several servers on one storage, of which one is active.
//!
//! Whoever holds the lock `core/lock` of the storage leads. Every acquisition has an identity of its own, and every renewal stores an
//! expiry that was never there before, so that a lock which reads the same twice was not renewed in between. The rules:
//!
//! - A leader's lease ends a TTL after the last renewal that succeeded *was sent*; a contender takes a lock over when it has *read* it unchanged for
//!   TTL and margin. Both are reckoned on clocks that nobody sets and that go on while a machine sleeps (`CLOCK_BOOTTIME`). What is stored is the
//!   time of day, for Vault's sake and for people; here it decides nothing.
//! - An active server looks at its lease at every request's begin and end, and at every mutation. So one that was stopped and goes on answers
//!   nothing from memory, and writes nothing.
//! - What one leadership began does not go on in the next: the barrier counts them, as it counts seals. A server contends again only once
//!   none of its writes is under way; if another may have led meanwhile, also none that was given up. For the same reason it releases the lock
//!   only then, unless fencing is strict, and otherwise leaves it to get old.
//! - Renewal has a task of its own and waits for no data.
//!
//! A leader whose virtual machine is paused from outside does not see the time pass. What it sends after that is refused by the store only
//! with strict fencing ([`Fencing::Strict`](cofferdam_backend::Fencing::Strict)).
//!
//! There is no port between servers: standbys send clients to the active one's address, which it leaves as Vault does
//! (`core/leader/<id>`, with `redirect_addr` alone).
//!
//! # Metrics
//!
//! | name | kind | what it counts |
//! | --- | --- | --- |
//! | `vault_ha_active` | gauge | 1 while this server is the active one, else 0 |
//! | `vault_ha_acquisitions` | counter | locks acquired |
//! | `vault_ha_losses` | counter | ends of leadership, by `reason`: `expired`, `taken`, `conflict`, `step-down`, `stopped`, `failed` |
//! | `vault_ha_renew_failures` | counter | renewals without an answer |
//! | `vault_ha_takeover_seconds` | histogram | from the lock's acquisition to the first request that can be served |

pub(crate) mod advertisement;
mod contender;
mod guard;
mod hold;
mod renewal;
mod runner;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cofferdam_backend::{BootInstant, Lease, Lock};
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::core::Cluster;
use crate::cors::Cors;

pub(crate) use guard::Guard;

/// The lock that all servers of a storage contend for.
const LOCK: &str = "core/lock";

/// By which times servers share a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How long the lock is held without a renewal.
    pub ttl: Duration,
    /// How often it is renewed.
    pub renew: Duration,
    /// How often a standby looks at it, and how soon a renewal that failed is tried again.
    pub retry: Duration,
    /// How much longer than the TTL a contender waits.
    pub margin: Duration,
    /// How long this server leaves the lock to others after it was told to step down, or could not take over.
    pub step_down_pause: Duration,
}

impl Default for Times {
    /// Those that Vault has, and a margin of 5 s.
    fn default() -> Times {
        let seconds = Duration::from_secs;
        Times { ttl: seconds(15), renew: seconds(5), retry: seconds(1), margin: seconds(5), step_down_pause: seconds(10) }
    }
}

impl Times {
    /// How long a lock must have read the same before it may be taken over.
    pub fn silence(&self) -> Duration {
        self.ttl + self.margin
    }

    /// How old what a standby answers by may be: the address of the leader it reads with the lock, this less often.
    fn settings(&self) -> Duration {
        self.renew * 2
    }

    /// How long one step on the lock may take: three fit into what is left of a lease when its renewal is due.
    fn step(&self) -> Duration {
        (self.ttl.saturating_sub(self.renew) / 3).max(Duration::from_millis(1))
    }
}

/// What a server needs to be one of several.
#[derive(Clone)]
pub struct HaOptions {
    /// The storage's lock.
    pub lock: Arc<dyn Lock>,
    /// Leave to write: whatever sends mutations looks at it. Held by nobody else.
    pub lease: Arc<Lease>,
    /// When the lock is renewed, looked at and taken over.
    pub times: Times,
}

impl fmt::Debug for HaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HaOptions").field("lease", &self.lease).field("times", &self.times).finish_non_exhaustive()
    }
}

/// Where a client goes that asked a server which is not the active one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// To the active server, under this address as it was configured there.
    Address(String),
    /// There is an active server, and it has no address.
    Unaddressed,
    /// Nobody is known to be active.
    Nobody,
}

/// While this server leads.
#[derive(Clone, Debug)]
pub(crate) struct Leading {
    /// Since when it serves requests.
    pub(crate) since: OffsetDateTime,
}

/// The lock's holder as this server last saw it.
#[derive(Clone, Default)]
struct Holder {
    /// What the lock's value names it.
    leader: String,
    /// The address that it left; none if it has left nothing so far.
    address: Option<String>,
    /// When the lock was last read.
    read: BootInstant,
}

/// What a server of several has beside a server that is alone.
pub(crate) struct Ha {
    pub(crate) options: HaOptions,
    pub(crate) leading: watch::Sender<Option<Leading>>,
    /// The task that contends and leads; none while sealed.
    runner: Mutex<Option<runner::Orders>>,
    /// The identity whose mutation the store has refused last, with strict fencing.
    refused: watch::Sender<Option<String>>,
    holder: Mutex<Option<Holder>>,
    /// As a standby knows it.
    cluster: Mutex<Option<Cluster>>,
    /// As a standby has last read them, and when.
    cors: Mutex<Option<(BootInstant, Arc<Cors>)>>,
    claims: AtomicU64,
    /// Identities that this server contended under, the newest last.
    own: Mutex<VecDeque<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ha {
    pub(crate) fn new(options: HaOptions) -> Arc<Ha> {
        Arc::new(Ha {
            options,
            leading: watch::Sender::new(None),
            runner: Mutex::default(),
            refused: watch::Sender::new(None),
            holder: Mutex::default(),
            cluster: Mutex::default(),
            cors: Mutex::default(),
            claims: AtomicU64::new(0),
            own: Mutex::default(),
        })
    }

    /// Whether this server holds the lease.
    pub(crate) fn leased(&self) -> bool {
        self.options.lease.remaining().is_some()
    }

    /// Whether there is a vault open on this server, be it active or standby.
    pub(crate) fn running(&self) -> bool {
        locked(&self.runner).is_some()
    }

    /// The cluster's name and id, if this server has read them.
    pub(crate) fn cluster(&self) -> Option<Cluster> {
        locked(&self.cluster).clone()
    }

    /// Which pages of other origins may use the servers, as a standby knows it.
    pub(crate) fn cors(&self) -> Option<Arc<Cors>> {
        locked(&self.cors).as_ref().map(|(_, cors)| cors.clone())
    }

    /// Where the active server is, as far as this one knows. The lock is read by whoever contends, not for each request.
    pub(crate) fn elsewhere(&self) -> Elsewhere {
        let holder = locked(&self.holder).clone().filter(|holder| holder.read.until(BootInstant::now()) <= self.options.times.ttl);
        match holder.and_then(|holder| holder.address) {
            None => Elsewhere::Nobody,
            Some(address) if address.is_empty() => Elsewhere::Unaddressed,
            Some(address) => Elsewhere::Address(address),
        }
    }
}

/// A task that ends with whoever started it.
struct Task<T>(tokio::task::JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    fn spawn(work: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task(tokio::spawn(work))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
