//! `grant "aws" { … }`: one table or one key that a plugin may send requests about, and which requests. The host signs them.

use super::Role;
use crate::config::aws::{self as shared, Access, Aws, IDENTITY, Named, Requests};
use crate::config::files::Source;
use crate::config::keys::{Scope, Verdict};
use crate::config::nearest::nearest;
use crate::config::origin::{Given, Origin};
use crate::config::{ConfigError, Place, seal};
use cofferdam_aws::{DynamoDb, Kms};
use cofferdam_hcl::{Object, Value};
use std::path::PathBuf;

/// What requests may be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    /// A table of DynamoDB, by its name.
    Table(String),
    /// A key of KMS, by its ARN, and those that it replaces.
    Key { arn: String, previous: Vec<String> },
}

/// The grant, checked.
#[derive(Debug, Clone)]
pub(crate) struct AwsGrant {
    /// The table or the key.
    pub resource: Resource,
    /// The operations that are sent.
    pub operations: Vec<String>,
    /// How the service is reached. Its region is set.
    pub access: Access,
    /// Where the grant stands.
    pub place: Place,
}

/// What the grant alone says.
#[derive(Debug)]
pub(super) struct Draft {
    resource: Resource,
    region: Given,
    operations: Vec<String>,
    endpoint: Option<Given>,
    ca_cert: Option<Given>,
    identity: Option<Named>,
    place: Place,
}

const KEYS: &[(&str, Verdict)] = &[
    ("service", Verdict::Supported),
    ("operations", Verdict::Supported),
    ("resource", Verdict::Supported),
    ("previous_key_ids", Verdict::Supported),
    ("endpoint", Verdict::Supported),
    ("ca_cert", Verdict::Supported),
    ("region", Verdict::Refused("it is that of resource")),
];

/// Reads the block.
pub(super) fn read(file: &Source, role: Role, body: &Object, place: Place, warnings: &mut Vec<String>) -> Result<Draft, ConfigError> {
    Scope { file, name: "in grant \"aws\"", keys: &[KEYS, IDENTITY].concat() }.check(body, warnings)?;
    let missing = |key: &str, what: &str| ConfigError::new(place.clone(), format!("grant \"aws\": {key} is missing: {what}"));
    let service = file.parsed(body, "service", |text| match (text, role) {
        ("dynamodb", Role::Storage) | ("kms", Role::Seal) => Ok(text.to_owned()),
        ("dynamodb", Role::Seal) => Err("a seal is granted a key of kms, and no table".to_owned()),
        ("kms", Role::Storage) => Err("a storage is granted a table of dynamodb, and no key".to_owned()),
        (other, _) => Err(format!("expected dynamodb or kms, found {other:?}")),
    })?;
    let service = service.ok_or_else(|| missing("service", "set it to dynamodb, or for a seal to kms"))?;
    let known: Vec<&str> = if role == Role::Storage { DynamoDb::operations().collect() } else { Kms::operations().collect() };
    let operations = operations(file, body, &service, &known)?
        .ok_or_else(|| missing("operations", &format!("list those that are needed of {}", known.join(", "))))?;
    let previous = seal::previous_key_ids(file, body)?;
    if let (Some((_, place)), Role::Storage) = (&previous, role) {
        return Err(ConfigError::new(place.clone(), "previous_key_ids: a table has none: remove it"));
    }
    let found = file.parsed(body, "resource", |text| resource(role, text))?;
    let (resource, region) = found.ok_or_else(|| missing("resource", "set it to the ARN of the table, or for a seal of the key"))?;
    let resource = match resource {
        Resource::Key { arn, .. } => Resource::Key { arn, previous: previous.map_or_else(Vec::new, |(ids, _)| ids) },
        table @ Resource::Table(_) => table,
    };
    let at = body.get("resource").map_or(body.pos, |item| item.value.pos);
    let given = |name: &str| file.value(body, name, Value::string).map(Given::in_file);
    Ok(Draft {
        resource,
        region: Given { text: region, origin: Origin::File(file.place(at)) },
        operations,
        endpoint: given("endpoint")?,
        ca_cert: given("ca_cert")?,
        identity: shared::identity(file, body)?,
        place,
    })
}

fn operations(file: &Source, body: &Object, service: &str, known: &[&str]) -> Result<Option<Vec<String>>, ConfigError> {
    let Some((names, place)) = file.value(body, "operations", Value::strings)? else { return Ok(None) };
    for (index, name) in names.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            let near = nearest(name, known.iter().copied()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            let message = format!("operations: {name:?} of {service} cannot be granted: expected some of {}{near}", known.join(", "));
            return Err(ConfigError::new(place, message));
        }
        if names.iter().take(index).any(|earlier| earlier == name) {
            return Err(ConfigError::new(place, format!("operations: {name} stands there twice: remove one")));
        }
    }
    match names.is_empty() {
        true => Err(ConfigError::new(place, "operations: expected at least one; without any the grant is of no use: remove it")),
        false => Ok(Some(names)),
    }
}

/// What an ARN means, and its region.
fn resource(role: Role, text: &str) -> Result<(Resource, String), String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let digits = |account: &str| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    match (role, parts.as_slice()) {
        (Role::Storage, ["arn", _, "dynamodb", region, account, resource]) if digits(account) && !region.is_empty() => {
            let name = resource.strip_prefix("table/").map(crate::config::dynamodb::table_name);
            if let Some(Ok(name)) = name {
                return Ok((Resource::Table(name), (*region).to_owned()));
            }
        }
        (Role::Seal, ["arn", _, "kms", region, _, _]) if seal::former_key_id(text).is_ok() => {
            return Ok((Resource::Key { arn: text.to_owned(), previous: Vec::new() }, (*region).to_owned()));
        }
        _ => {}
    }
    Err(match role {
        Role::Storage => {
            format!("expected the ARN of a table, such as arn:aws:dynamodb:eu-central-1:111122223333:table/NAME, found {text:?}")
        }
        Role::Seal => format!("expected the ARN of a key, such as arn:aws:kms:eu-central-1:111122223333:key/ID, found {text:?}"),
    })
}

impl Draft {
    /// Where the grant stands.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Puts the grant over the `aws` block.
    pub(super) fn finish(self, block: &Aws, requests: Requests) -> Result<AwsGrant, ConfigError> {
        let ca_cert = self.ca_cert.or_else(|| block.ca_cert.clone());
        let mut values = vec![("region", self.region.text.clone(), self.region.origin)];
        for (key, given) in [("endpoint", &self.endpoint), ("ca_cert", &ca_cert)] {
            values.extend(given.clone().map(|given| (key, given.text, given.origin)));
        }
        let identity = block.identity_of(self.identity, &mut values);
        Ok(AwsGrant {
            resource: self.resource,
            operations: self.operations,
            access: Access {
                region: Some(self.region.text),
                endpoint: self.endpoint.map(|given| shared::with_scheme(&given.text)),
                ca_cert: ca_cert.map(|given| PathBuf::from(given.text)),
                identity,
                requests,
                values,
            },
            place: self.place,
        })
    }
}
