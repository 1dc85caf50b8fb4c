//! Deletes, and the prunes that follow them, from the deepest folder outwards. The rules are in [`super`].
//!
//! Many deletes in one folder of which no witness is known need not ask one after the other: a prune that began after a removal and found the folder full
//! answers for that removal, too. So prunes that wait for a folder are answered together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cofferdam_backend::{Error, Result};
use tokio::sync::OwnedRwLockWriteGuard;
use tokio::time::timeout;

use super::{Folders, Path, stripe};

/// What a prune has found: something below the folder.
pub(crate) struct Stays {
    folder: Box<str>,
    /// When it began, by the clock of [`Folders`].
    begun: u64,
}

/// A delete under way.
pub(crate) struct Delete<'a> {
    folders: &'a Folders,
    path: &'a Path,
}

impl<'a> Delete<'a> {
    /// To be called before the guest is.
    pub(crate) fn begin(folders: &'a Folders, path: &'a Path) -> Delete<'a> {
        if let Some(mut deletes) = folders.deletes(path) {
            deletes.begun += 1;
            deletes.running += 1;
            if let Some((folder, own, leaf)) = path.steps().last() {
                folders.unwitness(folder, own, leaf);
            }
        }
        Delete { folders, path }
    }
}

impl Drop for Delete<'_> {
    fn drop(&mut self) {
        if let Some(mut deletes) = self.folders.deletes(self.path) {
            deletes.running = deletes.running.saturating_sub(1);
        }
    }
}

/// Folders that may have become empty.
#[derive(Default)]
pub(crate) struct Suspects(BTreeMap<(usize, Box<str>), Removed>);

/// What was removed from a folder.
#[derive(Default)]
struct Removed {
    /// By their hashes.
    children: Vec<u64>,
    /// When at the latest, by the clock of [`Folders`].
    until: u64,
}

impl Suspects {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, folder: &str, child: u64, until: u64) {
        let depth = folder.bytes().filter(|byte| *byte == b'/').count();
        let removed = self.0.entry((depth, folder.into())).or_default();
        removed.children.push(child);
        removed.until = until;
    }
}

/// Folders that can be pruned only when a put that was given up cannot take effect any more.
pub(crate) struct Deferred {
    suspects: Suspects,
    /// When that will be.
    pub(crate) until: Instant,
}

impl Deferred {
    /// To be pruned now.
    pub(crate) fn resume(self, folders: &Folders) -> Suspects {
        for (_, folder) in self.suspects.0.keys() {
            folders.unknown.resume(folder);
        }
        self.suspects
    }
}

/// A prune under way, which holds its folder. Dropped without [`Pruning::end`] or [`Pruning::failed`], it may still take effect.
pub(crate) struct Pruning {
    folders: Arc<Folders>,
    folder: Box<str>,
    hash: u64,
    held: OwnedRwLockWriteGuard<Option<Stays>>,
    begun: u64,
    /// The generation in which the folder was known.
    known: Option<u64>,
    ended: bool,
}

impl Pruning {
    fn begin(folders: &Arc<Folders>, folder: &str, hash: u64, held: OwnedRwLockWriteGuard<Option<Stays>>) -> Pruning {
        let begun = folders.clock.fetch_add(1, Ordering::SeqCst);
        let known = {
            let mut known = folders.write();
            known.remove(folder, hash).then_some(known.generation)
        };
        if let Some(parent) = parent(folder) {
            folders.unwitness(parent, folders.hash(parent), hash);
        }
        Pruning { folders: Arc::clone(folders), folder: folder.into(), hash, held, begun, known, ended: false }
    }

    /// The folder that is pruned.
    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    /// The guest has answered whether nothing was below the folder.
    pub(crate) fn end(mut self, empty: bool) {
        self.ended = true;
        if empty {
            return;
        }
        *self.held = Some(Stays { folder: self.folder.clone(), begun: self.begun });
        // What was not known before is not known now: the guest has seen something below the folder, not the folder's mark.
        if let Some(generation) = self.known {
            self.folders.insert(generation, std::iter::once((&*self.folder, self.hash, 0)));
        }
    }

    /// The guest has refused; nothing of it will take effect later.
    pub(crate) fn failed(mut self) {
        self.ended = true;
    }
}

impl Drop for Pruning {
    fn drop(&mut self) {
        if !self.ended {
            self.folders.unknown.prune(&self.folder);
        }
    }
}

impl Folders {
    /// The folders of the keys, which were deleted, that are not known to hold something else. To be called after the guest has removed the entries.
    pub(crate) fn suspects<'a>(&self, deleted: impl Iterator<Item = &'a Path>) -> Suspects {
        let mut suspects = Suspects::default();
        let now = self.clock.load(Ordering::SeqCst);
        for (folder, own, leaf) in deleted.filter_map(|path| path.steps().last()) {
            if !self.holds_other(folder, own, &[leaf]) {
                suspects.add(folder, leaf, now);
            }
        }
        suspects
    }

    /// Whether the folder has a witness that is none of these children.
    fn holds_other(&self, folder: &str, hash: u64, children: &[u64]) -> bool {
        let known = self.read();
        let witness = known.get(folder, hash).map_or(0, |entry| entry.witness.load(Ordering::SeqCst));
        witness != 0 && !children.contains(&witness)
    }

    /// Prunes the suspects by `call`, and the folders around those that were empty, until an error. Each waits for its folder for at most `wait`.
    pub(crate) async fn sweep<F: Future<Output = Result<bool>>>(
        self: &Arc<Self>,
        suspects: Suspects,
        wait: Duration,
        call: impl Fn(Pruning) -> F,
    ) -> (Result<()>, Option<Deferred>) {
        let mut deferred = None;
        let result = self.sweep_or_defer(suspects, wait, call, &mut deferred).await;
        (result, deferred)
    }

    async fn sweep_or_defer<F: Future<Output = Result<bool>>>(
        self: &Arc<Self>,
        mut suspects: Suspects,
        wait: Duration,
        call: impl Fn(Pruning) -> F,
        deferred: &mut Option<Deferred>,
    ) -> Result<()> {
        // The deepest come first: a folder is asked when all below it have been.
        while let Some(((_, folder), removed)) = suspects.0.pop_last() {
            let hash = self.hash(&folder);
            if self.holds_other(&folder, hash, &removed.children) {
                continue;
            }
            let Some(lock) = stripe(&self.stripes, hash) else { continue };
            let held = timeout(wait, Arc::clone(lock).write_owned()).await.map_err(|_| Error::Busy(wait))?;
            if held.as_ref().is_some_and(|stays| stays.folder == folder && stays.begun >= removed.until) {
                continue;
            }
            if let Some(until) = self.unknown.put_below(&folder) {
                if self.unknown.defer(&folder) {
                    let deferred = deferred.get_or_insert_with(|| Deferred { suspects: Suspects::default(), until });
                    deferred.until = deferred.until.max(until);
                    removed.children.iter().for_each(|child| deferred.suspects.add(&folder, *child, removed.until));
                }
                continue;
            }
            if call(Pruning::begin(self, &folder, hash, held)).await?
                && let Some(parent) = parent(&folder)
            {
                suspects.add(parent, hash, self.clock.load(Ordering::SeqCst));
            }
        }
        Ok(())
    }
}

/// The folder around a folder; none at the root.
fn parent(folder: &str) -> Option<&str> {
    let inner = folder.strip_suffix('/')?;
    inner.get(..=inner.rfind('/')?)
}

#[cfg(test)]
mod tests;
