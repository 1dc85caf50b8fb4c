//! The one engine of a process, and the clock that ends what computes for too long.
//!
//! One engine, because types of two engines must never meet (RUSTSEC-2026-0222). Everything of WebAssembly that no guest needs is off: less
//! to attack.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Config, Engine, OptLevel, Strategy};

use crate::cache::Cache;
use crate::compile::Compiler;
use crate::guest::OpenError;
use crate::limits::{SealConfig, StorageConfig};
use crate::load::{Component, LoadError, Source};
use crate::seal::SealBackend;
use crate::storage::StorageBackend;

/// How often a computing guest is interrupted: the grain of its CPU limit, and the longest that it keeps others from a thread.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// How components are loaded.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RuntimeOptions {
    /// Where compiled code is kept between starts; none to compile at every start. A directory that others could write to is not used, and
    /// a warning says so.
    pub cache: Option<PathBuf>,
    /// Who compiles what is not ours; none to compile everything in this process, where it cannot be stopped.
    pub compiler: Option<Compiler>,
    /// The digests of components that are ours, in hexadecimal: they are compiled in this process.
    pub ours: Vec<String>,
}

/// Loads components and opens them as backends. One per process.
pub struct Runtime {
    engine: Engine,
    cache: Option<Cache>,
    compiler: Option<Compiler>,
    ours: Vec<String>,
}

impl Runtime {
    /// Starts the engine and its clock.
    pub fn new(options: RuntimeOptions) -> Result<Arc<Runtime>, LoadError> {
        let engine = Engine::new(&config()).map_err(|error| LoadError::Engine(format!("{error:#}")))?;
        let weak = engine.weak();
        std::thread::Builder::new()
            .name("coffer-epochs".to_owned())
            .spawn(move || {
                // Ends with the last engine.
                while let Some(engine) = weak.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(TICK);
                }
            })
            .map_err(|error| LoadError::Engine(format!("no thread for the clock: {error}")))?;
        let cache = options.cache.and_then(|path| match Cache::open(&path, &engine) {
            Ok(cache) => Some(cache),
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "compiled code is not cached: the directory is not safe");
                None
            }
        });
        Ok(Arc::new(Runtime { engine, cache, compiler: options.compiler, ours: options.ours }))
    }

    /// Reads a component once, inspects it, and compiles it or takes its code from the cache. Takes up to seconds of computing: not to be
    /// called on a thread that serves others.
    pub fn component(&self, source: Source) -> Result<Component, LoadError> {
        let compiler = |sha256: &str| self.compiler.as_ref().filter(|_| !self.ours.iter().any(|ours| ours == sha256));
        Component::load(&self.engine, self.cache.as_ref(), compiler, source)
    }

    /// Opens a component as a storage backend: links it with what is granted, runs its `open`, and keeps its instances.
    ///
    /// To be called within a tokio runtime with timers, which also runs the guest's calls.
    pub async fn storage(&self, component: &Component, config: StorageConfig) -> Result<Arc<StorageBackend>, OpenError> {
        StorageBackend::open(component, config, None).await
    }

    /// The same for a component that is to take the place of one that runs on the same store: calls of both may run side by side.
    ///
    /// It must be given the same directory (one [`Directory`](crate::Directory) for both: the store stays locked) and the same lease.
    pub async fn storage_after(
        &self,
        running: &StorageBackend,
        component: &Component,
        config: StorageConfig,
    ) -> Result<Arc<StorageBackend>, OpenError> {
        StorageBackend::open(component, config, Some(running)).await
    }

    /// The same for a seal backend.
    pub async fn seal(&self, component: &Component, config: SealConfig) -> Result<Arc<SealBackend>, OpenError> {
        SealBackend::open(component, config).await
    }
}

/// What the engine is set to, here and in the child that compiles: code fits only engines that are set alike.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        // Nothing of WASI 0.3 is linked, and calls are two to four times as fast without it.
        .concurrency_support(false)
        .wasm_component_model(true)
        .wasm_memory64(false)
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_extended_const(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .shared_memory(false);
    config
}
