//! `role/<name>/<setting>`: one setting of a role.

use std::time::Duration;

use serde_json::Value;

use super::AppRole;
use super::role::Role;
use super::roles::{NAME, nanoseconds, parse_policies};
use crate::auth::networks;
use crate::auth::params::seconds;
use crate::kv::fields::{Input, Kind, Schema};
use crate::logical::{Error, Fields, Operation, Request, Response, Result};
use crate::token::cidr;

const OLD_NETWORKS: &str = r#"The "bound_cidr_list" field is deprecated and will be removed. Please use "secret_id_bound_cidrs" instead."#;

/// The settings, with the fields of each.
const SETTINGS: [(&str, Schema); 13] = [
    ("bind-secret-id", &[("bind_secret_id", Kind::Bool)]),
    ("bound-cidr-list", &[("bound_cidr_list", Kind::Texts)]),
    ("local-secret-ids", &[]),
    ("period", &[("token_period", Kind::Seconds), ("period", Kind::Seconds)]),
    ("policies", &[("token_policies", Kind::Texts), ("policies", Kind::Texts)]),
    ("role-id", &[("role_id", Kind::Text)]),
    ("secret-id-bound-cidrs", &[("secret_id_bound_cidrs", Kind::Texts)]),
    ("secret-id-num-uses", &[("secret_id_num_uses", Kind::Int)]),
    ("secret-id-ttl", &[("secret_id_ttl", Kind::Seconds)]),
    ("token-bound-cidrs", &[("token_bound_cidrs", Kind::Texts)]),
    ("token-max-ttl", &[("token_max_ttl", Kind::Seconds)]),
    ("token-num-uses", &[("token_num_uses", Kind::Int)]),
    ("token-ttl", &[("token_ttl", Kind::Seconds)]),
];

impl AppRole {
    pub(super) async fn setting(&self, name: &str, setting: &str, request: &Request) -> Result<Response> {
        let (_, schema) = SETTINGS.iter().find(|(known, _)| *known == setting).ok_or_else(Error::unsupported_path)?;
        let write = matches!(request.operation, Operation::Create | Operation::Update);
        match request.operation {
            Operation::Read => {
                let role = self.role(name).await?.ok_or(Error::NotFound)?;
                let response = Response::data(shown(&role, setting));
                return Ok(if setting == "bound-cidr-list" { response.warn(OLD_NETWORKS) } else { response });
            }
            Operation::Delete if !matches!(setting, "role-id" | "local-secret-ids") => {}
            _ if write && setting != "local-secret-ids" => {}
            _ => return Err(Error::UnsupportedOperation),
        }
        let input = Input::of_path(request, schema, false, NAME)?;
        let _alone = self.roles.write(&name.to_lowercase()).await;
        let Some(mut role) = self.role(name).await? else {
            return if write { Err(Error::unsupported_path()) } else { Ok(Response::empty()) };
        };
        let before = role.role_id.clone();
        if write {
            self.set(&mut role, setting, &input)?;
        } else {
            reset(&mut role, setting);
        }
        self.put_role_with_id(&role, Some(&before)).await?;
        Ok(Response::empty())
    }

    fn set(&self, role: &mut Role, setting: &str, input: &Input<'_>) -> Result<()> {
        let missing = |field: &str| Error::BadRequest(format!("missing {field}"));
        let time = |field: &str| seconds(input, field).ok_or_else(|| missing(field));
        let number = |field: &str| input.int(field).ok_or_else(|| missing(field));
        match setting {
            "bind-secret-id" => role.bind_secret_id = input.bool("bind_secret_id").ok_or_else(|| missing("bind_secret_id"))?,
            "role-id" => input.text("role_id").filter(|id| !id.is_empty()).ok_or_else(|| missing("role_id"))?.clone_into(&mut role.role_id),
            "secret-id-ttl" => role.secret_id_ttl = nanoseconds(time("secret_id_ttl")?),
            "secret-id-num-uses" => {
                role.secret_id_num_uses = number("secret_id_num_uses")?;
                if role.secret_id_num_uses < 0 {
                    return Err(Error::bad_request("secret_id_num_uses cannot be negative"));
                }
            }
            "token-num-uses" => {
                role.token.token_num_uses = number("token_num_uses")?;
                if role.token.token_num_uses < 0 {
                    return Err(Error::bad_request("'token_num_uses' cannot be negative"));
                }
            }
            "token-ttl" => {
                role.token.token_ttl = time("token_ttl")?;
                if !role.token.token_max_ttl.is_zero() && role.token.token_ttl > role.token.token_max_ttl {
                    return Err(Error::bad_request("token_ttl should not be greater than token_max_ttl"));
                }
            }
            "token-max-ttl" => {
                role.token.token_max_ttl = time("token_max_ttl")?;
                if !role.token.token_max_ttl.is_zero() && role.token.token_ttl > role.token.token_max_ttl {
                    return Err(Error::bad_request("token_max_ttl should be greater than or equal to token_ttl"));
                }
            }
            "policies" => set_policies(role, input)?,
            "period" => self.set_period(role, input)?,
            "token-bound-cidrs" => {
                if let Some(list) = input.texts("token_bound_cidrs") {
                    let list = cidr::parse_all(list);
                    let list = list.map_err(|error| Error::BadRequest(format!("failed to parse token_bound_cidrs: {error}")))?;
                    role.token.token_bound_cidrs = Some(list);
                }
            }
            _ => set_networks(role, input)?,
        }
        Ok(())
    }

    fn set_period(&self, role: &mut Role, input: &Input<'_>) -> Result<()> {
        let (new, old) = (seconds(input, "token_period"), seconds(input, "period"));
        let period = new.or(old).ok_or_else(|| Error::bad_request("missing period"))?;
        role.token.token_period = period;
        role.period = if old.is_some() { period } else { Duration::ZERO };
        self.check_period(period, role.period)
    }
}

fn set_policies(role: &mut Role, input: &Input<'_>) -> Result<()> {
    let (new, old) = (input.texts("token_policies"), input.texts("policies"));
    let policies = new.or(old).ok_or_else(|| Error::bad_request("missing token_policies"))?;
    role.token.token_policies = Some(parse_policies(policies));
    role.policies = role.token.token_policies.clone().filter(|_| old.is_some());
    Ok(())
}

fn set_networks(role: &mut Role, input: &Input<'_>) -> Result<()> {
    let Some(list) = input.texts("secret_id_bound_cidrs").or_else(|| input.texts("bound_cidr_list")) else { return Ok(()) };
    if list.is_empty() {
        return Err(Error::bad_request("missing bound_cidr_list"));
    }
    if let Some(wrong) = networks::invalid(list) {
        return Err(Error::BadRequest(format!("failed to validate CIDR blocks: {wrong}")));
    }
    role.secret_id_bound_cidrs = Some(list.to_vec());
    Ok(())
}

fn reset(role: &mut Role, setting: &str) {
    match setting {
        "bind-secret-id" => role.bind_secret_id = true,
        "secret-id-ttl" => role.secret_id_ttl = 0,
        "secret-id-num-uses" => role.secret_id_num_uses = 0,
        "token-num-uses" => role.token.token_num_uses = 0,
        "token-ttl" => role.token.token_ttl = Duration::ZERO,
        "token-max-ttl" => role.token.token_max_ttl = Duration::ZERO,
        "policies" => (role.policies, role.token.token_policies) = (None, None),
        "period" => (role.period, role.token.token_period) = (Duration::ZERO, Duration::ZERO),
        "token-bound-cidrs" => role.token.token_bound_cidrs = None,
        "secret-id-bound-cidrs" => role.secret_id_bound_cidrs = None,
        // An old name, under which nothing is kept any more.
        _ => role.bound_cidr_list_list = None,
    }
}

fn shown(role: &Role, setting: &str) -> Fields {
    let list = |list: &Option<Vec<String>>| list.clone().map_or(Value::Null, Value::from);
    let mut data = Fields::new();
    let value: Value = match setting {
        "bind-secret-id" => role.bind_secret_id.into(),
        "bound-cidr-list" => list(&role.bound_cidr_list_list),
        "local-secret-ids" => role.local().into(),
        "period" => {
            if !role.period.is_zero() {
                data.insert("period".to_owned(), role.period.as_secs().into());
            }
            data.insert("token_period".to_owned(), role.token.token_period.as_secs().into());
            return data;
        }
        "policies" => {
            if let Some(policies) = role.policies.clone().filter(|policies| !policies.is_empty()) {
                data.insert("policies".to_owned(), policies.into());
            }
            data.insert("token_policies".to_owned(), role.token.token_policies.clone().unwrap_or_default().into());
            return data;
        }
        "role-id" => role.role_id.as_str().into(),
        "secret-id-bound-cidrs" => list(&role.secret_id_bound_cidrs),
        "secret-id-num-uses" => role.secret_id_num_uses.into(),
        "secret-id-ttl" => (role.secret_id_ttl / 1_000_000_000).into(),
        "token-bound-cidrs" => list(&role.token.token_bound_cidrs),
        "token-max-ttl" => role.token.token_max_ttl.as_secs().into(),
        "token-num-uses" => role.token.token_num_uses.into(),
        _ => role.token.token_ttl.as_secs().into(),
    };
    data.insert(setting.replace('-', "_"), value);
    data
}
