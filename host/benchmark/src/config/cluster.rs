//! `cluster_json`: several servers of one cluster, and a token.

use super::ConfigError;
use serde::Deserialize;
use std::path::Path;
use zeroize::Zeroizing;

#[derive(Deserialize)]
pub(super) struct Cluster {
    #[serde(default)]
    pub token: Zeroizing<String>,
    pub vault_addrs: Vec<String>,
}

pub(super) fn read(path: &Path) -> Result<Cluster, ConfigError> {
    let wrong = |message: String| ConfigError::new(format!("cluster_json {}", path.display()), message);
    let text = std::fs::read(path).map(Zeroizing::new).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let expected = "expected {\"token\": \"…\", \"vault_addrs\": [\"https://…\", …]}";
    // The message of the parser may show what it read, the token too.
    let cluster: Cluster =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("line {}, column {}: {expected}", error.line(), error.column())))?;
    if cluster.vault_addrs.is_empty() {
        return Err(wrong(format!("names no server: {expected}")));
    }
    Ok(cluster)
}
