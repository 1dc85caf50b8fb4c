//! What a vault stores for itself besides its tables, made at the first unseal or whenever it is missing.

use serde::{Deserialize, Serialize};

use crate::barrier::Barrier;
use crate::crypto;
use crate::logical::{Error, Result};

/// The name and id of the cluster.
pub(crate) const CLUSTER: &str = "core/cluster/local/info";

/// How clients know one vault from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) id: String,
}

/// Loads the cluster's name and id, or makes them up.
pub(crate) async fn cluster(barrier: &Barrier, name: Option<&str>) -> Result<Cluster> {
    if let Some(stored) = barrier.get(CLUSTER).await? {
        return serde_json::from_slice(&stored).map_err(|error| Error::Damaged(format!("{CLUSTER}: {error}")));
    }
    let name = match name {
        Some(name) => name.to_owned(),
        None => format!("vault-cluster-{}", hex::encode(crypto::random::<4>()?)),
    };
    let cluster = Cluster { name, id: crypto::uuid() };
    let text = serde_json::to_vec(&cluster).map_err(|error| Error::Internal(error.to_string()))?;
    barrier.put(CLUSTER, &text).await?;
    Ok(cluster)
}
