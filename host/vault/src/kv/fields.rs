//! The fields of a request, decoded as leniently as Vault's framework decodes them.
//!
//! The rule: every path names its fields and their kinds in a [`Schema`]; all of them are checked before anything is done, and a
//! field that the path does not know is ignored with a warning. Texts are OpenBao's.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::duration;
use crate::logical::{Error, Fields, Operation, Request, Response, Result};

/// What a field is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text.
    Text,
    /// A number, also in quotes.
    Int,
    /// True or false, also in quotes or as a number.
    Bool,
    /// A duration of whole seconds, not negative.
    Seconds,
    /// A duration of whole seconds.
    SignedSeconds,
    /// An object.
    Map,
    /// Numbers: an array, or a text with commas.
    Ints,
    /// Texts: an array, or a text with commas.
    Texts,
}

/// The fields that a path knows. `path` is always one: the path itself gives its value.
pub(crate) type Schema = &'static [(&'static str, Kind)];

enum Decoded<'a> {
    Text(Cow<'a, str>),
    Int(i64),
    Bool(bool),
    Seconds(i64),
    Map(Option<Cow<'a, Fields>>),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

/// The fields of a request, checked.
pub(crate) struct Input<'a> {
    fields: Vec<(&'static str, Decoded<'a>)>,
    warnings: Vec<String>,
}

impl<'a> Input<'a> {
    /// Decodes what the schema knows. `has_existence_check`: whether the path has one, on which the text of errors depends.
    pub(crate) fn new(request: &'a Request, schema: Schema, has_existence_check: bool) -> Result<Input<'a>> {
        Input::of_path(request, schema, has_existence_check, "path")
    }

    /// The same where the path itself gives the value of another field.
    pub(crate) fn of_path(request: &'a Request, schema: Schema, has_existence_check: bool, captured: &str) -> Result<Input<'a>> {
        let mut fields = Vec::new();
        for &(name, kind) in schema {
            let Some(value) = request.data.get(name) else { continue };
            let decoded = decode(kind, value).map_err(|reason| {
                let checked_early = has_existence_check && matches!(request.operation, Operation::Create | Operation::Update);
                let prefix = if checked_early { "" } else { "Field validation failed: " };
                Error::BadRequest(format!("{prefix}error converting input for field \"{name}\": {reason}"))
            })?;
            fields.extend(decoded.map(|decoded| (name, decoded)));
        }
        let known = |name: &str| name == captured || schema.iter().any(|(known, _)| *known == name);
        let mut unknown: Vec<_> = request.data.keys().filter(|name| !known(name)).map(String::as_str).collect();
        unknown.sort_unstable();
        let mut warnings = Vec::new();
        if !unknown.is_empty() {
            warnings.push(format!("Endpoint ignored these unrecognized parameters: [{}]", unknown.join(" ")));
        }
        if !captured.is_empty() && request.data.contains_key(captured) {
            warnings.push(replaced(captured));
        }
        Ok(Input { fields, warnings })
    }

    fn get(&self, name: &str) -> Option<&Decoded<'a>> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, decoded)| decoded)
    }

    /// Whether the field was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        if let Some(Decoded::Text(text)) = self.get(name) { Some(text) } else { None }
    }

    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        if let Some(Decoded::Int(value)) = self.get(name) { Some(*value) } else { None }
    }

    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        if let Some(Decoded::Bool(value)) = self.get(name) { Some(*value) } else { None }
    }

    /// In seconds.
    pub(crate) fn seconds(&self, name: &str) -> Option<i64> {
        if let Some(Decoded::Seconds(value)) = self.get(name) { Some(*value) } else { None }
    }

    /// The outer option: whether the field was given; the inner: whether it was not null.
    pub(crate) fn map(&self, name: &str) -> Option<Option<&Fields>> {
        if let Some(Decoded::Map(map)) = self.get(name) { Some(map.as_deref()) } else { None }
    }

    pub(crate) fn ints(&self, name: &str) -> &[i64] {
        if let Some(Decoded::Ints(values)) = self.get(name) { values } else { &[] }
    }

    pub(crate) fn texts(&self, name: &str) -> Option<&[String]> {
        if let Some(Decoded::Texts(texts)) = self.get(name) { Some(texts) } else { None }
    }

    /// Puts the warnings about ignored fields before those of an answer that is not empty.
    pub(crate) fn warn(self, mut response: Response) -> Response {
        if response.status.is_none() && (response.data.is_some() || response.login.is_some() || !response.warnings.is_empty()) {
            response.warnings.extend(self.warnings);
        }
        response
    }
}

/// None for a null that counts as not given.
/// The warning about a field of the body whose value the path gives.
pub(crate) fn replaced(captured: &str) -> String {
    format!("Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [{captured}]")
}

fn decode(kind: Kind, value: &Value) -> Result<Option<Decoded<'_>>, String> {
    Ok(Some(match kind {
        Kind::Text => Decoded::Text(text(value).map_err(|reason| format!("'' {reason}"))?),
        Kind::Int => Decoded::Int(int(value).map_err(|reason| format!("'' {reason}"))?),
        Kind::Bool => Decoded::Bool(boolean(value).map_err(|reason| format!("'' {reason}"))?),
        Kind::Map => Decoded::Map(map(value)?),
        Kind::Ints => Decoded::Ints(ints(value)?),
        Kind::Texts => Decoded::Texts(texts(value)?),
        Kind::Seconds | Kind::SignedSeconds => {
            let Some(nanoseconds) = duration::parse(value)? else { return Ok(None) };
            let seconds = nanoseconds / 1_000_000_000;
            if seconds < 0 && kind == Kind::Seconds {
                return Err(format!("cannot provide negative value '{seconds}'"));
            }
            Decoded::Seconds(seconds)
        }
    }))
}

/// The name of a JSON value's type in Go.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "json.Number",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn unconvertible(expected: &str, value: &Value) -> String {
    format!("expected type '{expected}', got unconvertible type '{}'", go_type(value))
}

/// A text, also of a number or a boolean.
pub(crate) fn text(value: &Value) -> Result<Cow<'_, str>, String> {
    Ok(match value {
        Value::Null => "".into(),
        Value::Bool(true) => "1".into(),
        Value::Bool(false) => "0".into(),
        Value::Number(number) => number.to_string().into(),
        Value::String(text) => text.as_str().into(),
        other => return Err(unconvertible("string", other)),
    })
}

/// A number, also of a text or a boolean.
pub(crate) fn int(value: &Value) -> Result<i64, String> {
    let invalid = |reason| format!("cannot parse value as 'int': strconv.ParseInt: {reason}");
    match value {
        Value::Null => Ok(0),
        Value::Bool(value) => Ok((*value).into()),
        Value::Number(number) => parse_int(number.as_str()).map_err(invalid),
        Value::String(text) if text.is_empty() => Ok(0),
        Value::String(text) => parse_int(text).map_err(invalid),
        other => Err(unconvertible("int", other)),
    }
}

/// Go's `ParseInt` with base 0: the text's prefix tells the base, underscores between digits are allowed.
fn parse_int(text: &str) -> Result<i64, &'static str> {
    const SYNTAX: &str = "invalid syntax";
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (radix, digits) = [("0x", 16), ("0b", 2), ("0o", 8)]
        .into_iter()
        .find_map(|(prefix, radix)| lower.strip_prefix(prefix).map(|digits| (radix, digits)))
        .or_else(|| lower.strip_prefix('0').filter(|digits| !digits.is_empty()).map(|digits| (8, digits)))
        .unwrap_or((10, &lower));
    let digits = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    let misplaced = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    let digits = digits.replace('_', "");
    if misplaced || digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(SYNTAX);
    }
    let value = i128::from_str_radix(&digits, radix).unwrap_or(i128::MAX);
    let value = if negative { value.wrapping_neg() } else { value };
    i64::try_from(value).map_err(|_| "value out of range")
}

fn boolean(value: &Value) -> Result<bool, String> {
    let parse = |text: &str| match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("cannot parse value as 'bool': strconv.ParseBool: invalid syntax".to_owned()),
    };
    match value {
        Value::Null => Ok(false),
        Value::Bool(value) => Ok(*value),
        Value::Number(number) => parse(number.as_str()),
        Value::String(text) => parse(text),
        other => Err(unconvertible("bool", other)),
    }
}

/// An object; an array of objects is all of them in one.
fn map(value: &Value) -> Result<Option<Cow<'_, Fields>>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Object(fields) => Ok(Some(Cow::Borrowed(fields))),
        Value::Array(values) => {
            let mut all = Map::new();
            for (n, value) in values.iter().enumerate() {
                match value {
                    Value::Object(_) | Value::Array(_) => {
                        let inner = map(value).map_err(|reason| reason.replacen('\'', &format!("'[{n}]"), 1))?;
                        all.extend(inner.into_iter().flat_map(Cow::into_owned));
                    }
                    Value::Null => {}
                    other => return Err(format!("'[{n}]' {}", unconvertible("map[string]interface {}", other))),
                }
            }
            Ok(Some(Cow::Owned(all)))
        }
        other => Err(format!("'' {}", unconvertible("map[string]interface {}", other))),
    }
}

fn ints(value: &Value) -> Result<Vec<i64>, String> {
    let split: Vec<Value>;
    let values: &[Value] = match value {
        Value::Null => &[],
        Value::Object(fields) if fields.is_empty() => &[],
        Value::String(text) if text.is_empty() => &[],
        Value::String(text) => {
            split = text.split(',').map(|part| Value::from(part.trim())).collect();
            &split
        }
        Value::Array(values) => values,
        single => std::slice::from_ref(single),
    };
    let mut errors = Vec::new();
    let mut decoded = Vec::new();
    for (n, value) in values.iter().enumerate() {
        match int(value) {
            Ok(value) => decoded.push(value),
            Err(reason) => errors.push(format!("'[{n}]' {reason}")),
        }
    }
    if errors.is_empty() { Ok(decoded) } else { Err(format!("decoding failed due to the following error(s):\n\n{}", errors.join("\n"))) }
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    let trimmed = |text: Cow<'_, str>| text.trim().to_owned();
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => Ok(text.split(',').map(|part| part.trim().to_owned()).collect()),
        Value::Array(values) => {
            values.iter().enumerate().map(|(n, value)| text(value).map(trimmed).map_err(|reason| format!("'[{n}]' {reason}"))).collect()
        }
        single => text(single).map(|text| vec![trimmed(text)]).map_err(|reason| format!("'' {reason}")),
    }
}

#[cfg(test)]
mod tests;
