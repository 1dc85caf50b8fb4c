# One server that keeps its data in a DynamoDB table. Copy to /etc/coffer/coffer.hcl and start with
#
#     coffer server --config /etc/coffer/coffer.hcl
#
# then `coffer operator init` once, and `coffer operator unseal` after every start. The same stanza is Vault's: a server of its can
# be stopped and this one started on its table. docs/dynamodb.md lists every key.

# The component dynamodb.wasm is part of the binary. It sends requests on this one table and nothing else; address, credentials and
# signatures stay outside it.
storage "dynamodb" {
  region = "eu-central-1"
  table  = "coffer-data"

  # Only for a table that does not exist yet: the server makes it, and changes an existing one never.
  # terraform/ has the same as a table of Terraform's, which is the better place for what outlives a server.
  billing_mode           = "PAY_PER_REQUEST"
  point_in_time_recovery = "true"
  deletion_protection    = "true"
  tags {
    application = "coffer"
  }
}

# Credentials come from where the machine has them: the environment, ~/.aws, a web identity token, a container's endpoint, the instance's
# role. No key needs to stand in this file. To use another account's table, name a role of that account:
#
# aws {
#   role_arn = "arn:aws:iam::123456789012:role/coffer"
# }

# Requests in clear, from this machine only: for a proxy on the same machine that speaks TLS.
listener "tcp" {
  address     = "127.0.0.1:8200"
  tls_disable = true
}

api_addr = "http://127.0.0.1:8200"
