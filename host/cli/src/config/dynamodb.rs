//! `storage "dynamodb" { … }`: Vault's keys with Vault's environment variables, and ours.
//!
//! The rule is Vault's for this backend: an environment variable comes over the file, and one that is empty is not set. For the
//! credentials it is the other way round: the stanza's come before the environment's. Where each value came from is kept for the log.

use super::aws::{self, Access, Aws, Named, Requests};
use super::keys::{Scope, Verdict};
use super::origin::{Given, Origin, switch};
use super::{ConfigError, Environment, files::Source};
use cofferdam_aws::{BillingMode, TableSpec};
use cofferdam_hcl::{Kind, Object, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The name of the component, and the type of the stanza.
pub(crate) const DYNAMODB: &str = "dynamodb";

/// Vault's bound on requests in flight.
pub(super) const MAX_PARALLEL: usize = 128;

const TABLE: &str = "vault-dynamodb-backend";
const CAPACITY: &str = "5";

/// The keys with a text and the variables that come over each, the first that is set.
const TEXTS: &[(&str, &[&str])] = &[
    ("table", &["AWS_DYNAMODB_TABLE"]),
    ("read_capacity", &["AWS_DYNAMODB_READ_CAPACITY"]),
    ("write_capacity", &["AWS_DYNAMODB_WRITE_CAPACITY"]),
    // Its variables are not this backend's alone: whoever resolves regions puts them over it.
    ("region", &[]),
    ("endpoint", &["AWS_DYNAMODB_ENDPOINT"]),
    ("dynamodb_max_retries", &["AWS_DYNAMODB_MAX_RETRIES"]),
    ("billing_mode", &[]),
    ("point_in_time_recovery", &[]),
    ("deletion_protection", &[]),
    ("sse_kms_key_id", &[]),
    ("ca_cert", &[]),
];

/// The variable that comes over `ha_enabled`.
pub(super) const HA_ENABLED: &str = "DYNAMODB_HA_ENABLED";

/// The keys that are read elsewhere, or by old releases of Vault.
const OTHERS: &[(&str, Verdict)] =
    &[("tags", Verdict::Supported), ("recovery_mode", Verdict::Ignored("a lock that nobody renews is taken over in any case"))];

/// What the stanza and the environment say, checked.
#[derive(Debug, Clone)]
pub(crate) struct DynamoDb {
    /// The table, as it is made if there is none.
    pub table: TableSpec,
    /// How often the component tries again. None leaves it to the component.
    pub max_retries: Option<u32>,
    /// How it reaches the service.
    pub access: Access,
}

/// What the stanza alone says.
#[derive(Debug)]
pub(super) struct Draft {
    texts: Vec<(&'static str, Given)>,
    tags: BTreeMap<String, String>,
    identity: Option<Named>,
    requests: Requests,
}

/// Reads the stanza; `common` are the keys of every storage.
pub(super) fn read(
    file: &Source,
    body: &Object,
    common: &[(&'static str, Verdict)],
    warnings: &mut Vec<String>,
) -> Result<Draft, ConfigError> {
    let own: Vec<(&str, Verdict)> = TEXTS.iter().map(|(name, _)| (*name, Verdict::Supported)).collect();
    let keys = [common, own.as_slice(), OTHERS, aws::IDENTITY].concat();
    Scope { file, name: "in storage \"dynamodb\"", keys: &keys }.check(body, warnings)?;
    let mut texts = Vec::new();
    for (name, _) in TEXTS {
        texts.extend(Given::in_file(file.value(body, name, Value::setting)?).map(|given| (*name, given)));
    }
    Ok(Draft { texts, tags: tags(file, body)?, identity: aws::identity(file, body)?, requests: aws::requests(file, body)? })
}

fn tags(file: &Source, body: &Object) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut tags = BTreeMap::new();
    let Some(item) = body.get("tags") else { return Ok(tags) };
    let Kind::Object(object) = &item.value.kind else {
        return Err(file.at(item.value.pos, format!("tags: expected a block of texts, found {}", item.value.described())));
    };
    for tag in &object.items {
        let name = tag.name();
        let value = tag.value.setting().map_err(|error| file.at(error.pos, format!("tags: {name}: {}", error.message)))?;
        let wrong = |message: &str| Err(file.at(tag.pos, format!("tags: {name}: {message}")));
        if tag.keys.len() > 1 {
            return wrong("expected a text, found a block");
        }
        if name.is_empty() || name.chars().count() > 128 || value.chars().count() > 256 {
            return wrong("a tag's name has 1 to 128 characters, its value at most 256");
        }
        if name.to_ascii_lowercase().starts_with("aws:") {
            return wrong("names that begin with aws: belong to AWS: choose another");
        }
        if tags.insert(name.to_owned(), value).is_some() {
            return wrong("set twice: remove one");
        }
    }
    if tags.len() > 50 {
        return Err(file.at(item.pos, format!("tags: a table has at most 50, found {}", tags.len())));
    }
    Ok(tags)
}

impl Draft {
    /// Puts the environment over the stanza, and the stanza over the `aws` block.
    pub(super) fn finish(self, shared: &Aws, environment: &Environment) -> Result<DynamoDb, ConfigError> {
        let mut values = Values { draft: &self, shared, environment, reported: Vec::new() };
        let table = TableSpec {
            name: values.or("table", TABLE, table_name)?,
            read_capacity: values.or("read_capacity", CAPACITY, |text| capacity("read", text))?,
            write_capacity: values.or("write_capacity", CAPACITY, |text| capacity("write", text))?,
            billing_mode: values.or("billing_mode", BillingMode::default().as_str(), billing_mode)?,
            point_in_time_recovery: values.or("point_in_time_recovery", "false", switch)?,
            deletion_protection: values.or("deletion_protection", "false", switch)?,
            tags: self.tags.clone(),
            sse_kms_key_id: values.some("sse_kms_key_id", as_is)?,
        };
        let max_retries = values.some("dynamodb_max_retries", max_retries)?.flatten();
        let region = values.some("region", as_is)?;
        let endpoint = values.some("endpoint", |text| Ok(aws::with_scheme(text)))?;
        let ca_cert = values.some("ca_cert", |text| Ok(PathBuf::from(text)))?;
        let mut values = values.reported;
        let identity = shared.identity_of(self.identity, &mut values);
        Ok(DynamoDb { table, max_retries, access: Access { region, endpoint, ca_cert, identity, requests: self.requests, values } })
    }
}

/// Looks values up in the order in which they count, and remembers who set each.
struct Values<'a> {
    draft: &'a Draft,
    shared: &'a Aws,
    environment: &'a Environment,
    reported: Vec<(&'static str, String, Origin)>,
}

impl Values<'_> {
    fn given(&self, key: &str) -> Option<Given> {
        let variables = TEXTS.iter().find(|(name, _)| *name == key).map_or(&[][..], |(_, variables)| *variables);
        let shared = match key {
            "region" => self.shared.region.clone(),
            "ca_cert" => self.shared.ca_cert.clone(),
            _ => None,
        };
        Given::in_environment(variables, self.environment)
            .or_else(|| self.draft.texts.iter().find(|(name, _)| *name == key).map(|(_, given)| given.clone()))
            .or(shared)
    }

    fn some<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, ConfigError> {
        let Some(given) = self.given(key) else { return Ok(None) };
        let value = given.parse(key, parse)?;
        self.reported.push((key, given.text, given.origin));
        Ok(Some(value))
    }

    fn or<T>(&mut self, key: &'static str, default: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        let given = self.given(key).unwrap_or_else(|| Given { text: default.to_owned(), origin: Origin::Default });
        let value = given.parse(key, parse)?;
        self.reported.push((key, given.text, given.origin));
        Ok(value)
    }
}

pub(super) fn table_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (3..=255).contains(&text.len()) && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("expected the plain name of a table: 3 to 255 letters, digits, '_', '-' and '.', found {text:?}"))
    }
}

/// Zero is the default, as in Vault.
fn capacity(of: &str, text: &str) -> Result<u64, String> {
    match text.parse::<u32>() {
        Ok(0) => Ok(TableSpec::CAPACITY),
        Ok(units) => Ok(units.into()),
        Err(_) => Err(format!("invalid {of} capacity: {text:?}: expected a whole number of capacity units, such as 5")),
    }
}

/// Vault's bound where the number is below 1.
pub(super) fn max_parallel(text: &str) -> Result<usize, String> {
    match text.parse::<i32>().map(usize::try_from) {
        Ok(Ok(calls)) if calls > 0 => Ok(calls),
        Ok(_) => Ok(MAX_PARALLEL),
        Err(_) => Err(format!("failed parsing max_parallel parameter: expected a whole number, such as 128, found {text:?}")),
    }
}

fn billing_mode(text: &str) -> Result<BillingMode, String> {
    let modes = [BillingMode::Provisioned, BillingMode::PayPerRequest];
    let found = modes.into_iter().find(|mode| mode.as_str() == text);
    found
        .ok_or_else(|| format!("expected {} or {}, found {text:?}", BillingMode::Provisioned.as_str(), BillingMode::PayPerRequest.as_str()))
}

/// Vault's `-1` leaves the number to the SDK, as does no number at all.
fn max_retries(text: &str) -> Result<Option<u32>, String> {
    match text.parse::<i32>().map(u32::try_from) {
        Ok(Ok(retries)) => Ok(Some(retries)),
        Ok(Err(_)) if text == "-1" => Ok(None),
        _ => Err(format!("invalid max retry: {text:?}: expected a whole number of at least 0, or -1 for the default")),
    }
}

fn as_is(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

impl DynamoDb {
    /// What the component is told. Region, address and credentials stay here.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let table = &self.table;
        let tags: serde_json::Map<String, serde_json::Value> =
            table.tags.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        let mut settings = vec![
            ("table", table.name.clone()),
            ("read_capacity", table.read_capacity.to_string()),
            ("write_capacity", table.write_capacity.to_string()),
            ("billing_mode", table.billing_mode.as_str().to_owned()),
            ("point_in_time_recovery", table.point_in_time_recovery.to_string()),
            ("deletion_protection", table.deletion_protection.to_string()),
        ];
        if !tags.is_empty() {
            settings.push(("tags", serde_json::Value::Object(tags).to_string()));
        }
        settings.extend(table.sse_kms_key_id.clone().map(|key| ("sse_kms_key_id", key)));
        settings.extend(self.max_retries.map(|retries| ("dynamodb_max_retries", retries.to_string())));
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
