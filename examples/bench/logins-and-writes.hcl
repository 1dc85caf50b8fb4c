# Logins and writes, half and half: what a storage feels most. For `coffer bench --config`, and unchanged for `vault-benchmark run -config`.
# The token comes from VAULT_TOKEN, the address from VAULT_ADDR or here.

vault_addr = "http://127.0.0.1:8200"
duration   = "30s"
cleanup    = true

test "approle_auth" "approle_logins" {
  weight = 50
  config {
    role {
      role_name = "benchmark-role"
      token_ttl = "2m"
    }
  }
}

test "kvv2_write" "static_secret_writes" {
  weight = 50
  config {
    numkvs = 100
    kvsize = 100
  }
}
