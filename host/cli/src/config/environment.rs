//! Environment variables that come over the configuration: of each, `BAO_…` before `VAULT_…`; and those of a storage or a seal, by their
//! whole name, as those of OpenTelemetry.
//!
//! The rule: no variable that holds a credential of a cloud is kept here; whoever provides credentials and regions reads those, and what
//! a file refers to by its name is read when it is asked for.

use super::{Builder, ConfigError, Format, Level, check_address};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Variables that are looked for by their whole name.
const NAMED: &[&str] = &[
    "DYNAMODB_HA_ENABLED",
    "AWSKMS_WRAPPER_KEY_ID",
    "AWSKMS_ENDPOINT",
    "AWS_KMS_ENDPOINT",
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
];

/// What else such variables begin with.
const PREFIXES: &[&str] = &["BAO_", "VAULT_", "AWS_DYNAMODB_"];

/// The environment variables of one start, as far as they are the configuration's.
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

    /// A variable by its whole name; empty counts as not set.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable of the process that a configuration file refers to by its name.
    pub(super) fn referenced(name: &str) -> Option<Zeroizing<String>> {
        std::env::var(name).ok().map(Zeroizing::new)
    }

    pub(super) fn apply(&self, builder: &mut Builder) -> Result<(), ConfigError> {
        if let Some((name, value)) = ["API_ADDR", "REDIRECT_ADDR", "ADVERTISE_ADDR"].iter().find_map(|name| self.get(name)) {
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
        if let Some((name, value)) = self.get("DISABLE_USER_LOCKOUT") {
            let wrong = || ConfigError::whole(&name, format!("{value:?}: expected \"true\" or \"false\""));
            builder.no_lockout = cofferdam_hcl::parse_boolean(value).ok_or_else(wrong)?;
        }
        Ok(())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        let ours = |name: &str| NAMED.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        Self(variables.into_iter().filter(|(name, _)| ours(name)).collect())
    }
}
