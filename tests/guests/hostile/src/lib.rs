//! A storage backend that misbehaves on demand.
//!
//! A key below `do/` names a misdeed, which any of `get`, `put`, `delete`, `batch` and the lock's functions then commits; a
//! folder below `do/` makes a bad listing; a folder whose last segment begins with `do-` makes `prune` commit one; a scan whose cursor is a misdeed's name commits it; the setting `mode` makes `open` and `attach`
//! commit one, and the setting `each` every `get` ([`each`]). Every other key is kept in the instance's memory, honestly: which is what the runtime's own cost is measured with.

mod each;
mod honest;
mod misdeeds;
mod mutations;

use cofferdam::backend::types::{Error, Limits, Setting};
use exports::cofferdam::backend::lock;
use exports::cofferdam::backend::storage::{self, Descriptor, Entry, Features, Operation, Page, ScanPage};

wit_bindgen::generate!({ path: "../../../wit", world: "storage-backend-ha" });

struct Hostile;

export!(Hostile);

/// The misdeed that a key names.
fn named(key: &str) -> Option<&str> {
    key.strip_prefix("do/")
}

fn setting(settings: &[Setting], name: &str) -> String {
    settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.clone()).unwrap_or_default()
}

impl storage::Guest for Hostile {
    fn open(settings: Vec<Setting>) -> Result<Descriptor, Error> {
        let mode = setting(&settings, "mode");
        if let Some(misdeed) = mode.strip_prefix("open-") {
            misdeeds::commit(misdeed)?;
        }
        let name = if mode == "lying-name" { "Hostile\n".to_owned() } else { "hostile".to_owned() };
        let version = if mode == "lying-version" { "newest".to_owned() } else { "0.1.0".to_owned() };
        let segment = if mode == "lying-limits" { 4096 } else { 255 };
        let limits = Limits { key: 1024, segment, value: 4 << 20, batch_operations: 16, batch_bytes: 1 << 20 };
        Ok(Descriptor { name, version, features: Features::empty(), limits })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<(), Error> {
        each::configure(&settings);
        if let Some(misdeed) = setting(&settings, "mode").strip_prefix("attach-") {
            misdeeds::commit(misdeed)?;
        }
        Ok(())
    }

    fn get(key: String) -> Result<Option<Vec<u8>>, Error> {
        match named(&key) {
            Some(misdeed) => misdeeds::commit(misdeed).map(Some),
            None => {
                each::commit();
                Ok(honest::get(&key))
            }
        }
    }

    fn put(key: String, value: Vec<u8>, known_folders: u32) -> Result<(), Error> {
        match named(&key) {
            Some(misdeed) => misdeeds::commit(misdeed).map(drop),
            None => {
                honest::put(key, value, known_folders);
                Ok(())
            }
        }
    }

    fn delete(key: String) -> Result<u32, Error> {
        match named(&key) {
            Some("remove-too-many") => Ok(7),
            Some(misdeed) => misdeeds::commit(misdeed).map(|_| 0),
            None => {
                honest::delete(&key);
                Ok(0)
            }
        }
    }

    fn prune(folder: String) -> Result<bool, Error> {
        match folder.trim_end_matches('/').rsplit('/').next().and_then(|segment| segment.strip_prefix("do-")) {
            Some(misdeed) => misdeeds::commit(misdeed).map(|_| true),
            None => Ok(honest::prune(folder)),
        }
    }

    fn list_page(folder: String, after: String, limit: u32) -> Result<Page, Error> {
        let names = |names: &[&str]| Ok(Page { names: names.iter().map(|&name| name.to_owned()).collect(), more: false });
        match named(&folder).map(|misdeed| misdeed.trim_end_matches('/')) {
            Some("unsorted") => names(&["b", "a"]),
            Some("twice") => names(&["a", "a"]),
            Some("before") => names(&["a"]),
            Some("empty-name") => names(&[""]),
            Some("nested") => names(&["a/b"]),
            Some("parent") => names(&["../"]),
            Some("too-many") => Ok(Page { names: (0..=limit).map(|n| format!("{n:09}")).collect(), more: false }),
            Some("empty-more") => Ok(Page { names: Vec::new(), more: true }),
            Some(misdeed) => misdeeds::commit(misdeed).map(|_| Page { names: Vec::new(), more: false }),
            None => Ok(honest::list(&folder, &after, limit)),
        }
    }

    fn batch(operations: Vec<Operation>) -> Result<Vec<u32>, Error> {
        let key = |operation: &Operation| match operation {
            Operation::Put(entry) => entry.key.clone(),
            Operation::Delete(key) => key.clone(),
        };
        for operation in &operations {
            match named(&key(operation)) {
                Some("short-answer") => return Ok(Vec::new()),
                Some("remove-by-put") => return Ok(vec![1; operations.len()]),
                Some(misdeed) => _ = misdeeds::commit(misdeed)?,
                None => {}
            }
        }
        let mut removed = Vec::new();
        for operation in operations {
            removed.push(match operation {
                Operation::Put(Entry { key, value }) => {
                    honest::put(key, value, 0);
                    0
                }
                Operation::Delete(key) => {
                    honest::delete(&key);
                    0
                }
            });
        }
        Ok(removed)
    }

    fn scan(_: u32, _: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage, Error> {
        let entry = || Entry { key: "k".to_owned(), value: Vec::new() };
        match cursor.map(|cursor| String::from_utf8_lossy(&cursor).into_owned()).as_deref() {
            Some("too-many") => Ok(ScanPage { entries: (0..=limit).map(|_| entry()).collect(), cursor: None }),
            Some("long-cursor") => Ok(ScanPage { entries: Vec::new(), cursor: Some(vec![0; 5000]) }),
            Some(misdeed) => misdeeds::commit(misdeed).map(|_| ScanPage { entries: Vec::new(), cursor: None }),
            None => Ok(honest::scan()),
        }
    }
}

impl lock::Guest for Hostile {
    fn try_acquire(key: String, claim: lock::Held, seen: Option<lock::Held>) -> Result<bool, Error> {
        if let Some(misdeed) = named(&key) {
            misdeeds::commit(misdeed)?;
        }
        Ok(honest::try_acquire(key, claim, seen))
    }

    fn renew(key: String, identity: String, expires: u64) -> Result<bool, Error> {
        if let Some(misdeed) = named(&key) {
            misdeeds::commit(misdeed)?;
        }
        Ok(honest::renew(&key, &identity, expires))
    }

    fn release(key: String, identity: String) -> Result<(), Error> {
        if let Some(misdeed) = named(&key) {
            misdeeds::commit(misdeed)?;
        }
        honest::release(&key, &identity);
        Ok(())
    }

    fn read(key: String) -> Result<Option<lock::Held>, Error> {
        match named(&key) {
            Some("long-identity") => Ok(Some(lock::Held { value: Vec::new(), identity: "x".repeat(129), expires: 0 })),
            Some(misdeed) => misdeeds::commit(misdeed).map(|_| None),
            None => Ok(honest::read(&key)),
        }
    }
}
