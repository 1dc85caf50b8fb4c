//! The types of tests that vault-benchmark knows.

const HERE: &[&str] = &[
    "approle_auth",
    "cubbyhole_read",
    "cubbyhole_write",
    "ha_status",
    "kvv1_read",
    "kvv1_write",
    "kvv2_read",
    "kvv2_write",
    "metrics",
    "seal_status",
    "transit_decrypt",
    "transit_encrypt",
    "transit_sign",
    "transit_verify",
    "userpass_auth",
];

/// Those that need a service beside the server, or an engine that is rarely where this program is used.
const ELSEWHERE: &[&str] = &[
    "associations_read",
    "associations_write",
    "aws_auth",
    "aws_secret",
    "azure_auth",
    "azure_secret",
    "cassandra_secret",
    "cert_auth",
    "consul_secret",
    "couchbase_secret",
    "elasticsearch_secret",
    "events",
    "gcp_auth",
    "gcp_impersonation_secret",
    "gcp_secret",
    "gcpkms_decrypt",
    "gcpkms_encrypt",
    "gcpkms_reencrypt",
    "gcpkms_sign",
    "gcpkms_verify",
    "github_auth",
    "hanadb_secret",
    "identity",
    "jwt_auth",
    "kube_auth",
    "kubernetes_secret",
    "ldap_auth",
    "ldap_dynamic_secret",
    "ldap_static_secret",
    "mongodb_atlas_secret",
    "mongodb_secret",
    "mssql_secret",
    "mysql_secret",
    "nomad_secret",
    "okta_auth",
    "oracle_secret",
    "pki_issue",
    "pki_sign",
    "postgresql_secret",
    "rabbitmq_secret",
    "radius_auth",
    "redis_dynamic_secret",
    "redis_elasticache_secret",
    "redis_static_secret",
    "redshift_secret",
    "snowflake_dynamic_secret",
    "snowflake_static_secret",
    "ssh_issue",
    "ssh_sign",
    "terraform_secret",
    "totp_create",
    "totp_generate",
    "totp_read",
    "transform_tokenization",
];

/// Why there is no such type here.
pub(super) fn refusal(name: &str) -> String {
    let here = HERE.join(", ");
    if ELSEWHERE.contains(&name) {
        format!("test type {name:?} is vault-benchmark's, and is not built in here: remove the test; known here are {here}")
    } else {
        format!("invalid test type found: {name:?}; known are {here}")
    }
}

#[cfg(test)]
mod tests {
    use super::{ELSEWHERE, HERE};
    use crate::kinds::Kind;

    #[test]
    fn every_type_of_vault_benchmark_is_known() {
        let mut all: Vec<_> = HERE.iter().chain(ELSEWHERE).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 69);
        for name in HERE {
            assert!(Kind::keys(name).is_ok(), "{name}");
        }
        for name in ELSEWHERE {
            assert!(Kind::keys(name).unwrap_err().contains("is vault-benchmark's"), "{name}");
        }
        let wrong = Kind::keys("approle_logins").unwrap_err();
        assert!(wrong.contains("invalid test type found: \"approle_logins\"") && wrong.contains("approle_auth, "), "{wrong}");
    }
}
