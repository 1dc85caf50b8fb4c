//! A storage backend on etcd, through the JSON gateway of its v3 API: a distributed engine behind the contract, in a guest that holds no token and opens no
//! socket. The rules it keeps:
//!
//! - **One request per operation, wherever etcd allows it.** etcd's own transactions make batches atomic and bind mutations to a lock.
//! - **Nothing in memory is needed later.** What an instance remembers is which of several endpoints answered last.
//! - **Folders are derived.** etcd knows keys alone, so no mark can be left over or be missing; a listing skips over what lies in a folder.
//!
//! [`layout`] says where an entry and a lock lie. Entries are read linearizably: a read that begins after a write was acknowledged sees it, whichever member
//! of the cluster answers.

mod entries;
mod gateway;
mod layout;
mod list;
mod lock;
mod options;
mod scan;

use cofferdam_guest::storage::{Descriptor, Features, Guest, Operation, Page, ScanPage};
use cofferdam_guest::{Error, Limits, Result, Setting};

/// The longest value: etcd takes requests of 1.5 MiB unless told otherwise, and a key belongs to it.
const VALUE_LIMIT: u64 = 1 << 20;
/// The longest key: what a cursor of a scan has room for.
const KEY_LIMIT: u32 = 4_000;
/// Operations of a transaction, as etcd takes them unless told otherwise.
const BATCH_LIMIT: u32 = 128;

struct Etcd;

impl Guest for Etcd {
    fn open(settings: Vec<Setting>) -> Result<Descriptor> {
        options::read(settings)?;
        // Whether it answers, and lets us in.
        gateway::range(&layout::entry(""), None, gateway::Reading { limit: 1, keys_only: true })?;
        Ok(Descriptor {
            name: "etcd".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            features: Features::ATOMIC_BATCH | Features::ATOMIC_FOLDERS,
            limits: Limits {
                key: KEY_LIMIT,
                segment: KEY_LIMIT,
                value: VALUE_LIMIT,
                batch_operations: BATCH_LIMIT,
                batch_bytes: VALUE_LIMIT,
            },
        })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<()> {
        options::read(settings)
    }

    fn get(key: String) -> Result<Option<Vec<u8>>> {
        entries::get(&key)
    }

    fn put(key: String, value: Vec<u8>, _known_folders: u32) -> Result<()> {
        entries::put(&key, &value)
    }

    fn delete(key: String) -> Result<u32> {
        // No folder has a mark: none was removed.
        entries::delete(&key).map(|()| 0)
    }

    fn prune(_folder: String) -> Result<bool> {
        Err(Error::Unsupported("a folder has no mark to remove".to_owned()))
    }

    fn list_page(folder: String, after: String, limit: u32) -> Result<Page> {
        list::page(&folder, &after, limit, gateway::keys)
    }

    fn batch(operations: Vec<Operation>) -> Result<Vec<u32>> {
        entries::batch(&operations)
    }

    fn scan(segment: u32, _segments: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
        // A part is what a rule of the key alone gives it; etcd's ranges give no even parts, so that all is in the first.
        if segment > 0 { Ok(ScanPage { entries: Vec::new(), cursor: None }) } else { scan::page(cursor, limit) }
    }
}

cofferdam_guest::storage::export!(Etcd);
cofferdam_guest::lock::export!(Etcd);
