//! One mount as the mount tables hold it.
//!
//! The members and their order are those of OpenBao and Vault. The rule: what this server does not know stays, so that a table which another
//! server wrote loses nothing by being rewritten here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::TokenType;
use crate::crypto;
use crate::lockout::UserLockout;
use crate::logical::{Fields, Result};

/// The namespace that is the only one here.
pub(crate) const ROOT_NAMESPACE: &str = "root";

/// The value of [`Entry::mount_state`] while a mount's data is being deleted; Vault's name and text.
const UNMOUNTING: &str = "unmounting";

/// A mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Entry {
    /// `mounts` or `auth`.
    pub(crate) table: String,
    /// Where it is mounted, with a slash at its end and, for `auth`, without `auth/`.
    pub(crate) path: String,
    /// What engine answers: `kv`, `system`, …
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) description: String,
    /// Names the part of the storage that it has.
    pub(crate) uuid: String,
    /// The prefix of kv v2's storage within that part.
    pub(crate) backend_aware_uuid: String,
    pub(crate) accessor: String,
    pub(crate) config: Config,
    pub(crate) options: Option<BTreeMap<String, String>>,
    pub(crate) local: bool,
    pub(crate) seal_wrap: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) external_entropy_access: bool,
    /// No longer routed: it is being deleted or, by another server, moved.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) tainted: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) mount_state: String,
    pub(crate) namespace_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) plugin_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) running_plugin_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) running_sha256: String,
    /// Members that other servers keep here.
    #[serde(flatten)]
    pub(crate) other: Fields,
}

/// The `config` member. Members at their zero are left out, as Go does it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    /// Nanoseconds; zero means the server's.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) default_lease_ttl: u64,
    /// Nanoseconds; zero means the server's.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) max_lease_ttl: u64,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) force_no_cache: bool,
    #[serde(skip_serializing_if = "nothing")]
    pub(crate) audit_non_hmac_request_keys: Option<Vec<String>>,
    #[serde(skip_serializing_if = "nothing")]
    pub(crate) audit_non_hmac_response_keys: Option<Vec<String>>,
    /// Empty, `hidden` or `unauth`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) listing_visibility: String,
    #[serde(skip_serializing_if = "nothing")]
    pub(crate) passthrough_request_headers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "nothing")]
    pub(crate) allowed_response_headers: Option<Vec<String>>,
    /// When clients of an auth mount are locked out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_lockout_config: Option<UserLockout>,
    /// Members that other servers keep here.
    #[serde(flatten)]
    pub(crate) other: Fields,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

fn nothing(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

impl Entry {
    /// A new mount with ids of its own.
    pub(crate) fn new(table: &str, path: &str, kind: &str, description: &str) -> Result<Entry> {
        let mut entry = Entry { path: path.to_owned(), kind: kind.to_owned(), description: description.to_owned(), ..Entry::default() };
        entry.complete(table)?;
        Ok(entry)
    }

    /// Fills in what an old or a foreign server may have left out; whether anything was.
    pub(crate) fn complete(&mut self, table: &str) -> Result<bool> {
        let complete =
            [&self.table, &self.uuid, &self.backend_aware_uuid, &self.accessor, &self.namespace_id].iter().all(|text| !text.is_empty());
        if self.table.is_empty() {
            table.clone_into(&mut self.table);
        }
        if self.uuid.is_empty() {
            self.uuid = crypto::uuid();
        }
        if self.backend_aware_uuid.is_empty() {
            self.backend_aware_uuid = crypto::uuid();
        }
        if self.accessor.is_empty() {
            let prefix = if self.table == "auth" { "auth_" } else { "" };
            self.accessor = format!("{prefix}{}_{}", self.kind, hex::encode(crypto::random::<4>()?));
        }
        if self.namespace_id.is_empty() {
            ROOT_NAMESPACE.clone_into(&mut self.namespace_id);
        }
        Ok(!complete)
    }

    /// The path as requests have it: `secret/`, `auth/token/`.
    pub(crate) fn api_path(&self) -> String {
        if self.table == "auth" { format!("auth/{}", self.path) } else { self.path.clone() }
    }

    /// The prefix of what it stores.
    pub(crate) fn storage_prefix(&self) -> String {
        if self.table == "auth" {
            format!("auth/{}/", self.uuid)
        } else if self.kind == "system" {
            "sys/".to_owned()
        } else {
            format!("logical/{}/", self.uuid)
        }
    }

    /// Whether this server made it for itself and keeps it: it cannot be moved, tuned freely or disabled.
    pub(crate) fn required(&self) -> bool {
        matches!((self.table.as_str(), self.path.as_str()), ("mounts", "sys/" | "identity/" | "cubbyhole/") | ("auth", "token/"))
    }

    /// Whether its data is being deleted, here or by Vault: to be finished at the next unseal. A mount that is only tainted was being moved
    /// by another server; its data is kept.
    pub(crate) fn unmounting(&self) -> bool {
        self.tainted && self.mount_state == UNMOUNTING
    }

    /// Marks it for deletion.
    pub(crate) fn mark_unmounting(&mut self) {
        self.tainted = true;
        UNMOUNTING.clone_into(&mut self.mount_state);
    }

    /// kv's version; none for another engine.
    pub(crate) fn kv_version(&self) -> Option<&str> {
        let version = self.options.as_ref().and_then(|options| options.get("version")).map_or("1", String::as_str);
        matches!(self.kind.as_str(), "kv" | "generic").then_some(if version.is_empty() { "1" } else { version })
    }

    /// How the API shows it; the same in every place that does.
    pub(crate) fn info(&self, running_version: &str) -> Fields {
        let mut info = Fields::new();
        let mut set = |name: &str, value: Value| info.insert(name.to_owned(), value);
        set("accessor", self.accessor.as_str().into());
        set("config", self.config.info(self.table == "auth").into());
        set("description", self.description.as_str().into());
        set("external_entropy_access", self.external_entropy_access.into());
        set("local", self.local.into());
        set("options", options_value(self.options.as_ref()));
        set("plugin_version", self.plugin_version.as_str().into());
        set("running_plugin_version", running_version.into());
        set("running_sha256", "".into());
        set("seal_wrap", self.seal_wrap.into());
        set("type", self.kind.as_str().into());
        set("uuid", self.uuid.as_str().into());
        if matches!(self.kind.as_str(), "kv" | "approle") {
            set("deprecation_status", "supported".into());
        }
        info
    }
}

/// Options as JSON.
pub(crate) fn options_value(options: Option<&BTreeMap<String, String>>) -> Value {
    options.map_or(Value::Null, |options| {
        options.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect::<Fields>().into()
    })
}

/// Whole seconds of nanoseconds.
pub(crate) fn seconds(nanoseconds: u64) -> u64 {
    Duration::from_nanos(nanoseconds).as_secs()
}

impl Config {
    fn info(&self, auth: bool) -> Fields {
        let mut info = Fields::new();
        info.insert("default_lease_ttl".to_owned(), seconds(self.default_lease_ttl).into());
        info.insert("max_lease_ttl".to_owned(), seconds(self.max_lease_ttl).into());
        info.insert("force_no_cache".to_owned(), self.force_no_cache.into());
        if auth {
            info.insert("token_type".to_owned(), self.token_type().name().into());
        }
        self.lists(&mut info);
        if let Some(lockout) = &self.user_lockout_config {
            let mut shown = Fields::new();
            lockout.show(&mut shown);
            info.insert("user_lockout_config".to_owned(), shown.into());
        }
        info
    }

    /// How long a lease lives if nobody says otherwise, and at most, with the server's times where the mount sets none.
    pub(crate) fn lease_ttls(&self, default: Duration, max: Duration) -> (Duration, Duration) {
        let or_server = |ttl: u64, server: Duration| if ttl == 0 { server } else { Duration::from_nanos(ttl) };
        (or_server(self.default_lease_ttl, default), or_server(self.max_lease_ttl, max))
    }

    /// The members that are shown only if they are set, by `sys/mounts` and `tune` alike.
    pub(crate) fn lists(&self, info: &mut Fields) {
        if !self.listing_visibility.is_empty() {
            info.insert("listing_visibility".to_owned(), self.listing_visibility.as_str().into());
        }
        for (name, list) in [
            ("audit_non_hmac_request_keys", &self.audit_non_hmac_request_keys),
            ("audit_non_hmac_response_keys", &self.audit_non_hmac_response_keys),
            ("passthrough_request_headers", &self.passthrough_request_headers),
            ("allowed_response_headers", &self.allowed_response_headers),
        ] {
            if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
                info.insert(name.to_owned(), list.clone().into());
            }
        }
    }

    /// The kind of tokens that an auth mount gives out; stored as a number, as Go's enumeration of them.
    pub(crate) fn token_type(&self) -> TokenType {
        match TokenType::of_number(self.other.get("token_type").and_then(Value::as_u64).unwrap_or_default()) {
            TokenType::Default => TokenType::DefaultService,
            other => other,
        }
    }

    /// Changes that.
    pub(crate) fn set_token_type(&mut self, kind: TokenType) {
        self.other.insert("token_type".to_owned(), kind.number().into());
    }
}
