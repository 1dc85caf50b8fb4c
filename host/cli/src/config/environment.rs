//! Environment variables that come over the configuration: of each, `BAO_…` before `VAULT_…`.

use super::{Builder, ConfigError, Format, Level, check_address};
use std::collections::BTreeMap;

/// The environment variables of one start, `BAO_…` and `VAULT_…` only.
#[derive(Debug, Default, Clone)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of the process.
    pub(crate) fn of_process() -> Self {
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
    }

    /// `BAO_<name>`, else `VAULT_<name>`; empty counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<(String, &str)> {
        ["BAO_", "VAULT_"].iter().find_map(|prefix| {
            let name = format!("{prefix}{name}");
            let value = self.0.get(&name).filter(|value| !value.is_empty())?;
            Some((name, value.as_str()))
        })
    }

    /// The value of [`Environment::get`].
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(|(_, value)| value)
    }

    pub(super) fn apply(&self, builder: &mut Builder) -> Result<(), ConfigError> {
        if let Some((name, value)) = self.get("API_ADDR").or_else(|| self.get("REDIRECT_ADDR")) {
            check_address(value).map_err(|message| ConfigError::whole(name, message))?;
            builder.api_addr = Some(value.to_owned());
        }
        if let Some((name, value)) = self.get("CLUSTER_ADDR") {
            check_address(value).map_err(|message| ConfigError::whole(name, message))?;
            builder.cluster_addr = Some(value.to_owned());
        }
        if let Some((name, value)) = self.get("LOG_LEVEL") {
            builder.log.level = Some(Level::parse(value).map_err(|message| ConfigError::whole(name, message))?);
        }
        if let Some((name, value)) = self.get("LOG_FORMAT") {
            builder.log.format = Some(Format::parse(value).map_err(|message| ConfigError::whole(name, message))?);
        }
        if let Some((name, value)) = self.get("RAW_STORAGE_ENDPOINT").filter(|(_, value)| !matches!(*value, "0" | "false")) {
            return Err(ConfigError::whole(name, format!("{value:?}: sys/raw is not built in: unset it")));
        }
        if let Some((name, value)) = self.get("SEAL_TYPE").filter(|(_, value)| *value != "shamir") {
            return Err(ConfigError::whole(name, format!("no seal {value:?} here: supported is shamir; unset it")));
        }
        Ok(())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().filter(|(name, _)| name.starts_with("BAO_") || name.starts_with("VAULT_")).collect())
    }
}
