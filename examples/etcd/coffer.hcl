# Cofferdam on etcd. The plugin's file, etcd.wasm, lies in the plugin directory and is pinned there: coffer plugin pin etcd --directory /etc/coffer/plugins

plugin_directory = "/etc/coffer/plugins"

plugin "storage" "etcd" {
  # All that it may do.
  grant "http" {
    scheme        = "http" # https for another machine
    host          = "127.0.0.1"
    port          = 2379
    methods       = ["POST"]
    path_prefixes = ["/v3/kv"]

    # What etcd wants to know is added by the host; the plugin never has it. One of:
    # header "authorization" { file = "/run/secrets/etcd-token" }
    # client_cert { cert_file = "/etc/coffer/etcd.pem" key_file = "/etc/coffer/etcd.key" }
    # ca_cert = "/etc/coffer/etcd-ca.pem"

    # Where the name leads to a private network, that must be said:
    # addresses = ["10.0.0.0/8"]
  }
}

storage "etcd" {
  endpoint = "http://127.0.0.1:2379"
  prefix   = "cofferdam/"

  # Several servers on one etcd, of which one serves: set these, and each server's own api_addr.
  # ha_enabled = true
  # fencing    = "strict"
}

listener "tcp" {
  address     = "127.0.0.1:8200"
  tls_disable = true
}

api_addr = "http://127.0.0.1:8200"
