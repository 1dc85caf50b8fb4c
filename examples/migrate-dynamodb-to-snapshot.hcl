# Vault, OpenBao or Cofferdam on DynamoDB to a cluster with integrated storage: all entries go into a raft snapshot, which the new cluster restores.
# docs/migrate.md walks through it.
#
#   coffer migrate --config migrate-dynamodb-to-snapshot.hcl

storage_source "dynamodb" {
  table  = "vault-data"
  region = "eu-central-1"
}

storage_destination "raft_snapshot" {
  path = "/var/backups/vault/migrate.snap"
}
