//! The honest half: entries and locks in the memory of this one instance.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::exports::cofferdam::backend::lock::Held;
use crate::exports::cofferdam::backend::storage::{Entry, Page, ScanPage};

thread_local! {
    static ENTRIES: RefCell<BTreeMap<String, Vec<u8>>> = const { RefCell::new(BTreeMap::new()) };
    static LOCKS: RefCell<Option<HashMap<String, Held>>> = const { RefCell::new(None) };
    static KNOWN: RefCell<u32> = const { RefCell::new(0) };
    static PRUNED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

pub fn get(key: &str) -> Option<Vec<u8>> {
    ENTRIES.with_borrow(|entries| entries.get(key).cloned())
}

pub fn put(key: String, value: Vec<u8>, known_folders: u32) {
    KNOWN.set(known_folders);
    ENTRIES.with_borrow_mut(|entries| _ = entries.insert(key, value));
}

/// What the last put was told of its folders.
pub fn last_known() -> u32 {
    KNOWN.with_borrow(|known| *known)
}

pub fn delete(key: &str) {
    ENTRIES.with_borrow_mut(|entries| _ = entries.remove(key));
}

/// Folders have no marks here: one is gone when nothing is below it.
pub fn prune(folder: String) -> bool {
    let gone = ENTRIES.with_borrow(|entries| entries.range(folder.clone()..).next().is_none_or(|(other, _)| !other.starts_with(&folder)));
    PRUNED.with_borrow_mut(|pruned| pruned.push(folder));
    gone
}

/// The folders that were asked for since this was called last.
pub fn pruned() -> String {
    PRUNED.take().join(" ")
}

pub fn list(folder: &str, after: &str, limit: u32) -> Page {
    ENTRIES.with_borrow(|entries| {
        let names: BTreeSet<String> = entries
            .keys()
            .filter_map(|key| key.strip_prefix(folder))
            .map(|rest| rest.split_inclusive('/').next().unwrap_or(rest).to_owned())
            .filter(|name| name.as_str() > after)
            .collect();
        let more = names.len() > limit as usize;
        Page { names: names.into_iter().take(limit as usize).collect(), more }
    })
}

pub fn scan() -> ScanPage {
    ENTRIES.with_borrow(|entries| ScanPage {
        entries: entries.iter().map(|(key, value)| Entry { key: key.clone(), value: value.clone() }).collect(),
        cursor: None,
    })
}

fn locks<T>(f: impl FnOnce(&mut HashMap<String, Held>) -> T) -> T {
    LOCKS.with_borrow_mut(|locks| f(locks.get_or_insert_with(HashMap::new)))
}

pub fn try_acquire(key: String, claim: Held, seen: Option<Held>) -> bool {
    locks(|locks| {
        let stored = locks.get(&key).map(|held| (held.identity.clone(), held.expires));
        if stored != seen.map(|seen| (seen.identity, seen.expires)) {
            return false;
        }
        locks.insert(key, claim);
        true
    })
}

pub fn renew(key: &str, identity: &str, expires: u64) -> bool {
    locks(|locks| match locks.get_mut(key) {
        Some(held) if held.identity == identity => {
            held.expires = expires;
            true
        }
        _ => false,
    })
}

pub fn release(key: &str, identity: &str) {
    locks(|locks| {
        if locks.get(key).is_some_and(|held| held.identity == identity) {
            locks.remove(key);
        }
    });
}

pub fn read(key: &str) -> Option<Held> {
    locks(|locks| locks.get(key).map(|held| Held { value: held.value.clone(), identity: held.identity.clone(), expires: held.expires }))
}
