//! `role/…`: writing, reading and listing roles.

use std::sync::LazyLock;

use super::role::{EC2, IAM, Role};
use super::{Aws, arn};
use crate::auth::params::{TOKEN_FIELDS, seconds};
use crate::auth::stored;
use crate::kv::fields::{Input, Kind};
use crate::logical::{Error, Request, Response, Result};

const OWN: [(&str, Kind); 20] = [
    ("auth_type", Kind::Text),
    ("bound_iam_principal_arn", Kind::Texts),
    ("resolve_aws_unique_ids", Kind::Bool),
    ("policies", Kind::Texts),
    ("ttl", Kind::Seconds),
    ("max_ttl", Kind::Seconds),
    ("period", Kind::Seconds),
    ("inferred_entity_type", Kind::Text),
    ("inferred_aws_region", Kind::Text),
    ("bound_ami_id", Kind::Texts),
    ("bound_account_id", Kind::Texts),
    ("bound_ec2_instance_id", Kind::Texts),
    ("bound_iam_role_arn", Kind::Texts),
    ("bound_iam_instance_profile_arn", Kind::Texts),
    ("bound_region", Kind::Texts),
    ("bound_subnet_id", Kind::Texts),
    ("bound_vpc_id", Kind::Texts),
    ("role_tag", Kind::Text),
    ("allow_instance_migration", Kind::Bool),
    ("disallow_reauthentication", Kind::Bool),
];
static FIELDS: LazyLock<Vec<(&str, Kind)>> = LazyLock::new(|| OWN.into_iter().chain(TOKEN_FIELDS).collect());

/// Bindings of instances.
const OF_INSTANCES: [&str; 8] = [
    "bound_account_id",
    "bound_region",
    "bound_ami_id",
    "bound_iam_instance_profile_arn",
    "bound_ec2_instance_id",
    "bound_iam_role_arn",
    "bound_vpc_id",
    "bound_subnet_id",
];

const NO_LOOKUPS: &str = "resolve_aws_unique_ids cannot be true: this server makes no look-ups in IAM, without which it cannot know the unique id of an \
                          ARN; it matches principals by their ARN";

/// What a role of a form that this server has not is refused with.
pub(super) fn of_instances(name: &str) -> Error {
    Error::BadRequest(format!(
        "the role {name:?} is about instances of EC2, which this server does not offer: it is kept as it is, and can be read, listed and deleted"
    ))
}

fn key(name: &str) -> String {
    format!("role/{}", name.to_lowercase())
}

impl Aws {
    /// The role of this name. One of an older version is stored anew.
    pub(super) async fn role(&self, name: &str) -> Result<Option<Role>> {
        let Some(bytes) = self.view.get(&key(name)).await? else { return Ok(None) };
        let (role, upgraded) = Role::from_stored(name, &bytes)?;
        if !upgraded {
            return Ok(Some(role));
        }
        let _alone = self.writes.lock().await;
        // Another may have been quicker, and chosen another id.
        let Some(bytes) = self.view.get(&key(name)).await? else { return Ok(None) };
        let (role, upgraded) = Role::from_stored(name, &bytes)?;
        if upgraded {
            stored::put(&self.view, &key(name), &role.members()?).await?;
        }
        Ok(Some(role))
    }

    pub(super) async fn read_role(&self, name: &str) -> Result<Response> {
        let role = self.role(name).await?.ok_or(Error::NotFound)?;
        Ok(Response::data(role.shown()?))
    }

    pub(super) async fn remove_role(&self, name: &str) -> Result<Response> {
        let _alone = self.writes.lock().await;
        self.view.delete(&key(name)).await?;
        Ok(Response::empty())
    }

    pub(super) async fn list_roles(&self) -> Result<Response> {
        Response::list(self.view.list("role/").await?)
    }

    pub(super) async fn write_role(&self, name: &str, request: &Request) -> Result<Response> {
        let input = Input::of_path(request, &FIELDS, true, "role")?;
        let known = self.role(name).await?;
        let _alone = self.writes.lock().await;
        let mut role = match known {
            // Once more, now that nobody else writes.
            Some(_) => match self.view.get(&key(name)).await? {
                Some(bytes) => Role::from_stored(name, &bytes)?.0,
                None => Role::new(),
            },
            None => {
                check_form(input.text("auth_type"))?;
                Role::new()
            }
        };
        let warnings = change(&mut role, name, &input)?;
        stored::put(&self.view, &key(name), &role.members()?).await?;
        Ok(input.warn(Response { warnings, ..Response::empty() }))
    }
}

/// The form of a new role.
fn check_form(auth_type: Option<&str>) -> Result<()> {
    match auth_type {
        None | Some(IAM) => Ok(()),
        Some(EC2) => {
            Err(Error::bad_request("auth_type ec2 is not offered by this server: roles of the aws auth method are of auth_type iam"))
        }
        Some(other) => Err(Error::BadRequest(format!("unrecognized auth_type: {other}"))),
    }
}

/// Takes over what a request says. Warnings for the client.
fn change(role: &mut Role, name: &str, input: &Input<'_>) -> Result<Vec<String>> {
    let auth_type = if role.is_iam() { IAM } else { EC2 };
    if input.text("auth_type").is_some_and(|given| given != auth_type) {
        return Err(Error::bad_request("changing auth_type on a role is not allowed"));
    }
    if !role.is_iam() || role.infers() {
        return Err(of_instances(name));
    }
    match (input.bool("resolve_aws_unique_ids"), role.resolves()) {
        (Some(false), true) => return Err(Error::bad_request("changing resolve_aws_unique_ids from true to false is not allowed")),
        (Some(true), false) => return Err(Error::bad_request(NO_LOOKUPS)),
        _ => {}
    }
    let mut warnings = Vec::new();
    if let Some(arns) = input.texts("bound_iam_principal_arn") {
        let arns: Vec<String> = arns.iter().filter(|arn| !arn.is_empty()).cloned().collect();
        if role.resolves()
            && let Some(arn) = arns.iter().find(|arn| !arn.ends_with('*'))
        {
            return Err(Error::BadRequest(format!(
                "unable to resolve ARN {arn:?} to internal ID: this server makes no look-ups in IAM; delete the role, and write it with \
                 resolve_aws_unique_ids=false"
            )));
        }
        warnings.extend(arns.iter().filter_map(|arn| arn::doubts(arn)));
        role.bind(arns);
    }
    without_instances(input)?;
    warnings.extend(role.token.set(input)?);
    role.set_old_policies(input.texts("policies"), input.has("token_policies"));
    for old in ["ttl", "max_ttl", "period"] {
        role.set_old_time(old, seconds(input, old), input.has(&format!("token_{old}")));
    }
    if role.principals().is_empty() {
        return Err(Error::bad_request("at least one bound parameter should be specified on the role"));
    }
    if !role.token.token_max_ttl.is_zero() && role.token.token_ttl > role.token.token_max_ttl {
        return Err(Error::bad_request("ttl should be shorter than max ttl"));
    }
    Ok(warnings)
}

/// Refuses what is about instances, in the words that Vault has for a role that does not infer any.
fn without_instances(input: &Input<'_>) -> Result<()> {
    let refused = |text: String| Err(Error::BadRequest(text));
    let given = |name: &str| input.text(name).is_some_and(|text| !text.is_empty());
    match input.text("inferred_entity_type").unwrap_or_default() {
        "" if given("inferred_aws_region") => return refused("specified inferred_aws_region but not inferred_entity_type".to_owned()),
        "" => {}
        "ec2_instance" if !given("inferred_aws_region") => {
            return refused("specified inferred_entity_type but not inferred_aws_region".to_owned());
        }
        "ec2_instance" => {
            return refused("inferred_entity_type is not offered by this server: it does not ask EC2 for instances".to_owned());
        }
        other => return refused(format!("specified invalid inferred_entity_type: {other}")),
    }
    for name in OF_INSTANCES {
        if input.texts(name).is_some_and(|values| values.iter().any(|value| !value.is_empty())) {
            let inferring = if name == "bound_region" { "" } else { " or inferring ec2_instance" };
            return refused(format!("specified {name} but not specifying ec2 auth_type{inferring}"));
        }
    }
    if given("role_tag") {
        return refused("tried to enable role_tag when not using ec2 auth method".to_owned());
    }
    for name in ["allow_instance_migration", "disallow_reauthentication"] {
        if input.bool(name) == Some(true) {
            return refused(format!("specified {name} when not using ec2 auth type"));
        }
    }
    Ok(())
}
