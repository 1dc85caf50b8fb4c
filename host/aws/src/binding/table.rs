//! The table that the operator configured, and the requests that create it. The rule: a guest may create that table and no other; each member
//! of its request must be what follows from the configuration.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::scan;

/// How the service charges for a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BillingMode {
    /// Capacity bought in advance, Vault's way.
    #[default]
    Provisioned,
    /// By request.
    PayPerRequest,
}

impl BillingMode {
    /// The service's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            BillingMode::Provisioned => "PROVISIONED",
            BillingMode::PayPerRequest => "PAY_PER_REQUEST",
        }
    }
}

/// A table: its name, and what it is created with if it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// The plain name.
    pub name: String,
    /// Read capacity units, if capacity is provisioned.
    pub read_capacity: u64,
    /// Write capacity units, if capacity is provisioned.
    pub write_capacity: u64,
    /// How the service charges.
    pub billing_mode: BillingMode,
    /// Whether point-in-time recovery is switched on.
    pub point_in_time_recovery: bool,
    /// Whether the service refuses to delete it.
    pub deletion_protection: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The KMS key that encrypts it; none for the service's own.
    pub sse_kms_key_id: Option<String>,
}

impl TableSpec {
    /// Vault's capacity units, of both kinds.
    pub const CAPACITY: u64 = 5;

    /// The table of this name, as Vault makes it.
    pub fn new(name: impl Into<String>) -> TableSpec {
        TableSpec {
            name: name.into(),
            read_capacity: TableSpec::CAPACITY,
            write_capacity: TableSpec::CAPACITY,
            billing_mode: BillingMode::default(),
            point_in_time_recovery: false,
            deletion_protection: false,
            tags: BTreeMap::new(),
            sse_kms_key_id: None,
        }
    }

    /// The request that creates it, without members that say what is so anyway.
    fn creation(&self) -> Value {
        let attribute = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
        let mut request = json!({
            "TableName": self.name,
            "AttributeDefinitions": [attribute("Path"), attribute("Key")],
            "KeySchema": [{"AttributeName": "Path", "KeyType": "HASH"}, {"AttributeName": "Key", "KeyType": "RANGE"}],
        });
        let Value::Object(members) = &mut request else { return request };
        match self.billing_mode {
            BillingMode::Provisioned => {
                let capacity = json!({"ReadCapacityUnits": self.read_capacity, "WriteCapacityUnits": self.write_capacity});
                members.insert("ProvisionedThroughput".to_owned(), capacity);
            }
            mode @ BillingMode::PayPerRequest => {
                members.insert("BillingMode".to_owned(), json!(mode.as_str()));
            }
        }
        if self.deletion_protection {
            members.insert("DeletionProtectionEnabled".to_owned(), json!(true));
        }
        if !self.tags.is_empty() {
            let tags = self.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value}));
            members.insert("Tags".to_owned(), tags.collect());
        }
        if let Some(key) = &self.sse_kms_key_id {
            members.insert("SSESpecification".to_owned(), json!({"Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": key}));
        }
        request
    }

    /// Whether this body asks for exactly this table. If not, the first member that differs.
    pub(super) fn is_created_by(&self, body: &scan::Value<'_>) -> Result<(), String> {
        // What a request may say although it is so without.
        let usual = json!({"BillingMode": BillingMode::Provisioned.as_str(), "DeletionProtectionEnabled": false, "Tags": []});
        compare(body, &self.creation(), &usual)
    }

    /// Whether this body switches on this table's point-in-time recovery. If not, the first member that differs.
    pub(super) fn is_recoverable_by(&self, body: &scan::Value<'_>) -> Result<(), String> {
        let wanted = json!({"TableName": self.name, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}});
        compare(body, &wanted, &json!({}))
    }
}

fn compare(given: &scan::Value<'_>, wanted: &Value, usual: &Value) -> Result<(), String> {
    let Some(members) = given.members() else { return Err("the body".to_owned()) };
    for (name, value) in members {
        if !wanted.get(name).or_else(|| usual.get(name)).is_some_and(|wanted| same(value, wanted)) {
            return Err((*name).to_owned());
        }
    }
    let missing = wanted.as_object().and_then(|wanted| wanted.keys().find(|name| given.member(name).is_none()));
    missing.map_or(Ok(()), |name| Err(name.clone()))
}

/// Whether a value is the one that is wanted, whose lists name nothing twice. Their order has no meaning that the service does not check itself.
fn same(given: &scan::Value<'_>, wanted: &Value) -> bool {
    match (given, wanted) {
        (scan::Value::Bool(given), Value::Bool(wanted)) => given == wanted,
        (scan::Value::Number(given), Value::Number(wanted)) => *given == wanted.to_string(),
        (scan::Value::String(given), Value::String(wanted)) => given.decoded().is_some_and(|given| given == *wanted),
        (scan::Value::Array(given), Value::Array(wanted)) => {
            given.len() == wanted.len() && wanted.iter().all(|wanted| given.iter().any(|given| same(given, wanted)))
        }
        (scan::Value::Object(members), Value::Object(wanted)) => {
            members.len() == wanted.len() && members.iter().all(|(name, value)| wanted.get(*name).is_some_and(|wanted| same(value, wanted)))
        }
        _ => false,
    }
}
