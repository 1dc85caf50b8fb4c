# A snapshot of a cluster with integrated storage to a directory.
#
#   coffer migrate --config migrate-snapshot-to-filesystem.hcl

storage_source "raft_snapshot" {
  path = "/var/backups/vault/vault.snap"
}

storage_destination "filesystem" {
  path = "/var/lib/coffer"
}
