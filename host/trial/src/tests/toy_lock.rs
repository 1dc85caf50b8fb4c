//! The toy's lock.

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Held, Key, Lock, Result};
use tokio::task::yield_now;

use super::fault::Fault;
use super::toy::View;

impl View {
    fn lock_at(&self, key: &Key) -> String {
        if self.fault == Fault::OneLockForAll { "the lock".to_owned() } else { key.as_str().to_owned() }
    }

    fn stored(&self, at: &str) -> Option<Held> {
        let held = if self.fault == Fault::LocksInMemory {
            self.memory.lock().unwrap().locks.get(at).cloned()
        } else {
            self.state.lock().unwrap().locks.get(at).cloned()
        };
        held.filter(|held| self.fault != Fault::JudgesExpiry || held.expires > 1_000)
    }

    fn set_lock(&self, at: &str, held: Option<Held>) {
        let held = held.map(|held| match self.fault {
            Fault::ExpiryInMillis => Held { expires: held.expires / 1_000_000 * 1_000_000, ..held },
            Fault::ValueAsText => Held { value: Bytes::from(String::from_utf8_lossy(&held.value).into_owned()), ..held },
            _ => held,
        });
        let (mut state, mut memory) = (self.state.lock().unwrap(), self.memory.lock().unwrap());
        let locks = if self.fault == Fault::LocksInMemory { &mut memory.locks } else { &mut state.locks };
        match &held {
            Some(held) => locks.insert(at.to_owned(), held.clone()),
            None => locks.remove(at),
        };
        if self.fault == Fault::LockIsAnEntry {
            match held {
                Some(held) => state.entries.insert(at.to_owned(), held.value),
                None => state.entries.remove(at),
            };
        }
    }
}

#[async_trait]
impl Lock for View {
    async fn try_acquire(&self, key: &Key, claim: Held, seen: Option<Held>) -> Result<bool> {
        yield_now().await;
        let at = self.lock_at(key);
        let unchanged = match (self.stored(&at), seen) {
            (None, None) => true,
            (Some(held), Some(seen)) => {
                held.identity == seen.identity && (held.expires == seen.expires || self.fault == Fault::ExpiryIsNotCompared)
            }
            _ => self.fault == Fault::SeenIsIgnored,
        };
        if self.fault == Fault::LooksThenTakes {
            yield_now().await;
        }
        if unchanged {
            self.set_lock(&at, Some(claim));
        }
        Ok(unchanged)
    }

    async fn renew(&self, key: &Key, identity: &str, expires: u64) -> Result<bool> {
        yield_now().await;
        let at = self.lock_at(key);
        let held = match self.stored(&at) {
            None if self.fault == Fault::RenewRevives => Held { value: Bytes::new(), identity: identity.to_owned(), expires },
            Some(held) if held.identity == identity => Held { expires, ..held },
            _ => return Ok(false),
        };
        if self.fault != Fault::RenewStoresNothing {
            self.set_lock(&at, Some(held));
        }
        Ok(true)
    }

    async fn release(&self, key: &Key, identity: &str) -> Result<()> {
        yield_now().await;
        let at = self.lock_at(key);
        if self.stored(&at).is_some_and(|held| held.identity == identity || self.fault == Fault::AnyoneReleases) {
            self.set_lock(&at, None);
        }
        Ok(())
    }

    async fn read(&self, key: &Key) -> Result<Option<Held>> {
        yield_now().await;
        Ok(self.stored(&self.lock_at(key)))
    }
}
