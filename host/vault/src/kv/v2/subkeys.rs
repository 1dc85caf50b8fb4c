//! `subkeys/<path>`: the names in a secret, without its values.

use serde_json::Value;

use super::data::{Found, look_up};
use super::store::Store;
use crate::kv::fields::{Input, Kind, Schema};
use crate::logical::{Fields, Request, Response, Result};

const SCHEMA: Schema = &[("version", Kind::Int), ("depth", Kind::Int)];

pub(super) async fn read(store: &Store, path: &str, request: &Request) -> Result<Response> {
    let input = Input::new(request, SCHEMA, false)?;
    let (status, described, names) = match look_up(store, path, input.int("version")).await? {
        Found::Here(described, Value::Object(secret)) => (None, described, names(secret, input.int("depth").unwrap_or(0), 1).into()),
        Found::Here(described, _) => (None, described, Value::Null),
        Found::Gone(described) => (Some(404), described, Value::Null),
    };
    let mut data = Fields::new();
    data.insert("subkeys".into(), names);
    data.insert("metadata".into(), described.into());
    Ok(input.warn(Response { status, ..Response::data(data) }))
}

/// The names, with null for each value but objects that are not empty, down to `depth` (zero: all).
fn names(fields: Fields, depth: i64, level: i64) -> Fields {
    let inner = |value| match value {
        Value::Object(fields) if !fields.is_empty() && (depth == 0 || level < depth) => names(fields, depth, level + 1).into(),
        _ => Value::Null,
    };
    fields.into_iter().map(|(name, value)| (name, inner(value))).collect()
}
