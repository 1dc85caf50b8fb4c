//! What puts and deletes know of folders, kept here because pooled instances share nothing.
//!
//! The rule of the contract, unless the backend declares `atomic-folders` (then see [`beside`]): while a put runs, no delete runs that shares one
//! of its folders. Two keys that share any folder share the outermost one, so one lock for each outermost folder, shared by puts and exclusive to a
//! delete, is exactly the rule. The locks are a fixed number of stripes: two folders on one stripe cost time, never correctness.
//!
//! The set of known folders saves a guest work. A folder enters it when a put below it has succeeded; a delete takes all
//! folders of its key out *before* it begins, and puts back those that the guest left, so that a delete cut short leaves nothing behind that may be wrong.

pub(crate) mod beside;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock as Plain};

use cofferdam_backend::Key;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

const STRIPES: usize = 64;

/// The most folders remembered. When it is full it is emptied: to know nothing is always right.
const MOST: usize = 1 << 16;

/// Locks and knowledge of one backend.
pub(crate) struct Folders {
    stripes: Vec<Arc<RwLock<()>>>,
    known: Plain<Known>,
    /// Whether puts and deletes are not kept apart; then only `running` counts, else only the stripes.
    pub(crate) atomic: bool,
    /// Locked before `known`.
    running: Mutex<beside::Running>,
}

#[derive(Default)]
struct Known {
    folders: HashSet<Box<str>>,
    /// Counts how often everything was forgotten; what was learned before does not count after.
    generation: u64,
}

/// Leave to run a mutation; the folders are held until it is dropped.
pub(crate) struct Turn {
    _held: Held,
    generation: u64,
}

#[expect(dead_code, reason = "held for their drop")]
enum Held {
    Nothing,
    Several(Vec<Held>),
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

/// How a mutation holds the folders of its keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    Shared,
    Alone,
}

impl Folders {
    /// For a backend whose folders are atomic, or are not.
    pub(crate) fn new(atomic: bool) -> Arc<Folders> {
        let stripes = (0..STRIPES).map(|_| Arc::new(RwLock::new(()))).collect();
        Arc::new(Folders { stripes, known: Plain::default(), atomic, running: Mutex::default() })
    }

    /// Waits until no delete holds a folder of the key.
    pub(crate) async fn put(&self, key: &Key) -> Turn {
        let held = match self.stripe(key) {
            None => Held::Nothing,
            Some(at) => self.hold(at, Hold::Shared).await,
        };
        self.turn(held)
    }

    /// Waits until no other mutation holds a folder of the key.
    pub(crate) async fn delete(&self, key: &Key) -> Turn {
        let held = match self.stripe(key) {
            None => Held::Nothing,
            Some(at) => self.hold(at, Hold::Alone).await,
        };
        self.turn(held)
    }

    /// The same for several keys, each with whether it is deleted. Stripes are taken in their order, so that two batches never wait for each other.
    pub(crate) async fn batch(&self, keys: impl Iterator<Item = (&Key, bool)>) -> Turn {
        let mut wanted: Vec<(usize, Hold)> =
            keys.filter_map(|(key, delete)| Some((self.stripe(key)?, if delete { Hold::Alone } else { Hold::Shared }))).collect();
        // Of one stripe the stronger hold comes first and is kept.
        wanted.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        wanted.dedup_by_key(|(at, _)| *at);
        let mut held = Vec::with_capacity(wanted.len());
        for (at, hold) in wanted {
            held.push(self.hold(at, hold).await);
        }
        self.turn(Held::Several(held))
    }

    fn turn(&self, held: Held) -> Turn {
        Turn { _held: held, generation: self.read().generation }
    }

    async fn hold(&self, at: usize, hold: Hold) -> Held {
        let Some(lock) = self.stripes.get(at).cloned() else { return Held::Nothing };
        match hold {
            Hold::Shared => Held::Shared(lock.read_owned().await),
            Hold::Alone => Held::Alone(lock.write_owned().await),
        }
    }

    fn stripe(&self, key: &Key) -> Option<usize> {
        if self.atomic {
            return None;
        }
        Some(outermost(key)? as usize % STRIPES)
    }

    /// How many of the key's folders, counted from the root, are known to exist.
    pub(crate) fn known(&self, key: &Key) -> u32 {
        self.known_at(key).0
    }

    /// The same, and the generation.
    fn known_at(&self, key: &Key) -> (u32, u64) {
        let depth = depth(key);
        let known = self.read();
        // A folder that exists is inside folders that exist: the deepest known one tells.
        let missing = key.folders().rev().position(|folder| known.folders.contains(folder));
        (missing.map_or(0, |missing| depth.saturating_sub(missing as u32)), known.generation)
    }

    /// A put of the key has succeeded; `known` is what it was told.
    pub(crate) fn established(&self, turn: &Turn, key: &Key, known: u32) {
        let depth = depth(key);
        if known < depth {
            self.learn(turn, key, depth);
        }
    }

    /// Takes all folders of a key out before it is deleted; returns how many were known.
    pub(crate) fn doubt(&self, key: &Key) -> u32 {
        let known = self.known(key);
        if known > 0 {
            self.remove(key.folders());
        }
        known
    }

    fn remove<'a>(&self, gone: impl Iterator<Item = &'a str>) {
        let mut gone = gone.peekable();
        if gone.peek().is_some() {
            let mut known = self.write();
            for folder in gone {
                known.folders.remove(folder);
            }
        }
    }

    /// Puts back, after a delete, the outermost `remain` folders.
    pub(crate) fn learn(&self, turn: &Turn, key: &Key, remain: u32) {
        self.learn_since(turn.generation, key, remain);
    }

    fn learn_since(&self, generation: u64, key: &Key, remain: u32) {
        if remain == 0 {
            return;
        }
        let mut known = self.write();
        if known.generation != generation {
            return;
        }
        if known.folders.len() >= MOST {
            known.folders.clear();
        }
        for folder in key.folders().take(remain as usize) {
            if !known.folders.contains(folder) {
                known.folders.insert(folder.into());
            }
        }
    }

    /// Forgets everything: another server may have written.
    pub(crate) fn forget(&self) {
        let mut known = self.write();
        known.folders = HashSet::new();
        known.generation += 1;
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many folders a key has.
pub(crate) fn depth(key: &Key) -> u32 {
    key.as_str().bytes().filter(|byte| *byte == b'/').count() as u32
}

/// A hash of the key's outermost folder, if it has one. FNV-1a: it only spreads names.
fn outermost(key: &Key) -> Option<u64> {
    let outermost = key.folders().next()?;
    Some(outermost.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)))
}

#[cfg(test)]
mod tests;
