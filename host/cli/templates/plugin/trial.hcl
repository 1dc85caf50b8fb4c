# What `coffer plugin test --config trial.hcl` opens this plugin with. The key is for trials: it is known to everybody.
seal "@NAME@" {
  key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
}

plugin "seal" "@NAME@" {
  # What the real one is to reach, `grant "http"` or `grant "aws"`: docs/operators.md of Cofferdam.
}
