//! The filesystem guest on real directories: its layout beside the native implementation's and the real `bao`'s, and everything that can lie in a
//! directory that the guest did not put there.

mod bao;
mod damage;
mod layout;
mod storm;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use cofferdam_backend::Storage;
use cofferdam_runtime::{Component, Directory, OpenError, Runtime, RuntimeOptions, Source, StorageConfig};

/// The built component; `cargo xtask build` puts it there.
pub(crate) fn guest_file() -> PathBuf {
    let guests =
        std::env::var_os("GUESTS_DIR").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests"), PathBuf::from);
    let file = guests.join("filesystem.wasm");
    assert!(file.is_file(), "{} is missing: run `cargo xtask build` first", file.display());
    file
}

pub(crate) fn component() -> &'static (Arc<Runtime>, Component) {
    static COMPONENT: OnceLock<(Arc<Runtime>, Component)> = OnceLock::new();
    COMPONENT.get_or_init(|| {
        let mut options = RuntimeOptions::default();
        options.cache = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"));
        let runtime = Runtime::new(options).unwrap();
        let component = runtime.component(Source::File(guest_file())).unwrap();
        (runtime, component)
    })
}

/// An empty directory that a guest may be granted: its own user's alone.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// The guest on a directory, with settings.
pub(crate) async fn open(directory: &Path, settings: &[(&str, &str)]) -> Result<Arc<dyn Storage>, OpenError> {
    let (runtime, component) = component();
    let mut config = StorageConfig::new("test");
    config.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    config.grants.directory = Some(Directory::open(directory, true).unwrap());
    Ok(runtime.storage(component, config).await?)
}

/// The guest on a directory, durable as by default.
pub(crate) async fn guest(directory: &Path) -> Arc<dyn Storage> {
    open(directory, &[]).await.unwrap()
}
