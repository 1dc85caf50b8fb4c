//! The runtime as a library: what it loads and refuses, how it pools instances, prunes folders and caches, which directories it grants, and
//! how it lets a guest send.
//!
//! What guests may not do is in `hostile.rs`. Both use the components that `cargo xtask build` puts into `target/guests`.

mod aws;
mod caching;
mod compiling;
pub(crate) mod counting;
mod directories;
mod http;
mod loading;
mod pooling;
mod probing;
mod pruning;
mod sealing;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use cofferdam_backend::{Key, Result, Storage};
use cofferdam_runtime::{Component, Runtime, RuntimeOptions, Source, StorageBackend, StorageConfig};

use crate::e2e::process::given;

/// The one runtime of the tests.
pub(crate) static RUNTIME: LazyLock<Arc<Runtime>> = LazyLock::new(|| Runtime::new(RuntimeOptions::default()).unwrap());

/// The guest that misbehaves on demand, compiled once.
pub(crate) static HOSTILE: LazyLock<Component> = LazyLock::new(|| RUNTIME.component(Source::File(path("hostile"))).unwrap());

/// Where a built guest is.
pub(crate) fn path(guest: &str) -> PathBuf {
    let path = given("GUESTS_DIR", "target/guests").join(format!("{guest}.wasm"));
    assert!(path.exists(), "{} is missing: run cargo xtask build", path.display());
    path
}

pub(crate) fn bytes(guest: &str) -> Vec<u8> {
    std::fs::read(path(guest)).unwrap()
}

/// The built guest in a runtime that keeps what it compiles, for all runs.
pub(crate) fn cached(guest: &str) -> (Arc<Runtime>, Component) {
    let mut options = RuntimeOptions::default();
    options.cache = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"));
    let runtime = Runtime::new(options).unwrap();
    let component = runtime.component(Source::File(path(guest))).unwrap();
    (runtime, component)
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// Opens the hostile guest, configured by `change`.
pub(crate) async fn hostile(change: impl FnOnce(&mut StorageConfig)) -> Arc<StorageBackend> {
    let mut config = StorageConfig::new("hostile");
    change(&mut config);
    RUNTIME.storage(&HOSTILE, config).await.unwrap()
}

/// Has the guest commit a misdeed within `get`, and returns what it tells.
pub(crate) async fn commit(backend: &StorageBackend, misdeed: &str) -> Result<String> {
    let answer = backend.get(&key(&format!("do/{misdeed}"))).await?.unwrap();
    Ok(String::from_utf8(answer.to_vec()).unwrap())
}
