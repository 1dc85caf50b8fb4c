# A server in a network without a way out, which reaches KMS by an interface endpoint of its VPC, and keeps its data in DynamoDB, which it
# reaches by a gateway endpoint. One set of credentials serves both.

# What all stanzas on AWS share. A role of the instance, the task or the pod needs no key here.
aws {
  region = "eu-central-1"
}

# With private DNS on the endpoint its address is the region's own, and `endpoint` can go. Without, give the endpoint's first DNS name; the
# certificate is AWS's. A policy on the endpoint can allow this key alone.
seal "awskms" {
  kms_key_id = "arn:aws:kms:eu-central-1:123456789012:key/1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d"
  endpoint   = "https://vpce-0e1bb1852241f8cc6-pzi0do8n.kms.eu-central-1.vpce.amazonaws.com"
}

storage "dynamodb" {
  table = "coffer-data"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/coffer/cert.pem"
  tls_key_file  = "/etc/coffer/key.pem"
}

api_addr = "https://coffer.internal.example:8200"
