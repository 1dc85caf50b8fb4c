//! The texts of the policies that every vault has.
//!
//! They grant what OpenBao's grant, so that a store handed to either server goes on unchanged. Paths with `{{…}}` match for tokens that have an
//! entity, which another server made.

/// What a token may do without anybody granting it: care for itself.
pub(super) const DEFAULT: &str = r#"# What every token may do, unless it is made without this policy. It may be changed, but not deleted.

# The token itself: look it up, renew it, give it up, ask what it may do.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }

# Its own entity.
path "identity/entity/id/{{identity.entity.id}}" { capabilities = ["read"] }
path "identity/entity/name/{{identity.entity.name}}" { capabilities = ["read"] }

# Leases whose id it knows.
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }

# Its own cubbyhole, which nobody else can see.
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }

# Wrapped responses.
path "sys/wrapping/wrap" { capabilities = ["update"] }
path "sys/wrapping/lookup" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }

# Hashes.
path "sys/tools/hash" { capabilities = ["update"] }
path "sys/tools/hash/*" { capabilities = ["update"] }

# Login to other applications through OpenID Connect.
path "identity/oidc/provider/+/authorize" { capabilities = ["read", "update"] }
"#;

/// What a token that holds a wrapped response may do: hand it out, and go.
pub(super) const RESPONSE_WRAPPING: &str = r#"# What a token that holds a wrapped response may do. Kept by the server.
path "cubbyhole/response" { capabilities = ["create", "read"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
"#;
