//! The requests and answers of the paths that work while the vault is sealed, as the server reads and writes them in JSON.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::logical::{Error, Result};

/// The body of `PUT sys/init`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct InitRequest {
    /// How many shares the unseal key is split into.
    pub secret_shares: i64,
    /// How many of them unseal.
    pub secret_threshold: i64,
    /// Old clients of Vault send it; the number of stored shares is always 1.
    pub stored_shares: i64,
    /// PGP keys for the shares: refused, not offered by this server.
    pub pgp_keys: Option<Vec<String>>,
    /// PGP key for the root token: refused.
    pub root_token_pgp_key: Option<String>,
    /// Only for auto seals.
    pub recovery_shares: i64,
    /// Only for auto seals.
    pub recovery_threshold: i64,
    /// Only for auto seals.
    pub recovery_pgp_keys: Option<Vec<String>>,
}

impl InitRequest {
    /// The shares and the threshold, of the unseal key or with a key service of this kind of the recovery key. Refuses what is not offered and what
    /// belongs to the other kind of seal; the numbers are checked where they are used.
    pub(crate) fn shares(&self, service: Option<&str>) -> Result<(i64, i64)> {
        let some = |keys: &Option<Vec<String>>| keys.as_ref().is_some_and(|keys| !keys.is_empty());
        let barrier = [
            (self.secret_shares != 0, "secret_shares"),
            (self.secret_threshold != 0, "secret_threshold"),
            (some(&self.pgp_keys), "pgp_keys"),
        ];
        let recovery = [
            (self.recovery_shares != 0, "recovery_shares"),
            (self.recovery_threshold != 0, "recovery_threshold"),
            (some(&self.recovery_pgp_keys), "recovery_pgp_keys"),
        ];
        let (kind, foreign) = service.map_or(("shamir", recovery), |kind| (kind, barrier));
        let foreign: Vec<&str> = foreign.into_iter().filter_map(|(given, name)| given.then_some(name)).collect();
        if !foreign.is_empty() {
            return Err(Error::BadRequest(format!("parameters {} not applicable to seal type {kind}", foreign.join(","))));
        }
        let token = self.root_token_pgp_key.as_ref().is_some_and(|key| !key.is_empty());
        if some(&self.pgp_keys) || some(&self.recovery_pgp_keys) || token {
            return Err(Error::bad_request(
                "pgp_keys, recovery_pgp_keys and root_token_pgp_key are not supported by this server; encrypt the keys after init",
            ));
        }
        Ok(match service {
            Some(_) => (self.recovery_shares, self.recovery_threshold),
            None => (self.secret_shares, self.secret_threshold),
        })
    }
}

/// The answer to `PUT sys/init`. It holds secrets: nothing but the answer's body may see it.
#[derive(Serialize)]
pub struct InitResult {
    /// The unseal key's shares, in hex; none with a key service.
    pub keys: Vec<Zeroizing<String>>,
    /// The same in base 64.
    pub keys_base64: Vec<Zeroizing<String>>,
    /// The recovery key's shares, in hex; only with a key service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_keys: Option<Vec<Zeroizing<String>>>,
    /// The same in base 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_keys_base64: Option<Vec<Zeroizing<String>>>,
    /// The first root token.
    pub root_token: Zeroizing<String>,
}

/// The body of `PUT sys/unseal`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct UnsealRequest {
    /// A share of the unseal key, in hex or base 64.
    pub key: Zeroizing<String>,
    /// Forgets the shares given so far.
    pub reset: bool,
    /// Whether a store that is under another seal than the configured one is to be migrated.
    pub migrate: bool,
}

impl UnsealRequest {
    /// The share, decoded.
    pub(super) fn share(&self) -> Result<Zeroizing<Vec<u8>>> {
        if self.key.is_empty() {
            return Err(Error::bad_request("'key' must be specified in request body as JSON, or 'reset' set to true"));
        }
        super::share(&self.key)
    }
}

/// The answer of `sys/seal-status` and of `sys/unseal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SealStatus {
    /// The seal's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether there is a vault in the storage.
    pub initialized: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// The threshold of shares.
    pub t: u8,
    /// The number of shares.
    pub n: u8,
    /// Shares given so far.
    pub progress: usize,
    /// Names the unsealing in progress; empty if none.
    pub nonce: String,
    /// Whether t and n are those of the recovery key.
    pub recovery_seal: bool,
    /// How the recovery key is shared out: `shamir`; only with a key service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_seal_type: Option<String>,
    /// The server's version.
    pub version: String,
    /// When the server was built, as OpenBao 2.6 and later name it.
    pub commit_date: String,
    /// The same for Vault's clients.
    pub build_date: String,
    /// Whether the seal is being migrated.
    pub migration: bool,
    /// The cluster's name; only if unsealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// The cluster's id; only if unsealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The name of the storage's stanza.
    pub storage_type: String,
    /// What is wrong with the seal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The answer of `sys/health`. Its status follows from the first three members and the request's query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether there is a vault in the storage; if not, 501.
    pub initialized: bool,
    /// Whether it is sealed; if so, 503.
    pub sealed: bool,
    /// Whether another server is active; if so, 429.
    pub standby: bool,
    /// `disabled`, or `unknown` while sealed.
    pub replication_performance_mode: &'static str,
    /// The same.
    pub replication_dr_mode: &'static str,
    /// Seconds since 1970.
    pub server_time_utc: i64,
    /// The server's version.
    pub version: String,
    /// The cluster's name; only if unsealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// The cluster's id; only if unsealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
}

/// The answer of `sys/leader`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leader {
    /// Whether several servers share the storage.
    pub ha_enabled: bool,
    /// Who leads them; only if they do.
    #[serde(flatten)]
    pub leadership: Option<Leadership>,
}

/// Who leads the servers that share a storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leadership {
    /// Whether it is this one.
    pub is_self: bool,
    /// Since when it is this one: RFC 3339, the year 1 if it is another.
    pub active_time: String,
    /// The leader's address for clients; empty if it is not known.
    pub leader_address: String,
    /// Its address for other servers: empty, there is no port for them.
    pub leader_cluster_address: String,
    /// Whether a standby answers reads: never.
    pub performance_standby: bool,
    /// Belongs to it.
    pub performance_standby_last_remote_wal: u64,
}
