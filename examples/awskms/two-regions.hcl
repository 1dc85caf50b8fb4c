# A server with two seals, each a key of its own region: it unseals as long as one of the two regions answers.
#
# Each seal has a name and a priority of its own; 1 is asked first. The variables for key id and endpoint (VAULT_AWSKMS_SEAL_KEY_ID, AWS_KMS_ENDPOINT,
# …) must not be set, since they would point both seals at one key.

seal "awskms" {
  name       = "frankfurt"
  priority   = 1
  region     = "eu-central-1"
  kms_key_id = "arn:aws:kms:eu-central-1:123456789012:key/1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d"
}

seal "awskms" {
  name       = "ireland"
  priority   = 2
  region     = "eu-west-1"
  kms_key_id = "arn:aws:kms:eu-west-1:123456789012:key/6d5c4b3a-2f1e-0d9c-8b7a-6f5e4d3c2b1a"
}

# A global table would outlive a region, too; the seals are independent of where the data is.
storage "dynamodb" {
  region = "eu-central-1"
  table  = "coffer-data"
}

listener "tcp" {
  address     = "127.0.0.1:8200"
  tls_disable = true
}

api_addr = "http://127.0.0.1:8200"
