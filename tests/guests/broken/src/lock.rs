//! The lock: each step looks at the store and changes it in one.

use cofferdam_guest::Result;
use cofferdam_guest::lock::{Guest, Held};

use crate::Broken;
use crate::calls::call;
use crate::mode::{Mode, is, mode, pause};
use crate::store::{self, Change, Store};

fn at(key: String) -> String {
    if is(Mode::OneLockForAll) { "the lock".to_owned() } else { key }
}

fn stored<'a>(store: &'a Store, at: &str) -> Option<&'a Held> {
    store.locks.get(at).filter(|held| !is(Mode::JudgesExpiry) || held.expires > 1_000)
}

fn unchanged(stored: Option<&Held>, seen: Option<&Held>) -> bool {
    match (stored, seen) {
        (None, None) => true,
        (Some(held), Some(seen)) => held.identity == seen.identity && (held.expires == seen.expires || is(Mode::ExpiryIsNotCompared)),
        _ => is(Mode::SeenIsIgnored),
    }
}

fn hold(at: &str, mut held: Held) -> Vec<Change> {
    match mode() {
        Mode::ExpiryInMillis => held.expires -= held.expires % 1_000_000,
        Mode::ValueAsText => held.value = String::from_utf8_lossy(&held.value).into_owned().into_bytes(),
        Mode::LockIsAnEntry => {
            let entry = Change::Put(at.to_owned(), held.value.clone());
            return vec![Change::Hold(at.to_owned(), held), entry];
        }
        _ => {}
    }
    vec![Change::Hold(at.to_owned(), held)]
}

/// Stores the claim if what is stored is what was seen.
fn acquire(at: &str, claim: &Held, seen: Option<&Held>) -> Result<bool> {
    let look = |store: &Store| unchanged(stored(store, at), seen);
    let take = |free| if free { hold(at, claim.clone()) } else { Vec::new() };
    match mode() {
        Mode::LooksThenTakes => {
            let free = store::look(|store| Ok(look(store)))?;
            pause();
            store::change(|_| Ok((free, take(free))))
        }
        Mode::FreesBeforeItTakes => {
            let free = store::change(|store| Ok((look(store), if look(store) { vec![Change::Free(at.to_owned())] } else { Vec::new() })))?;
            store::change(|_| Ok((free, take(free))))
        }
        _ => store::change(|store| Ok((look(store), take(look(store))))),
    }
}

impl Guest for Broken {
    fn try_acquire(key: String, claim: Held, seen: Option<Held>) -> Result<bool> {
        let at = at(key);
        let acquired = call(|| acquire(&at, &claim, seen.as_ref()));
        match mode() {
            Mode::HasTheLockIfUnsure => Ok(acquired.unwrap_or(true)),
            Mode::LostTheLockIfUnsure => Ok(acquired.unwrap_or(false)),
            _ => acquired,
        }
    }

    fn renew(key: String, identity: String, expires: u64) -> Result<bool> {
        let at = at(key);
        call(|| {
            store::change(|store| {
                let held = match stored(store, &at) {
                    None if is(Mode::RenewRevives) => Held { value: Vec::new(), identity: identity.clone(), expires },
                    Some(held) if held.identity == identity => Held { expires, ..held.clone() },
                    _ => return Ok((false, Vec::new())),
                };
                Ok((true, if is(Mode::RenewStoresNothing) { Vec::new() } else { hold(&at, held) }))
            })
        })
    }

    fn release(key: String, identity: String) -> Result<()> {
        let at = at(key);
        call(|| {
            store::change(|store| {
                if !stored(store, &at).is_some_and(|held| held.identity == identity || is(Mode::AnyoneReleases)) {
                    return Ok(((), Vec::new()));
                }
                let mut changes = vec![Change::Free(at.clone())];
                if is(Mode::LockIsAnEntry) {
                    changes.push(Change::Delete(at.clone()));
                }
                Ok(((), changes))
            })
        })
    }

    fn read(key: String) -> Result<Option<Held>> {
        let at = at(key);
        call(|| store::look(|store| Ok(stored(store, &at).cloned())))
    }
}
