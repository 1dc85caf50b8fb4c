# A server whose unseal key belongs to another account, so that whoever administers the server's account cannot unseal its data.
#
# In the key's account (210987654321): a role that the server's role may assume, with kms:Encrypt, kms:Decrypt and kms:DescribeKey on the key,
# and with the external id as a condition. In the server's account: sts:AssumeRole on that role.

# The data is in the server's own account, under its own role.
storage "dynamodb" {
  region = "eu-central-1"
  table  = "coffer-data"
}

# The seal is another identity: keys and roles of one stanza never serve another. The role is assumed with the machine's credentials, and again before
# it expires.
seal "awskms" {
  region            = "eu-central-1"
  kms_key_id        = "arn:aws:kms:eu-central-1:210987654321:alias/coffer-unseal" # the account is part of the name
  role_arn          = "arn:aws:iam::210987654321:role/coffer-unseal"
  role_session_name = "coffer"
  external_id       = "coffer-production"

  # Nobody has this server use a key that is not named here, whatever else the account has.
  previous_key_ids = []
}

listener "tcp" {
  address     = "127.0.0.1:8200"
  tls_disable = true
}

api_addr = "http://127.0.0.1:8200"
