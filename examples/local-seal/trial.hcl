# What `coffer plugin test` opens the plugin with. The key is for trials: it is known to everybody.
seal "local-seal" {
  key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
}

# Nothing is granted: there is no service to reach.
plugin "seal" "local-seal" {
}
