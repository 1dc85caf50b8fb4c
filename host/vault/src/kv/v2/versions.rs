//! `delete/`, `undelete/` and `destroy/<path>`: what becomes of versions that are there. `DELETE data/<path>` deletes the latest.

use super::proto::Timestamp;
use super::store::{Store, checked};
use crate::kv::fields::{Input, Kind, Schema};
use crate::kv::path;
use crate::logical::{Error, Request, Response, Result};

const SCHEMA: Schema = &[("versions", Kind::Ints)];

/// The versions that a request names, each once; `missing` is the text if it names none.
fn named(request: &Request, path: &str, missing: &str) -> Result<Vec<u64>> {
    let input = Input::new(request, SCHEMA, false)?;
    path::leaf(path)?;
    checked(path)?;
    let versions = input.ints("versions");
    if versions.is_empty() {
        return Err(Error::bad_request(missing));
    }
    let mut versions: Vec<u64> = versions.iter().filter_map(|version| u64::try_from(*version).ok()).collect();
    versions.sort_unstable();
    versions.dedup();
    Ok(versions)
}

pub(super) async fn delete(store: &Store, path: &str, request: &Request) -> Result<Response> {
    let versions = named(request, path, "No version number provided")?;
    mark_deleted(store, path, Some(versions)).await
}

pub(super) async fn delete_latest(store: &Store, path: &str) -> Result<Response> {
    if path.is_empty() || path.ends_with('/') {
        return Ok(Response::empty());
    }
    mark_deleted(store, checked(path)?, None).await
}

/// Marks versions, none being the current one. What is destroyed or deleted already stays as it is.
async fn mark_deleted(store: &Store, path: &str, versions: Option<Vec<u64>>) -> Result<Response> {
    let _writing = store.locks.write(path).await;
    let Some(mut metadata) = store.metadata(path).await? else { return Ok(Response::empty()) };
    let versions = versions.unwrap_or_else(|| vec![metadata.message.current_version]);
    let now = Timestamp::now();
    let mut changed = false;
    for number in versions {
        if let Some(version) = metadata.message.versions.get_mut(&number)
            && !version.destroyed
            && !version.deleted(now)
        {
            version.deletion_time = Some(now);
            changed = true;
        }
    }
    if changed {
        store.put_metadata(&metadata).await?;
    }
    Ok(Response::empty())
}

pub(super) async fn undelete(store: &Store, path: &str, request: &Request) -> Result<Response> {
    let versions = named(request, path, "No version number provided")?;
    let _writing = store.locks.write(path).await;
    let Some(mut metadata) = store.metadata(path).await? else { return Ok(Response::empty()) };
    let config = store.config().await?;
    // Its time to live begins anew.
    let deletion_time = metadata.message.deletion_time(Timestamp::now(), &config.message);
    let mut changed = false;
    for number in versions {
        if let Some(version) = metadata.message.versions.get_mut(&number)
            && !version.destroyed
        {
            version.deletion_time = deletion_time;
            changed = true;
        }
    }
    if changed {
        store.put_metadata(&metadata).await?;
    }
    Ok(Response::empty())
}

pub(super) async fn destroy(store: &Store, path: &str, request: &Request) -> Result<Response> {
    let mut versions = named(request, path, "no version number provided")?;
    let _writing = store.locks.write(path).await;
    let Some(mut metadata) = store.metadata(path).await? else { return Ok(Response::empty()) };
    versions.retain(|number| metadata.message.versions.contains_key(number));
    let mut changed = false;
    for number in &versions {
        if let Some(version) = metadata.message.versions.get_mut(number)
            && !version.destroyed
        {
            version.destroyed = true;
            changed = true;
        }
    }
    let mut changes = Vec::with_capacity(versions.len() + 1);
    if changed {
        changes.push(store.change_metadata(&metadata).await?);
    }
    // Also of those that were marked already: an earlier request may have been cut off here.
    for number in versions {
        changes.push(store.deletion(path, number).await?);
    }
    store.view.batch(changes).await?;
    Ok(Response::empty())
}
