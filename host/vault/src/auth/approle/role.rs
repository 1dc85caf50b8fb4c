//! A role as it is stored at `role/<name in lower case>`, and the index from a role id to it, at `role_id/<salted role id>`.
//!
//! The rule: an index counts only if its role has that id, so that changing an id takes effect with the one write of the role.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::AppRole;
use crate::auth::params::TokenParams;
use crate::auth::stored;
use crate::crypto;
use crate::lease::entry::nanoseconds;
use crate::logical::{Error, Result};

/// The longest name, and the longest text that is put under an HMAC.
pub(super) const LONGEST: usize = 4096;

/// Where the secret ids of a role are: those of this cluster only are apart.
const SECRETS: &str = "secret_id/";
const LOCAL_SECRETS: &str = "secret_id_local/";
/// Both, with where their accessors are.
pub(super) const PLACES: [(&str, &str); 2] = [(SECRETS, "accessor/"), (LOCAL_SECRETS, "accessor_local/")];

/// A role. Members that are not known are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    #[serde(flatten, skip_deserializing)]
    pub(super) token: TokenParams,
    pub(super) role_id: String,
    pub(super) hmac_key: String,
    /// The old name of `token_policies`, which clients may still use and see.
    pub(super) policies: Option<Vec<String>>,
    pub(super) secret_id_num_uses: i64,
    /// Nanoseconds; less than none stands for the mount's longest.
    pub(super) secret_id_ttl: i64,
    pub(super) bind_secret_id: bool,
    /// Old names of `secret_id_bound_cidrs`.
    #[serde(skip_serializing_if = "String::is_empty")]
    bound_cidr_list: String,
    pub(super) bound_cidr_list_list: Option<Vec<String>>,
    pub(super) secret_id_bound_cidrs: Option<Vec<String>>,
    /// The old name of `token_period`.
    #[serde(with = "nanoseconds")]
    pub(super) period: Duration,
    pub(super) lower_case_role_name: bool,
    pub(super) secret_id_prefix: String,
    #[serde(flatten)]
    other: Map<String, Value>,
    /// How secret ids know it: as the client wrote it for roles that are older than names in lower case.
    #[serde(skip)]
    pub(super) name: String,
}

/// The index from a role id.
#[derive(Serialize, Deserialize)]
struct Index {
    name: String,
}

impl Role {
    /// A role that is not stored yet.
    pub(super) fn new(name: &str) -> Role {
        Role {
            hmac_key: crypto::uuid(),
            role_id: crypto::uuid(),
            bind_secret_id: true,
            lower_case_role_name: true,
            secret_id_prefix: SECRETS.to_owned(),
            name: name.to_lowercase(),
            ..Role::default()
        }
    }

    /// What old servers stored, in today's members.
    fn complete(&mut self, name: &str) -> Result<()> {
        self.token = TokenParams::take(&mut self.other).map_err(|reason| Error::Damaged(format!("{}: {reason}", key(name))))?;
        if !self.bound_cidr_list.is_empty() {
            let mut networks: Vec<String> = self.bound_cidr_list.split(',').map(|network| network.trim().to_owned()).collect();
            networks.sort();
            networks.dedup();
            self.secret_id_bound_cidrs = Some(networks);
            self.bound_cidr_list.clear();
        }
        if let Some(old) = self.bound_cidr_list_list.take().filter(|old| !old.is_empty()) {
            self.secret_id_bound_cidrs = Some(old);
        }
        if self.secret_id_prefix.is_empty() {
            SECRETS.clone_into(&mut self.secret_id_prefix);
        }
        if self.token.token_period.is_zero() {
            self.token.token_period = self.period;
        }
        if self.token.token_policies.as_ref().is_none_or(Vec::is_empty) && self.policies.as_ref().is_some_and(|old| !old.is_empty()) {
            self.token.token_policies.clone_from(&self.policies);
        }
        self.name = if self.lower_case_role_name { name.to_lowercase() } else { name.to_owned() };
        Ok(())
    }

    /// Whether its secret ids are this cluster's only.
    pub(super) fn local(&self) -> bool {
        self.secret_id_prefix == LOCAL_SECRETS
    }

    pub(super) fn make_local(&mut self) {
        LOCAL_SECRETS.clone_into(&mut self.secret_id_prefix);
    }

    /// Where the accessors of its secret ids are.
    pub(super) fn accessors(&self) -> &'static str {
        PLACES.iter().find(|(secrets, _)| *secrets == self.secret_id_prefix).map_or("accessor/", |(_, accessors)| accessors)
    }

    /// The networks that logins have to come from; none for all.
    pub(super) fn networks(&self) -> &[String] {
        self.secret_id_bound_cidrs.as_deref().unwrap_or_default()
    }

    /// Whether anything but its id is asked of a client.
    pub(super) fn constrained(&self) -> bool {
        self.bind_secret_id || !self.networks().is_empty() || !self.token.bound_cidrs().is_empty()
    }

    /// What stands for a text in the names of its secret ids.
    pub(super) fn hmac(&self, text: &str) -> Result<String> {
        if self.hmac_key.is_empty() {
            return Err(Error::Damaged(format!("the role {:?} has no HMAC key", self.name)));
        }
        if text.len() > LONGEST {
            return Err(super::failed(format!("failed to create HMAC of secret_id: value is longer than maximum of {LONGEST} bytes")));
        }
        Ok(hex::encode(crypto::hmac_sha256(self.hmac_key.as_bytes(), &[text.as_bytes()])))
    }

    /// The folder of its secret ids.
    pub(super) fn folder(&self) -> Result<String> {
        Ok(format!("{}{}/", self.secret_id_prefix, self.hmac(&self.name)?))
    }
}

fn key(name: &str) -> String {
    format!("role/{}", name.to_lowercase())
}

impl AppRole {
    /// The role of this name.
    pub(super) async fn role(&self, name: &str) -> Result<Option<Role>> {
        let Some(mut role) = stored::get::<Role>(&self.view, &key(name)).await? else { return Ok(None) };
        role.complete(name)?;
        Ok(Some(role))
    }

    /// The name of the role that an index points to, whether or not that has the id.
    pub(super) async fn indexed(&self, role_id: &str) -> Result<Option<String>> {
        let index = stored::get::<Index>(&self.view, &format!("role_id/{}", self.salted(role_id))).await?;
        Ok(index.map(|index| index.name))
    }

    pub(super) async fn put_index(&self, role: &Role) -> Result<()> {
        stored::put(&self.view, &format!("role_id/{}", self.salted(&role.role_id)), &Index { name: role.name.clone() }).await
    }

    pub(super) async fn delete_index(&self, role_id: &str) -> Result<()> {
        self.view.delete(&format!("role_id/{}", self.salted(role_id))).await
    }

    /// Stores a role whose id stays.
    pub(super) async fn put_role(&self, role: &Role) -> Result<()> {
        if !role.constrained() {
            return Err(super::failed("at least one constraint should be enabled on the role"));
        }
        stored::put(&self.view, &key(&role.name), role).await
    }

    /// Stores a role that is new, or has a new id. `before`: the old one.
    pub(super) async fn put_role_with_id(&self, role: &Role, before: Option<&str>) -> Result<()> {
        if before == Some(role.role_id.as_str()) {
            return self.put_role(role).await;
        }
        // Two roles at once could take the same id.
        let _naming = self.naming.lock().await;
        if let Some(taken) = self.indexed(&role.role_id).await?.filter(|taken| *taken != role.name)
            && self.role(&taken).await?.is_some_and(|other| other.role_id == role.role_id)
        {
            return Err(super::failed("role_id already in use"));
        }
        if !role.constrained() {
            return Err(super::failed("at least one constraint should be enabled on the role"));
        }
        self.put_index(role).await?;
        self.put_role(role).await?;
        match before {
            Some(before) => self.delete_index(before).await,
            None => Ok(()),
        }
    }

    pub(super) async fn delete_role(&self, role: &Role) -> Result<()> {
        self.view.delete(&key(&role.name)).await
    }
}
