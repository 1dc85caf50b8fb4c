//! Saved results: one JSON object per target, one after the other.

use super::Metrics;
use super::Target;
use serde_json::Value;
use std::collections::BTreeMap;

/// Why saved results cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON.
    #[error("is not JSON: {0}; expected what `coffer bench -report-mode=json` or vault-benchmark's json mode wrote")]
    Json(#[source] serde_json::Error),
    /// JSON of something else.
    #[error(
        "object {position} is not a benchmark's result: {source}; expected what `coffer bench -report-mode=json` or vault-benchmark's json mode wrote"
    )]
    Shape {
        /// Which of the file's objects, from 1.
        position: usize,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// Nothing at all.
    #[error("holds no results; expected what `coffer bench -report-mode=json` or vault-benchmark's json mode wrote")]
    Empty,
}

/// The targets of one saved file.
///
/// Old releases of vault-benchmark wrote the tests alone, without their target; its address is then unknown (`N/A`).
///
/// # Errors
///
/// If the text is something else.
pub fn read(text: &str) -> Result<Vec<Target>, ReadError> {
    let mut targets = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(ReadError::Json)?;
        let position = targets.len() + 1;
        let target = if value.get("metrics").is_some_and(|metrics| metrics.get("latencies").is_none()) {
            serde_json::from_value(value)
        } else {
            serde_json::from_value::<BTreeMap<String, Metrics>>(value).map(|metrics| Target {
                metrics,
                target_addr: "N/A".to_owned(),
                details: None,
            })
        };
        targets.push(target.map_err(|source| ReadError::Shape { position, source })?);
    }
    if targets.is_empty() { Err(ReadError::Empty) } else { Ok(targets) }
}

/// The text to save: one line per target.
///
/// # Errors
///
/// If a number is not one (JSON has no infinity); what is measured here never is.
pub fn write(targets: &[Target]) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for target in targets {
        text.push_str(&serde_json::to_string(target)?);
        text.push('\n');
    }
    Ok(text)
}
