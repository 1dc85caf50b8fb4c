# A cluster with integrated storage to DynamoDB: from the snapshot that `bao operator raft snapshot save` or `vault operator raft snapshot save` made.
# The table is made if it is missing.
#
#   coffer migrate --config migrate-snapshot-to-dynamodb.hcl

storage_source "raft_snapshot" {
  path = "/var/backups/vault/vault.snap"
}

storage_destination "dynamodb" {
  table        = "coffer-data"
  region       = "eu-central-1"
  billing_mode = "PAY_PER_REQUEST"
}
