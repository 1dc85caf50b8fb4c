//! The filesystem guest beside a native implementation of the same layout with the same syncs, on the same disk.

use anyhow::Result;
use bytes::Bytes;
use cofferdam_backend::{Key, Storage};
use cofferdam_runtime::{Directory, Runtime, RuntimeOptions, Source, StorageConfig};
use cofferdam_test_support::native::Native;

use crate::Bench;
use crate::row::{Judge, Row};
use crate::sample::pair;

const KEYS: usize = 64;
const SIZE: usize = 1024;

/// The two rows of the filesystem guest.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let work = tempfile::tempdir_in(&bench.scratch)?;
    let runtime = Runtime::new(RuntimeOptions::default())?;
    let component = runtime.component(Source::File(bench.guests.join("filesystem.wasm")))?;
    let mut config = StorageConfig::new("bench");
    config.grants.directory = Some(Directory::open(&work.path().join("guest"), true)?);
    let guest = runtime.storage(&component, config).await?;
    std::fs::create_dir(work.path().join("native"))?;
    let native = Native::open(&work.path().join("native"), true)?;
    let keys = (0..KEYS).map(|index| Key::new(format!("logical/mount/folder/{index}"))).collect::<Result<Vec<_>, _>>()?;
    let value = Bytes::from(vec![7; SIZE]);
    for key in &keys {
        guest.put(key, value.clone()).await?;
        native.put(key, value.clone()).await?;
    }
    let (samples, guest) = (bench.rounds(400), &*guest);
    let (get, native_get) = pair(samples, 20, |index| get(guest, &keys, index), |index| get(&native, &keys, index)).await?;
    let (put, native_put) =
        pair(3 * samples, 1, |index| put(guest, &keys, &value, index), |index| put(&native, &keys, &value, index)).await?;
    Ok(vec![
        Row::new("filesystem get 1 KiB", "us", get, ("native, blocking thread", native_get), Judge::AtMost, (3.0, 1.5)),
        Row::new("filesystem durable put 1 KiB", "us", put, ("native, same syncs", native_put), Judge::AtMost, (1.15, 1.03)),
    ])
}

fn key(keys: &[Key], index: usize) -> Result<&Key> {
    keys.get(index % keys.len()).ok_or_else(|| anyhow::anyhow!("no keys"))
}

async fn get(storage: &dyn Storage, keys: &[Key], index: usize) -> Result<()> {
    let found = storage.get(key(keys, index)?).await?;
    anyhow::ensure!(found.is_some_and(|value| value.len() == SIZE), "an entry is lost");
    Ok(())
}

async fn put(storage: &dyn Storage, keys: &[Key], value: &Bytes, index: usize) -> Result<()> {
    Ok(storage.put(key(keys, index)?, value.clone()).await?)
}
