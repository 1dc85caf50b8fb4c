//! What is tried: how it is opened, and how its store is emptied.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cofferdam_backend::{Lock, Seal, Storage};
use cofferdam_runtime::{GuestLimits, PoolOptions, Probe, SealBackend, StorageBackend, World};
use serde::Serialize;

/// What is known of a subject.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// Where it was read from.
    pub file: String,
    /// What it calls itself, once it has been opened.
    pub name: Option<String>,
    /// Its version, once it has been opened.
    pub version: Option<String>,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its world.
    pub world: World,
    /// The version of the contract that it was built against.
    pub contract: String,
    /// Its size in bytes.
    pub size: u64,
    /// What it is granted, in words.
    pub grants: Vec<String>,
    /// Whether the host itself speaks with the service behind it (the grant `aws`), and so can judge what the guest says of it.
    pub judged: bool,
    /// What it imports.
    pub imports: Vec<String>,
    /// How long it was compiled, unless its code was kept from an earlier time.
    #[serde(skip)]
    pub compile_time: Option<Duration>,
    /// What it may use; none for what is no guest.
    #[serde(skip)]
    pub limits: Option<GuestLimits>,
}

impl Info {
    /// Of a subject of which nothing else is known.
    pub(crate) fn new(file: &str, world: World) -> Info {
        Info {
            file: file.to_owned(),
            name: None,
            version: None,
            sha256: String::new(),
            world,
            contract: String::new(),
            size: 0,
            grants: Vec::new(),
            judged: false,
            imports: Vec::new(),
            compile_time: None,
            limits: None,
        }
    }
}

/// How a subject is opened this time.
#[derive(Clone, Default)]
pub struct OpenWith {
    /// Looks on, and may step in.
    pub probe: Option<Arc<dyn Probe>>,
    /// The instances, in place of what is configured.
    pub pool: Option<PoolOptions>,
    /// On an empty store: it is wiped first.
    pub fresh: bool,
}

impl OpenWith {
    /// On an empty store, all else as configured.
    pub fn fresh() -> OpenWith {
        OpenWith { fresh: true, ..OpenWith::default() }
    }

    /// On what is stored, all else as configured.
    pub fn again() -> OpenWith {
        OpenWith::default()
    }
}

/// An open storage.
#[derive(Clone)]
pub struct OpenedStorage {
    /// Its entries. Where the store may hold what is not ours, keys are below a folder of our own, and this shows them without it.
    pub storage: Arc<dyn Storage>,
    /// Its lock, if it has one.
    pub lock: Option<Arc<dyn Lock>>,
    /// The guest behind it; none for a storage that is no guest. Its calls are not counted as ours: only to be asked, not to write.
    pub backend: Option<Arc<StorageBackend>>,
}

/// An open seal.
#[derive(Clone)]
pub struct OpenedSeal {
    /// The seal.
    pub seal: Arc<dyn Seal>,
    /// The guest behind it; none for a seal that is no guest.
    pub backend: Option<Arc<SealBackend>>,
}

/// Why a subject cannot be opened or wiped.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SubjectError(pub String);

impl From<cofferdam_runtime::OpenError> for SubjectError {
    fn from(error: cofferdam_runtime::OpenError) -> SubjectError {
        SubjectError(error.to_string())
    }
}

impl From<cofferdam_backend::Error> for SubjectError {
    fn from(error: cofferdam_backend::Error) -> SubjectError {
        SubjectError(error.to_string())
    }
}

/// A backend that can be opened as often as a check wants, always on the same store.
#[async_trait]
pub trait Subject: Send + Sync {
    /// What is known of it without opening it.
    fn info(&self) -> &Info;

    /// Opens it as a storage. Several may be open at a time.
    async fn storage(&self, open: OpenWith) -> Result<OpenedStorage, SubjectError> {
        let _ = open;
        Err(SubjectError(format!("{}: a {}, no storage", self.info().file, self.info().world)))
    }

    /// Opens it as a seal.
    async fn seal(&self, open: OpenWith) -> Result<OpenedSeal, SubjectError> {
        let _ = open;
        Err(SubjectError(format!("{}: a {}, no seal", self.info().file, self.info().world)))
    }

    /// Empties the store: of what this subject wrote, and of nothing else.
    async fn wipe(&self) -> Result<(), SubjectError>;

    /// Takes the store for empty, since there is none any more.
    async fn forget(&self) {}
}

/// A storage that is there already, such as a native one to compare with. To open it changes nothing, and `wipe` removes everything.
pub struct Given {
    info: Info,
    storage: OpenedStorage,
}

impl Given {
    /// A storage, with its lock if it has one.
    pub fn storage(name: &str, storage: Arc<dyn Storage>, lock: Option<Arc<dyn Lock>>) -> Given {
        let world = if lock.is_some() { World::StorageHa } else { World::Storage };
        Given { info: Info::new(name, world), storage: OpenedStorage { storage, lock, backend: None } }
    }
}

#[async_trait]
impl Subject for Given {
    fn info(&self) -> &Info {
        &self.info
    }

    async fn storage(&self, open: OpenWith) -> Result<OpenedStorage, SubjectError> {
        if open.fresh {
            self.wipe().await?;
        }
        Ok(self.storage.clone())
    }

    async fn wipe(&self) -> Result<(), SubjectError> {
        Ok(crate::own::empty(&*self.storage.storage).await?)
    }
}
