//! What to do in place of writing integrated storage: its files belong to the server that runs on them, and a snapshot takes everything there.

use crate::config::Raft;
use std::path::Path;

/// The answer to `storage_destination "raft"`: the exact commands.
pub(super) fn instead(config: &Path, raft: &Raft) -> String {
    let or = |value: &Option<String>, none: &str| value.clone().unwrap_or_else(|| none.to_owned());
    let (path, node) = (or(&raft.path, "/opt/vault/data"), or(&raft.node_id, "NODE"));
    let cluster = or(&raft.cluster_addr, "https://NODE:8201");
    format!(
        r#"storage_destination "raft": integrated storage is not written directly: its files belong to the server that runs on them.
A raft snapshot takes everything there. With vault in place of bao where the new cluster runs Vault, of the source's version:

1. In {config}, put in place of the block storage_destination:

     storage_destination "raft_snapshot" {{ path = "migrate.snap" }}

   and run: coffer migrate --config {config}

2. On the node {node}, configure the server with the seal that the source is under, and:

     storage "raft" {{
       path    = "{path}"
       node_id = "{node}"
     }}
     cluster_addr = "{cluster}"

   Start it. It has to be initialized and unsealed before it takes a snapshot; these keys are thrown away:

     bao operator init -key-shares=1 -key-threshold=1     # under a key service: -recovery-shares=1 -recovery-threshold=1
     bao operator unseal THROW-AWAY-KEY                   # not under a key service

3. Restore, with the throw-away root token:

     BAO_TOKEN=THROW-AWAY-TOKEN bao operator raft snapshot restore -force migrate.snap

   That this succeeds (a 2xx) says only that the file was taken. Wait until the server has sealed itself, which takes some seconds:

     bao status                                           # until Sealed is true; under a key service it unseals itself again

4. Unseal with the keys of the source, and read something that you know; only then it has worked:

     bao operator unseal KEY-OF-THE-SOURCE

5. Join the other nodes, unseal each, and look at the cluster:

     bao operator raft join http://FIRST-NODE:8200
     bao operator raft list-peers

docs/migrate.md walks through all of it."#,
        config = config.display()
    )
}
