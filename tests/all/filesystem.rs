//! The filesystem guest on real directories: its layout beside the native implementation's and the real `bao`'s, and everything that can lie in a
//! directory that the guest did not put there.

mod bao;
mod damage;
mod in_place;
mod layout;
mod storm;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use cofferdam_backend::Storage;
use cofferdam_journal::{Folder, Journaled, Options};
use cofferdam_runtime::{Component, Directory, OpenError, Runtime, StorageConfig};

use crate::runtime::cached;

pub(crate) fn component() -> &'static (Arc<Runtime>, Component) {
    static COMPONENT: LazyLock<(Arc<Runtime>, Component)> = LazyLock::new(|| cached("filesystem"));
    &COMPONENT
}

/// An empty directory that a guest may be granted: its own user's alone.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// The guest on a directory, with settings.
pub(crate) async fn open(directory: &Path, settings: &[(&str, &str)]) -> Result<Arc<dyn Storage>, OpenError> {
    granted(Directory::open(directory, true).unwrap(), settings).await
}

async fn granted(directory: Directory, settings: &[(&str, &str)]) -> Result<Arc<dyn Storage>, OpenError> {
    let (runtime, component) = component();
    let mut config = StorageConfig::new("test");
    config.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    config.grants.directory = Some(directory);
    Ok(runtime.storage(component, config).await?)
}

/// The guest on a directory, durable as by default.
pub(crate) async fn guest(directory: &Path) -> Arc<dyn Storage> {
    open(directory, &[]).await.unwrap()
}

/// The guest on a directory as a server has it: with the host's journal before it, values are written over one another in place.
pub(crate) async fn journaled(directory: &Path) -> Arc<dyn Storage> {
    let directory = Directory::open(directory, true).unwrap();
    let place = Arc::new(Folder::new(directory.reserved().unwrap(), "the directory", directory.clone()));
    let inner = granted(directory, &[("fsync", "false"), ("in_place", "true")]).await.unwrap();
    Arc::new(Journaled::open(inner, place, Options::default()).await.unwrap())
}
