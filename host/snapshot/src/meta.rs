//! `meta.json`: what raft says of a snapshot.

use serde::{Deserialize, Deserializer, Serialize};

/// The snapshot in the words of raft. Where it came from does not matter to a server that restores it: that keeps its own place in the log, and its own peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Meta {
    /// The version of this description: 1.
    pub version: u64,
    /// Its name.
    #[serde(rename = "ID", default)]
    pub id: String,
    /// The last entry of raft's log that is in it.
    #[serde(default)]
    pub index: u64,
    /// The term of that.
    #[serde(default)]
    pub term: u64,
    /// A relict of raft's first version.
    #[serde(default)]
    pub peers: Option<String>,
    /// The servers of the cluster.
    #[serde(default)]
    pub configuration: Configuration,
    /// Where in the log these are from.
    #[serde(default)]
    pub configuration_index: u64,
    /// The length of the entries in bytes.
    #[serde(default)]
    pub size: u64,
}

/// The servers of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Configuration {
    /// All of them.
    #[serde(default, deserialize_with = "none_or_some")]
    pub servers: Vec<Server>,
}

/// One server of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Server {
    /// Whether it votes: 0 if it does.
    #[serde(default)]
    pub suffrage: u64,
    /// Its id.
    #[serde(rename = "ID", default)]
    pub id: String,
    /// Its address for the others.
    #[serde(default)]
    pub address: String,
}

/// Go writes a list that it never made as null.
fn none_or_some<'de, D: Deserializer<'de>>(given: D) -> Result<Vec<Server>, D::Error> {
    Ok(Option::deserialize(given)?.unwrap_or_default())
}

impl Default for Meta {
    /// What a store without raft says of itself, which both servers restore.
    fn default() -> Meta {
        Meta {
            version: 1,
            id: "bolt-snapshot".to_owned(),
            index: 1,
            term: 1,
            peers: None,
            configuration: Configuration::default(),
            configuration_index: 0,
            size: 0,
        }
    }
}
