//! A role as it is stored at `role/<name in lower case>`.
//!
//! The rule: every member is kept, those of the `ec2` form and of other servers too, and handed back unchanged. Entries of older versions become ones of
//! today's when they are read.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::arn;
use crate::auth::params::TokenParams;
use crate::crypto;
use crate::keyring::json::position;
use crate::lease::entry::nanoseconds;
use crate::logical::{Error, Fields, Result};

/// The version of Vault since 1.2.
const VERSION: i64 = 3;

/// A role's own form: one that logs in by a signed request.
pub(super) const IAM: &str = "iam";
/// The form of instances, which this server has not.
pub(super) const EC2: &str = "ec2";

/// Lists of the bindings: how they are stored, and what the API calls them.
const LISTS: [(&str, &str); 10] = [
    ("bound_ami_id_list", "bound_ami_id"),
    ("bound_account_id_list", "bound_account_id"),
    ("bound_ec2_instance_id_list", "bound_ec2_instance_id"),
    (PRINCIPALS, "bound_iam_principal_arn"),
    (IDS, "bound_iam_principal_id"),
    (ROLES, "bound_iam_role_arn"),
    (PROFILES, "bound_iam_instance_profile_arn"),
    ("bound_region_list", "bound_region"),
    ("bound_subnet_id_list", "bound_subnet_id"),
    ("bound_vpc_id_list", "bound_vpc_id"),
];
const PRINCIPALS: &str = "bound_iam_principal_arn_list";
const IDS: &str = "bound_iam_principal_id_list";
const ROLES: &str = "bound_iam_role_arn_list";
const PROFILES: &str = "bound_iam_instance_profile_arn_list";

/// The members that mean something here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    role_id: String,
    auth_type: String,
    bound_iam_principal_arn_list: Option<Vec<String>>,
    bound_iam_principal_id_list: Option<Vec<String>>,
    inferred_entity_type: String,
    resolve_aws_unique_ids: bool,
    version: i64,
    // Old names of members of the token's.
    #[serde(with = "nanoseconds")]
    ttl: Duration,
    #[serde(with = "nanoseconds")]
    max_ttl: Duration,
    #[serde(with = "nanoseconds")]
    period: Duration,
    policies: Option<Vec<String>>,
}

/// A role.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Role {
    pub(super) token: TokenParams,
    known: Known,
    /// All members as they were stored.
    members: Map<String, Value>,
}

/// Who logs in, as far as a role asks.
pub(super) struct Caller<'a> {
    pub(super) unique_id: &'a str,
    pub(super) canonical: &'a str,
    /// As STS gave it; empty if it is not known any more.
    pub(super) arn: &'a str,
}

impl Role {
    /// A role of the `iam` form that is not stored yet.
    pub(super) fn new() -> Role {
        let known = Known { role_id: crypto::uuid(), auth_type: IAM.to_owned(), version: VERSION, ..Known::default() };
        let mut members = Map::new();
        members.extend(LISTS.map(|(name, _)| (name.to_owned(), Value::Null)));
        members.extend(["inferred_aws_region", "role_tag"].map(|name| (name.to_owned(), "".into())));
        members.extend(["allow_instance_migration", "disallow_reauthentication"].map(|name| (name.to_owned(), false.into())));
        members.insert("hmac_key".to_owned(), crypto::uuid().into());
        Role { token: TokenParams::default(), known, members }
    }

    /// From what is stored. The second: whether it was of an older version, and is to be stored anew.
    pub(super) fn from_stored(name: &str, bytes: &[u8]) -> Result<(Role, bool)> {
        let damaged = |error: &serde_json::Error| Error::Damaged(format!("the role {name:?} of an aws auth method: {}", position(error)));
        let mut members: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
        let upgraded = upgrade(&mut members)?;
        let whole = Value::Object(members.clone());
        let token: TokenParams = serde_json::from_value(whole.clone()).map_err(|error| damaged(&error))?;
        let known: Known = serde_json::from_value(whole).map_err(|error| damaged(&error))?;
        let mut role = Role { token, known, members };
        role.complete();
        Ok((role, upgraded))
    }

    /// What old servers stored in members of other names.
    fn complete(&mut self) {
        let (token, known) = (&mut self.token, &self.known);
        for (new, old) in
            [(&mut token.token_ttl, known.ttl), (&mut token.token_max_ttl, known.max_ttl), (&mut token.token_period, known.period)]
        {
            if new.is_zero() {
                *new = old;
            }
        }
        if token.token_policies.as_ref().is_none_or(Vec::is_empty) && known.policies.as_ref().is_some_and(|old| !old.is_empty()) {
            token.token_policies.clone_from(&known.policies);
        }
    }

    /// All members, as they are to be stored.
    pub(super) fn members(&self) -> Result<Map<String, Value>> {
        let mut members = self.members.clone();
        for part in [serde_json::to_value(&self.token), serde_json::to_value(&self.known)] {
            if let Value::Object(part) = part.map_err(|error| Error::Internal(error.to_string()))? {
                members.extend(part);
            }
        }
        Ok(members)
    }

    /// How the API shows it.
    pub(super) fn shown(&self) -> Result<Fields> {
        let members = self.members()?;
        let member = |name: &str, missing: Value| members.get(name).filter(|value| !value.is_null()).cloned().unwrap_or(missing);
        let mut data = Fields::new();
        for (stored, shown) in LISTS {
            data.insert(shown.to_owned(), member(stored, Vec::<Value>::new().into()));
        }
        for name in ["auth_type", "inferred_entity_type", "inferred_aws_region", "role_id", "role_tag"] {
            data.insert(name.to_owned(), member(name, "".into()));
        }
        for name in ["resolve_aws_unique_ids", "allow_instance_migration", "disallow_reauthentication"] {
            data.insert(name.to_owned(), member(name, false.into()));
        }
        self.token.show(&mut data);
        for (name, time) in [("ttl", self.known.ttl), ("max_ttl", self.known.max_ttl), ("period", self.known.period)] {
            if !time.is_zero() {
                data.insert(name.to_owned(), time.as_secs().into());
            }
        }
        if self.known.policies.as_ref().is_some_and(|policies| !policies.is_empty()) {
            data.insert("policies".to_owned(), self.token.token_policies.clone().into());
        }
        Ok(data)
    }

    pub(super) fn id(&self) -> &str {
        &self.known.role_id
    }

    /// Whether it is of the form that logs in by a signed request.
    pub(super) fn is_iam(&self) -> bool {
        self.known.auth_type == IAM
    }

    /// Whether it wants the caller to be an instance of EC2, which this server does not find out.
    pub(super) fn infers(&self) -> bool {
        !self.known.inferred_entity_type.is_empty()
    }

    /// Whether its principals are told apart by the ids that they had when it was written.
    pub(super) fn resolves(&self) -> bool {
        self.known.resolve_aws_unique_ids
    }

    /// The bound ARNs.
    pub(super) fn principals(&self) -> &[String] {
        self.known.bound_iam_principal_arn_list.as_deref().unwrap_or_default()
    }

    /// Binds it to other ARNs; ids that belonged to the old ones are forgotten.
    pub(super) fn bind(&mut self, arns: Vec<String>) {
        self.known.bound_iam_principal_arn_list = Some(arns);
        self.known.bound_iam_principal_id_list = Some(Vec::new());
    }

    /// Sets a time that has an old and a new name: the new one was set already if it was `given`.
    pub(super) fn set_old_time(&mut self, name: &str, old: Option<Duration>, given: bool) {
        let (slot, new) = match name {
            "ttl" => (&mut self.known.ttl, &mut self.token.token_ttl),
            "max_ttl" => (&mut self.known.max_ttl, &mut self.token.token_max_ttl),
            _ => (&mut self.known.period, &mut self.token.token_period),
        };
        match (given, old) {
            (true, Some(_)) => *slot = *new,
            (true, None) => *slot = Duration::ZERO,
            (false, Some(old)) => (*slot, *new) = (old, old),
            (false, None) => {}
        }
    }

    /// The same of the policies.
    pub(super) fn set_old_policies(&mut self, old: Option<&[String]>, given: bool) {
        match (given, old) {
            (true, Some(_)) => self.known.policies.clone_from(&self.token.token_policies),
            (true, None) => self.known.policies = None,
            (false, Some(old)) => {
                self.token.token_policies = Some(old.to_vec());
                self.known.policies = Some(old.to_vec());
            }
            (false, None) => {}
        }
    }

    /// Whether the caller may log in with it.
    pub(super) fn admits(&self, caller: &Caller<'_>) -> bool {
        let ids = self.known.bound_iam_principal_id_list.as_deref().unwrap_or_default();
        if !caller.unique_id.is_empty() && ids.iter().any(|id| id == caller.unique_id) {
            return true;
        }
        // Where ids tell principals apart, an ARN that has one does not.
        let counts = |bound: &&String| !self.resolves() || bound.ends_with('*');
        let arns: Vec<&str> = [caller.canonical, caller.arn].into_iter().filter(|arn| !arn.is_empty()).collect();
        self.principals().iter().filter(counts).any(|bound| arn::binds(bound, &arns))
    }
}

/// Makes a stored role one of today's version. Whether there was anything to do.
fn upgrade(members: &mut Map<String, Value>) -> Result<bool> {
    let found = members.get("version").and_then(Value::as_i64).unwrap_or_default();
    if !(0..=VERSION).contains(&found) {
        return Err(Error::Refused(format!("unrecognized role version: {found}")));
    }
    if found == 0 {
        from_single_texts(members);
    }
    if found <= 1 {
        // What used to match as a prefix.
        for name in [ROLES, PROFILES] {
            for arn in members.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten() {
                *arn = format!("{}*", arn.as_str().unwrap_or_default()).into();
            }
        }
    }
    if found <= 2 {
        members.insert("role_id".to_owned(), crypto::uuid().into());
    }
    members.insert("version".to_owned(), VERSION.into());
    Ok(found != VERSION)
}

/// From before bindings were lists.
fn from_single_texts(members: &mut Map<String, Value>) {
    let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned)).filter(|text| !text.is_empty());
    for (list, single) in LISTS {
        let Some(text) = text(members.remove(single)) else { continue };
        // The one member was for both kinds once.
        let list = if list == ROLES && text.contains(":instance-profile/") && !members.contains_key("bound_iam_instance_profile_arn") {
            PROFILES
        } else {
            list
        };
        members.insert(list.to_owned(), vec![text].into());
    }
    if text(members.get("auth_type").cloned()).is_none() {
        members.insert("auth_type".to_owned(), EC2.into());
    }
}

#[cfg(test)]
mod tests;
