//! A component as a subject. What it may do to the world is what its grants say, and less: a directory is always a fresh temporary one, never the
//! operator's, and of a store that it reaches by another grant only what the trial wrote is ever removed.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use cofferdam_backend::{Folder, Lock, Storage};
use cofferdam_runtime::{Component, Directory, Runtime, StorageBackend, StorageConfig, World};
use tokio::sync::Mutex;

use crate::own::{OwnLock, OwnStorage, Part};
use crate::subject::{Info, OpenWith, OpenedSeal, OpenedStorage, Subject, SubjectError};

/// Where a storage guest keeps its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a temporary directory that it is granted, and nowhere else.
    Directory,
    /// Behind what the configuration grants, beginning at the root; the store must be empty.
    Root,
    /// The same below a folder of a random name, so that the store may hold other things.
    Folder,
}

/// A component with its settings and grants.
pub struct GuestSubject {
    runtime: Arc<Runtime>,
    component: Component,
    config: StorageConfig,
    info: Info,
    place: Place,
    temporary: bool,
    part: Arc<Part>,
    directory: Mutex<Option<(tempfile::TempDir, Directory)>>,
}

impl GuestSubject {
    /// The component, opened by `config` each time; `granted` says its grants in words.
    pub fn new(runtime: Arc<Runtime>, component: Component, config: StorageConfig, granted: Vec<String>, place: Place) -> GuestSubject {
        let inspection = component.inspect();
        let info = Info {
            sha256: inspection.sha256.clone(),
            contract: inspection.contract.clone(),
            size: inspection.size,
            grants: granted,
            judged: config.grants.aws.is_some(),
            imports: inspection.imports.iter().map(|import| import.name.clone()).collect(),
            compile_time: component.compile_time(),
            limits: Some(config.limits.clone()),
            ..Info::new(component.name(), inspection.world)
        };
        let base = if place == Place::Folder { format!("coffer-trial-{}/", uuid::Uuid::new_v4().simple()) } else { String::new() };
        let temporary = place == Place::Directory;
        GuestSubject { runtime, component, config, info, place, temporary, part: Part::new(base), directory: Mutex::default() }
    }

    /// Has it granted a temporary directory beside what else it has, in place of one that it may write to.
    #[must_use]
    pub fn with_temporary_directory(mut self) -> GuestSubject {
        self.temporary = true;
        self
    }

    /// Has it work in the folder of this name, where it works in one.
    #[must_use]
    pub fn with_folder(mut self, name: &str) -> GuestSubject {
        if self.place == Place::Folder {
            self.part = Part::new(format!("{name}/"));
        }
        self
    }

    /// The name of the folder that it works in.
    pub fn folder(&self) -> Option<&str> {
        self.part.base().strip_suffix('/')
    }

    /// Whether it is one that keeps its entries in a directory: it can use one, and needs no other grant.
    pub fn wants_directory(component: &Component) -> bool {
        let inspection = component.inspect();
        inspection.world != World::Seal && inspection.grants_usable().contains(&"directory")
    }

    /// Fails unless the store is empty, where it has to be: nothing of others may be mixed up with what the trial writes.
    pub async fn check_place(&self) -> Result<(), SubjectError> {
        if self.place != Place::Root || self.info.world == World::Seal {
            return Ok(());
        }
        if self.is_empty().await? {
            return Ok(());
        }
        Err(SubjectError(
            "the store is not empty: name an empty one, or use --force to work below a folder of a random name in it".to_owned(),
        ))
    }

    /// Whether a storage has no entry at all, of ours or of others.
    pub async fn is_empty(&self) -> Result<bool, SubjectError> {
        let backend = self.backend(&OpenWith::again()).await?;
        let listed = backend.list_page(&Folder::root(), "", 1).await?;
        let scanned = backend.scan(0, 1, None, 1).await?;
        Ok(listed.names.is_empty() && scanned.entries.is_empty() && scanned.cursor.is_none())
    }

    async fn config(&self, open: &OpenWith) -> Result<StorageConfig, SubjectError> {
        let mut config = self.config.clone();
        config.probe = open.probe.clone().or(config.probe);
        config.pool = open.pool.clone().unwrap_or(config.pool);
        if self.temporary {
            let mut directory = self.directory.lock().await;
            if directory.is_none() {
                *directory = Some(temporary()?);
            }
            config.grants.directory = directory.as_ref().map(|(_, granted)| granted.clone());
        }
        Ok(config)
    }

    async fn backend(&self, open: &OpenWith) -> Result<Arc<StorageBackend>, SubjectError> {
        Ok(self.runtime.storage(&self.component, self.config(open).await?).await?)
    }
}

/// A directory that a guest may be granted: empty, and this user's alone.
fn temporary() -> Result<(tempfile::TempDir, Directory), SubjectError> {
    let failed = |error: &dyn std::fmt::Display| SubjectError(format!("no temporary directory: {error}"));
    let directory = tempfile::Builder::new().prefix("coffer-trial-").permissions(Permissions::from_mode(0o700)).tempdir();
    let directory = directory.map_err(|error| failed(&error))?;
    let granted = Directory::open(directory.path(), false).map_err(|error| failed(&error))?;
    Ok((directory, granted))
}

#[async_trait]
impl Subject for GuestSubject {
    fn info(&self) -> &Info {
        &self.info
    }

    async fn storage(&self, open: OpenWith) -> Result<OpenedStorage, SubjectError> {
        if open.fresh {
            self.wipe().await?;
        }
        let backend = self.backend(&open).await?;
        let (storage, lock) = (Arc::clone(&backend) as Arc<dyn Storage>, backend.lock());
        if self.place == Place::Directory {
            return Ok(OpenedStorage { storage, lock, backend: Some(backend) });
        }
        Ok(OpenedStorage {
            storage: Arc::new(OwnStorage::new(storage, Arc::clone(&self.part))),
            lock: lock.map(|lock| Arc::new(OwnLock::new(lock, Arc::clone(&self.part))) as Arc<dyn Lock>),
            backend: Some(backend),
        })
    }

    async fn seal(&self, open: OpenWith) -> Result<OpenedSeal, SubjectError> {
        let backend = self.runtime.seal(&self.component, self.config(&open).await?).await?;
        Ok(OpenedSeal { seal: backend.clone(), backend: Some(backend) })
    }

    async fn wipe(&self) -> Result<(), SubjectError> {
        if self.part.is_used() {
            let backend = self.backend(&OpenWith::again()).await?;
            self.part.remove(&*backend, backend.lock().as_deref()).await?;
        }
        // A call that was given up may still write into the one that goes: it writes into nothing.
        *self.directory.lock().await = None;
        Ok(())
    }

    async fn forget(&self) {
        self.part.forget();
        *self.directory.lock().await = None;
    }
}
