//! From version 1 to version 2: every secret becomes the first version of itself.
//!
//! Runs until `upgrading` says that it is done. The rule: an old entry is deleted only once version and metadata of the new one are
//! written, so that a cut at any point loses nothing and the next run goes on. Requests wait for it.

use super::proto::{self, KeyMetadata, Stored, Timestamp, UpgradeInfo, Version};
use super::store::{Store, checked};
use crate::logical::Result;

const UPGRADING: &str = "upgrading";

/// Prepares the storage if that has not been done.
pub(super) async fn run(store: &Store) -> Result<()> {
    let stored = store.view.get(UPGRADING).await?;
    let mut info = stored.map(|stored| proto::decode::<UpgradeInfo>(&stored, UPGRADING)).transpose()?.unwrap_or_default();
    if info.done {
        return Ok(());
    }
    info.started_time = Some(Timestamp::now());
    let own = format!("{}/", store.backend_uuid);
    let mut folders = vec![String::new()];
    let mut announced = false;
    while let Some(folder) = folders.pop() {
        for name in store.mount.list(&folder).await? {
            let path = format!("{folder}{name}");
            if path == own {
                continue;
            }
            if path.ends_with('/') {
                folders.push(path);
                continue;
            }
            if !announced {
                tracing::info!(mount = store.mount.prefix(), "moving the secrets of a kv mount from version 1 to version 2");
                store.view.put(UPGRADING, &proto::encode(&info)).await?;
                announced = true;
            }
            move_secret(store, &path).await?;
        }
    }
    store.names().await?;
    info.done = true;
    store.view.put(UPGRADING, &proto::encode(&info)).await
}

async fn move_secret(store: &Store, path: &str) -> Result<()> {
    let path = checked(path)?;
    let Some(secret) = store.mount.get(path).await? else { return Ok(()) };
    let now = Timestamp::now();
    let version = Version { data: secret.to_vec(), created_time: Some(now), deletion_time: None };
    let mut metadata = KeyMetadata::of(path);
    // A limit of one makes the first version the oldest on record, as the field's servers do.
    metadata.add_version(now, None, 1);
    store.put_current(&Stored::new(metadata), &version, &[]).await??;
    store.mount.delete(path).await
}

#[cfg(test)]
mod tests;
