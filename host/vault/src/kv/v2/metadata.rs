//! `metadata/<path>` and `detailed-metadata/<path>`: what is known of a key, its settings, the listing of keys, and their removal.

use std::collections::BTreeMap;

use serde_json::Value;

use super::not_found;
use super::proto::{Configuration, KeyMetadata, Span, Stored, Timestamp, time_text};
use super::store::{Store, checked};
use crate::kv::fields::{self, Input, Kind, Schema};
use crate::kv::{duration, path};
use crate::logical::{Error, Fields, Request, Response, Result};

const SCHEMA: Schema = &[
    ("max_versions", Kind::Int),
    ("cas_required", Kind::Bool),
    ("delete_version_after", Kind::Seconds),
    ("custom_metadata", Kind::Map),
    ("metadata_cas_required", Kind::Bool),
    ("metadata_cas", Kind::Int),
    ("after", Kind::Text),
    ("limit", Kind::Int),
];
const LISTING: Schema = &[("after", Kind::Text), ("limit", Kind::Int)];
/// Those that a request can change.
const SETTINGS: [&str; 5] = ["max_versions", "cas_required", "delete_version_after", "custom_metadata", "metadata_cas_required"];

const MAX_CUSTOM_KEYS: usize = 64;
const MAX_CUSTOM_KEY: usize = 128;
const MAX_CUSTOM_VALUE: usize = 512;
const CUSTOM: &str = "custom_metadata validation failed";

/// The custom metadata as an answer shows them: null for none.
pub(super) fn custom(metadata: &KeyMetadata) -> Value {
    if metadata.custom_metadata.is_empty() {
        return Value::Null;
    }
    Value::Object(metadata.custom_metadata.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect())
}

/// A number of versions as Vault takes it: the lower 32 bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Vault and OpenBao keep the lower 32 bits; -1 is the largest number"
)]
pub(super) fn wrapped(max_versions: i64) -> u32 {
    max_versions as u32
}

fn describe(metadata: &KeyMetadata) -> Fields {
    let versions = metadata.versions.iter().map(|(number, version)| {
        let mut fields = Fields::new();
        fields.insert("created_time".into(), time_text(version.created_time).into());
        fields.insert("deletion_time".into(), time_text(version.deletion_time).into());
        fields.insert("destroyed".into(), version.destroyed.into());
        (number.to_string(), Value::Object(fields))
    });
    let after = metadata.delete_version_after.map_or(0, Span::nanoseconds);
    let mut data = Fields::new();
    data.insert("versions".into(), Value::Object(versions.collect()));
    data.insert("current_version".into(), metadata.current_version.into());
    data.insert("oldest_version".into(), metadata.oldest_version.into());
    data.insert("created_time".into(), time_text(metadata.created_time).into());
    data.insert("updated_time".into(), time_text(metadata.updated_time).into());
    data.insert("max_versions".into(), metadata.max_versions.into());
    data.insert("cas_required".into(), metadata.cas_required.into());
    data.insert("delete_version_after".into(), duration::format(after).into());
    data.insert("custom_metadata".into(), custom(metadata));
    data.insert("metadata_cas_required".into(), metadata.metadata_cas_required.into());
    data.insert("current_metadata_version".into(), metadata.current_metadata_version.into());
    data
}

pub(super) async fn read(store: &Store, path: &str, request: &Request) -> Result<Response> {
    let input = Input::new(request, SCHEMA, true)?;
    if path.is_empty() || path.ends_with('/') {
        return Err(Error::NotFound);
    }
    let metadata = store.metadata(checked(path)?).await?.ok_or(Error::NotFound)?;
    Ok(input.warn(Response::data(describe(&metadata.message))))
}

/// A page of the folder, by the request's `after` and `limit`.
async fn page(store: &Store, folder: &str, input: &Input<'_>) -> Result<Vec<String>> {
    if let Some(folder) = folder.strip_suffix('/') {
        checked(folder)?;
    }
    let limit = input.int("limit").and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    store.list(folder, input.text("after").unwrap_or_default(), limit.unwrap_or(usize::MAX)).await
}

pub(super) async fn list(store: &Store, folder: &str, request: &Request) -> Result<Response> {
    let input = Input::new(request, SCHEMA, true)?;
    let names = page(store, folder, &input).await?;
    Ok(input.warn(Response::list(names)?))
}

pub(super) async fn list_detailed(store: &Store, folder: &str, request: &Request) -> Result<Response> {
    let input = Input::new(request, LISTING, false)?;
    let names = page(store, folder, &input).await?;
    let mut details = Fields::new();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        if name.ends_with('/') {
            details.insert(name.clone(), Fields::new().into());
        } else {
            // One that was deleted since is left out.
            let Some(metadata) = store.metadata(&format!("{folder}{name}")).await? else { continue };
            details.insert(name.clone(), describe(&metadata.message).into());
        }
        found.push(name);
    }
    let mut response = Response::list(found)?;
    if let Some(data) = &mut response.data {
        data.insert("key_info".into(), details.into());
    }
    Ok(input.warn(response))
}

/// Custom metadata of a request: what is to be set, and what is to be removed, which null says in a patch.
struct Custom {
    set: BTreeMap<String, String>,
    remove: Vec<String>,
}

impl Custom {
    fn of(fields: &Fields, null_removes: bool) -> Result<Custom> {
        let mut custom = Custom { set: BTreeMap::new(), remove: Vec::new() };
        for (name, value) in fields {
            if null_removes && value.is_null() {
                custom.remove.push(name.clone());
                continue;
            }
            let value = fields::text(value).map_err(|reason| Error::bad_request(format!("{CUSTOM}: '' {reason}")))?;
            custom.set.insert(name.clone(), value.into_owned());
        }
        validate(&custom.set)?;
        Ok(custom)
    }
}

fn validate(custom: &BTreeMap<String, String>) -> Result<()> {
    let mut errors = Vec::new();
    if custom.len() > MAX_CUSTOM_KEYS {
        errors.push(format!("payload must contain at most {MAX_CUSTOM_KEYS} keys, provided {}", custom.len()));
    } else {
        for (name, value) in custom {
            let quoted = quote(name);
            if name.is_empty() || name.len() > MAX_CUSTOM_KEY {
                errors.push(format!("length of key {quoted} is {} but must be 0 < len(key) <= {MAX_CUSTOM_KEY}", name.len()));
            }
            if value.is_empty() || value.len() > MAX_CUSTOM_VALUE {
                errors
                    .push(format!("length of value for key {quoted} is {} but must be 0 < len(value) <= {MAX_CUSTOM_VALUE}", value.len()));
            }
            if !printable(name) {
                errors.push(format!("key {quoted} ({name}) contains unprintable characters"));
            }
            if !printable(value) {
                errors.push(format!("value for key {quoted} contains unprintable characters"));
            }
        }
    }
    let plural = match errors.len() {
        0 => return Ok(()),
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    };
    let list: String = errors.iter().map(|error| format!("\t* {CUSTOM}: {error}\n")).collect();
    Err(Error::bad_request(format!("{plural} occurred:\n{list}\n")))
}

/// Whether a character is one to look at: no control or format character, no space but the ordinary one.
fn shown(c: char) -> bool {
    // What follows a first character is escaped for this reason only, quotes and backslash apart.
    matches!(c, '"' | '\'' | '\\') || String::from_iter(['a', c]).escape_debug().count() == 2
}

fn printable(text: &str) -> bool {
    text.chars().all(shown)
}

/// A text in quotes as Go's `%q` shows it.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        let code = u32::from(c);
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if shown(c) => out.push(c),
            _ if code < 0x80 => out.push_str(&format!("\\x{code:02x}")),
            _ if code < 0x1_0000 => out.push_str(&format!("\\u{code:04x}")),
            _ => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out.push('"');
    out
}

/// Whether the metadata, none if they are new, may be written: their own check-and-set.
fn check_and_set(input: &Input<'_>, config: &Configuration, metadata: Option<&KeyMetadata>) -> Result<()> {
    let required = config.metadata_cas_required || metadata.is_some_and(|metadata| metadata.metadata_cas_required);
    let text = match (input.int("metadata_cas"), metadata) {
        (None, _) if required => "metadata check-and-set parameter required for this call",
        (Some(cas), None) if cas != 0 => "metadata_cas must be 0 when creating new metadata",
        (Some(cas), Some(metadata)) if u64::try_from(cas) != Ok(metadata.current_metadata_version) => {
            "metadata check-and-set parameter does not match the current version"
        }
        _ => return Ok(()),
    };
    Err(Error::bad_request(text))
}

/// An empty answer, or warnings of settings that the mount's overrule.
fn overruled(input: &Input<'_>, config: &Configuration) -> Response {
    let mut response = Response::empty();
    for (name, mount) in [("cas_required", config.cas_required), ("metadata_cas_required", config.metadata_cas_required)] {
        if mount && input.bool(name) == Some(false) {
            response = response.warn(format!("\"{name}\" set to false, but is mandated by backend config. This value will be ignored."));
        }
    }
    response
}

/// Sets what the request gives, and writes.
async fn change(store: &Store, input: Input<'_>, mut stored: Stored<KeyMetadata>, custom: impl FnOnce(&mut KeyMetadata)) -> Result<()> {
    let metadata = &mut stored.message;
    if let Some(max_versions) = input.int("max_versions") {
        metadata.max_versions = wrapped(max_versions);
    }
    if let Some(cas_required) = input.bool("cas_required") {
        metadata.cas_required = cas_required;
    }
    if let Some(seconds) = input.seconds("delete_version_after") {
        metadata.delete_version_after = Some(Span::of_seconds(seconds));
    }
    if let Some(cas_required) = input.bool("metadata_cas_required") {
        metadata.metadata_cas_required = cas_required;
    }
    custom(metadata);
    let now = Timestamp::now();
    metadata.created_time.get_or_insert(now);
    metadata.updated_time = Some(now);
    metadata.current_metadata_version += 1;
    store.put_metadata(&stored).await
}

pub(super) async fn write(store: &Store, path: &str, request: &Request) -> Result<Response> {
    let input = Input::new(request, SCHEMA, true)?;
    path::leaf(path)?;
    let path = checked(path)?;
    if !SETTINGS.iter().any(|name| input.has(name)) {
        return Ok(Response::empty());
    }
    let custom = input.map("custom_metadata").map(|fields| Custom::of(fields.unwrap_or(&Fields::new()), false)).transpose()?;
    let config = store.config().await?;
    let response = overruled(&input, &config.message);
    let _writing = store.locks.write(path).await;
    let metadata = store.metadata(path).await?;
    check_and_set(&input, &config.message, metadata.as_ref().map(|stored| &stored.message))?;
    let metadata = metadata.unwrap_or_else(|| Stored::new(KeyMetadata::of(path)));
    change(store, input, metadata, |metadata| {
        if let Some(custom) = custom {
            metadata.custom_metadata = custom.set;
        }
    })
    .await?;
    Ok(response)
}

pub(super) async fn patch(store: &Store, path: &str, request: &Request) -> Result<Response> {
    let mut request = request.clone();
    // In a patch null clears, also a time.
    if let Some(time) = request.data.get_mut("delete_version_after").filter(|time| time.is_null()) {
        *time = 0.into();
    }
    let input = Input::new(&request, SCHEMA, true)?;
    path::leaf(path)?;
    let path = checked(path)?;
    if !SETTINGS.iter().any(|name| input.has(name)) {
        return Ok(Response::empty());
    }
    if input.int("max_versions").is_some_and(|max_versions| u32::try_from(max_versions).is_err()) {
        return Err(Error::bad_request(format!("max_versions must be a number from 0 to {}", u32::MAX)));
    }
    let custom = match input.map("custom_metadata") {
        Some(Some(fields)) => Some(Custom::of(fields, true)?),
        _ => None,
    };
    let clear = input.map("custom_metadata") == Some(None);
    let config = store.config().await?;
    let response = overruled(&input, &config.message);
    let _writing = store.locks.write(path).await;
    let Some(mut metadata) = store.metadata(path).await? else { return Ok(not_found()) };
    check_and_set(&input, &config.message, Some(&metadata.message))?;
    let merged = &mut metadata.message.custom_metadata;
    if clear {
        merged.clear();
    }
    if let Some(custom) = custom {
        merged.retain(|name, _| !custom.remove.contains(name));
        merged.extend(custom.set);
        if merged.len() > MAX_CUSTOM_KEYS {
            validate(merged)?;
        }
    }
    change(store, input, metadata, |_| {}).await?;
    Ok(response)
}

/// Removes a key with all versions. They are marked destroyed first, so that nobody reads metadata whose versions are gone.
pub(super) async fn delete(store: &Store, path: &str) -> Result<Response> {
    if path.is_empty() || path.ends_with('/') {
        return Ok(Response::empty());
    }
    let path = checked(path)?;
    let _writing = store.locks.write(path).await;
    let Some(mut metadata) = store.metadata(path).await? else { return Ok(Response::empty()) };
    let versions: Vec<u64> = metadata.message.versions.keys().copied().collect();
    let mut changed = false;
    for version in metadata.message.versions.values_mut() {
        changed |= !version.destroyed;
        version.destroyed = true;
    }
    if changed {
        store.put_metadata(&metadata).await?;
    }
    let mut changes = store.deletions(path, &versions).await?;
    // A write that was cut off may have left the entry of a version that never came to be.
    changes.push(store.deletion(path, metadata.message.current_version + 1).await?);
    changes.push(store.metadata_deletion(path).await?);
    store.view.batch(changes).await?;
    Ok(Response::empty())
}
