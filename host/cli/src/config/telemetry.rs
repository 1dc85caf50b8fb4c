//! The top level's `telemetry` block.

use super::keys::Scope;
use super::{ConfigError, files::Source, schema};
use cofferdam_hcl::{Item, Value};

/// Checks the block; nothing in it changes what this server records.
pub(crate) fn read(file: &Source, item: &Item, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
    let body = item.value.object().map_err(|error| file.at(error.pos, format!("telemetry: {}", error.message)))?;
    Scope { file, name: "in telemetry", keys: schema::TELEMETRY }.check(body, warnings)?;
    file.value(body, "prometheus_retention_time", Value::duration)?;
    Ok(())
}
