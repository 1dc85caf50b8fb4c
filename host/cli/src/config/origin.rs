//! Where a value came from: a place in a file, an environment variable, or nowhere.
//!
//! The rule: whoever set a value is named in the error about it and in the log of the start.

use super::{ConfigError, Environment, Place};
use std::fmt;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An environment variable.
    Variable(String),
    /// A place in a configuration file.
    File(Place),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::File(place) => place.fmt(f),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Origin {
    /// An error about the value of `key` that came from here.
    pub(crate) fn error(&self, key: &str, message: impl fmt::Display) -> ConfigError {
        match self {
            Self::Variable(name) => ConfigError::whole(name, message.to_string()),
            Self::File(place) => ConfigError::new(place.clone(), format!("{key}: {message}")),
            Self::Default => ConfigError::whole(key, message.to_string()),
        }
    }
}

/// A text that somebody set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// What was written. Never empty: that is as if it had not been set.
    pub text: String,
    /// Where.
    pub origin: Origin,
}

impl Given {
    /// What a file says.
    pub(crate) fn in_file(found: Option<(String, Place)>) -> Option<Self> {
        found.filter(|(text, _)| !text.is_empty()).map(|(text, place)| Self { text, origin: Origin::File(place) })
    }

    /// What the first of these environment variables that is set says.
    pub(crate) fn in_environment(variables: &[&str], environment: &Environment) -> Option<Self> {
        variables.iter().find_map(|name| {
            let text = environment.variable(name)?.to_owned();
            Some(Self { text, origin: Origin::Variable((*name).to_owned()) })
        })
    }

    /// What `parse` makes of it; its errors name the key and the origin.
    pub(crate) fn parse<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        parse(&self.text).map_err(|message| self.origin.error(key, message))
    }
}

/// A switch in Go's spellings, which are those that Vault takes.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    cofferdam_hcl::parse_boolean(text).ok_or_else(|| format!("expected true or false, found {text:?}"))
}
