//! The same warm call through the supervisor, as the server makes every call, and without it.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Key, Lock, Storage};
use cofferdam_runtime::{Runtime, RuntimeOptions, Source, StorageBackend, StorageConfig};
use cofferdam_supervisor::{Generation, OpenFailure, Options, StorageGeneration, SupervisedStorage};

use crate::Bench;
use crate::row::{Judge, Row};
use crate::sample::pair;

/// A backend that is never opened again here.
struct Once(Arc<StorageBackend>);

#[async_trait]
impl Generation for Once {
    fn sha256(&self) -> &str {
        ""
    }

    async fn again(self: Arc<Self>) -> Result<Self, OpenFailure> {
        Err(OpenFailure::refused("nothing is opened again in a measurement"))
    }
}

impl StorageGeneration for Once {
    fn storage(&self) -> &dyn Storage {
        &*self.0
    }

    fn lock(&self) -> Option<&dyn Lock> {
        None
    }
}

/// The row of the supervisor.
pub(crate) async fn measure(bench: &Bench) -> Result<Row> {
    let runtime = Runtime::new(RuntimeOptions::default())?;
    let component = runtime.component(Source::File(bench.guests.join("hostile.wasm")))?;
    let mut config = StorageConfig::new("bench");
    config.pool.size = 1;
    let bare = runtime.storage(&component, config).await?;
    let key = Key::new("logical/secret/entry")?;
    let supervised = SupervisedStorage::new("bench", Once(Arc::clone(&bare)), key.clone(), Options::default());
    bare.put(&key, Bytes::from(vec![7; 256])).await?;
    let (ours, floor) = pair(bench.rounds(1200), 100, |_| read(&supervised, &key), |_| read(&*bare, &key)).await?;
    // Beside the call itself it is a boxed future, a count of one more and one less, and a look at two flags.
    Ok(Row::new("supervised get 256 B", "us", ours, ("the same, unsupervised", floor), Judge::AtMost, (1.25, 1.1)))
}

async fn read(storage: &dyn Storage, key: &Key) -> Result<()> {
    anyhow::ensure!(storage.get(key).await?.is_some(), "the guest lost its entry");
    Ok(())
}
