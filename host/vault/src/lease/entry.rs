//! A lease as it is stored at `sys/expire/id/<lease id>`, in JSON that Vault and OpenBao read.
//!
//! Members that are not known here (an alias, groups, results of OpenBao's) are kept and written back.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::clock::Time;
use crate::auth::TokenType;
use crate::keyring::json::position;
use crate::logical::Error;

/// A lease. Members that are missing have their zero value.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Lease {
    /// The path of what made it, and a name of its own.
    pub lease_id: String,
    /// The token that it belongs to, or that it is for, in its inner form.
    pub client_token: Zeroizing<String>,
    #[serde(deserialize_with = "token_kind")]
    pub(crate) token_type: u64,
    /// The path of what made it.
    pub path: String,
    pub(crate) data: Option<Map<String, Value>>,
    pub(crate) secret: Option<Map<String, Value>>,
    /// There for the lease of a token.
    pub auth: Option<Auth>,
    /// When it was made.
    pub issue_time: Time,
    /// When it ends; zero for never.
    pub expire_time: Time,
    /// When it was last renewed.
    pub last_renewal_time: Time,
    pub(crate) login_role: String,
    pub(crate) version: u64,
    #[serde(rename = "revokeErr")]
    pub(crate) revoke_error: String,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// The part of a lease that tells of its token.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// How long it lives from its making or its last renewal.
    #[serde(rename = "lease", with = "nanoseconds")]
    pub ttl: Duration,
    #[serde(with = "nanoseconds")]
    pub(crate) max_ttl: Duration,
    /// Whether it can be renewed.
    pub renewable: bool,
    pub(crate) internal_data: Option<Map<String, Value>>,
    /// The token's name for people.
    pub display_name: String,
    /// The token's policies.
    #[serde(deserialize_with = "null_is_default")]
    pub policies: Vec<String>,
    /// The same.
    #[serde(deserialize_with = "null_is_default")]
    pub token_policies: Vec<String>,
    pub(crate) identity_policies: Option<Vec<String>>,
    pub(crate) external_namespace_policies: Option<Map<String, Value>>,
    pub(crate) no_default_policy: bool,
    /// The token's metadata.
    pub metadata: Option<Map<String, Value>>,
    /// The token, in its inner form.
    pub client_token: Zeroizing<String>,
    /// The token's accessor.
    pub accessor: String,
    /// It lives this long again with every renewal.
    #[serde(with = "nanoseconds")]
    pub period: Duration,
    /// It never lives longer than this.
    #[serde(with = "nanoseconds")]
    pub explicit_max_ttl: Duration,
    /// How often the token can be used; zero for no limit.
    pub num_uses: i64,
    pub(crate) entity_id: String,
    pub(crate) alias: Option<Map<String, Value>>,
    pub(crate) group_aliases: Option<Vec<Value>>,
    pub(crate) bound_cidrs: Option<Vec<Value>>,
    /// The path that made the token.
    pub creation_path: String,
    /// 1: a service token.
    #[serde(deserialize_with = "token_kind")]
    pub token_type: u64,
    /// Whether it has no parent.
    pub orphan: bool,
    pub(crate) policy_results: Option<Map<String, Value>>,
    pub(crate) mfa_requirement: Option<Map<String, Value>>,
    pub(crate) entity_created: bool,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

impl Lease {
    /// A lease for a token.
    pub fn for_token(lease_id: String, path: String, auth: Auth, issue_time: Time, expire_time: Time) -> Lease {
        Lease {
            lease_id,
            client_token: auth.client_token.clone(),
            path,
            auth: Some(auth),
            issue_time,
            expire_time,
            version: 1,
            ..Lease::default()
        }
    }

    /// Reads the stored form.
    pub fn from_stored(key: &str, bytes: &[u8]) -> Result<Lease, Error> {
        serde_json::from_slice(bytes).map_err(|error| Error::Damaged(format!("lease {key}: {}", position(&error))))
    }

    /// The stored form.
    pub fn to_stored(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        serde_json::to_vec(self).map(Zeroizing::new).map_err(|error| Error::Internal(error.to_string()))
    }

    /// Whether it can be renewed: it ends some time, and its auth says so.
    pub fn renewable(&self) -> bool {
        !self.expire_time.is_zero() && self.auth.as_ref().is_some_and(|auth| auth.renewable)
    }
}

/// Go writes an empty list as null.
pub(crate) fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The kind of a token: a number, or as servers before Vault 1.2 wrote it its name.
pub(crate) fn token_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Kind {
        Number(u64),
        Name(String),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => 0,
        Some(Kind::Number(number)) => number,
        Some(Kind::Name(name)) => TokenType::of_name(&name).map_or(0, TokenType::number),
    })
}

/// Durations as whole nanoseconds, as Go's JSON has them. Negative ones become zero.
pub(crate) mod nanoseconds {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_nanos(u64::try_from(i64::deserialize(deserializer)?).unwrap_or_default()))
    }
}
