//! A disk that can lose its power, and what must be there after that.

mod cuts;
mod rules;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use cofferdam_backend::{Key, Storage};
use cofferdam_test_support::Memory;

use crate::{Medium, Place};

/// Two files and a storage on one file system in memory. What was not synced is lost in part when the power goes.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>, Arc<Condvar>);

pub(crate) struct State {
    files: [File; 2],
    storage: Arc<Memory>,
    /// The storage's entries at the last sync of everything.
    settled: BTreeMap<String, Bytes>,
    /// How many steps are left until the power goes.
    left: Option<usize>,
    /// What was on the disk when it went.
    image: Option<Image>,
    chance: u64,
    pub(crate) syncs: usize,
    pub(crate) settles: usize,
    pub(crate) fail_settling: bool,
    pub(crate) full: bool,
    pub(crate) held: bool,
    /// Syncs that were begun while they were held.
    pub(crate) asked: usize,
}

#[derive(Clone, Default)]
struct File {
    durable: Vec<u8>,
    /// Writes since the last sync, in sectors.
    since: Vec<(usize, Vec<u8>)>,
    now: Vec<u8>,
}

/// A disk without power.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) files: [Vec<u8>; 2],
    pub(crate) entries: BTreeMap<String, Bytes>,
}

impl Disk {
    pub(crate) fn new(storage: Arc<Memory>) -> Disk {
        Disk::of(Image { files: Default::default(), entries: storage.snapshot() }, storage, None, 0)
    }

    /// A disk as it was left; the power goes after this many steps, and chance decides what of the unsynced stays.
    pub(crate) fn of(image: Image, storage: Arc<Memory>, left: Option<usize>, chance: u64) -> Disk {
        let files = image.files.map(|bytes| File { durable: bytes.clone(), since: Vec::new(), now: bytes });
        let state = State {
            files,
            settled: storage.snapshot(),
            storage,
            left,
            image: None,
            chance,
            syncs: 0,
            settles: 0,
            fail_settling: false,
            full: false,
            held: false,
            asked: 0,
        };
        Disk(Arc::new(Mutex::new(state)), Arc::default())
    }

    pub(crate) fn place(&self) -> Arc<dyn Place> {
        Arc::new(self.clone())
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.0.lock().unwrap());
        self.1.notify_all();
        changed
    }

    /// The disk now, as if the power went at this moment; or when it did.
    pub(crate) fn image(&self) -> Image {
        self.with(|state| state.image.clone().unwrap_or_else(|| state.cut()))
    }
}

impl State {
    fn toss(&mut self) -> bool {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.chance >> 33 & 1 == 1
    }

    fn cut(&mut self) -> Image {
        let mut files = self.files.clone();
        for file in &mut files {
            for (at, bytes) in std::mem::take(&mut file.since) {
                for (number, sector) in bytes.chunks(512).enumerate() {
                    let begin = at + number * 512;
                    if self.toss() && begin + sector.len() <= file.durable.len() {
                        file.durable[begin..begin + sector.len()].copy_from_slice(sector);
                    }
                }
            }
        }
        let now = self.storage.snapshot();
        let mut entries = self.settled.clone();
        let keys: Vec<String> = now.keys().chain(self.settled.keys()).cloned().collect();
        for key in keys {
            if self.toss() {
                match now.get(&key) {
                    Some(value) => drop(entries.insert(key, value.clone())),
                    None => drop(entries.remove(&key)),
                }
            }
        }
        Image { files: files.map(|file| file.durable), entries }
    }

    /// One step: it may be the last.
    fn step(&mut self) -> io::Result<()> {
        if self.image.is_some() {
            return Err(io::Error::other("no power"));
        }
        match &mut self.left {
            Some(0) => {
                self.image = Some(self.cut());
                Err(io::Error::other("no power"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

struct Handle(Disk, usize);

impl Place for Disk {
    fn left(&self, number: usize) -> io::Result<Option<Box<dyn Medium>>> {
        let holds = self.with(|state| !state.files[number].now.is_empty());
        Ok(holds.then(|| Box::new(Handle(self.clone(), number)) as Box<dyn Medium>))
    }

    fn medium(&self, number: usize) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(Handle(self.clone(), number)))
    }

    fn sync_all(&self) -> io::Result<()> {
        self.with(|state| {
            state.step()?;
            state.settles += 1;
            if state.fail_settling {
                return Err(io::Error::other("the disk fails"));
            }
            state.settled = state.storage.snapshot();
            Ok(())
        })
    }

    fn taken(&self, _: &Key) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn name(&self) -> String {
        "the test's disk".to_owned()
    }
}

impl Medium for Handle {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        self.0.with(|state| Ok(state.files[self.1].now.clone()))
    }

    fn reserve(&mut self, length: u64) -> io::Result<()> {
        self.0.with(|state| {
            let length = usize::try_from(length).unwrap().next_multiple_of(4096);
            if state.files[self.1].now.len() >= length {
                return Ok(());
            }
            state.step()?;
            if state.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.files[self.1].now.resize(length, 0);
            state.files[self.1].durable.resize(length, 0);
            Ok(())
        })
    }

    fn write(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.with(|state| {
            let at = usize::try_from(at).unwrap();
            let file = &mut state.files[self.1];
            file.now[at..at + bytes.len()].copy_from_slice(bytes);
            file.since.push((at, bytes.to_vec()));
            state.step()
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.0.lock().unwrap();
        state.asked += usize::from(state.held);
        while state.held {
            state = self.0.1.wait(state).unwrap();
        }
        state.step()?;
        state.syncs += 1;
        let file = &mut state.files[self.1];
        file.since.clear();
        file.durable = file.now.clone();
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.0.with(|state| {
            state.step()?;
            state.files[self.1] = File::default();
            Ok(())
        })
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

pub(crate) async fn value(storage: &dyn Storage, name: &str) -> Option<String> {
    storage.get(&key(name)).await.unwrap().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}
