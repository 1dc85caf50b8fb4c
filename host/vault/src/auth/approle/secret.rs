//! A secret id as it is stored, at `secret_id/<HMAC of the role's name>/<HMAC of the secret id>`, and the index from its accessor.
//!
//! The rules: the secret id itself is stored nowhere; one whose accessor's index is missing does not count, so that each is made by the last change
//! and unmade by the first; who changes an entry holds the lock of its HMAC.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::AppRole;
use super::role::Role;
use crate::auth::stored;
use crate::crypto;
use crate::lease::clock::Time;
use crate::logical::{Fields, Result};

/// A secret id. Members that are not known are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Secret {
    pub(super) secret_id_accessor: String,
    /// How often it can be used yet; zero for no limit.
    pub(super) secret_id_num_uses: i64,
    /// Nanoseconds; zero for ever, less than that for the mount's longest.
    pub(super) secret_id_ttl: i64,
    pub(super) creation_time: Time,
    pub(super) expiration_time: Time,
    pub(super) last_updated_time: Time,
    pub(super) metadata: Option<BTreeMap<String, String>>,
    pub(super) cidr_list: Option<Vec<String>>,
    pub(super) token_cidr_list: Option<Vec<String>>,
    /// An old member.
    #[serde(rename = "SecretIDNumUses")]
    pub(super) old_num_uses: i64,
    #[serde(flatten)]
    pub(super) other: Map<String, Value>,
}

/// The index from an accessor.
#[derive(Serialize, Deserialize)]
pub(super) struct Accessor {
    pub(super) secret_id_hmac: String,
}

impl Secret {
    pub(super) fn ended(&self, now: OffsetDateTime) -> bool {
        self.expiration_time.passed(now)
    }

    pub(super) fn networks(&self) -> &[String] {
        self.cidr_list.as_deref().unwrap_or_default()
    }

    /// How the API shows it.
    pub(super) fn shown(&self) -> Fields {
        let list = |list: &Option<Vec<String>>| list.clone().map_or(Value::Null, Value::from);
        let metadata =
            self.metadata.clone().map_or(Value::Null, |pairs| pairs.into_iter().map(|(name, value)| (name, Value::from(value))).collect());
        [
            ("cidr_list", list(&self.cidr_list)),
            ("creation_time", self.creation_time.text().into()),
            ("expiration_time", self.expiration_time.text().into()),
            ("last_updated_time", self.last_updated_time.text().into()),
            ("metadata", metadata),
            ("secret_id_accessor", self.secret_id_accessor.as_str().into()),
            ("secret_id_num_uses", self.secret_id_num_uses.into()),
            ("secret_id_ttl", (self.secret_id_ttl / 1_000_000_000).into()),
            ("token_bound_cidrs", self.token_cidr_list.clone().unwrap_or_default().into()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

impl AppRole {
    pub(super) async fn secret_at(&self, key: &str) -> Result<Option<Secret>> {
        let Some(mut secret) = stored::get::<Secret>(&self.view, key).await? else { return Ok(None) };
        // Of both members the smaller one counts, as long as there is a limit.
        let old = std::mem::take(&mut secret.old_num_uses);
        if old != 0 && (secret.secret_id_num_uses == 0 || old < secret.secret_id_num_uses) {
            secret.secret_id_num_uses = old;
        }
        Ok(Some(secret))
    }

    /// The secret id of this HMAC, if it counts: its accessor is known, and it has not ended. One that does not is deleted. The caller holds its
    /// lock.
    pub(super) async fn counting(&self, role: &Role, hmac: &str) -> Result<Option<Secret>> {
        let key = format!("{}{hmac}", role.folder()?);
        let Some(secret) = self.secret_at(&key).await? else { return Ok(None) };
        let known = self.accessor(role, &secret.secret_id_accessor).await?.is_some();
        if known && !secret.ended(self.clock.now()) {
            return Ok(Some(secret));
        }
        self.delete_secret(role, hmac, &secret).await?;
        Ok(None)
    }

    /// The index of an accessor.
    pub(super) async fn accessor(&self, role: &Role, accessor: &str) -> Result<Option<Accessor>> {
        stored::get(&self.view, &format!("{}{}", role.accessors(), self.salted(accessor))).await
    }

    /// Makes a secret id. The caller holds the lock of its HMAC.
    pub(super) async fn register(&self, role: &Role, hmac: &str, mut secret: Secret) -> Result<Secret> {
        let key = format!("{}{hmac}", role.folder()?);
        if self.counting(role, hmac).await?.is_some() {
            return Err(super::failed("failed to store secret_id: SecretID is already registered"));
        }
        let now = self.clock.now();
        secret.secret_id_accessor = crypto::uuid();
        secret.creation_time = Time::from(now);
        secret.last_updated_time = Time::from(now);
        let ttl = self.capped(secret.secret_id_ttl);
        if !ttl.is_zero() {
            secret.expiration_time = Time::from(now + ttl);
        }
        let accessor = format!("{}{}", role.accessors(), self.salted(&secret.secret_id_accessor));
        let index = stored::encode(&Accessor { secret_id_hmac: hmac.to_owned() })?;
        let changes = vec![self.view.change(&accessor, Some(&index))?, self.view.change(&key, Some(&stored::encode(&secret)?))?];
        self.view.batch(changes).await?;
        Ok(secret)
    }

    /// How long a secret id may live: no longer than the mount's leases.
    pub(super) fn capped(&self, nanoseconds: i64) -> Duration {
        let max = self.max_ttl();
        u64::try_from(nanoseconds).map_or(max, |ttl| Duration::from_nanos(ttl).min(max))
    }

    /// Counts a use: of the last one nothing is left. The caller holds the lock.
    pub(super) async fn spend(&self, role: &Role, hmac: &str, secret: &Secret) -> Result<()> {
        match secret.secret_id_num_uses {
            0 => Ok(()),
            1 => self.delete_secret(role, hmac, secret).await,
            uses => {
                let left = Secret { secret_id_num_uses: uses - 1, last_updated_time: Time::from(self.clock.now()), ..secret.clone() };
                stored::put(&self.view, &format!("{}{hmac}", role.folder()?), &left).await
            }
        }
    }

    /// Deletes a secret id: it does not count from the first of the two changes on. The caller holds the lock.
    pub(super) async fn delete_secret(&self, role: &Role, hmac: &str, secret: &Secret) -> Result<()> {
        let accessor = format!("{}{}", role.accessors(), self.salted(&secret.secret_id_accessor));
        self.view.batch(vec![self.view.change(&accessor, None)?, self.view.change(&format!("{}{hmac}", role.folder()?), None)?]).await
    }
}
