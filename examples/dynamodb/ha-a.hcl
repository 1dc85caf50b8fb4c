# Server a of two on one table: the other's file differs in the address alone. One is active, the other stands by: it sends clients to the
# active one, and takes over when the lock in the table has not been renewed for 20 seconds (15 s and a margin of 5 s).
#
# Unseal both. A load balancer asks /v1/sys/health: 200 from the active server, 429 from the one that stands by.

storage "dynamodb" {
  region     = "eu-central-1"
  table      = "coffer-data"
  ha_enabled = "true"

  # "lease", the default: a leader stops writing when its lease ends. "strict": besides, every write is a transaction with a condition on
  # the lock, so that nothing of a former leader can arrive late; it costs two to four times the write units. docs/dynamodb.md weighs them.
  # fencing = "strict"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/coffer/cert.pem"
  tls_key_file  = "/etc/coffer/key.pem"
}

# This server's own address, as clients reach it: the one that stands by redirects them to the active server's.
api_addr = "https://coffer-a.example.internal:8200"
