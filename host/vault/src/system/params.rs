//! Fields of a system request, taken as leniently as Vault takes them: numbers for text, `"true"` for true, `a,b` for a list.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kv::duration;
use crate::logical::{Error, Fields, Result};

/// The text of a field. None if it is missing or null.
pub(super) fn text(data: &Fields, name: &str) -> Result<Option<String>> {
    match data.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => plain(value).map(Some).ok_or_else(|| wrong(name, "string", value)),
    }
}

/// A field that has to be there.
pub(super) fn required(data: &Fields, name: &str, missing: &str) -> Result<String> {
    text(data, name)?.filter(|text| !text.is_empty()).ok_or_else(|| Error::bad_request(missing))
}

/// A truth value. None if it is missing or null.
pub(super) fn boolean(data: &Fields, name: &str) -> Result<Option<bool>> {
    let Some(value) = data.get(name) else { return Ok(None) };
    match value {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(*value)),
        _ => match plain(value).as_deref() {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("" | "0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            _ => Err(wrong(name, "bool", value)),
        },
    }
}

/// A list of texts: an array, or one text with commas. None if it is missing or null.
pub(super) fn list(data: &Fields, name: &str) -> Result<Option<Vec<String>>> {
    let Some(value) = data.get(name) else { return Ok(None) };
    match value {
        Value::Null => Ok(None),
        Value::Array(values) => {
            values.iter().map(|value| plain(value).ok_or_else(|| wrong(name, "string", value))).collect::<Result<_>>().map(Some)
        }
        other => {
            let text = plain(other).ok_or_else(|| wrong(name, "slice", other))?;
            Ok(Some(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()))
        }
    }
}

/// An object.
pub(super) fn object<'a>(data: &'a Fields, name: &str) -> Result<Option<&'a Fields>> {
    match data.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(fields)) => Ok(Some(fields)),
        Some(other) => Err(wrong(name, "map[string]interface {}", other)),
    }
}

/// An object of texts.
pub(super) fn texts(data: &Fields, name: &str) -> Result<Option<BTreeMap<String, String>>> {
    let Some(fields) = object(data, name)? else { return Ok(None) };
    fields
        .iter()
        .map(|(key, value)| Ok((key.clone(), plain(value).ok_or_else(|| wrong(name, "string", value))?)))
        .collect::<Result<_>>()
        .map(Some)
}

/// Nanoseconds of a time to live; `system` stands for zero. None if it is missing, null or empty.
pub(super) fn ttl(data: &Fields, name: &str, what: &str) -> Result<Option<u64>> {
    match data.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text == "system" => Ok(Some(0)),
        Some(value) => {
            let shown = plain(value).unwrap_or_default();
            let failed = |reason: String| Error::bad_request(format!("unable to parse {what} TTL of {shown}: {reason}"));
            let nanoseconds = duration::parse(value).map_err(failed)?.unwrap_or_default();
            u64::try_from(nanoseconds).map(Some).map_err(|_| failed("it is negative".to_owned()))
        }
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("1".to_owned()),
        Value::Bool(false) => Some("0".to_owned()),
        Value::Null => Some(String::new()),
        _ => None,
    }
}

fn wrong(name: &str, wanted: &str, value: &Value) -> Error {
    let found = match value {
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
        Value::String(_) => "string",
        Value::Number(_) => "json.Number",
        Value::Bool(_) => "bool",
        Value::Null => "null",
    };
    Error::bad_request(format!(
        "Field validation failed: error converting input for field {name:?}: '' expected type '{wanted}', got unconvertible type '{found}'"
    ))
}
