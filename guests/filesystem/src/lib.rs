//! A storage backend on one directory, in the layout of Vault's file backend.
//!
//! The host grants the directory as `/data`. Either server can take over the other's directory: [`layout`] says where an entry lies and
//! [`entry`] what is in its file. The rules this guest keeps:
//!
//! - **Atomic.** A value is written to a file of its own in `.cofferdam/`, then renamed over the entry: a reader sees the old value or the new one.
//! - **Durable.** A put is acknowledged after the file is synced, and after the rename the entry's directory and the parent of every directory that may
//!   be new. A delete is acknowledged after the directory that it changed last is synced. `fsync = "false"` gives this up for speed.
//! - **WASI calls, few of them.** Not `std::fs`, whose directory reading ends at the first entry that vanished, and which opens and asks twice as much.
//! - **Nothing in memory is needed later.** Instances share the directory, not memory; they name temporary files at random.
//!
//! What costs: WASI reads a directory as a whole, so each page of a listing reads all names of the folder. Ask for large pages.
//! A folder that holds nothing (left by a crash between two steps) is not listed: each folder on a page is looked into.
//!
//! Links are followed while they stay inside the directory; a link that leads out is refused by the host. A scan does not follow a link to a
//! directory, which could lead in circles: it ends with an error that names the link.

mod disk;
mod entry;
mod fault;
mod in_place;
mod layout;
mod list;
mod options;
mod scan;
mod write;

use cofferdam_guest::storage::{Descriptor, Entry, Features, Guest, Operation, Page, ScanPage};
use cofferdam_guest::{Error, Limits, Result, Setting};

use layout::Place;

/// The longest value: a request body of Vault's default size, 32 MiB, and what engine and barrier add to it. A file holds a value as base64 and
/// memory has to hold it whole, so a larger limit would cost every instance more memory than it gives anyone.
const VALUE_LIMIT: u64 = 33 << 20;

/// The longest key. A path may have 4,095 bytes (Linux), of which one is the underscore of the leaf; rounded down, to leave the cursor of a scan room.
const KEY_LIMIT: u32 = 4_000;

/// The longest segment: a file name may have 255 bytes, and a leaf begins with an underscore.
///
/// A path segment of kv v2 is stored encrypted and in base 62. Up to 110 bytes of plain segment become at most 254.
const SEGMENT_LIMIT: u32 = 254;

struct Filesystem;

impl Guest for Filesystem {
    fn open(settings: Vec<Setting>) -> Result<Descriptor> {
        options::read(settings)?;
        if !options::durable() && !options::in_place() {
            cofferdam_guest::warn!("fsync is off: a loss of power can lose writes that were acknowledged, and damage entries");
        }
        write::prepare()?;
        Ok(Descriptor {
            name: "filesystem".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            features: Features::PARALLEL_SCAN | Features::ATOMIC_FOLDERS,
            limits: Limits { key: KEY_LIMIT, segment: SEGMENT_LIMIT, value: VALUE_LIMIT, batch_operations: 128, batch_bytes: VALUE_LIMIT },
        })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<()> {
        options::read(settings)
    }

    fn get(key: String) -> Result<Option<Vec<u8>>> {
        entry::get(&Place::of(&key)?)
    }

    fn put(key: String, value: Vec<u8>, known_folders: u32) -> Result<()> {
        write::put(&Place::of(&key)?, &value, known_folders)
    }

    fn delete(key: String) -> Result<u32> {
        write::delete(&Place::of(&key)?)
    }

    fn prune(_folder: String) -> Result<bool> {
        Err(Error::Unsupported("folders are removed by delete".to_owned()))
    }

    fn list_page(folder: String, after: String, limit: u32) -> Result<Page> {
        list::page(&folder, &after, limit)
    }

    fn batch(operations: Vec<Operation>) -> Result<Vec<u32>> {
        if options::in_place() {
            return in_place::batch(operations);
        }
        let apply = |operation| match operation {
            Operation::Put(Entry { key, value }) => write::put(&Place::of(&key)?, &value, 0).map(|()| 0),
            Operation::Delete(key) => write::delete(&Place::of(&key)?),
        };
        operations.into_iter().map(apply).collect()
    }

    fn scan(segment: u32, segments: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
        scan::page(segment, segments, cursor, limit)
    }
}

cofferdam_guest::storage::export!(Filesystem);
