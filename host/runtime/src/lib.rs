//! Runs WebAssembly components as backends, confined.
//!
//! A component that implements the contract (`wit/`) is loaded, inspected, linked with exactly what its [`Grants`] name,
//! and called through the traits of `cofferdam-backend`. The rule this crate keeps: **a guest can hurt only its own
//! call.** Every call has a cap on memory, a CPU deadline, a wall-clock deadline and caps on what it hands to the host. A
//! guest that breaks one, or traps, ends its instance and nothing else; the caller gets [`Error::Breach`](cofferdam_backend::Error::Breach)
//! whose text begins with a [`BreachKind`].
//!
//! What a guest gets: its settings, a log, clocks, random bytes, and what is granted. Of the rest of WASI, what language runtimes
//! import whether they use it or not is there but inert: no environment, no arguments, no directory, every socket refused and counted.
//!
//! ```no_run
//! use cofferdam_backend::{Key, Storage};
//! use cofferdam_runtime::{Directory, Runtime, RuntimeOptions, Source, StorageConfig};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = Runtime::new(RuntimeOptions::default())?;
//! let component = runtime.component(Source::File("filesystem.wasm".into()))?;
//! println!("{} {}", component.inspect().sha256, component.inspect().world);
//!
//! let mut config = StorageConfig::new("filesystem");
//! config.grants.directory = Some(Directory::open("/var/lib/coffer".as_ref(), true)?);
//! let storage = runtime.storage(&component, config).await?;
//!
//! storage.put(&Key::new("greeting")?, "hello".into()).await?;
//! assert_eq!(storage.get(&Key::new("greeting")?).await?.as_deref(), Some(&b"hello"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! Values that this crate records through `metrics`: see [`metrics`]. The recorder must be installed before a backend is opened.

mod aws;
mod breach;
mod cache;
mod compile;
mod directory;
mod engine;
mod folders;
mod guest;
mod http;
mod inspect;
mod limits;
mod load;
mod lock;
mod log;
pub mod metrics;
mod pool;
mod probe;
mod seal;
mod since_v0_1;
mod state;
mod stats;
mod storage;
mod wasi;

pub use aws::{Aws, AwsCall, AwsResponse, AwsSendError, KeyAnswered, KeyAsked, KeyCall, Purpose};
pub use breach::{Breach, BreachKind};
pub use cofferdam_backend::SPANS;
pub use compile::{Compiler, compile_from_stdin};
pub use directory::{Access, Directory, DirectoryError};
pub use engine::{Runtime, RuntimeOptions};
pub use guest::OpenError;
pub use http::{Http, HttpCall, HttpError, Room, Taken};
pub use inspect::{Import, ImportKind, Inspection, World, inspect};
pub use limits::{Grants, GuestLimits, PoolOptions, PoolPolicy, SealConfig, StorageConfig};
pub use load::{Component, LoadError, Source};
pub use lock::LockBackend;
pub use probe::{Fault, ImportCall, Probe, Step, Usage};
pub use seal::SealBackend;
pub use since_v0_1::CONTRACT_VERSIONS;
pub use stats::{About, LastError, OperationStats, PoolStats, Stats};
pub use storage::StorageBackend;
