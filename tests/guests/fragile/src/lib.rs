//! A storage backend whose trouble comes and goes: each entry is one file of its directory, and while the file `trouble` is there, every call fails as
//! that says: `trap`, `hang`, or `open`, which lets `open` alone fail. What it says when it fails is `words of the guest`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use cofferdam::backend::types::{Error, Limits, Setting};
use exports::cofferdam::backend::storage::{Descriptor, Entry, Features, Guest, Operation, Page, ScanPage};

wit_bindgen::generate!({ path: "../../../wit", world: "storage-backend" });

struct Fragile;

export!(Fragile);

const ROOT: &str = "/data";

/// Fails as the directory says.
fn trouble(opening: bool) {
    match (fs::read_to_string(format!("{ROOT}/trouble")).unwrap_or_default().trim(), opening) {
        ("trap", false) | ("open", true) => panic!("words of the guest"),
        ("hang", false) => std::thread::sleep(std::time::Duration::from_secs(3600)),
        _ => {}
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::Unavailable(error.to_string())
}

/// The file of a key: its bytes in hexadecimal.
fn file(key: &str) -> PathBuf {
    format!("{ROOT}/e-{}", key.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()).into()
}

fn key(file: &str) -> Option<String> {
    let digits = file.strip_prefix("e-")?;
    let bytes = digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}

fn keys() -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(ROOT).map_err(failed)?;
    Ok(entries.filter_map(|entry| key(entry.ok()?.file_name().to_str()?)).collect())
}

fn write(key: &str, value: &[u8]) -> Result<(), Error> {
    let beside = PathBuf::from(format!("{ROOT}/t-{}", file(key).file_name().unwrap().to_string_lossy()));
    fs::write(&beside, value).and_then(|()| fs::rename(&beside, file(key))).map_err(failed)
}

fn remove(key: &str) -> Result<(), Error> {
    match fs::remove_file(file(key)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

impl Guest for Fragile {
    fn open(_: Vec<Setting>) -> Result<Descriptor, Error> {
        trouble(true);
        let limits = Limits { key: 120, segment: 120, value: 4 << 20, batch_operations: 16, batch_bytes: 1 << 20 };
        // There are no folders here that could get out of order.
        Ok(Descriptor { name: "fragile".to_owned(), version: "0.1.0".to_owned(), features: Features::ATOMIC_FOLDERS, limits })
    }

    fn attach(_: Vec<Setting>, _: Descriptor) -> Result<(), Error> {
        Ok(())
    }

    fn get(key: String) -> Result<Option<Vec<u8>>, Error> {
        trouble(false);
        match fs::read(file(&key)) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn put(key: String, value: Vec<u8>, _: u32) -> Result<(), Error> {
        trouble(false);
        write(&key, &value)
    }

    fn delete(key: String) -> Result<u32, Error> {
        trouble(false);
        remove(&key).map(|()| 0)
    }

    fn prune(_: String) -> Result<bool, Error> {
        Ok(false)
    }

    fn list_page(folder: String, after: String, limit: u32) -> Result<Page, Error> {
        trouble(false);
        let keys = keys()?;
        let names: BTreeSet<String> = keys
            .iter()
            .filter_map(|key| key.strip_prefix(folder.as_str()))
            .map(|rest| rest.split_inclusive('/').next().unwrap_or(rest).to_owned())
            .filter(|name| *name > after)
            .collect();
        let more = names.len() > limit as usize;
        Ok(Page { names: names.into_iter().take(limit as usize).collect(), more })
    }

    fn batch(operations: Vec<Operation>) -> Result<Vec<u32>, Error> {
        trouble(false);
        operations
            .into_iter()
            .map(|operation| match operation {
                Operation::Put(Entry { key, value }) => write(&key, &value).map(|()| 0),
                Operation::Delete(key) => remove(&key).map(|()| 0),
            })
            .collect()
    }

    fn scan(segment: u32, _: u32, _: Option<Vec<u8>>, _: u32) -> Result<ScanPage, Error> {
        trouble(false);
        let keys = if segment == 0 { keys()? } else { Vec::new() };
        let entries = keys.into_iter().filter_map(|key| Some(Entry { value: fs::read(file(&key)).ok()?, key })).collect();
        Ok(ScanPage { entries, cursor: None })
    }
}
