# The file that HashiCorp's guide on migrating from DynamoDB to integrated storage shows. `coffer migrate` reads it and answers with the
# commands that take the same entries there: integrated storage is not written directly.

storage_source "dynamodb" {
  ha_enabled = "true"
  region     = "eu-central-1"
  table      = "vault-data"
}

storage_destination "Raft" {
  path    = "/opt/vault/data"
  node_id = "vault-1"
}

cluster_addr = "https://vault-1.example.com:8201"
