# One server that unseals itself with a KMS key. Copy to /etc/coffer/coffer.hcl and start with
#
#     coffer server --config /etc/coffer/coffer.hcl
#
# then `coffer operator init` once; it prints recovery keys instead of unseal keys. From then on the server needs nobody at its starts.
# The stanza is Vault's: a server of its can be stopped and this one started on its data. docs/awskms.md lists every key.

# The component awskms.wasm is part of the binary. It has one 32-byte key wrapped and unwrapped by this one KMS key and nothing else; it
# never sees the root key, and no credential, address or signature.
seal "awskms" {
  region     = "eu-central-1"
  kms_key_id = "alias/coffer-unseal" # an alias, a key id or an ARN
}

# Credentials come from where the machine has them: the environment, ~/.aws, a web identity token, a container's endpoint, the instance's
# role. They need kms:Encrypt, kms:Decrypt and kms:DescribeKey on that key.

storage "filesystem" {
  path = "/var/lib/coffer/data"
}

# A server started on an older copy of its data refuses to open it, unless it is started with --accept-rollback.
state_path = "/var/lib/coffer/state.json"

# Requests in clear, from this machine only: for a proxy on the same machine that speaks TLS.
listener "tcp" {
  address     = "127.0.0.1:8200"
  tls_disable = true
}

api_addr = "http://127.0.0.1:8200"
