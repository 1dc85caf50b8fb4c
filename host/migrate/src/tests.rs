//! Migrations between storages in memory that fail, stall and count as they are told, and snapshots on the disk.

mod cuts;
mod ends;
mod faulty;
mod refusals;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use faulty::Faulty;

use crate::state::SKIPPED;
use crate::{End, Held, Migration, Options, Progress};

/// Entries of every folder, in no more than a few pages.
fn entries(count: usize) -> BTreeMap<String, Bytes> {
    let folders = ["core/", "sys/policy/", "logical/7b5f/", "auth/1/2/3/", "", "audit/x/", "other/"];
    let mut entries: BTreeMap<String, Bytes> = (0..count)
        .map(|number| (format!("{}key-{number}", folders[number % folders.len()]), Bytes::from(vec![b'v'; number % 50])))
        .collect();
    entries.insert("core/lock".to_owned(), "another server's".into());
    entries.insert("logical/7b5f/_hidden".to_owned(), "x".into());
    entries
}

/// What arrives of them.
fn expected(entries: &BTreeMap<String, Bytes>) -> BTreeMap<String, Bytes> {
    entries.iter().filter(|(key, _)| !SKIPPED.contains(&key.as_str())).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn end(name: &str, storage: &Faulty) -> End {
    End { name: name.to_owned(), held: Held::Storage(Arc::new(storage.clone())) }
}

fn impatient() -> Options {
    Options { max_parallel: 3, patience: Duration::ZERO, save_every: Duration::ZERO, ..Options::default() }
}

fn between(source: End, destination: End, options: Options) -> Migration {
    Migration { source, destination, options, progress: Arc::new(Progress::default()) }
}

fn migration(source: &Faulty, destination: &Faulty, options: Options) -> Migration {
    between(end("from", source), end("to", destination), options)
}
