//! The worlds `storage-backend` and `storage-backend-ha`.

use cofferdam_backend as backend;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::exports::lock;
use super::exports::storage::{self, Descriptor, Features};
use super::{Limits, Setting};
use crate::breach::{Breach, contract};
use crate::guest::{Contract, Failure};
use crate::state::State;

/// Where a component's exports are.
pub(crate) struct StorageContract {
    storage: storage::GuestIndices,
    lock: Option<lock::GuestIndices>,
}

/// The exports of one instance.
pub(crate) struct StorageExports {
    pub(crate) storage: storage::Guest,
    pub(crate) lock: Option<lock::Guest>,
}

impl StorageContract {
    /// Whether the component exports `lock`.
    pub(crate) fn has_lock(&self) -> bool {
        self.lock.is_some()
    }
}

impl Contract for StorageContract {
    type Exports = StorageExports;
    type Opened = Descriptor;

    fn find(pre: &InstancePre<State>, lock: bool) -> wasmtime::Result<StorageContract> {
        let lock = if lock { Some(lock::GuestIndices::new(pre)?) } else { None };
        Ok(StorageContract { storage: storage::GuestIndices::new(pre)?, lock })
    }

    fn exports(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<StorageExports> {
        let lock = self.lock.as_ref().map(|lock| lock.load(&mut *store, instance)).transpose()?;
        Ok(StorageExports { storage: self.storage.load(store, instance)?, lock })
    }

    async fn open(exports: &StorageExports, store: &mut Store<State>, settings: &[Setting]) -> Result<Descriptor, Failure> {
        Ok(exports.storage.call_open(store, settings).await??)
    }

    async fn attach(exports: &StorageExports, store: &mut Store<State>, settings: &[Setting], opened: &Descriptor) -> Result<(), Failure> {
        Ok(exports.storage.call_attach(store, settings, opened).await??)
    }
}

/// The descriptor, if it is one that the contract allows.
pub(crate) fn descriptor(opened: &Descriptor) -> Result<backend::Descriptor, Breach> {
    super::check_identity(&opened.name, &opened.version)?;
    let Limits { key, segment, value, batch_operations, batch_bytes } = opened.limits;
    if key == 0 || segment == 0 || segment > key || value == 0 {
        return Err(contract(format!(
            "the descriptor's limits make no sense: key {key}, segment {segment} (at most that of a key), value {value}; none may be 0"
        )));
    }
    Ok(backend::Descriptor {
        name: opened.name.clone(),
        version: opened.version.clone(),
        features: backend::Features {
            atomic_batch: opened.features.contains(Features::ATOMIC_BATCH),
            parallel_scan: opened.features.contains(Features::PARALLEL_SCAN),
            atomic_folders: opened.features.contains(Features::ATOMIC_FOLDERS),
        },
        limits: backend::Limits { key, segment, value, batch_operations, batch_bytes },
    })
}
