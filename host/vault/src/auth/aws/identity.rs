//! `config/identity`: by what a client is known, and what of it is written on its token.
//!
//! Stored as Vault stores it. What it says of EC2 instances is kept and handed back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer;
use super::arn::Principal;
use crate::auth::stored;
use crate::kv::fields::{Input, Kind, Schema};
use crate::logical::{Error, Fields, Request, Response, Result};
use crate::view::View;

/// Where it is stored.
const KEY: &str = "config/identity";
const ROLE_ID: &str = "role_id";
const IAM_ALIASES: [&str; 3] = [ROLE_ID, "unique_id", "full_arn"];
const EC2_ALIASES: [&str; 3] = [ROLE_ID, "instance_id", "image_id"];
/// What is written if nothing is said.
const DEFAULT: [&str; 2] = ["account_id", "auth_type"];
const IAM_MORE: [&str; 6] =
    ["canonical_arn", "client_arn", "client_user_id", "inferred_aws_region", "inferred_entity_id", "inferred_entity_type"];
const EC2_MORE: [&str; 3] = ["ami_id", "instance_id", "region"];

const FIELDS: Schema =
    &[("iam_alias", Kind::Text), ("iam_metadata", Kind::Texts), ("ec2_alias", Kind::Text), ("ec2_metadata", Kind::Texts)];

/// Which metadata are written; none for the default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Metadata {
    auth_metadata: Option<Vec<String>>,
}

/// The settings. Members that are not known are kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Known {
    iam_alias: String,
    iam_auth_metadata_handler: Option<Metadata>,
    ec2_alias: String,
    ec2_auth_metadata_handler: Option<Metadata>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

fn or_role_id(alias: &str) -> &str {
    if alias.is_empty() { ROLE_ID } else { alias }
}

/// The names of a handler.
fn names(handler: Option<&Metadata>) -> Vec<String> {
    match handler.and_then(|handler| handler.auth_metadata.clone()) {
        Some(names) => names,
        None => DEFAULT.map(str::to_owned).to_vec(),
    }
}

/// The names that a request gives, checked; the inner none for the default.
fn given(input: &Input<'_>, field: &str, more: &[&str]) -> Result<Option<Metadata>> {
    let Some(names) = input.texts(field) else { return Ok(None) };
    let mut names: Vec<String> = names.iter().filter(|name| !name.is_empty()).cloned().collect();
    if names.iter().any(|name| name == "default") {
        if names.len() > 1 {
            return Err(Error::BadRequest(format!(
                "{:?} contains default - default can't be used in combination with other fields",
                names.join(", ")
            )));
        }
        return Ok(Some(Metadata::default()));
    }
    let known: Vec<&str> = DEFAULT.iter().chain(more).copied().collect();
    if names.iter().any(|name| !known.contains(&name.as_str())) {
        return Err(Error::BadRequest(format!(
            "{:?} contains an unavailable field, please select from {:?}",
            names.join(", "),
            known.join(", ")
        )));
    }
    names.sort();
    names.dedup();
    Ok(Some(Metadata { auth_metadata: Some(names) }))
}

fn alias(input: &Input<'_>, field: &str, allowed: &[&str]) -> Result<Option<String>> {
    let Some(alias) = input.text(field) else { return Ok(None) };
    if allowed.contains(&alias) {
        return Ok(Some(alias.to_owned()));
    }
    Err(Error::BadRequest(format!("{field} of {alias:?} not in set of allowed values: [{}]", allowed.join(" "))))
}

impl Known {
    /// The name by which a caller that logs in with a role is known.
    pub(super) fn alias(&self, role_id: &str, caller: &answer::Identity) -> String {
        match self.iam_alias.as_str() {
            "unique_id" => caller.unique_id().to_owned(),
            "full_arn" => caller.arn.clone(),
            _ => role_id.to_owned(),
        }
    }

    /// What is written on the token: the role's id always, and what is configured, if there is any.
    pub(super) fn metadata(&self, role_id: &str, principal: &Principal, caller: &answer::Identity) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::from([("role_id".to_owned(), role_id.to_owned())]);
        for name in names(self.iam_auth_metadata_handler.as_ref()) {
            let value = match name.as_str() {
                "account_id" => principal.account.clone(),
                "auth_type" => "iam".to_owned(),
                "canonical_arn" => principal.canonical(),
                "client_arn" => caller.arn.clone(),
                "client_user_id" => caller.unique_id().to_owned(),
                // Of inferred instances, which there are none of here.
                _ => continue,
            };
            metadata.insert(name, value);
        }
        metadata
    }

    fn shown(&self) -> Fields {
        Fields::from_iter([
            ("iam_alias".to_owned(), or_role_id(&self.iam_alias).into()),
            ("iam_metadata".to_owned(), names(self.iam_auth_metadata_handler.as_ref()).into()),
            ("ec2_alias".to_owned(), or_role_id(&self.ec2_alias).into()),
            ("ec2_metadata".to_owned(), names(self.ec2_auth_metadata_handler.as_ref()).into()),
        ])
    }

    fn change(&mut self, input: &Input<'_>) -> Result<()> {
        if let Some(given) = alias(input, "iam_alias", &IAM_ALIASES)? {
            self.iam_alias = given;
        }
        if let Some(given) = alias(input, "ec2_alias", &EC2_ALIASES)? {
            self.ec2_alias = given;
        }
        if let Some(given) = given(input, "iam_metadata", &IAM_MORE)? {
            self.iam_auth_metadata_handler = Some(given);
        }
        if let Some(given) = given(input, "ec2_metadata", &EC2_MORE)? {
            self.ec2_auth_metadata_handler = Some(given);
        }
        self.iam_alias = or_role_id(&self.iam_alias).to_owned();
        self.ec2_alias = or_role_id(&self.ec2_alias).to_owned();
        self.iam_auth_metadata_handler.get_or_insert_default();
        self.ec2_auth_metadata_handler.get_or_insert_default();
        Ok(())
    }
}

/// The settings, or the default ones.
pub(super) async fn load(view: &View) -> Result<Known> {
    Ok(stored::get(view, KEY).await?.unwrap_or_default())
}

pub(super) async fn read(view: &View) -> Result<Response> {
    Ok(Response::data(load(view).await?.shown()))
}

pub(super) async fn write(view: &View, request: &Request) -> Result<Response> {
    let input = Input::new(request, FIELDS, false)?;
    let mut known = load(view).await?;
    known.change(&input)?;
    stored::put(view, KEY, &known).await?;
    Ok(input.warn(Response::empty()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::aws::tests::request;
    use crate::logical::Operation;

    fn changed(known: &mut Known, body: Value) -> Result<(), String> {
        Input::new(&request(Operation::Update, KEY, body), FIELDS, false)
            .and_then(|input| known.change(&input))
            .map_err(|error| error.to_string())
    }

    fn caller() -> (Principal, answer::Identity) {
        let arn = "arn:aws:sts::123456789012:assumed-role/deploy/i-1";
        let caller = answer::Identity { arn: arn.to_owned(), user_id: "AROA:i-1".to_owned(), account: "123456789012".to_owned() };
        (Principal::parse(arn).unwrap(), caller)
    }

    #[test]
    fn vaults_entry_is_read_and_written_as_the_same() {
        let text = r#"{"iam_alias":"unique_id","iam_auth_metadata_handler":{"auth_metadata":["account_id"]},"ec2_alias":"role_id","ec2_auth_metadata_handler":{"auth_metadata":null},"x":1}"#;
        let mut known = serde_json::from_str::<Known>(text).unwrap();
        assert_eq!(serde_json::to_string(&known).unwrap(), text);
        changed(&mut known, json!({})).unwrap();
        assert_eq!(serde_json::to_string(&known).unwrap(), text);
        let mut known = Known::default();
        assert_eq!(
            Value::from(known.shown()),
            json!({"iam_alias": "role_id", "iam_metadata": DEFAULT, "ec2_alias": "role_id", "ec2_metadata": DEFAULT})
        );
        changed(&mut known, json!({"ec2_metadata": "ami_id"})).unwrap();
        let stored: Value = serde_json::to_value(&known).unwrap();
        assert_eq!(stored["ec2_auth_metadata_handler"], json!({"auth_metadata": ["ami_id"]}));
        assert_eq!((&stored["iam_alias"], &stored["iam_auth_metadata_handler"]), (&json!("role_id"), &json!({"auth_metadata": null})));
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        for (body, error) in [
            (json!({"iam_alias": "x"}), "iam_alias of \"x\" not in set of allowed values: [role_id unique_id full_arn]"),
            (json!({"ec2_alias": "unique_id"}), "ec2_alias of \"unique_id\" not in set of allowed values: [role_id instance_id image_id]"),
            (
                json!({"iam_metadata": "default,account_id"}),
                "\"default, account_id\" contains default - default can't be used in combination with other fields",
            ),
            (
                json!({"ec2_metadata": ["x"]}),
                "\"x\" contains an unavailable field, please select from \"account_id, auth_type, ami_id, instance_id, region\"",
            ),
        ] {
            assert_eq!(changed(&mut Known::default(), body), Err(error.to_owned()));
        }
    }

    #[test]
    fn alias_and_metadata_are_what_is_configured() {
        let (principal, caller) = caller();
        let mut known = Known::default();
        let plain =
            |known: &Known| known.metadata("id", &principal, &caller).into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
        assert_eq!(plain(&known), ["account_id=123456789012", "auth_type=iam", "role_id=id"]);
        assert_eq!(known.alias("id", &caller), "id");
        changed(
            &mut known,
            json!({"iam_alias": "unique_id", "iam_metadata": "client_arn,canonical_arn,client_user_id,inferred_entity_id"}),
        )
        .unwrap();
        assert_eq!(
            plain(&known),
            [
                "canonical_arn=arn:aws:iam::123456789012:role/deploy",
                "client_arn=arn:aws:sts::123456789012:assumed-role/deploy/i-1",
                "client_user_id=AROA",
                "role_id=id"
            ]
        );
        assert_eq!(known.alias("id", &caller), "AROA");
        changed(&mut known, json!({"iam_alias": "full_arn", "iam_metadata": ""})).unwrap();
        assert_eq!((plain(&known), known.alias("id", &caller)), (vec!["role_id=id".to_owned()], caller.arn.clone()));
        changed(&mut known, json!({"iam_metadata": "default"})).unwrap();
        assert_eq!(plain(&known).len(), 3);
    }
}
