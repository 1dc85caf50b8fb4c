//! What every Rust guest of Cofferdam needs, so that the guest is only its own logic.
//!
//! - [`storage`], [`lock`] and [`seal`]: the traits and types of what a guest exports (`wit/` says what every function promises). Implement the trait, then name the type in the export macro of the same module.
//! - [`Error`] and [`Result`]: the error of the contract; its case tells the host what to do.
//! - [`Settings`]: the operator's stanza, typed, where an unknown or misspelt name is an error.
//! - [`trace!`], [`debug!`], [`info!`], [`warn!`], [`error!`]: lines for the operator's log. Never a value, never a secret.
//! - [`aws`]: requests to the service that the operator bound the backend to.
//!
//! A guest is a `cdylib` built for `wasm32-wasip2`. This one stores nothing beyond its own instance, which no backend for real use may do, but it is whole:
//!
//! ```
//! use std::cell::RefCell;
//! use std::collections::BTreeMap;
//!
//! use cofferdam_guest::storage::{Descriptor, Entry, Features, Guest, Operation, Page, ScanPage};
//! use cofferdam_guest::{Error, Limits, Result, Setting, Settings};
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
//!         let mut names: Vec<String> = ENTRIES.with_borrow(|entries| {
//!             let below = entries.keys().filter_map(|key| key.strip_prefix(folder.as_str()));
//!             below.map(|rest| rest.split_inclusive('/').next().unwrap_or(rest).to_owned()).filter(|name| *name > after).collect()
//!         });
//!         names.sort();
//!         names.dedup();
//!         let more = names.len() > limit as usize;
//!         names.truncate(limit as usize);
//!         Ok(Page { names, more })
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
//!     fn scan(_: u32, _: u32, _: Option<Vec<u8>>, _: u32) -> Result<ScanPage> {
//!         Err(Error::Unsupported("entries of one instance are not the store's".to_owned()))
//!     }
//! }
//!
//! cofferdam_guest::storage::export!(Volatile);
//! # fn main() {}
//! ```

pub mod bindings;
mod log;
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
