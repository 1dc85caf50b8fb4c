//! `role/<name>`: making, changing, showing and deleting roles.

use std::time::Duration;

use serde_json::Value;

use super::AppRole;
use super::role::{LONGEST, Role};
use crate::auth::networks;
use crate::auth::params::{TOKEN_FIELDS, seconds};
use crate::kv::duration;
use crate::kv::fields::{Input, Kind};
use crate::logical::{Error, Fields, Request, Response, Result};

/// The fields of a role besides those about its tokens.
const OWN: [(&str, Kind); 9] = [
    ("bind_secret_id", Kind::Bool),
    ("bound_cidr_list", Kind::Texts),
    ("secret_id_bound_cidrs", Kind::Texts),
    ("policies", Kind::Texts),
    ("secret_id_num_uses", Kind::Int),
    ("secret_id_ttl", Kind::Seconds),
    ("period", Kind::Seconds),
    ("role_id", Kind::Text),
    ("local_secret_ids", Kind::Bool),
];

static FIELDS: [(&str, Kind); OWN.len() + TOKEN_FIELDS.len()] = fields();

const fn fields() -> [(&'static str, Kind); OWN.len() + TOKEN_FIELDS.len()] {
    let [a, b, c, d, e, f, g, h, i] = OWN;
    let [j, k, l, m, n, o, p, q, r, s] = TOKEN_FIELDS;
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s]
}

/// What the path gives, and no field does.
pub(super) const NAME: &str = "role_name";

const TOO_LONG: &str =
    "token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' max TTL value will be truncated";

/// Policies as Vault parses them: trimmed, in lower case, sorted, each once.
pub(super) fn parse_policies(policies: &[String]) -> Vec<String> {
    crate::token::sanitize(policies)
}

/// Seconds of a request as nanoseconds.
pub(super) fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

impl AppRole {
    pub(super) async fn write_role(&self, name: &str, request: &Request) -> Result<Response> {
        let input = Input::of_path(request, &FIELDS, true, NAME)?;
        if name.len() > LONGEST {
            return Err(Error::BadRequest(format!("role_name is longer than maximum of {LONGEST} bytes")));
        }
        let _alone = self.roles.write(&name.to_lowercase()).await;
        let old = self.role(name).await?;
        let before = old.as_ref().map(|role| role.role_id.clone());
        let mut role = old.unwrap_or_else(|| Role::new(name));
        let mut warnings = role.token.set(&input)?;
        if let Some(local) = input.bool("local_secret_ids") {
            if before.is_some() {
                return Err(Error::bad_request("local_secret_ids can only be modified during role creation"));
            }
            if local {
                role.make_local();
            }
        }
        self.set_own(&mut role, &input)?;
        if role.token.token_max_ttl > self.max_ttl() {
            warnings.push(TOO_LONG.to_owned());
        }
        self.put_role_with_id(&role, before.as_deref()).await?;
        Ok(input.warn(Response { warnings, ..Response::empty() }))
    }

    /// What of a role is not about its tokens.
    fn set_own(&self, role: &mut Role, input: &Input<'_>) -> Result<()> {
        if let Some(role_id) = input.text("role_id") {
            role_id.clone_into(&mut role.role_id);
        }
        if role.role_id.is_empty() {
            return Err(Error::bad_request("invalid role_id supplied, or failed to generate a role_id"));
        }
        if let Some(bind) = input.bool("bind_secret_id") {
            role.bind_secret_id = bind;
        }
        if let Some(list) = input.texts("secret_id_bound_cidrs").or_else(|| input.texts("bound_cidr_list")) {
            role.secret_id_bound_cidrs = Some(list.to_vec());
        }
        if let Some(wrong) = networks::invalid(role.networks()) {
            return Err(super::failed(format!("failed to validate CIDR blocks: {wrong}")));
        }
        if let Some(uses) = input.int("secret_id_num_uses") {
            role.secret_id_num_uses = uses;
        }
        if role.secret_id_num_uses < 0 {
            return Err(Error::bad_request("secret_id_num_uses cannot be negative"));
        }
        if let Some(ttl) = seconds(input, "secret_id_ttl") {
            role.secret_id_ttl = nanoseconds(ttl);
        }
        // The old names count if the new ones are not there, and are shown as long as someone writes them.
        match (input.has("token_policies"), input.texts("policies")) {
            (false, Some(policies)) => {
                role.policies = Some(parse_policies(policies));
                role.token.token_policies.clone_from(&role.policies);
            }
            (true, Some(_)) => role.policies.clone_from(&role.token.token_policies),
            (true, None) => role.policies = None,
            (false, None) => {}
        }
        match (input.has("token_period"), seconds(input, "period")) {
            (false, Some(period)) => {
                role.period = period;
                role.token.token_period = period;
            }
            (true, Some(_)) => role.period = role.token.token_period,
            (true, None) => role.period = Duration::ZERO,
            (false, None) => {}
        }
        self.check_period(role.period, role.period)
    }

    /// Refuses a period that no token could have.
    pub(super) fn check_period(&self, period: Duration, shown: Duration) -> Result<()> {
        let max = self.max_ttl();
        if period <= max {
            return Ok(());
        }
        let text = |time: Duration| format!("{:?}", duration::format(nanoseconds(time)));
        Err(Error::BadRequest(format!("period of {} is greater than the backend's maximum lease TTL of {}", text(shown), text(max))))
    }

    pub(super) async fn read_role(&self, name: &str) -> Result<Response> {
        // Should the index have to be written.
        let _alone = self.roles.write(&name.to_lowercase()).await;
        let role = self.role(name).await?.ok_or(Error::NotFound)?;
        let mut response = Response::data(shown(&role));
        if !role.constrained() {
            response =
                response.warn("Role does not have any constraints set on it. Updates to this role will require a constraint to be set");
        }
        if self.indexed(&role.role_id).await?.is_none() {
            // A making or a deletion that was cut off leaves a role so.
            self.put_index(&role).await?;
            response = response.warn(
                "Role identifier was missing an index back to role name. A new index has been added. Please report this observation.",
            );
        }
        Ok(response)
    }

    /// Nothing there is a success. From the first write on nobody logs in; the role itself goes last, so that what was cut off can be completed.
    pub(super) async fn remove_role(&self, name: &str) -> Result<Response> {
        let _alone = self.roles.write(&name.to_lowercase()).await;
        let Some(role) = self.role(name).await? else { return Ok(Response::empty()) };
        if self.indexed(&role.role_id).await?.is_some_and(|indexed| indexed == role.name) {
            self.delete_index(&role.role_id).await?;
        }
        let folder = role.folder()?;
        for hmac in self.view.list(&folder).await? {
            let _alone = self.secrets.write(&hmac).await;
            if let Some(secret) = self.secret_at(&format!("{folder}{hmac}")).await? {
                self.delete_secret(&role, &hmac, &secret).await?;
            }
        }
        self.delete_role(&role).await?;
        Ok(Response::empty())
    }
}

fn shown(role: &Role) -> Fields {
    let mut data = Fields::new();
    role.token.show(&mut data);
    let mut set = |name: &str, value: Value| drop(data.insert(name.to_owned(), value));
    set("bind_secret_id", role.bind_secret_id.into());
    set("local_secret_ids", role.local().into());
    set("secret_id_bound_cidrs", role.secret_id_bound_cidrs.clone().map_or(Value::Null, Value::from));
    set("secret_id_num_uses", role.secret_id_num_uses.into());
    set("secret_id_ttl", (role.secret_id_ttl / 1_000_000_000).into());
    if !role.period.is_zero() {
        set("period", role.period.as_secs().into());
    }
    if let Some(policies) = role.policies.clone().filter(|policies| !policies.is_empty()) {
        set("policies", policies.into());
    }
    data
}
