//! The members of an entry: Vault's, in OpenBao's order, without those that are empty.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::logical::Fields;

#[derive(Serialize)]
pub(super) struct Line<'a> {
    pub(super) time: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) auth: Who<'a>,
    pub(super) request: Asked<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response: Option<Answered<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

#[derive(Default, Serialize)]
pub(super) struct Who<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accessor: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) display_name: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) policies: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) token_policies: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) identity_policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy_results: Option<Results<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Value>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) num_uses: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) remaining_uses: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) entity_id: &'a str,
    pub(super) token_type: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) token_ttl: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token_issue_time: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Results<'a> {
    pub(super) allowed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) granting_policies: Vec<Granting<'a>>,
}

#[derive(Serialize)]
pub(super) struct Granting<'a> {
    pub(super) name: &'a str,
    pub(super) namespace_id: &'static str,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
}

#[derive(Serialize)]
pub(super) struct Asked<'a> {
    pub(super) id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_id: Option<String>,
    pub(super) operation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mount_point: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mount_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mount_accessor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mount_running_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mount_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_token_accessor: Option<String>,
    pub(super) namespace: Namespace,
    pub(super) path: &'a str,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub(super) data: Fields,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remote_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remote_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wrap_ttl: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) headers: BTreeMap<&'a str, Vec<Cow<'a, str>>>,
}

#[derive(Serialize)]
pub(super) struct Namespace {
    pub(super) id: &'static str,
}

#[derive(Serialize)]
pub(super) struct Answered<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth: Option<Who<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mount_point: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mount_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mount_accessor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mount_running_plugin_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mount_class: Option<&'static str>,
    /// kv v1 answers with a lease time, and so, in Vault, with a secret that has no lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<Fields>,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub(super) data: Fields,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wrap_info: Option<Wrapped<'a>>,
}

#[derive(Serialize)]
pub(super) struct Wrapped<'a> {
    pub(super) ttl: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accessor: Option<String>,
    pub(super) creation_time: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) creation_path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wrapped_accessor: Option<String>,
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
