//! A block of the file, read by its keys: one that is not known, or is there twice, is an error that lists what is known.

use super::ConfigError;
use cofferdam_hcl::{Error, Item, Kind, Object, Pos, Value};
use serde_json::{Map, Number, Value as Json};
use std::path::Path;
use std::time::Duration;

/// A block, and the file it stands in.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    file: &'a Path,
    object: &'a Object,
}

impl<'a> Fields<'a> {
    /// The block, if it has no other keys than these, each once. `repeated` may be there several times.
    pub(crate) fn new(file: &'a Path, object: &'a Object, what: &str, known: &[&str], repeated: &[&str]) -> Result<Self, ConfigError> {
        let fields = Self { file, object };
        for (index, item) in object.items.iter().enumerate() {
            let name = item.name();
            let same = |other: &&str| other.eq_ignore_ascii_case(name);
            if repeated.iter().any(same) {
                continue;
            }
            if !known.iter().any(same) {
                let mut all: Vec<&str> = known.iter().chain(repeated).copied().collect();
                all.sort_unstable();
                let known = if all.is_empty() { "it takes none".to_owned() } else { format!("known are {}", all.join(", ")) };
                return Err(fields.error(item.pos, format!("{name:?} is no key of {what}: {known}")));
            }
            if object.items.iter().take(index).any(|before| before.name().eq_ignore_ascii_case(name)) {
                return Err(fields.error(item.pos, format!("{name} is there twice in {what}: keep one of them")));
            }
        }
        Ok(fields)
    }

    /// The file.
    pub(crate) fn file(&self) -> &'a Path {
        self.file
    }

    /// An error at a place of the file.
    pub(crate) fn error(&self, pos: Pos, message: impl Into<String>) -> ConfigError {
        ConfigError::new(format!("{}:{pos}", self.file.display()), message)
    }

    fn at<T>(&self, item: &Item, value: Result<T, Error>) -> Result<T, ConfigError> {
        value.map_err(|error| self.error(error.pos, format!("{}: {}", item.name(), error.message)))
    }

    fn read<T>(&self, name: &str, read: impl Fn(&Value) -> Result<T, Error>) -> Result<Option<T>, ConfigError> {
        let Some(item) = self.object.get(name) else { return Ok(None) };
        if let Some(label) = item.label(0) {
            return Err(self.error(item.pos, format!("{name} {label:?}: expected {name} = …, without a label")));
        }
        self.at(item, read(&item.value)).map(Some)
    }

    /// A text.
    pub(crate) fn string(&self, name: &str) -> Result<Option<String>, ConfigError> {
        self.read(name, |value| {
            let text = value.string()?;
            // The language of these files would put something in its place; here nothing is.
            match value.as_str().is_some_and(|text| text.contains("${") || text.contains("%{")) {
                true => Err(Error::new(value.pos, "templates (${…}, %{…}) are not resolved: write the value")),
                false => Ok(text),
            }
        })
    }

    /// A name that becomes a part of a path; an empty one is none.
    pub(crate) fn name(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let found = self.string(name)?.filter(|text| !text.is_empty());
        if let (Some(text), Some(item)) = (&found, self.object.get(name)) {
            is_name(text).map_err(|message| self.error(item.value.pos, format!("{name}: {message}")))?;
        }
        Ok(found)
    }

    /// Yes or no.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        self.read(name, Value::boolean)
    }

    /// A whole number of at least `least`.
    pub(crate) fn count(&self, name: &str, least: u32) -> Result<Option<u32>, ConfigError> {
        self.read(name, |value| {
            let number = value.integer()?;
            let count = u32::try_from(number).ok().filter(|count| *count >= least);
            count.ok_or_else(|| Error::new(value.pos, format!("expected a whole number from {least} to {}, found {number}", u32::MAX)))
        })
    }

    /// A time.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, ConfigError> {
        self.read(name, Value::duration)
    }

    /// A block inside this one, if it is there.
    pub(crate) fn block(&self, name: &str, known: &[&str]) -> Result<Option<Fields<'a>>, ConfigError> {
        let Some(item) = self.object.get(name) else { return Ok(None) };
        if let Some(label) = item.label(0) {
            return Err(self.error(item.pos, format!("{name} {label:?}: expected {name} {{ … }}, without a label")));
        }
        let object = self.at(item, item.value.object())?;
        Self::new(self.file, object, name, known, &[]).map(Some)
    }

    /// What the block sets, for the body of a request.
    pub(crate) fn json(&self) -> Result<Map<String, Json>, ConfigError> {
        let entry = |item: &Item| match json(&item.value) {
            Ok(value) => Ok((item.name().to_owned(), value)),
            Err(error) => Err(self.error(error.pos, format!("{}: {}", item.name(), error.message))),
        };
        self.object.items.iter().map(entry).collect()
    }
}

/// Whether this can be a part of a path; the error says what was expected.
pub(crate) fn is_name(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err(format!("expected a name without control characters, found {text:?}"));
    }
    // A server would take the path for a shorter one.
    if text.split('/').any(|part| part == "." || part == "..") {
        return Err(format!("expected a name, found {text:?}, which leads to another path"));
    }
    Ok(())
}

fn json(value: &Value) -> Result<Json, Error> {
    Ok(match &value.kind {
        Kind::Null => Json::Null,
        Kind::Bool(value) => Json::Bool(*value),
        Kind::String(text) => Json::String(text.clone()),
        Kind::Number(number) => match number.text().parse::<Number>() {
            Ok(number) => Json::Number(number),
            Err(_) => return Err(Error::new(value.pos, format!("expected a number, found {:?}", number.text()))),
        },
        Kind::List(values) => Json::Array(values.iter().map(json).collect::<Result<_, _>>()?),
        Kind::Object(object) => {
            let members = object.items.iter().map(|item| Ok((item.name().to_owned(), json(&item.value)?)));
            Json::Object(members.collect::<Result<_, Error>>()?)
        }
    })
}
