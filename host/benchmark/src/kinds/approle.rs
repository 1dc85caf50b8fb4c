//! `approle_auth`: logins with a role id and a secret id. Each writes a token and its lease: the storage's usual stress.

use super::Site;
use crate::client::{ApiError, Plan};
use crate::config::{ConfigError, Fields};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

pub(super) const KEYS: &[&str] = &["role", "secret_id"];

const ROLE: &[&str] = &[
    "role_name",
    "bind_secret_id",
    "secret_id_bound_cidrs",
    "secret_id_num_uses",
    "secret_id_ttl",
    "local_secret_ids",
    "token_ttl",
    "token_max_ttl",
    "token_policies",
    "policies",
    "token_bound_cidrs",
    "token_explicit_max_ttl",
    "token_no_default_policy",
    "token_num_uses",
    "token_period",
    "token_type",
];

const SECRET_ID: &[&str] = &["metadata", "cidr_list", "num_uses", "ttl", "token_bound_cidrs"];

pub(crate) struct Approle {
    name: String,
    role: Map<String, Value>,
    secret_id: Map<String, Value>,
}

impl Approle {
    pub(super) fn read(config: Option<&Fields<'_>>) -> Result<Self, ConfigError> {
        let (mut name, mut role, mut secret_id) = (None, Map::new(), Map::new());
        if let Some(block) = config.map(|config| config.block("role", ROLE)).transpose()?.flatten() {
            name = block.name("role_name")?;
            role = block.json()?;
            role.remove("role_name");
        }
        if let Some(block) = config.map(|config| config.block("secret_id", SECRET_ID)).transpose()?.flatten() {
            secret_id = block.json()?;
        }
        Ok(Self { name: name.unwrap_or_else(|| "benchmark-role".to_owned()), role, secret_id })
    }

    pub(super) async fn set_up(&self, site: &mut Site<'_>) -> Result<Plan, ApiError> {
        let mount = site.enable("approle").await?;
        let role = format!("{mount}/role/{}", self.name);
        site.api.call("POST", &role, Some(&Value::Object(self.role.clone()))).await?;
        let role_id = site.api.text("GET", &format!("{role}/role-id"), None, "role_id").await?;
        let options = Value::Object(self.secret_id.clone());
        let secret_id = site.api.text("PUT", &format!("{role}/secret-id"), Some(&options), "secret_id").await?;
        let body = Zeroizing::new(json!({"role_id": role_id.as_str(), "secret_id": secret_id.as_str()}).to_string());
        Ok(Plan::new("POST", &format!("{mount}/login"), body))
    }
}
