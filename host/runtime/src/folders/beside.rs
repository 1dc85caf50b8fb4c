//! Puts beside deletes, for backends whose folders are atomic: nothing waits for its turn, overlaps are seen afterwards.
//!
//! A put may have trusted a folder that a delete removed and another put made anew, whose name is not durable yet. So the rule: every put has in its
//! list every delete below its outermost folder that ran at any time while it did. Both are entered under one mutex before their call, the put
//! before it reads what is known. A put whose hint covered what one of these removed is run again without a hint. A delete that did not end well, or has not
//! ended in time, counts as having removed all folders of its key.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use cofferdam_backend::Key;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Folders, depth};

/// How long a put waits to learn what a delete beside it removed.
const WAIT: Duration = Duration::from_secs(1);

/// What runs.
#[derive(Default)]
pub(super) struct Running {
    /// By place; a place that is free has none.
    puts: Vec<Option<Listed>>,
    free: Vec<usize>,
    deletes: Vec<Arc<Overlap>>,
}

/// A put that runs.
struct Listed {
    /// The hash of its outermost folder. Two folders with one hash cost time, never correctness.
    outermost: u64,
    overlaps: Vec<Arc<Overlap>>,
}

/// A delete, as the puts beside it see it.
struct Overlap {
    key: Key,
    outermost: u64,
    /// How many folders, from the deepest, it removed; set at its end.
    removed: OnceLock<u32>,
    /// Closed at its end.
    ended: Semaphore,
    /// Some put has waited in vain: the others need not.
    overdue: AtomicBool,
}

impl Overlap {
    fn new(key: &Key, outermost: u64) -> Arc<Overlap> {
        let (removed, ended) = (OnceLock::new(), Semaphore::new(0));
        Arc::new(Overlap { key: key.clone(), outermost, removed, ended, overdue: AtomicBool::new(false) })
    }

    /// How many of the key's folders, from the root, it has left alone; none if it has removed none.
    fn spared(&self, key: &Key, removed: u32) -> Option<u32> {
        let kept = depth(&self.key).saturating_sub(removed);
        let shared = self.key.folders().zip(key.folders()).take_while(|(one, other)| one == other).count() as u32;
        (kept < shared).then_some(kept)
    }

    /// Waits for the end, and tells whether one of the key's first `known` folders was removed or may have been.
    async fn taints(&self, key: &Key, known: u32) -> bool {
        if self.removed.get().is_none() && !self.overdue.load(Ordering::Relaxed) && timeout(WAIT, self.ended.acquire()).await.is_err() {
            self.overdue.store(true, Ordering::Relaxed);
        }
        let removed = self.removed.get().copied().unwrap_or(u32::MAX);
        self.spared(key, removed).is_some_and(|spared| spared < known)
    }
}

/// A put under way. Dropped without [`Put::end`] it counts as failed: it may have removed folders that it found empty.
pub(crate) struct Put<'a> {
    folders: &'a Folders,
    key: &'a Key,
    /// The hint for the guest.
    pub(crate) known: u32,
    generation: u64,
    /// None once it has ended, or if its key has no folders.
    place: Option<usize>,
}

impl<'a> Put<'a> {
    /// Enters the put. To be called before the guest is.
    pub(crate) fn begin(folders: &'a Folders, key: &'a Key) -> Put<'a> {
        let Some(outermost) = outermost(key) else {
            return Put { folders, key, known: 0, generation: 0, place: None };
        };
        let mut running = folders.running();
        let overlaps = running.deletes.iter().filter(|delete| delete.outermost == outermost).cloned().collect();
        let listed = Some(Listed { outermost, overlaps });
        let place = running.free.pop().unwrap_or(running.puts.len());
        match running.puts.get_mut(place) {
            Some(free) => *free = listed,
            None => running.puts.push(listed),
        }
        let (known, generation) = folders.known_at(key);
        Put { folders, key, known, generation, place: Some(place) }
    }

    /// Whether the put, of which the guest has said that it is done, is; else it has to be run again without a hint. The folders that are there for certain
    /// are known from then on.
    pub(crate) async fn holds(&mut self) -> bool {
        let Some(place) = self.place else { return true };
        if self.known > 0 {
            let overlaps = self.folders.running().listed(place).map(|listed| listed.overlaps.clone()).unwrap_or_default();
            for overlap in overlaps {
                if overlap.taints(self.key, self.known).await {
                    return false;
                }
            }
        }
        self.finish(true);
        true
    }

    /// The put is done. Nothing is learned of it.
    pub(crate) fn end(mut self) {
        self.finish(false);
    }

    fn finish(&mut self, learn: bool) {
        let Some(place) = self.place.take() else { return };
        let mut running = self.folders.running();
        let Some(listed) = running.remove(place) else { return };
        let depth = depth(self.key);
        if learn && self.known < depth {
            // A delete that still runs takes out at its end what it has removed.
            let spared = listed.overlaps.iter().filter_map(|overlap| overlap.spared(self.key, *overlap.removed.get()?)).min();
            self.folders.learn_since(self.generation, self.key, spared.map_or(depth, |spared| spared.min(depth)));
        }
    }
}

impl Drop for Put<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let mut running = self.folders.running();
        if let Some(listed) = running.remove(place) {
            let failed = Overlap::new(self.key, listed.outermost);
            running.tell(&failed);
            running.end(self.folders, &failed, u32::MAX);
        }
    }
}

/// A delete under way. Dropped without [`Delete::end`] it counts as having removed every folder of its key.
pub(crate) struct Delete<'a> {
    folders: &'a Folders,
    overlap: Option<Arc<Overlap>>,
}

impl<'a> Delete<'a> {
    /// Enters the delete. To be called before the guest is.
    pub(crate) fn begin(folders: &'a Folders, key: &Key) -> Delete<'a> {
        let overlap = outermost(key).map(|outermost| Overlap::new(key, outermost));
        if let Some(overlap) = &overlap {
            let mut running = folders.running();
            running.tell(overlap);
            running.deletes.push(Arc::clone(overlap));
        }
        Delete { folders, overlap }
    }

    /// The delete is done and has removed so many folders, from the deepest.
    pub(crate) fn end(mut self, removed: u32) {
        self.finish(removed);
    }

    fn finish(&mut self, removed: u32) {
        if let Some(overlap) = self.overlap.take() {
            self.folders.running().end(self.folders, &overlap, removed);
        }
    }
}

impl Drop for Delete<'_> {
    fn drop(&mut self) {
        self.finish(u32::MAX);
    }
}

/// One operation of a batch under way.
pub(crate) enum Mutation<'a> {
    Put(Put<'a>),
    Delete(Delete<'a>),
}

impl<'a> Mutation<'a> {
    pub(crate) fn begin(folders: &'a Folders, key: &'a Key, delete: bool) -> Mutation<'a> {
        if delete { Mutation::Delete(Delete::begin(folders, key)) } else { Mutation::Put(Put::begin(folders, key)) }
    }

    /// The batch is done, and this operation of it has removed so many folders. Nothing is learned of a put.
    pub(crate) fn end(self, removed: u32) {
        match self {
            Mutation::Put(put) => put.end(),
            Mutation::Delete(delete) => delete.end(removed),
        }
    }
}

impl Running {
    fn listed(&self, place: usize) -> Option<&Listed> {
        self.puts.get(place)?.as_ref()
    }

    fn remove(&mut self, place: usize) -> Option<Listed> {
        let listed = self.puts.get_mut(place)?.take();
        self.free.push(place);
        listed
    }

    /// Puts the delete into the list of every put that it overlaps.
    fn tell(&mut self, overlap: &Arc<Overlap>) {
        for put in self.puts.iter_mut().flatten().filter(|put| put.outermost == overlap.outermost) {
            put.overlaps.push(Arc::clone(overlap));
        }
    }

    fn end(&mut self, folders: &Folders, overlap: &Arc<Overlap>, removed: u32) {
        self.deletes.retain(|delete| !Arc::ptr_eq(delete, overlap));
        let kept = depth(&overlap.key).saturating_sub(removed);
        folders.remove(overlap.key.folders().skip(kept as usize));
        // The only place that sets it, once for each delete.
        let _ = overlap.removed.set(removed);
        overlap.ended.close();
    }
}

impl Folders {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hash of the key's outermost folder, if it has one. FNV-1a: it only spreads names.
fn outermost(key: &Key) -> Option<u64> {
    let outermost = key.folders().next()?;
    Some(outermost.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)))
}

#[cfg(test)]
mod tests;
