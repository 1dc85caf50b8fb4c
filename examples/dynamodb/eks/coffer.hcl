# The configuration of the pods in coffer.yaml, which holds the same text as a ConfigMap. There is no credential and no role in it: IRSA puts
# AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE into the pod's environment, and the server reads the token anew whenever it refreshes.
# (With EKS Pod Identity the variables are others and the server finds them as well; the ServiceAccount then needs no annotation.)

storage "dynamodb" {
  region     = "eu-central-1"
  table      = "coffer-data"
  ha_enabled = "true"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/coffer/tls/tls.crt"
  tls_key_file  = "/etc/coffer/tls/tls.key"
}

log_format = "json"

# api_addr is each pod's own: the StatefulSet sets it by the environment variable VAULT_API_ADDR.
