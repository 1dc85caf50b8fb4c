//! Calls that were given up and may still take effect: longer than any deadline, what they could break is put off.
//!
//! A prune that takes effect late would remove a folder under an entry that was put since: puts below it are refused for that time. A put that takes effect
//! late would leave its entry without the folders that were pruned since: its folders are not pruned for that time, but after it. Nearly always there is none.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cofferdam_backend::{Error, Key, Result};

/// What may still take effect.
pub(super) struct Unknown {
    span: Duration,
    /// Whether there is any: what a put looks at first.
    any: AtomicBool,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    /// The folders of prunes, and until when.
    prunes: HashMap<Box<str>, Instant>,
    /// All folders of puts, and until when.
    puts: HashMap<Box<str>, Instant>,
    /// Those that somebody will prune later.
    deferred: HashSet<Box<str>>,
    /// When the last one ends.
    last: Option<Instant>,
    /// From this number on those that have ended are looked for.
    most: usize,
}

impl Calls {
    /// The end of a call that is given up now.
    fn note(&mut self, span: Duration) -> Instant {
        let now = Instant::now();
        if self.prunes.len() + self.puts.len() >= self.most {
            self.prunes.retain(|_, until| *until > now);
            self.puts.retain(|_, until| *until > now);
            self.most = 64.max(2 * (self.prunes.len() + self.puts.len()));
        }
        self.last = Some(now + span);
        now + span
    }
}

impl Unknown {
    pub(super) fn new(span: Duration) -> Unknown {
        Unknown { span, any: AtomicBool::new(false), calls: Mutex::default() }
    }

    /// How long a call that was given up may still take effect.
    pub(super) fn span(&self) -> Duration {
        self.span
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is, if any.
    fn calls(&self, now: Instant) -> Option<MutexGuard<'_, Calls>> {
        let mut calls = self.lock();
        if calls.last.is_none_or(|last| last <= now) {
            calls.prunes.clear();
            calls.puts.clear();
            calls.last = None;
            self.any.store(false, Ordering::SeqCst);
            return None;
        }
        Some(calls)
    }

    /// A prune was given up. To be called while the folder is held alone.
    pub(super) fn prune(&self, folder: &str) {
        let mut calls = self.lock();
        let until = calls.note(self.span);
        calls.prunes.insert(folder.into(), until);
        self.any.store(true, Ordering::SeqCst);
    }

    /// A put was given up. To be called while its folders are held.
    pub(super) fn put(&self, key: &Key) {
        let mut calls = self.lock();
        let until = calls.note(self.span);
        calls.puts.extend(key.folders().map(|folder| (folder.into(), until)));
        self.any.store(true, Ordering::SeqCst);
    }

    /// Refuses a put while a prune of one of its folders may still take effect.
    pub(super) fn check_put(&self, key: &Key) -> Result<()> {
        if !self.any.load(Ordering::SeqCst) {
            return Ok(());
        }
        let now = Instant::now();
        let Some(calls) = self.calls(now) else { return Ok(()) };
        let pruned = key.folders().find_map(|folder| Some((folder, *calls.prunes.get(folder).filter(|until| **until > now)?)));
        let Some((folder, until)) = pruned else { return Ok(()) };
        let seconds = until.duration_since(now).as_secs() + 1;
        Err(Error::Unavailable(format!("an earlier removal of the folder {folder} may still take effect; try again in {seconds} s")))
    }

    /// Until when a put below the folder may still take effect.
    pub(super) fn put_below(&self, folder: &str) -> Option<Instant> {
        if !self.any.load(Ordering::SeqCst) {
            return None;
        }
        let now = Instant::now();
        self.calls(now)?.puts.get(folder).copied().filter(|until| *until > now)
    }

    /// Notes that the folder will be pruned later; false if somebody will do so already.
    pub(super) fn defer(&self, folder: &str) -> bool {
        self.lock().deferred.insert(folder.into())
    }

    /// The folder is about to be pruned after all.
    pub(super) fn resume(&self, folder: &str) {
        self.lock().deferred.remove(folder);
    }
}
