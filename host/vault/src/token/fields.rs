//! Reading the fields of a request's body, as leniently as Vault does: a number in a text, a text for a number. Null counts as missing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::kv::duration;
use crate::logical::{Error, Fields, Result};

/// A request's fields.
pub(super) struct Body<'a>(pub(super) &'a Fields);

fn wrong<T>(name: &str, problem: impl std::fmt::Display) -> Result<T> {
    Err(Error::BadRequest(format!("Field validation failed: error converting input for field {name:?}: {problem}")))
}

/// A text, or a number or truth value as one.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(if *value { "1" } else { "0" }.to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Body<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there.
    pub(super) fn given(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The text of a field; empty if it is missing.
    pub(super) fn text(&self, name: &str) -> Result<String> {
        match self.get(name) {
            None => Ok(String::new()),
            Some(value) => text_of(value).map_or_else(|| wrong(name, "expected a string"), Ok),
        }
    }

    /// A whole number; 0 if it is missing.
    pub(super) fn integer(&self, name: &str) -> Result<i64> {
        let text = self.text(name)?;
        if text.is_empty() {
            return Ok(0);
        }
        text.parse().or_else(|_| wrong(name, "'' cannot parse value as 'int': strconv.ParseInt: invalid syntax"))
    }

    /// Whether it is true; None if it is missing.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>> {
        let text = self.text(name)?;
        match text.as_str() {
            "" => Ok(None),
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
            _ => wrong(name, "'' cannot parse value as 'bool': strconv.ParseBool: invalid syntax"),
        }
    }

    /// A list of texts; a text is a list of one.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                values.iter().map(|value| text_of(value).map_or_else(|| wrong(name, "expected a list of strings"), Ok)).collect()
            }
            Some(value) => text_of(value).map_or_else(|| wrong(name, "expected a list of strings"), |text| Ok(vec![text])),
        }
    }

    /// A list of texts: an array, or one text with commas. None if it is missing.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<String>>> {
        let trimmed = |text: String| text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
        match self.get(name) {
            None => Ok(None),
            Some(Value::Array(_)) => Ok(Some(self.texts(name)?.iter().map(|text| text.trim().to_owned()).collect())),
            Some(_) => Ok(Some(trimmed(self.text(name)?))),
        }
    }

    /// A time of whole seconds. None if it is missing.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let nanoseconds = duration::parse(value).or_else(|text| wrong(name, text))?.unwrap_or_default();
        let seconds = nanoseconds / 1_000_000_000;
        let positive = u64::try_from(seconds).or_else(|_| wrong(name, format!("cannot provide negative value '{seconds}'")))?;
        Ok(Some(Duration::from_secs(positive)))
    }

    /// Names with texts; None if it is missing. Also from a list of `name=text`.
    pub(super) fn pairs(&self, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        let not_pair = |at: usize| wrong(name, format!("invalid key pair at index {at} in field {name:?}"));
        let pair = |at: usize, value: &Value| match text_of(value).as_deref().and_then(|text| text.split_once('=')) {
            Some((key, text)) => Ok((key.to_owned(), text.to_owned())),
            None => not_pair(at),
        };
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(members)) => members
                .iter()
                .map(|(key, value)| text_of(value).map_or_else(|| wrong(name, "expected strings"), |text| Ok((key.clone(), text))))
                .collect::<Result<_>>()
                .map(Some),
            Some(Value::Array(values)) => values.iter().enumerate().map(|(at, value)| pair(at, value)).collect::<Result<_>>().map(Some),
            Some(value) => pair(0, value).map(|pair| Some(BTreeMap::from([pair]))),
        }
    }

    /// A duration; zero if it is missing.
    pub(super) fn duration(&self, name: &str) -> Result<Duration> {
        let text = self.text(name)?;
        if text.starts_with('-') {
            return Err(Error::BadRequest(format!("{name} must be positive")));
        }
        cofferdam_hcl::parse_duration(&text).map_err(|_| Error::BadRequest(format!("time: invalid duration {text:?}")))
    }

    /// The increment of a renewal; zero if it is missing.
    pub(super) fn increment(&self) -> Result<Duration> {
        const NAME: &str = "increment";
        let text = self.text(NAME)?;
        if text.starts_with('-') {
            return wrong(NAME, format!("cannot provide negative value '{text}'"));
        }
        cofferdam_hcl::parse_duration(&text).or_else(|_| wrong(NAME, format!("time: invalid duration {text:?}")))
    }

    /// A warning that names the fields that are not among those known.
    pub(super) fn ignored(&self, known: &[&str]) -> Option<String> {
        let mut unknown: Vec<&str> = self.0.keys().map(String::as_str).filter(|name| !known.contains(name)).collect();
        unknown.sort_unstable();
        (!unknown.is_empty()).then(|| format!("Endpoint ignored these unrecognized parameters: [{}]", unknown.join(" ")))
    }
}
