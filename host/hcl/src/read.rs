//! Reading a value as the type that is wanted, as leniently as Vault does: a number where a string is wanted, `"true"` where a
//! boolean is wanted, `"5m"`, `"300"` or `300` where a duration is wanted.

use crate::duration::{parse_duration, parse_size};
use crate::{Error, Item, Kind, Object, Result, Value};
use std::time::Duration;

/// A boolean in Go's spellings, which are those that Vault takes.
pub fn parse_boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl Value {
    fn wrong<T>(&self, wanted: &str) -> Result<T> {
        Err(Error::new(self.pos, format!("expected {wanted}, found {}", self.described())))
    }

    /// What the value is, for messages: `a string`, `a list`.
    pub fn described(&self) -> &'static str {
        match self.kind {
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::String(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Object(_) => "an object",
            Kind::Null => "null",
        }
    }

    /// The string itself, only if it was written as one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// A string; a number gives its text as written. A boolean gives `1` or `0`, as HCL 1's weak decoding does.
    pub fn string(&self) -> Result<String> {
        match &self.kind {
            Kind::String(text) => Ok(text.clone()),
            Kind::Number(number) => Ok(number.text().to_owned()),
            Kind::Bool(value) => Ok(if *value { "1" } else { "0" }.to_owned()),
            Kind::List(_) | Kind::Object(_) | Kind::Null => self.wrong("a string"),
        }
    }

    /// A string for settings that are handed on as text (a storage stanza): as [`Value::string`], but a boolean gives `true` or
    /// `false`.
    pub fn setting(&self) -> Result<String> {
        match &self.kind {
            Kind::Bool(value) => Ok(value.to_string()),
            _ => self.string(),
        }
    }

    /// A boolean; also a string that Go's `ParseBool` takes (`1 t T true TRUE True` and their opposites), and a number (0 is false).
    pub fn boolean(&self) -> Result<bool> {
        match &self.kind {
            Kind::Bool(value) => Ok(*value),
            Kind::Number(number) => Ok(number.to_f64() != 0.0),
            Kind::String(text) => {
                parse_boolean(text).ok_or_else(|| Error::new(self.pos, format!("expected true or false, found {text:?}")))
            }
            Kind::List(_) | Kind::Object(_) | Kind::Null => self.wrong("true or false"),
        }
    }

    /// A whole number, or a string that holds one.
    pub fn integer(&self) -> Result<i64> {
        let text = match &self.kind {
            Kind::Number(number) => number.text(),
            Kind::String(text) => text,
            Kind::Bool(_) | Kind::List(_) | Kind::Object(_) | Kind::Null => return self.wrong("a whole number"),
        };
        crate::number::integer(text)
            .ok_or_else(|| Error::new(self.pos, format!("expected a whole number of at most 64 bits, found {text:?}")))
    }

    /// A duration: a number of seconds, or a string with a unit (`90`, `"90"`, `"90s"`, `"1h30m"`, `"2d"`). Never negative.
    pub fn duration(&self) -> Result<Duration> {
        let text = match &self.kind {
            Kind::Number(number) => number.text(),
            Kind::String(text) => text,
            Kind::Bool(_) | Kind::List(_) | Kind::Object(_) | Kind::Null => return self.wrong("a duration, such as \"90s\" or \"1h30m\""),
        };
        parse_duration(text).map_err(|message| Error::new(self.pos, message))
    }

    /// A size in bytes: a number, or a string with a unit (`"32MiB"`, `"512kb"`).
    pub fn size(&self) -> Result<u64> {
        let text = match &self.kind {
            Kind::Number(number) => number.text(),
            Kind::String(text) => text,
            Kind::Bool(_) | Kind::List(_) | Kind::Object(_) | Kind::Null => {
                return self.wrong("a size in bytes, such as 33554432 or \"32MiB\"");
            }
        };
        parse_size(text).map_err(|message| Error::new(self.pos, message))
    }

    /// A list.
    pub fn list(&self) -> Result<&[Value]> {
        match &self.kind {
            Kind::List(values) => Ok(values),
            _ => self.wrong("a list"),
        }
    }

    /// A list of strings; a single string or number is a list of one.
    pub fn strings(&self) -> Result<Vec<String>> {
        match &self.kind {
            Kind::List(values) => values.iter().map(Value::string).collect(),
            Kind::String(_) | Kind::Number(_) => Ok(vec![self.string()?]),
            Kind::Bool(_) | Kind::Object(_) | Kind::Null => self.wrong("a list of strings"),
        }
    }

    /// A list of strings; a string is split at its commas, as Vault's listener settings are.
    pub fn comma_strings(&self) -> Result<Vec<String>> {
        let strings = match &self.kind {
            Kind::String(text) => text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect(),
            _ => self.strings()?,
        };
        Ok(strings)
    }

    /// An object. A list of exactly one object is that object, as JSON configurations are often written.
    pub fn object(&self) -> Result<&Object> {
        match &self.kind {
            Kind::Object(object) => Ok(object),
            Kind::List(values) => match values.as_slice() {
                [Value { kind: Kind::Object(object), .. }] => Ok(object),
                _ => self.wrong("an object"),
            },
            _ => self.wrong("an object"),
        }
    }
}

impl Item {
    /// An error about this item: its keys, then `message`, at its position.
    pub fn error(&self, message: impl std::fmt::Display) -> Error {
        let keys: Vec<&str> = self.keys.iter().map(|key| key.text.as_str()).collect();
        Error::new(self.pos, format!("{}: {message}", keys.join(" ")))
    }
}
