//! From a file to a compiled component. The file is read once: digest, inspection and compilation use the same bytes.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wasmtime::Engine;

use crate::cache::Cache;
use crate::compile::Compiler;
use crate::inspect::{ImportKind, Inspection, inspect};

/// The largest component that is loaded, in bytes.
pub(crate) const LARGEST: u64 = 256 << 20;

/// Where a component comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Bytes at hand, and a name for messages.
    Bytes {
        /// The name.
        name: String,
        /// The component.
        bytes: Vec<u8>,
    },
}

/// Why a component cannot be used. Every text names the component.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The engine does not start on this machine.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The component is too large.
    #[error("{name}: it is larger than {limit} bytes")]
    TooLarge {
        /// The component's name.
        name: String,
        /// The largest that is loaded.
        limit: u64,
    },
    /// Not WebAssembly.
    #[error("{name}: this is no WebAssembly: {found}; a component (.wasm) of the contract {supported} is needed")]
    NotWasm {
        /// The component's name.
        name: String,
        /// What is there instead.
        found: String,
        /// The versions of the contract that this host runs.
        supported: String,
    },
    /// A module without the component model around it.
    #[error(
        "{name}: this is a core module, not a component; build it for wasm32-wasip2, or make it a component with `wasm-tools component new`"
    )]
    CoreModule {
        /// The component's name.
        name: String,
    },
    /// Damaged, or of a feature that this host does not run.
    #[error("{name}: the component is damaged or uses what this host does not run: {reason}")]
    Damaged {
        /// The component's name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// It could not be compiled within the limits.
    #[error("{name}: it is not compiled: {reason}")]
    Compile {
        /// The component's name.
        name: String,
        /// What stood against it.
        reason: String,
    },
    /// No world of the contract.
    #[error(
        "{name}: this is no backend: {found}; a storage backend exports cofferdam:backend/storage, a seal backend cofferdam:backend/seal"
    )]
    World {
        /// The component's name.
        name: String,
        /// What it exports.
        found: String,
    },
    /// A version of the contract that this host does not know.
    #[error("{name}: it is built for version {found} of the contract cofferdam:backend; this host runs {supported}")]
    Version {
        /// The component's name.
        name: String,
        /// The version that it has.
        found: String,
        /// The versions that this host runs.
        supported: String,
    },
    /// An import that no host of this version offers.
    #[error("{name}: it imports {import}, which this host does not offer")]
    UnknownImport {
        /// The component's name.
        name: String,
        /// What it imports.
        import: String,
    },
}

/// A component, inspected and compiled. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    name: String,
    inspection: Inspection,
    compiled: wasmtime::component::Component,
    compiling: Option<Duration>,
}

impl Component {
    /// `compiler` tells from the digest who compiles it if not this process.
    pub(crate) fn load<'a>(
        engine: &Engine,
        cache: Option<&Cache>,
        compiler: impl FnOnce(&str) -> Option<&'a Compiler>,
        source: Source,
    ) -> Result<Component, LoadError> {
        let (name, bytes) = match source {
            Source::File(path) => (path.display().to_string(), read(&path)?),
            Source::Bytes { name, bytes } => (name, bytes),
        };
        let inspection = inspect(&name, &bytes)?;
        if let Some(import) = inspection.imports.iter().find(|import| import.kind == ImportKind::Unknown) {
            return Err(LoadError::UnknownImport { name, import: import.name.clone() });
        }
        if let Some(compiled) = cache.and_then(|cache| cache.get(engine, &inspection.sha256)) {
            return Ok(Component { name, inspection, compiled, compiling: None });
        }
        let begun = Instant::now();
        let compiled = match compiler(&inspection.sha256) {
            Some(compiler) => {
                let code = compiler.compile(&bytes).map_err(|reason| LoadError::Compile { name: name.clone(), reason })?;
                crate::cache::load(engine, &code)
            }
            None => wasmtime::component::Component::from_binary(engine, &bytes),
        };
        let damaged = |error| LoadError::Damaged { name: name.clone(), reason: crate::log::bounded(&format!("{error:#}")) };
        let compiled = compiled.map_err(damaged)?;
        let compiling = Some(begun.elapsed());
        if let Some(cache) = cache {
            cache.put(&compiled, &inspection.sha256);
        }
        Ok(Component { name, inspection, compiled, compiling })
    }

    /// What it is, what it asks for, and its digest.
    pub fn inspect(&self) -> &Inspection {
        &self.inspection
    }

    /// Its file, or the name that was given with its bytes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long it was compiled; none if its code was kept from an earlier time.
    pub fn compile_time(&self) -> Option<Duration> {
        self.compiling
    }

    pub(crate) fn compiled(&self) -> &wasmtime::component::Component {
        &self.compiled
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component").field("name", &self.name).field("sha256", &self.inspection.sha256).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |error| LoadError::Read { path: path.display().to_string(), error };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(LoadError::TooLarge { name: path.display().to_string(), limit: LARGEST });
    }
    Ok(bytes)
}
