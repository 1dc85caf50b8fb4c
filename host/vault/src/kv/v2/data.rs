//! `data/<path>`: a secret's versions, read, written and patched.

use serde_json::{Map, Value};

use super::not_found;
use super::proto::{KeyMetadata, Stored, Timestamp, Version, VersionMetadata, time_text};
use super::store::{Store, checked};
use crate::keyring::json::position;
use crate::kv::fields::{self, Input, Kind, Schema};
use crate::kv::{json, path};
use crate::logical::{Error, Fields, Request, Response, Result};

const SCHEMA: Schema = &[("version", Kind::Int), ("options", Kind::Map), ("data", Kind::Map)];

/// What is told of a version wherever it is named.
pub(super) fn describe(metadata: &KeyMetadata, number: u64, version: &VersionMetadata) -> Fields {
    let mut fields = Fields::new();
    fields.insert("version".into(), number.into());
    fields.insert("created_time".into(), time_text(version.created_time).into());
    fields.insert("deletion_time".into(), time_text(version.deletion_time).into());
    fields.insert("destroyed".into(), version.destroyed.into());
    fields.insert("custom_metadata".into(), super::metadata::custom(metadata));
    fields
}

/// What a read of a version finds.
pub(super) enum Found {
    /// The version, and the secret in it.
    Here(Fields, Value),
    /// It was deleted or destroyed.
    Gone(Fields),
}

/// Looks up a version, the current one if `number` is none, zero or negative.
pub(super) async fn look_up(store: &Store, path: &str, number: Option<i64>) -> Result<Found> {
    if path.is_empty() || path.ends_with('/') {
        return Err(Error::NotFound);
    }
    let path = checked(path)?;
    let _reading = store.locks.read(path).await;
    let metadata = store.metadata(path).await?.ok_or(Error::NotFound)?.message;
    let number = number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0).unwrap_or(metadata.current_version);
    let version = metadata.versions.get(&number).ok_or(Error::NotFound)?;
    let described = describe(&metadata, number, version);
    if version.destroyed || version.deleted(Timestamp::now()) {
        return Ok(Found::Gone(described));
    }
    let secret = secret(&store.version(path, number).await?, path)?;
    Ok(Found::Here(described, secret))
}

/// The object, or null, that a version holds.
fn secret(version: &Version, path: &str) -> Result<Value> {
    serde_json::from_slice(&version.data).map_err(|error| Error::Damaged(format!("a version of {path}: {}", position(&error))))
}

pub(super) async fn read(store: &Store, path: &str, request: &Request) -> Result<Response> {
    let input = Input::new(request, SCHEMA, true)?;
    let (status, described, secret) = match look_up(store, path, input.int("version")).await? {
        Found::Here(described, secret) => (None, described, secret),
        Found::Gone(described) => (Some(404), described, Value::Null),
    };
    let mut data = Fields::new();
    data.insert("data".into(), secret);
    data.insert("metadata".into(), described.into());
    Ok(input.warn(Response { status, ..Response::data(data) }))
}

/// Whether the options allow a write on top of the current version.
fn check_and_set(input: &Input<'_>, required: bool, current: u64) -> Result<()> {
    let cas = input.map("options").flatten().and_then(|options| options.get("cas"));
    match cas.map(fields::int) {
        Some(Err(_)) => Err(Error::bad_request("error parsing check-and-set parameter")),
        Some(Ok(cas)) if u64::try_from(cas) != Ok(current) => {
            Err(Error::bad_request("check-and-set parameter did not match the current version"))
        }
        None if required => Err(Error::bad_request("check-and-set parameter required for this call")),
        _ => Ok(()),
    }
}

/// Writes the next version, then the metadata with it, and then removes what is too old.
async fn add(store: &Store, mut metadata: Stored<KeyMetadata>, secret: Option<&Fields>) -> Result<Response> {
    let config = store.config().await?;
    let now = Timestamp::now();
    let deletion_time = metadata.message.deletion_time(now, &config.message);
    let bytes = secret.map_or_else(|| b"null".to_vec(), |secret| std::mem::take(&mut *json::object(secret)));
    let version = Version { data: bytes, created_time: Some(now), deletion_time };
    let trimmed = metadata.message.add_version(now, deletion_time, config.message.max_versions);
    let cleaned = store.put_current(&metadata, &version, &trimmed).await?;
    let metadata = &metadata.message;
    let added = metadata.versions.get(&metadata.current_version).copied().unwrap_or_default();
    let response = Response::data(describe(metadata, metadata.current_version, &added));
    let Err(error) = cleaned else { return Ok(response) };
    tracing::warn!(%error, "old versions of a secret could not be removed; the next write tries again");
    Ok(response.warn("error occurred when cleaning up old versions, these will be cleaned up on next write: storage error"))
}

pub(super) async fn write(store: &Store, path: &str, request: &Request) -> Result<Response> {
    let input = Input::new(request, SCHEMA, true)?;
    path::leaf(path)?;
    let path = checked(path)?;
    let secret = input.map("data").ok_or_else(|| Error::bad_request("no data provided"))?;
    let _writing = store.locks.write(path).await;
    let metadata = store.metadata(path).await?.unwrap_or_else(|| Stored::new(KeyMetadata::of(path)));
    let required = store.config().await?.message.cas_required || metadata.message.cas_required;
    check_and_set(&input, required, metadata.message.current_version)?;
    let response = add(store, metadata, secret).await?;
    Ok(input.warn(response))
}

pub(super) async fn patch(store: &Store, path: &str, request: &Request) -> Result<Response> {
    let input = Input::new(request, SCHEMA, true)?;
    path::leaf(path)?;
    let path = checked(path)?;
    let change = input.map("data").ok_or_else(|| Error::bad_request("no data provided"))?;
    let _writing = store.locks.write(path).await;
    let Some(metadata) = store.metadata(path).await? else { return Ok(not_found()) };
    let required = store.config().await?.message.cas_required || metadata.message.cas_required;
    let current = metadata.message.current_version;
    check_and_set(&input, required, current)?;
    let Some(version) = metadata.message.versions.get(&current) else { return Ok(not_found()) };
    if version.destroyed || version.deleted(Timestamp::now()) {
        return Ok(Response { status: Some(404), ..Response::data(describe(&metadata.message, current, version)) });
    }
    let patched = match change {
        None => None,
        Some(change) => {
            let mut secret = secret(&store.version(path, current).await?, path)?;
            Some(merge(&mut secret, change))
        }
    };
    let response = add(store, metadata, patched.as_ref()).await?;
    Ok(input.warn(response))
}

/// A JSON merge patch (RFC 7396) of an object. What is patched counts as empty if it is no object.
fn merge(target: &mut Value, patch: &Fields) -> Fields {
    let mut merged = if let Value::Object(fields) = target.take() { fields } else { Map::new() };
    for (name, change) in patch {
        match change {
            Value::Null => {
                merged.remove(name);
            }
            Value::Object(change) => {
                let inner = merge(merged.entry(name).or_insert(Value::Null), change);
                merged.insert(name.clone(), inner.into());
            }
            other => {
                merged.insert(name.clone(), other.clone());
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The examples of RFC 7396, appendix A, that patch objects with objects.
    #[test]
    fn patches_merge_as_the_standard_says() {
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!(["c"]), json!({"a": "b"}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            (json!(null), json!({"a": 1}), json!({"a": 1})),
        ] {
            assert_eq!(Value::from(merge(&mut target.clone(), patch.as_object().unwrap())), expected, "{target} {patch}");
        }
    }
}
