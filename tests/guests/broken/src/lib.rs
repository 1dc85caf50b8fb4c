//! A storage backend with a lock that is broken in one way, which the setting `mode` names, or in none.
//!
//! It is what shows that each check of `coffer plugin test` finds what it is for: with the mode `none` it passes them all, with any other it fails the one
//! that the mode is for. [`mode`] says what is wrong, [`store`] keeps what is stored.

mod calls;
mod disk;
mod listing;
mod lock;
mod mode;
mod store;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use cofferdam_guest::storage::{Descriptor, Entry, Features, Guest, Operation, Page, ScanPage};
use cofferdam_guest::{Error, Excess, Limits, Part, Result, Setting, Settings};

use calls::call;
use mode::{Mode, is, mode, pause};
use store::{Change, Store, folders};

struct Broken;

/// The largest value.
const VALUE: u64 = 1 << 20;
/// The largest batch.
const OPERATIONS: usize = 64;

/// A page of a scan: segment, segments and cursor.
type Asked = (u32, u32, Option<Vec<u8>>);

thread_local! {
    /// The folders that this instance has made, and what it has read: for those who trust it.
    static KNOWN: RefCell<BTreeSet<String>> = RefCell::default();
    static READ: RefCell<BTreeMap<String, Option<Vec<u8>>>> = RefCell::default();
    /// The pages of scans that were asked for and not given.
    static FAILED: RefCell<BTreeSet<Asked>> = RefCell::default();
}

fn configure(settings: Vec<Setting>) -> Result<()> {
    let mut settings = Settings::new(settings);
    let name = settings.text("mode").unwrap_or_else(|| "none".to_owned());
    settings.finish()?;
    mode::set(Mode::named(&name).ok_or_else(|| Error::Configuration(format!("\"mode\" is {name:?}, which is none")))?);
    Ok(())
}

/// The key that an entry is stored under.
fn at(key: &str) -> String {
    if is(Mode::FoldsCase) { key.to_lowercase() } else { key.to_owned() }
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::Corrupt("the cursor is none of ours".to_owned()))
}

/// The changes that store a value.
fn put(store: &Store, at: &str, mut value: Vec<u8>) -> Vec<Change> {
    let mut changes = Vec::new();
    match mode() {
        Mode::EmptyValueIsNone if value.is_empty() => return changes,
        Mode::LongerValueKeepsItsTail => {
            let old = store.entries.get(at).map_or(&[][..], Vec::as_slice);
            value.extend(old.get(value.len()..).unwrap_or_default());
        }
        Mode::ForgetsNothing => KNOWN.with_borrow_mut(|known| {
            changes.extend(folders(at).into_iter().filter(|folder| known.insert(folder.clone())).map(Change::Mark));
        }),
        _ => {}
    }
    changes.push(Change::Put(at.to_owned(), value));
    changes
}

/// The changes that remove an entry.
fn delete(store: &Store, at: &str) -> Result<Vec<Change>> {
    let mut changes = vec![Change::Delete(at.to_owned())];
    match mode() {
        Mode::DeleteOfMissingFails if !store.entries.contains_key(at) => return Err(Error::Corrupt(format!("{at} is not there"))),
        Mode::DeleteRemovesBelow => {
            let below = format!("{at}/");
            changes.extend(store.entries.keys().filter(|key| key.starts_with(&below)).cloned().map(Change::Delete));
        }
        _ => {}
    }
    Ok(changes)
}

/// Stores a value.
fn write(at: &str, value: &[u8]) -> Result<()> {
    let set = |value: &[u8]| store::change(|store| Ok(((), put(store, at, value.to_vec()))));
    match mode() {
        Mode::AcknowledgesFailedWrites => set(value).or(Ok(())),
        Mode::PutHasAGap => {
            store::change(|_| Ok(((), vec![Change::Delete(at.to_owned())])))?;
            pause();
            set(value)
        }
        Mode::PutInHalves => {
            let (first, rest) = value.split_at(value.len() / 2);
            set(first)?;
            pause();
            store::change(|store| {
                let begun = store.entries.get(at).cloned().unwrap_or_default();
                Ok(((), put(store, at, [&begun, rest].concat())))
            })
        }
        Mode::MarksFoldersLate => {
            let is_new = store::look(|store| Ok(!store.entries.contains_key(at)))?;
            set(value)?;
            store::change(|store| {
                let missing = folders(at).into_iter().filter(|folder| is_new && !store.marks.contains(folder));
                Ok(((), missing.map(Change::Mark).collect()))
            })
        }
        _ => set(value),
    }
}

/// Removes an entry.
fn remove(at: &str) -> Result<()> {
    store::change(|store| Ok(((), delete(store, at)?)))?;
    if is(Mode::DeletePrunesLate)
        && let Some(above) = folders(at).pop()
        && store::look(|store| Ok(store.is_empty(&above)))?
    {
        pause();
        let below = |store: &Store| store.entries.keys().filter(|key| key.starts_with(&above)).cloned().map(Change::Delete).collect();
        store::change(|store| Ok(((), below(store))))?;
    }
    Ok(())
}

/// Applies a batch: in one step, unless that is what is wrong.
fn apply(mut operations: Vec<Operation>) -> Result<()> {
    match mode() {
        Mode::LargestBatchLosesItsLast if operations.len() == OPERATIONS => drop(operations.pop()),
        Mode::BatchBackwards => operations.reverse(),
        _ => {}
    }
    if matches!(mode(), Mode::BatchBackwards | Mode::BatchInPieces | Mode::MarksFoldersLate) {
        for operation in operations {
            match operation {
                Operation::Put(Entry { key, value }) => write(&at(&key), &value)?,
                Operation::Delete(key) => remove(&at(&key))?,
            }
            pause();
        }
        return Ok(());
    }
    store::change(|store| {
        let mut changes = Vec::new();
        for operation in &operations {
            match operation {
                Operation::Put(Entry { key, value }) => changes.extend(put(store, &at(key), value.clone())),
                Operation::Delete(key) if is(Mode::BatchEndsAtMissing) && !store.entries.contains_key(key) => {
                    return Err(Error::Conflict(format!("{key} is not there")));
                }
                Operation::Delete(key) => changes.extend(delete(store, &at(key))?),
            }
        }
        Ok(((), changes))
    })
}

/// What was read, or what a guest makes of it that takes an error for nothing.
fn nothing_if_failed<T>(read: Result<T>, nothing: T) -> Result<T> {
    if is(Mode::NothingWhenItFails) { Ok(read.unwrap_or(nothing)) } else { read }
}

impl Guest for Broken {
    fn open(settings: Vec<Setting>) -> Result<Descriptor> {
        configure(settings)?;
        if is(Mode::DoesNotOpen) {
            return Err(Error::Configuration("\"table\" must be set".to_owned()));
        }
        match store::look(|_| Ok(())) {
            Err(_) if is(Mode::BeginsAnew) => store::begin_anew()?,
            opened => opened?,
        }
        let mut features = Features::ATOMIC_FOLDERS | Features::PARALLEL_SCAN;
        if !is(Mode::BatchBackwards) && !is(Mode::MarksFoldersLate) {
            features |= Features::ATOMIC_BATCH;
        }
        Ok(Descriptor {
            name: "broken".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            features,
            limits: Limits { key: 1024, segment: 255, value: VALUE, batch_operations: OPERATIONS as u32, batch_bytes: 2 << 20 },
        })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<()> {
        configure(settings)
    }

    fn get(key: String) -> Result<Option<Vec<u8>>> {
        let at = at(&key);
        let found = nothing_if_failed(call(|| store::look(|store| Ok(store.entries.get(&at).cloned()))), None)?;
        match mode() {
            Mode::CachesReads => Ok(READ.with_borrow_mut(|read| read.entry(at).or_insert(found).clone())),
            Mode::AnswersByChance => Ok(found.filter(|_| calls::by_chance())),
            _ => Ok(found),
        }
    }

    fn put(key: String, value: Vec<u8>, _known_folders: u32) -> Result<()> {
        let size = value.len() as u64;
        if is(Mode::LargestValueIsRefused) && size > VALUE / 2 {
            return Err(Error::TooLarge(Excess { what: Part::Value, size, limit: size.saturating_sub(1) }));
        }
        call(|| write(&at(&key), &value))
    }

    fn delete(key: String) -> Result<u32> {
        // A folder has no mark that the host could rely on.
        call(|| remove(&at(&key))).map(|()| 0)
    }

    fn prune(_folder: String) -> Result<bool> {
        Err(Error::Unsupported("a folder has no mark to remove".to_owned()))
    }

    fn list_page(folder: String, after: String, limit: u32) -> Result<Page> {
        let page = call(|| store::look(|store| Ok(listing::names(store, &folder, &after, limit as usize))));
        nothing_if_failed(page, Page { names: Vec::new(), more: false })
    }

    fn batch(operations: Vec<Operation>) -> Result<Vec<u32>> {
        let removed = vec![0; operations.len()];
        call(|| apply(operations)).map(|()| removed)
    }

    fn scan(segment: u32, segments: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
        let asked = (segment, segments, cursor.clone());
        let failed = is(Mode::CountsFailedPages) && FAILED.with_borrow(|failed| failed.contains(&asked));
        FAILED.with_borrow_mut(|failed| failed.insert(asked.clone()));
        let cursor = cursor.map(text).transpose()?;
        let skip = if failed { limit as usize } else { 0 };
        let page = call(|| store::look(|store| listing::entries(store, (segment, segments), cursor, skip, limit as usize)));
        if page.is_ok() {
            FAILED.with_borrow_mut(|failed| failed.remove(&asked));
        }
        nothing_if_failed(page, ScanPage { entries: Vec::new(), cursor: None })
    }
}

cofferdam_guest::storage::export!(Broken);
cofferdam_guest::lock::export!(Broken);
