//! A model of everything around a guest: puts, deletes and batches of few keys in nested folders, against a store of entries and marks that does one thing at a time and
//! lets the others run in between. After each thing that it does, no entry is without the marks of its folders; when all is quiet, no mark is without
//! something below it. That the model can tell is shown by breaking the protocol.

use std::collections::BTreeSet;
use std::sync::Mutex;

use cofferdam_backend::Key;

use super::super::Put;
use super::super::tests::join;
use super::*;

const KEYS: [&str; 7] = ["a/1", "a/2", "a/b/1", "a/b/2", "a/b/c/1", "d/1", "leaf"];

/// How the protocol is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Kept,
    /// A delete looks at the witness before the guest removes the entry.
    WitnessBefore,
    /// Puts hold nothing.
    NoTurn,
    /// A put leaves its witness although its key was deleted meanwhile: as if no delete were ever told of.
    DeletesUntold,
}

/// Entries and marks.
struct Store {
    protocol: Protocol,
    random: Mutex<u64>,
    entries: Mutex<BTreeSet<String>>,
    marks: Mutex<BTreeSet<String>>,
    faults: Mutex<Vec<String>>,
}

impl Store {
    fn random(&self, below: u64) -> u64 {
        let mut state = self.random.lock().unwrap();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % below
    }

    /// Lets others run.
    async fn pause(&self) {
        for _ in 0..self.random(4) {
            tokio::task::yield_now().await;
        }
    }

    fn check(&self) {
        let marks = self.marks.lock().unwrap();
        for entry in &*self.entries.lock().unwrap() {
            if let Some(lost) = Key::new(entry).unwrap().folders().find(|folder| !marks.contains(*folder)) {
                self.faults.lock().unwrap().push(format!("{entry} has lost {lost}"));
            }
        }
    }

    async fn put(&self, key: &Key, known: u32) {
        for folder in key.folders().skip(known as usize) {
            self.pause().await;
            self.marks.lock().unwrap().insert(folder.to_owned());
        }
        self.pause().await;
        self.entries.lock().unwrap().insert(key.as_str().to_owned());
        self.check();
        self.pause().await;
    }

    async fn delete(&self, key: &Key) {
        self.pause().await;
        self.entries.lock().unwrap().remove(key.as_str());
        self.pause().await;
    }

    fn empty(&self, folder: &str) -> bool {
        let below = |name: &String| name.len() > folder.len() && name.starts_with(folder);
        !self.entries.lock().unwrap().iter().any(below) && !self.marks.lock().unwrap().iter().any(below)
    }

    async fn prune(&self, folder: &str) -> bool {
        self.pause().await;
        let empty = self.empty(folder);
        self.pause().await;
        if empty {
            self.marks.lock().unwrap().remove(folder);
            self.check();
        }
        self.pause().await;
        empty
    }
}

async fn put(store: &Store, folders: &Arc<Folders>, path: &Path) {
    let turn = if store.protocol == Protocol::NoTurn { None } else { Some(folders.share(std::iter::once(path)).await) };
    let put = Put::begin(folders, path).unwrap();
    store.put(&path.key, put.known).await;
    put.end();
    drop(turn);
}

async fn delete(store: &Store, folders: &Arc<Folders>, path: &Path) {
    let delete = (store.protocol != Protocol::DeletesUntold).then(|| Delete::begin(folders, path));
    if let (None, Some((folder, own, leaf))) = (&delete, path.steps().last()) {
        folders.unwitness(folder, own, leaf);
    }
    let before = (store.protocol == Protocol::WitnessBefore).then(|| folders.suspects(std::iter::once(path)));
    store.delete(&path.key).await;
    drop(delete);
    sweep(store, folders, before.unwrap_or_else(|| folders.suspects(std::iter::once(path)))).await;
}

/// Puts the first key and deletes the others.
async fn batch(store: &Store, folders: &Arc<Folders>, paths: [&Path; 3]) {
    let [one, others @ ..] = paths;
    let turn = folders.share(std::iter::once(one)).await;
    let put = Put::begin(folders, one).unwrap();
    let deletes = others.map(|path| Delete::begin(folders, path));
    store.put(&one.key, 0).await;
    for path in others {
        store.delete(&path.key).await;
    }
    put.end();
    drop(deletes);
    drop(turn);
    sweep(store, folders, folders.suspects(others.into_iter())).await;
}

async fn sweep(store: &Store, folders: &Arc<Folders>, suspects: Suspects) {
    let call = async |pruning: Pruning| {
        let empty = store.prune(pruning.folder()).await;
        pruning.end(empty);
        Ok(empty)
    };
    folders.sweep(suspects, Duration::from_secs(600), call).await.0.unwrap();
}

/// Runs some workers at once; returns what was found wrong.
async fn run(protocol: Protocol, seed: u64) -> Vec<String> {
    let store = Store {
        protocol,
        random: Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        entries: Mutex::default(),
        marks: Mutex::default(),
        faults: Mutex::default(),
    };
    let folders = Folders::new(false, Duration::from_secs(600));
    let worker = async || {
        for _ in 0..6 {
            let at = store.random(KEYS.len() as u64) as usize;
            let path = |next: usize| folders.path(KEYS[(at + next) % KEYS.len()]);
            match store.random(9) {
                0..4 => put(&store, &folders, &path(0)).await,
                4..8 => delete(&store, &folders, &path(0)).await,
                _ => batch(&store, &folders, [&path(0), &path(1), &path(2)]).await,
            }
            if store.random(40) == 0 {
                folders.forget();
            }
        }
    };
    join((0..4).map(|_| Box::pin(worker())).collect()).await;
    let marks = store.marks.lock().unwrap().clone();
    for mark in marks {
        if store.empty(&mark) {
            store.faults.lock().unwrap().push(format!("nothing is below {mark}"));
        }
    }
    store.faults.into_inner().unwrap()
}

async fn faults(protocol: Protocol, seeds: u64) -> Vec<String> {
    let mut faults = Vec::new();
    for seed in 1..=seeds {
        faults.extend(run(protocol, seed).await);
    }
    faults
}

#[tokio::test]
async fn no_entry_is_ever_without_its_folders_and_no_folder_stays_empty() {
    assert_eq!(faults(Protocol::Kept, 10_000).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_model_sees_it_when_the_witness_is_looked_at_before_the_removal() {
    let faults = faults(Protocol::WitnessBefore, 5_000).await;
    assert!(faults.iter().any(|fault| fault.starts_with("nothing is below")), "{faults:?}");
}

#[tokio::test]
async fn the_model_sees_it_when_puts_hold_nothing() {
    let faults = faults(Protocol::NoTurn, 5_000).await;
    assert!(faults.iter().any(|fault| fault.contains("has lost")), "{faults:?}");
}

#[tokio::test]
async fn the_model_sees_it_when_a_put_does_not_learn_of_a_delete_of_its_key() {
    let faults = faults(Protocol::DeletesUntold, 20_000).await;
    assert!(faults.iter().any(|fault| fault.starts_with("nothing is below")), "{faults:?}");
}
