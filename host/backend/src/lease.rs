//! Leave to write: what the one leader of a store that several servers share holds, and what everything that writes looks at.
//!
//! The rule: a lease ends by itself. Its end is an instant on a clock that no operator sets and that goes on while the machine sleeps
//! (`CLOCK_BOOTTIME`); whoever stops, hangs or is cut off from the store holds it no longer than that.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use crate::Key;

/// An instant as time since the machine's boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootInstant(Duration);

impl BootInstant {
    /// Now.
    pub fn now() -> BootInstant {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        BootInstant(Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default()))
    }

    /// So much later.
    #[must_use]
    pub fn after(self, span: Duration) -> BootInstant {
        BootInstant(self.0.saturating_add(span))
    }

    /// How long it is until `later`; zero if that is past.
    pub fn until(self, later: BootInstant) -> Duration {
        later.0.saturating_sub(self.0)
    }
}

/// The lock that must be held for a mutation to take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The lock's key.
    pub key: Key,
    /// Who must hold it.
    pub identity: String,
}

/// How mutations are kept from taking effect after the lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fencing {
    /// The lease is looked at immediately before a mutation is sent.
    #[default]
    Lease,
    /// Besides, every mutation is bound to the lock by the store itself.
    Strict,
}

#[derive(Clone)]
struct Held {
    fence: Fence,
    end: BootInstant,
}

/// Whether this server may write, and until when.
pub struct Lease {
    fencing: Fencing,
    held: watch::Sender<Option<Held>>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("fencing", &self.fencing).field("remaining", &self.remaining()).finish()
    }
}

impl Lease {
    /// A lease that is not held.
    pub fn new(fencing: Fencing) -> Arc<Lease> {
        Arc::new(Lease { fencing, held: watch::Sender::new(None) })
    }

    /// Takes it.
    pub fn begin(&self, fence: Fence, end: BootInstant) {
        self.held.send_replace(Some(Held { fence, end }));
    }

    /// Moves its end. One that is past, or not held, stays so: returns whether it is held.
    pub fn extend(&self, end: BootInstant) -> bool {
        self.held.send_if_modified(|held| match held {
            Some(held) if BootInstant::now() < held.end => {
                held.end = end;
                true
            }
            _ => false,
        })
    }

    /// Gives it up.
    pub fn end(&self) {
        self.held.send_replace(None);
    }

    /// How long it is still held; none if it is not.
    pub fn remaining(&self) -> Option<Duration> {
        let end = self.held.borrow().as_ref()?.end;
        Some(BootInstant::now().until(end)).filter(|left| !left.is_zero())
    }

    /// What mutations must be bound to: the fence, if fencing is strict and the lease is held or was until its end.
    pub fn fence(&self) -> Option<Fence> {
        if self.fencing != Fencing::Strict {
            return None;
        }
        self.held.borrow().as_ref().map(|held| held.fence.clone())
    }

    /// How mutations are kept from taking effect after it.
    pub fn fencing(&self) -> Fencing {
        self.fencing
    }

    /// Waits until it is not held, be it given up or past its end.
    pub async fn ended(&self) {
        let mut held = self.held.subscribe();
        loop {
            let left = match &*held.borrow_and_update() {
                Some(held) => BootInstant::now().until(held.end),
                None => return,
            };
            if left.is_zero() {
                return;
            }
            // After a sleep of the machine the timer is late by that sleep: whoever writes asks for what remains.
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                changed = held.changed() => if changed.is_err() { return },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence() -> Fence {
        Fence { key: Key::new("core/lock").unwrap(), identity: "one".to_owned() }
    }

    #[test]
    fn it_is_held_from_its_begin_to_its_end_and_never_revived() {
        let lease = Lease::new(Fencing::Lease);
        assert!(lease.remaining().is_none() && !lease.extend(BootInstant::now().after(Duration::from_secs(9))));
        lease.begin(fence(), BootInstant::now().after(Duration::from_secs(5)));
        assert!(lease.remaining().unwrap() > Duration::from_secs(4));
        assert!(lease.extend(BootInstant::now().after(Duration::from_secs(60))));
        assert!(lease.remaining().unwrap() > Duration::from_secs(50));
        lease.begin(fence(), BootInstant::now());
        assert!(lease.remaining().is_none());
        assert!(!lease.extend(BootInstant::now().after(Duration::from_secs(60))));
        assert!(lease.remaining().is_none());
    }

    #[test]
    fn only_strict_fencing_names_a_fence() {
        for (fencing, some) in [(Fencing::Lease, false), (Fencing::Strict, true)] {
            let lease = Lease::new(fencing);
            assert!(lease.fence().is_none());
            lease.begin(fence(), BootInstant::now().after(Duration::from_secs(5)));
            assert_eq!(lease.fence().is_some(), some);
            lease.end();
            assert!(lease.fence().is_none());
        }
    }

    #[tokio::test]
    async fn its_end_is_waited_for_through_extensions() {
        let lease = Lease::new(Fencing::Lease);
        lease.ended().await;
        let now = BootInstant::now();
        lease.begin(fence(), now.after(Duration::from_millis(30)));
        assert!(lease.extend(now.after(Duration::from_millis(120))));
        lease.ended().await;
        assert!(now.until(BootInstant::now()) >= Duration::from_millis(120));
        lease.begin(fence(), now.after(Duration::from_secs(600)));
        let waiting = tokio::spawn({
            let lease = Arc::clone(&lease);
            async move { lease.ended().await }
        });
        tokio::task::yield_now().await;
        lease.end();
        waiting.await.unwrap();
    }
}
