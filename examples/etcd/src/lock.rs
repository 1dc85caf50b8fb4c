//! Locks. A lock is three keys that only ever change together: who holds it, until when, and what the holder stored. The expiry is the host's business: etcd's
//! leases would end a lock by another clock than the one that the host reckons with.

use cofferdam_guest::lock::{Guest, Held};
use cofferdam_guest::{Error, Result};
use serde_json::{Value, json};

use crate::entries::holds;
use crate::gateway::{self, Reading, encode};
use crate::{Etcd, layout};

impl Guest for Etcd {
    fn try_acquire(key: String, claim: Held, seen: Option<Held>) -> Result<bool> {
        let unchanged = match seen {
            None => vec![is_free(&key)],
            Some(seen) => vec![holds(&key, &seen.identity), expires(&key, seen.expires)],
        };
        let wanted = [
            put(&key, "identity", claim.identity.as_bytes()),
            put(&key, "expires", claim.expires.to_string().as_bytes()),
            put(&key, "value", &claim.value),
        ];
        let stored = gateway::transact(&unchanged, &wanted);
        if matches!(stored, Ok(true)) {
            return stored;
        }
        // An earlier try whose answer was lost may have stored it: nobody else has this identity.
        match Self::read(key) {
            Ok(Some(held)) if (&held.identity, held.expires, &held.value) == (&claim.identity, claim.expires, &claim.value) => Ok(true),
            _ => stored,
        }
    }

    fn renew(key: String, identity: String, expires: u64) -> Result<bool> {
        gateway::transact(&[holds(&key, &identity)], &[put(&key, "expires", expires.to_string().as_bytes())])
    }

    fn release(key: String, identity: String) -> Result<()> {
        let (from, to) = layout::lock(&key);
        let removal = json!({ "request_delete_range": { "key": encode(&from), "range_end": encode(&to) } });
        gateway::transact(&[holds(&key, &identity)], &[removal]).map(drop)
    }

    fn read(key: String) -> Result<Option<Held>> {
        let (from, to) = layout::lock(&key);
        let parts = gateway::range(&from, Some(&to), Reading { limit: 3, keys_only: false })?.found;
        if parts.is_empty() {
            return Ok(None);
        }
        let part = |name: &str| {
            let at = layout::lock_part(&key, name);
            parts.iter().find(|pair| pair.key == at).map(|pair| pair.value.clone()).ok_or_else(|| damaged(name))
        };
        let text = |name: &str| String::from_utf8(part(name)?).map_err(|_| damaged(name));
        let expires = text("expires")?.parse().map_err(|_| damaged("expires"))?;
        Ok(Some(Held { value: part("value")?, identity: text("identity")?, expires }))
    }
}

fn damaged(part: &str) -> Error {
    Error::Corrupt(format!("a lock's {part} is not what this backend writes"))
}

fn put(key: &str, part: &str, value: &[u8]) -> Value {
    gateway::put(&layout::lock_part(key, part), value)
}

/// The comparison that there is no such lock.
fn is_free(key: &str) -> Value {
    let key = layout::lock_part(key, "identity");
    json!({ "key": encode(&key), "target": "CREATE", "result": "EQUAL", "create_revision": "0" })
}

/// The comparison of a lock's expiry with this one.
fn expires(key: &str, expires: u64) -> Value {
    gateway::equals(&layout::lock_part(key, "expires"), expires.to_string().as_bytes())
}
