//! `userpass_auth`: logins with a name and a password. They cost a server the check of a slow hash.

use super::{Site, random_bytes};
use crate::client::{ApiError, Plan};
use crate::config::{ConfigError, Fields};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

pub(super) const KEYS: &[&str] = &[
    "username",
    "password",
    "token_ttl",
    "token_max_ttl",
    "token_policies",
    "token_bound_cidrs",
    "token_explicit_max_ttl",
    "token_no_default_policy",
    "token_num_uses",
    "token_period",
    "token_type",
];

pub(crate) struct Userpass {
    name: String,
    password: Zeroizing<String>,
    user: Map<String, Value>,
}

impl Userpass {
    pub(super) fn read(config: Option<&Fields<'_>>) -> Result<Self, ConfigError> {
        let name = config.map(|config| config.name("username")).transpose()?.flatten();
        let name = name.unwrap_or_else(|| "benchmark-user".to_owned());
        let password = config.map(|config| config.string("password")).transpose()?.flatten().filter(|text| !text.is_empty());
        let password = password.unwrap_or_else(|| URL_SAFE_NO_PAD.encode(random_bytes(48)));
        let mut user = config.map(Fields::json).transpose()?.unwrap_or_default();
        user.remove("username");
        user.insert("password".to_owned(), Value::String(password.clone()));
        Ok(Self { name, password: Zeroizing::new(password), user })
    }

    pub(super) async fn set_up(&self, site: &mut Site<'_>) -> Result<Plan, ApiError> {
        let mount = site.enable("userpass").await?;
        site.api.call("POST", &format!("{mount}/users/{}", self.name), Some(&Value::Object(self.user.clone()))).await?;
        let body = Zeroizing::new(json!({"password": self.password.as_str()}).to_string());
        Ok(Plan::new("POST", &format!("{mount}/login/{}", self.name), body))
    }
}
