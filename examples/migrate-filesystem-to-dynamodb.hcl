# A directory of Vault's file storage, or of ours, to a table; in the other direction the two blocks change their names.
#
#   coffer migrate --config migrate-filesystem-to-dynamodb.hcl

storage_source "file" {
  path = "/var/lib/vault"
}

storage_destination "dynamodb" {
  table        = "coffer-data"
  region       = "eu-central-1"
  billing_mode = "PAY_PER_REQUEST"
}
