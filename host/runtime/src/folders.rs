//! What the host knows of folders, and how it keeps puts and prunes apart. It is kept here because pooled instances share nothing.
//!
//! A backend that declares `atomic-folders` keeps its folders in order itself: see [`beside`]. For every other one, this module and [`prune`] do. Two rules:
//!
//! **No put runs below a folder while it is pruned.** A put holds all folders of its key shared, from before it reads what is known until it has
//! ended; a prune holds its one folder alone. A delete holds nothing. The locks are a fixed number of stripes: two folders on one stripe cost time, never
//! correctness. A put takes its stripes in ascending order, and a prune waits for its one while it holds none, so nobody waits in a circle. What the caller
//! has given up may still take effect later, and no lock holds that off: [`unknown`] does.
//!
//! **Whoever removes the last thing below a folder prunes it.** To ask the backend after every delete would cost as much as the delete, so the host keeps, with
//! each folder that it knows, a *witness*: the hash of a child that a put has put there. A delete takes its own key out of the witnesses *before* it calls the guest,
//! and looks at the folder's witness *after* the guest has removed the entry. If it then finds another child's, the folder is not its to prune: that child was
//! there when it looked, and the delete that removes it has yet to look, or has yet to take the child out of the witnesses. So of the deletes of the last two
//! children at least one prunes, since the later one to look finds neither. Looked at before the removal, each might find the other's. What holds for leaves holds for folders: a folder
//! is taken out of its parent's witness before it is pruned, and the parent's is looked at after.
//!
//! A witness must not outlive its child. So a put leaves none of its leaf if a delete of the same key ran at any time while it did; those of its folders are
//! safe, because no folder of a put under way is pruned. Two children of one hash are taken for one: that costs a prune that finds the folder full, never a folder.
//!
//! What is known saves a guest work, too: a put is told which of its folders are there. A folder enters when a put below it has succeeded, and is taken out before it is pruned.
//! A put that fails may leave a folder with nothing below it, until the next delete there prunes it.

pub(crate) mod beside;
pub(crate) mod prune;
mod unknown;

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock as Plain};
use std::time::Duration;

use cofferdam_backend::{Key, Result};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use self::prune::Stays;
use self::unknown::Unknown;
use crate::storage::Pools;

const STRIPES: usize = 1 << 10;

/// The most folders remembered. When it is full it is emptied: to know nothing is always right.
const MOST: usize = 1 << 16;

/// Locks and knowledge of one backend.
pub(crate) struct Folders {
    hasher: RandomState,
    /// By a folder's hash. What the last prune under it has found is kept in the lock. None if folders are atomic.
    stripes: Vec<Arc<RwLock<Option<Stays>>>>,
    known: Plain<Known>,
    /// By a key's hash.
    deletes: Vec<Mutex<Deletes>>,
    /// Tells which came first, a removal or the begin of a prune.
    clock: AtomicU64,
    unknown: Unknown,
    /// Whether the backend keeps its folders in order; then only `running` counts, and what is known.
    pub(crate) atomic: bool,
    /// Locked before `known`.
    running: Mutex<beside::Running>,
    /// Who can be asked to prune: the pools of the backend that runs, and of one that takes its place.
    pub(crate) pools: Pools,
}

#[derive(Default)]
struct Known {
    /// By their hashes. Of two folders of one hash the second is not known.
    folders: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
    /// Counts how often everything was forgotten; what was learned before does not count after.
    generation: u64,
}

/// A folder that exists.
struct Entry {
    folder: Box<str>,
    /// The hash of a child; zero for none.
    witness: AtomicU64,
}

/// Takes a hash for what it is.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Known {
    fn get(&self, folder: &str, hash: u64) -> Option<&Entry> {
        self.folders.get(&hash).filter(|entry| *entry.folder == *folder)
    }

    fn remove(&mut self, folder: &str, hash: u64) -> bool {
        self.get(folder, hash).is_some() && self.folders.remove(&hash).is_some()
    }
}

/// Deletes of the keys of one stripe.
#[derive(Default)]
struct Deletes {
    begun: u64,
    running: u32,
}

/// A key with the hashes of its folders, from the root, and of itself; without them if folders are atomic.
pub(crate) struct Path {
    pub(crate) key: Key,
    hashes: Vec<u64>,
}

impl Path {
    pub(crate) fn new(folders: &Folders, key: &Key) -> Path {
        let hashes = if folders.atomic {
            Vec::new()
        } else {
            key.folders().chain(std::iter::once(key.as_str())).map(|text| folders.hash(text)).collect()
        };
        Path { key: key.clone(), hashes }
    }

    /// The folders from the root, each with its hash and that of what of the key is directly below it.
    fn steps(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        self.key.folders().zip(self.hashes.array_windows()).map(|(folder, [own, below])| (folder, *own, *below))
    }

    /// The key's own hash.
    fn hash(&self) -> u64 {
        self.hashes.last().copied().unwrap_or_default()
    }
}

/// The folders of puts, held until it is dropped.
pub(crate) struct Turn {
    _held: Vec<OwnedRwLockReadGuard<Option<Stays>>>,
}

fn stripe<T>(stripes: &[T], hash: u64) -> Option<&T> {
    stripes.get(usize::try_from(hash % STRIPES as u64).unwrap_or(0))
}

impl Folders {
    /// For a backend whose folders are atomic, or are not, and whose calls may take effect for so long after they were given up.
    pub(crate) fn new(atomic: bool, unknown: Duration) -> Arc<Folders> {
        let number = if atomic { 0 } else { STRIPES };
        Arc::new(Folders {
            hasher: RandomState::new(),
            stripes: std::iter::repeat_with(Arc::default).take(number).collect(),
            known: Plain::default(),
            deletes: std::iter::repeat_with(Mutex::default).take(number).collect(),
            clock: AtomicU64::new(0),
            unknown: Unknown::new(unknown),
            atomic,
            running: Mutex::default(),
            pools: Pools::default(),
        })
    }

    /// The same for another backend on the same store, whose calls run beside those of the first. The reason if it cannot share them.
    pub(crate) fn shared(self: &Arc<Self>, atomic: bool, unknown: Duration) -> std::result::Result<Arc<Folders>, String> {
        if atomic != self.atomic {
            return Err(format!(
                "it declares atomic-folders {atomic}, the component that runs declares {}: the two cannot run side by side",
                self.atomic
            ));
        }
        if unknown > self.unknown.span() {
            return Err(format!(
                "its calls may take effect for {unknown:?} after they were given up, those of the component that runs for {:?}: the two cannot run side by side",
                self.unknown.span()
            ));
        }
        Ok(Arc::clone(self))
    }

    /// Waits until no folder of the keys is being pruned, and keeps it so.
    pub(crate) async fn share(&self, paths: impl Iterator<Item = &Path>) -> Turn {
        let mut wanted: Vec<u64> = paths.flat_map(|path| path.steps().map(|(_, hash, _)| hash % STRIPES as u64)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut held = Vec::with_capacity(wanted.len());
        for lock in wanted.into_iter().filter_map(|at| stripe(&self.stripes, at)) {
            // Nearly always there is nothing to wait for, which costs less to find out than to wait.
            let free = Arc::clone(lock).try_read_owned();
            held.push(match free {
                Ok(shared) => shared,
                Err(_) => Arc::clone(lock).read_owned().await,
            });
        }
        Turn { _held: held }
    }

    /// Never zero.
    fn hash(&self, text: &str) -> u64 {
        self.hasher.hash_one(text).max(1)
    }

    fn deletes(&self, path: &Path) -> Option<MutexGuard<'_, Deletes>> {
        Some(stripe(&self.deletes, path.hash())?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many of the key's folders, counted from the root, are known to exist, and the generation.
    fn known_at(&self, key: &Key) -> (u32, u64) {
        let depth = depth(key);
        let known = self.read();
        // A folder that exists is inside folders that exist: the deepest known one tells.
        let missing = key.folders().rev().position(|folder| known.get(folder, self.hash(folder)).is_some());
        (missing.map_or(0, |missing| depth.saturating_sub(missing as u32)), known.generation)
    }

    fn remove<'a>(&self, gone: impl Iterator<Item = &'a str>) {
        let mut gone = gone.peekable();
        if gone.peek().is_some() {
            let mut known = self.write();
            for folder in gone {
                known.remove(folder, self.hash(folder));
            }
        }
    }

    /// Makes the key's outermost `remain` folders known.
    fn learn_since(&self, generation: u64, key: &Key, remain: u32) {
        if remain > 0 {
            self.insert(generation, key.folders().take(remain as usize).map(|folder| (folder, self.hash(folder), 0)));
        }
    }

    /// Makes folders known, each with its hash and its witness.
    fn insert<'a>(&self, generation: u64, folders: impl Iterator<Item = (&'a str, u64, u64)>) {
        let mut known = self.write();
        if known.generation != generation {
            return;
        }
        if known.folders.len() >= MOST {
            known.folders.clear();
        }
        for (folder, hash, witness) in folders {
            let entry = known.folders.entry(hash).or_insert_with(|| Entry { folder: folder.into(), witness: AtomicU64::new(0) });
            if witness != 0 && *entry.folder == *folder {
                entry.witness.store(witness, Ordering::SeqCst);
            }
        }
    }

    /// Takes the child out of the folder's witness.
    fn unwitness(&self, folder: &str, hash: u64, child: u64) {
        if let Some(entry) = self.read().get(folder, hash) {
            _ = entry.witness.compare_exchange(child, 0, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// Forgets everything: another server may have written.
    pub(crate) fn forget(&self) {
        let mut known = self.write();
        known.folders = HashMap::default();
        known.generation += 1;
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A put under way, whose folders are held. Dropped without [`Put::end`] or [`Put::failed`], it may still take effect.
pub(crate) struct Put<'a> {
    folders: &'a Folders,
    path: &'a Path,
    /// How many of the key's folders, counted from the root, are known to exist.
    pub(crate) known: u32,
    generation: u64,
    /// How many deletes of the key's stripe had begun, if none of them was running.
    quiet: Option<u64>,
    ended: bool,
}

impl<'a> Put<'a> {
    /// To be called before the guest is. An error while a prune of one of the folders may still take effect.
    pub(crate) fn begin(folders: &'a Folders, path: &'a Path) -> Result<Put<'a>> {
        folders.unknown.check_put(&path.key)?;
        let quiet = folders.deletes(path).and_then(|deletes| (deletes.running == 0).then_some(deletes.begun));
        let known = folders.read();
        let number = path.steps().take_while(|(folder, hash, _)| known.get(folder, *hash).is_some()).count();
        Ok(Put { folders, path, known: number as u32, generation: known.generation, quiet, ended: false })
    }

    /// The guest has stored the entry: its folders are there.
    pub(crate) fn end(mut self) {
        self.ended = true;
        let (folders, path) = (self.folders, self.path);
        // Held to the end: a delete of the key begins before, and then counts, or after, and then finds the witness.
        let deletes = folders.deletes(path);
        let quiet = self.quiet.is_some_and(|begun| deletes.as_ref().is_some_and(|deletes| deletes.begun == begun));
        let steps = || path.steps().map(|(folder, own, below)| (folder, own, if quiet || below != path.hash() { below } else { 0 }));
        let mut missing = false;
        {
            let known = folders.read();
            if known.generation != self.generation {
                return;
            }
            for (folder, own, below) in steps() {
                match known.get(folder, own) {
                    Some(entry) if below != 0 && entry.witness.load(Ordering::SeqCst) != below => {
                        entry.witness.store(below, Ordering::SeqCst);
                    }
                    Some(_) => {}
                    None => missing = true,
                }
            }
        }
        if missing {
            folders.insert(self.generation, steps());
        }
    }

    /// The guest has refused; nothing of it will take effect later.
    pub(crate) fn failed(mut self) {
        self.ended = true;
    }
}

impl Drop for Put<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.folders.unknown.put(&self.path.key);
        }
    }
}

/// How many folders a key has.
pub(crate) fn depth(key: &Key) -> u32 {
    key.as_str().bytes().filter(|byte| *byte == b'/').count() as u32
}

#[cfg(test)]
mod tests;
