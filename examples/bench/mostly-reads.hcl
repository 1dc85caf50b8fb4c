# What applications do: they read much more than they write. `rps` fixes the rate, and a latency counts from when its request was due, so that a
# server that stalls is seen to. Lower `rps` below what `coffer bench -rps=0` reaches with this file, or the queue grows until the end.

duration = "30s"
workers  = 20
rps      = 500
cleanup  = true

test "kvv2_read" "secret_reads" {
  weight = 80
  config {
    numkvs = 500
    kvsize = 512
  }
}

test "kvv2_write" "secret_writes" {
  weight = 10
  config {
    numkvs = 500
    kvsize = 512
  }
}

test "approle_auth" "approle_logins" {
  weight = 8
  config {
    role {
      role_name = "benchmark-role"
      token_ttl = "5m"
    }
  }
}

test "seal_status" "health_checks" {
  weight = 2
}
