# The proxy beside an application on a machine of one's own. Start it with
#
#     coffer-proxy --config /etc/coffer-proxy/proxy.hcl          # or: coffer proxy --config …
#
# Flags and environment variables come over this file. Every key is in docs/proxy.md.

address = "https://vault.example.com:8200"
ca_cert = "/etc/coffer-proxy/ca.pem"

# On EC2, ECS, EKS and Lambda the default is enough: auth_method = "aws" with auth_provider = "aws" and auth_role.
auth_method    = "approle"
role_id        = "app"
secret_id_file = "/etc/coffer-proxy/secret-id"

# Only the user of the proxy may use this socket. An address of this machine is for all its users: listen = "127.0.0.1:8200".
listen = "unix:/run/coffer-proxy/socket"

# Answers are kept only for requests that say so (X-Vault-Cache-Control: cache).
cache_ttl = "5m"

# Also written to a file, and written again when they change.
watch = "1m"

secret "database" {
  path = "database/creds/app"
  file = "/run/coffer-proxy/database.json"
}
