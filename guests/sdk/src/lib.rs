//! What every Rust guest of Cofferdam needs, so that the guest is only its own logic.
//!
//! - [`storage`], [`lock`] and [`seal`]: the traits and types of what a guest exports (`wit/` says what every function promises). Implement the trait, then name the type in the export macro of the same module.
//! - [`Error`] and [`Result`]: the error of the contract; its case tells the host what to do.
//! - [`Settings`]: the operator's stanza, typed, where an unknown or misspelt name is an error.
//! - [`trace!`], [`debug!`], [`info!`], [`warn!`], [`error!`]: lines for the operator's log. Never a value, never a secret.
//! - [`aws`]: requests to the service that the operator bound the backend to.
//! - `http` (feature `http`): requests to the servers that the operator granted.
//! - [`Page::of_keys`](storage::Page::of_keys), [`ScanPage::of_entries`](storage::ScanPage::of_entries): pages of what is in memory; `?` on an error of `std::fs` gives the case that fits.
//! - [`journal`]: what lets a store in memory last, for small ones, stubs and tests.
//!
//! # Errors
//!
//! The case of an [`Error`] is what the host acts on; the text is for the operator's log alone, at most 4 KiB of it, and holds no value and no secret.
//!
//! | case | return it when | the host |
//! |---|---|---|
//! | `Unavailable` | the engine does not answer, or not in time | may try again at once |
//! | `Throttled(ms)` | the engine asks for less | waits that long before it tries again |
//! | `InvalidKey` | the grammar allows the key and the engine does not; nothing was changed | tells the caller |
//! | `TooLarge` | key, value or batch is over a limit; nothing was changed | tells the caller |
//! | `Configuration` | a setting is missing, unknown or of no use; from `open` and `attach` alone | does not start with it |
//! | `Denied` | a permission is missing: name it | does not try again |
//! | `Corrupt` | what is stored is not what this guest writes | reports the entry, and never overwrites it for that |
//! | `Conflict` | another writer got in between; of an atomic batch, or of a fence | decides whether to start anew |
//! | `Unsupported` | the backend does not offer this function | does without |
//! | `Exhausted` | the operator must provide more: a disk, a quota | does not try again |
//!
//! After an error of a mutation it is open whether it took place, unless the case says that nothing was changed. A panic is no error: it ends the instance, and the call fails
//! as one that trapped. So return errors, and do not unwrap.
//!
//! # Limits
//!
//! The [`Limits`] that `open` returns are the guest's own: the host checks them before it calls, so that a key or value that arrives fits. Beside them the operator
//! caps each instance; these are the defaults, and a breach ends call and instance:
//!
//! | what | at most |
//! |---|---|
//! | memory | 128 MiB; past 16 MiB, or after a million calls, an instance is replaced after its call |
//! | computing in one call | 5 s |
//! | one call in all | 30 s; `open` 120 s, a call of a lock 5 s |
//! | one answer to the host, or one call of an import | 36 MiB |
//! | handles (files, streams, requests) at a time | 40 |
//! | lines of the log | 50 in a second, over all instances |
//!
//! # Instances
//!
//! An instance has one call at a time. Calls of one backend run on several instances, which share no memory and end at any time, so that a `thread_local` is the place for what `attach`
//! read from the settings, and for nothing that another call needs later.
//!
//! # An example
//!
//! A guest is a `cdylib` built for `wasm32-wasip2`. This one stores nothing beyond its own instance, which no backend for real use may do (`coffer plugin test` says so by name:
//! `contract/instances-share-nothing`), but it is whole. `coffer plugin new` makes a project with one that keeps every promise.
//!
//! ```
//! use std::cell::RefCell;
//! use std::collections::BTreeMap;
//!
//! use cofferdam_guest::storage::{Descriptor, Entry, Features, Guest, Operation, Page, ScanPage};
//! use cofferdam_guest::{Limits, Result, Setting, Settings};
//!
//! thread_local!(static ENTRIES: RefCell<BTreeMap<String, Vec<u8>>> = RefCell::default());
//!
//! struct Volatile;
//!
//! impl Guest for Volatile {
//!     fn open(settings: Vec<Setting>) -> Result<Descriptor> {
//!         let mut settings = Settings::new(settings);
//!         let largest = settings.number("max_value", 1 << 20)?;
//!         settings.finish()?;
//!         cofferdam_guest::warn!("entries are lost when this instance ends");
//!         Ok(Descriptor {
//!             name: "volatile".to_owned(),
//!             version: env!("CARGO_PKG_VERSION").to_owned(),
//!             features: Features::empty(),
//!             limits: Limits { key: 1024, segment: 255, value: largest, batch_operations: 16, batch_bytes: 1 << 20 },
//!         })
//!     }
//!
//!     fn attach(_: Vec<Setting>, _: Descriptor) -> Result<()> {
//!         Ok(())
//!     }
//!
//!     fn get(key: String) -> Result<Option<Vec<u8>>> {
//!         Ok(ENTRIES.with_borrow(|entries| entries.get(&key).cloned()))
//!     }
//!
//!     fn put(key: String, value: Vec<u8>, _known_folders: u32) -> Result<()> {
//!         ENTRIES.with_borrow_mut(|entries| entries.insert(key, value));
//!         Ok(())
//!     }
//!
//!     fn delete(key: String) -> Result<u32> {
//!         ENTRIES.with_borrow_mut(|entries| entries.remove(&key));
//!         Ok(0)
//!     }
//!
//!     fn prune(folder: String) -> Result<bool> {
//!         Ok(ENTRIES.with_borrow(|entries| !entries.keys().any(|key| key.starts_with(&folder))))
//!     }
//!
//!     fn list_page(folder: String, after: String, limit: u32) -> Result<Page> {
//!         Ok(ENTRIES.with_borrow(|entries| Page::of_keys(entries.keys().map(String::as_str), &folder, &after, limit)))
//!     }
//!
//!     fn batch(operations: Vec<Operation>) -> Result<Vec<u32>> {
//!         let apply = |operation| match operation {
//!             Operation::Put(Entry { key, value }) => Self::put(key, value, 0).map(|()| 0),
//!             Operation::Delete(key) => Self::delete(key),
//!         };
//!         operations.into_iter().map(apply).collect()
//!     }
//!
//!     fn scan(segment: u32, _: u32, cursor: Option<Vec<u8>>, limit: u32) -> Result<ScanPage> {
//!         ENTRIES.with_borrow(|entries| ScanPage::of_entries(entries, segment, cursor, limit))
//!     }
//! }
//!
//! cofferdam_guest::storage::export!(Volatile);
//! # fn main() {}
//! ```

pub mod bindings;
#[cfg(feature = "http")]
pub mod http;
pub mod journal;
mod log;
mod pages;
mod settings;

pub use bindings::shared::cofferdam::backend::types::{Error, Excess, Limits, Part, Setting};
pub use log::{Level, write};
pub use settings::Settings;

/// A result with the contract's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Requests to the one AWS service that the operator bound the backend to. Calling it makes the component import `aws`, which needs a grant.
pub mod aws {
    pub use crate::bindings::shared::cofferdam::backend::aws::{Response, SendError, send};
}

/// What a mutation must be bound to where the operator wants strict fencing.
pub mod fencing {
    pub use crate::bindings::shared::cofferdam::backend::fencing::{Fence, current};
}

/// The world `storage-backend`: entries by key.
pub mod storage {
    pub use crate::bindings::storage_backend::export_storage_backend as export;
    pub use crate::bindings::storage_backend::exports::cofferdam::backend::storage::{
        Descriptor, Entry, Features, Guest, Operation, Page, ScanPage,
    };
}

/// Locks that several servers of one store see. A guest that exports this beside [`storage`] has the world `storage-backend-ha`.
pub mod lock {
    pub use crate::bindings::lock::export_lock as export;
    pub use crate::bindings::lock::exports::cofferdam::backend::lock::{Guest, Held};
}

/// The world `seal-backend`: wrapping of data-encryption keys.
pub mod seal {
    pub use crate::bindings::seal_backend::export_seal_backend as export;
    pub use crate::bindings::seal_backend::exports::cofferdam::backend::seal::{Descriptor, Guest, Wrapped};
}
