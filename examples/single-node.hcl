# One server that keeps its data in a directory of this machine. Copy to /etc/coffer/coffer.hcl and start with
#
#     coffer server --config /etc/coffer/coffer.hcl
#
# then `coffer operator init` once, and `coffer operator unseal` after every start. Only one server may use the directory.

# The filesystem component is part of the binary; another of that name is used only if a plugin block says replaces_builtin.
# It may touch this directory and nothing else of the machine. The layout is that of Vault's storage "file".
# The server makes the directory if it is missing, for its own user only, and refuses one that others may enter.
storage "filesystem" {
  path = "/var/lib/coffer/data"

  # A write is answered when it is on the disk. "false" is faster and loses the last writes when the power fails.
  # fsync = "true"
}

# Requests in clear, from this machine only: for a proxy on the same machine that speaks TLS.
listener "tcp" {
  address     = "127.0.0.1:8200"
  tls_disable = true
}

# Requests over TLS from anywhere: remove the listener above and use this one. After a new certificate was put in place,
# `systemctl reload coffer` (SIGHUP) makes the server read it.
#
# listener "tcp" {
#   address       = "0.0.0.0:8200"
#   tls_cert_file = "/etc/coffer/cert.pem"   # the server's certificate, then those that sign it
#   tls_key_file  = "/etc/coffer/key.pem"    # readable by the server's user only
# }

# The address under which clients reach this server.
api_addr = "http://127.0.0.1:8200"

# How long tokens and leases live when nobody says otherwise, and at most.
default_lease_ttl = "768h"
max_lease_ttl     = "768h"

log_level = "info"
