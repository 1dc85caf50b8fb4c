//! `auth/token/create` and `auth/token/create-orphan`: what a token may hand on to a new one.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Caller;
use super::entry::Entry;
use super::fields::Body;
use super::id::{LEGACY, SERVICE};
use super::roles::Role;
use super::store::Store;
use crate::auth::TokenType;
use crate::lease::ttl::{self, Terms};
use crate::logical::{Auth, Error, Fields, Request, Response, Result};
use crate::policy::{DEFAULT, RESPONSE_WRAPPING, ROOT};

const FIELDS: [&str; 15] = [
    "id",
    "policies",
    "meta",
    "no_parent",
    "no_default_policy",
    "display_name",
    "num_uses",
    "ttl",
    "lease",
    "explicit_max_ttl",
    "period",
    "renewable",
    "type",
    "entity_alias",
    "role_name",
];

const CHOSEN_ID: &str = "Supplying a custom ID for the token uses the weaker SHA1 hashing instead of the more secure SHA2-256 HMAC for token \
                         obfuscation. SHA1 hashed tokens on the wire leads to less secure lookups.";

/// Policies as Vault keeps them: trimmed, in lower case, sorted, each once; `root` drives out all others.
pub(crate) fn sanitize(policies: &[String]) -> Vec<String> {
    let mut policies: Vec<String> =
        policies.iter().map(|policy| policy.trim().to_lowercase()).filter(|policy| !policy.is_empty()).collect();
    if policies.iter().any(|policy| policy == ROOT) {
        return vec![ROOT.to_owned()];
    }
    policies.sort();
    policies.dedup();
    policies
}

/// `token-` and the name with only letters, digits and hyphens.
fn display_name(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    // As the reference: a run of other characters is one hyphen each, and one hyphen at the end goes.
    let full = format!("token-{name}");
    full.strip_suffix('-').unwrap_or(&full).to_owned()
}

/// What a new token's lease says besides what its entry does: a role's period and limit are its and not the token's.
#[derive(Clone, Copy, Default)]
pub(super) struct Lasting {
    pub(super) renewable: bool,
    pub(super) period: Duration,
    pub(super) explicit_max_ttl: Duration,
}

/// The lesser of what a request and a role say, and whether both do.
fn lesser(requested: Duration, role: Duration) -> (Duration, bool) {
    match (requested.is_zero(), role.is_zero()) {
        (_, true) => (requested, false),
        (true, false) => (role, false),
        (false, false) => (requested.min(role), true),
    }
}

/// Whether a batch token is wanted. [`Error::BadRequest`] if one is that cannot be.
fn wants_batch(body: &Body<'_>, role: Option<&Role>) -> Result<bool> {
    let asked = body.text("type")?;
    let kind = match role.map(Role::kind) {
        Some(TokenType::Batch) => "batch",
        Some(TokenType::Service) => "service",
        Some(TokenType::DefaultBatch) if asked.is_empty() => "batch",
        _ => asked.as_str(),
    };
    match kind {
        "" | "service" => return Ok(false),
        "batch" => {}
        _ => return Err(Error::bad_request("invalid 'token_type' value")),
    }
    for name in ["explicit_max_ttl", "period"] {
        let value = cofferdam_hcl::parse_duration(&body.text(name)?);
        let value = value.map_err(|_| Error::BadRequest(format!("{name:?} value could not be parsed")))?;
        if !value.is_zero() {
            return Err(Error::BadRequest(format!("batch tokens cannot have {name:?} set")));
        }
    }
    if body.integer("num_uses")? != 0 {
        return Err(Error::bad_request("batch tokens cannot have \"num_uses\" set"));
    }
    Ok(true)
}

impl Store {
    /// Makes a token for a request to `create` (a child of the caller's), with `orphan` to `create-orphan`, or to `create/<role>`.
    pub(super) async fn create_requested(&self, request: &Request, caller: &Caller, orphan: bool, role: Option<&Role>) -> Result<Response> {
        let parent = self.live(&caller.entry.id).await?;
        let parent = parent.ok_or_else(|| Error::bad_request("parent token lookup failed: no parent found"))?.entry;
        if parent.is_batch() {
            return Err(Error::bad_request("batch tokens cannot create more tokens"));
        }
        if parent.num_uses > 0 {
            return Err(Error::bad_request("restricted use token cannot generate child tokens"));
        }
        let path = format!("auth/token/{}", request.path);
        let sudo = caller.acl.sudo(&path);
        let body = Body(&request.data);
        let mut warnings: Vec<String> = body.ignored(&FIELDS).into_iter().collect();

        let batch = wants_batch(&body, role)?;
        let mut entry = Entry::new(path, "token".to_owned(), self.leases.clock().now().unix_timestamp());
        entry.num_uses = body.integer("num_uses")?;
        if entry.num_uses < 0 {
            return Err(Error::bad_request("number of uses cannot be negative"));
        }
        check_alias(&body, role)?;
        if let Some(role) = role {
            entry.role.clone_from(&role.name);
            entry.num_uses = match (entry.num_uses, role.token_num_uses) {
                (requested, 0) => requested,
                (0, limit) => limit,
                (requested, limit) => requested.min(limit),
            };
            if !role.path_suffix.is_empty() {
                entry.path = format!("{}/{}", entry.path, role.path_suffix);
            }
        }
        let name = body.text("display_name")?;
        if !name.is_empty() {
            entry.display_name = display_name(&name);
        }
        entry.meta = body.pairs("meta")?;
        entry.id = Zeroizing::new(body.text("id")?);
        if !entry.id.is_empty() {
            check_chosen(&entry.id, sudo, batch)?;
        }
        entry.policies = match role.filter(|role| role.decides_policies()) {
            Some(role) => policies_by_role(&body, &parent.policies, role)?,
            None => policies(&body, &parent.policies, sudo)?,
        };
        check_policies(&body, &mut entry.policies, &parent.policies, batch)?;
        let no_parent = role.is_none() && body.boolean("no_parent")?.unwrap_or(false);
        if no_parent && !sudo {
            return Err(Error::bad_request("root or sudo privileges required to create orphan token"));
        }
        if !(no_parent || orphan || role.is_some_and(|role| role.orphan)) {
            entry.parent = parent.id.clone();
            entry.entity_id.clone_from(&parent.entity_id);
            entry.bound_cidrs = parent.bound_cidrs.clone().filter(|_| role.is_none());
        }
        if let Some(networks) = role.and_then(|role| role.token_bound_cidrs.as_ref()).filter(|networks| !networks.is_empty()) {
            entry.bound_cidrs = Some(networks.clone());
        }
        let lasting = self.times(&mut entry, &body, (sudo, batch), &parent, role, &mut warnings)?;
        if !entry.id.is_empty() {
            warnings.push(CHOSEN_ID.to_owned());
        }
        for policy in &entry.policies {
            if policy != ROOT && self.policies.get(policy).await?.is_none() {
                warnings.push(format!("Policy {policy:?} does not exist"));
            }
        }
        let entry = if batch { self.create_batch(entry)? } else { self.create_lasting(entry, lasting).await? };
        metrics::counter!("vault_token_creation", "auth_method" => "token", "token_type" => entry.type_name()).increment(1);
        let auth = self.auth(&entry, entry.ttl, lasting.renewable, self.external(&entry)).await?;
        Ok(Response { auth: Some(Box::new(auth)), warnings, ..Response::default() })
    }

    /// Decides how long the token lives, and whether it can be renewed.
    fn times(
        &self,
        entry: &mut Entry,
        body: &Body<'_>,
        (sudo, batch): (bool, bool),
        parent: &Arc<Entry>,
        role: Option<&Role>,
        warnings: &mut Vec<String>,
    ) -> Result<Lasting> {
        entry.explicit_max_ttl = body.duration("explicit_max_ttl")?;
        entry.period = body.duration("period")?;
        if !entry.period.is_zero() && !sudo {
            return Err(Error::bad_request("root or sudo privileges required to create periodic token"));
        }
        let mut wanted = body.duration("ttl")?;
        if body.text("ttl")?.is_empty() {
            wanted = body.duration("lease")?;
        }
        let (mut period, mut explicit_max_ttl) = (entry.period, entry.explicit_max_ttl);
        if let Some(role) = role.filter(|_| !batch) {
            for (what, used, of_role) in
                [("Explicit max TTL", &mut explicit_max_ttl, role.token_explicit_max_ttl), ("Period", &mut period, role.token_period)]
            {
                let (less, both) = lesser(*used, of_role);
                *used = less;
                if both {
                    let seconds = less.as_secs();
                    warnings.push(format!(
                        "{what} specified both during creation call and in role; using the lesser value of {seconds} seconds"
                    ));
                }
            }
        }
        let renewable = !batch && role.is_none_or(|role| role.renewable) && body.boolean("renewable")?.unwrap_or(true);
        let lasting = Lasting { renewable, period, explicit_max_ttl };
        if !period.is_zero() || !wanted.is_zero() || !entry.is_root() {
            let terms = Terms { ttl: wanted, period, explicit_max: explicit_max_ttl, ..Terms::default() };
            let now = self.leases.clock().now();
            let granted = ttl::grant(terms, self.default_lease_ttl, self.max_lease_ttl, now, now)?;
            entry.ttl = granted.ttl;
            warnings.extend(granted.warnings);
        }
        if entry.ttl.is_zero() {
            // A root token, which would live for ever.
            entry.ttl = explicit_max_ttl;
        }
        if entry.ttl.is_zero() {
            if !parent.ttl.is_zero() {
                return Err(Error::bad_request("expiring root tokens cannot create non-expiring root tokens"));
            }
            entry.bound_cidrs = None;
            return Ok(Lasting { renewable: false, ..lasting });
        }
        Ok(lasting)
    }

    /// The `auth` of an answer about a token.
    pub(super) async fn auth(&self, entry: &Entry, ttl: Duration, renewable: bool, client_token: Zeroizing<String>) -> Result<Auth> {
        let identity_policies = self.identity_policies(entry).await?;
        let policies: Vec<String> = entry.policies.iter().chain(&identity_policies).cloned().collect();
        let metadata = entry.meta.clone().map(|meta| meta.into_iter().map(|(key, value)| (key, value.into())).collect::<Fields>());
        Ok(Auth {
            client_token,
            accessor: entry.accessor.clone(),
            policies: sanitize(&policies),
            identity_policies,
            token_policies: entry.policies.clone(),
            metadata,
            lease_duration: ttl,
            renewable,
            token_type: entry.type_name().to_owned(),
            orphan: entry.parent.is_empty(),
            num_uses: entry.num_uses,
            entity_id: entry.entity_id.clone(),
            display_name: entry.display_name.clone(),
            issue_time: None,
        })
    }
}

fn check_chosen(id: &str, sudo: bool, batch: bool) -> Result<()> {
    if !sudo {
        return Err(Error::bad_request("root or sudo privileges required to specify token id"));
    }
    if batch {
        // It is not used.
        return Ok(());
    }
    for prefix in [SERVICE, LEGACY] {
        if id.starts_with(prefix) {
            return Err(Error::BadRequest(format!("custom token ID cannot have the '{prefix}' prefix")));
        }
    }
    if id.contains('.') {
        return Err(Error::bad_request("custom token ID cannot have a '.' in the value"));
    }
    Ok(())
}

/// No token can be given an entity here.
fn check_alias(body: &Body<'_>, role: Option<&Role>) -> Result<()> {
    let alias = body.text("entity_alias")?.to_lowercase();
    if alias.is_empty() {
        return Ok(());
    }
    let role = role.ok_or_else(|| Error::bad_request("'entity_alias' is only allowed in combination with token role"))?;
    if !Role::any_glob(role.allowed_entity_aliases.as_deref().unwrap_or_default(), &alias) {
        return Err(Error::bad_request("invalid 'entity_alias' value"));
    }
    Err(Error::bad_request("this server has no entity aliases: leave out 'entity_alias'"))
}

/// The new token's policies: those asked for, which without sudo must be among the parent's; else the parent's.
fn policies(body: &Body<'_>, parent: &[String], sudo: bool) -> Result<Vec<String>> {
    let mut wanted = body.texts("policies")?;
    let no_default = body.boolean("no_default_policy")?.unwrap_or(false);
    let mut add_default = false;
    if wanted.is_empty() {
        wanted = parent.to_vec();
    } else if sudo {
        add_default = !no_default;
    } else {
        let parents = sanitize(parent);
        if !sanitize(&wanted).iter().all(|policy| parents.contains(policy)) {
            return Err(Error::bad_request("child policies must be subset of parent"));
        }
        add_default = !no_default && parents.iter().any(|policy| policy == DEFAULT);
    }
    Ok(sanitized_with(&wanted, add_default))
}

/// The same by a role, whose lists decide and not what the parent has.
fn policies_by_role(body: &Body<'_>, parent: &[String], role: &Role) -> Result<Vec<String>> {
    let list = |list: &'_ Option<Vec<String>>| list.clone().unwrap_or_default();
    let (disallowed, disallowed_globs) = (list(&role.disallowed_policies), list(&role.disallowed_policies_glob));
    let add_default = !body.boolean("no_default_policy")?.unwrap_or(false)
        && !role.token_no_default_policy
        && !disallowed.iter().any(|policy| policy == DEFAULT)
        && !Role::any_glob(&disallowed_globs, DEFAULT);
    let wanted = body.texts("policies")?;
    let mut policies = if wanted.is_empty() { Vec::new() } else { sanitized_with(&wanted, add_default) };
    let (allowed, globs) = (list(&role.allowed_policies), sanitize(&list(&role.allowed_policies_glob)));
    if allowed.is_empty() && globs.is_empty() {
        if policies.is_empty() {
            policies = sanitized_with(parent, add_default);
        }
    } else {
        let allowed = sanitized_with(&allowed, add_default);
        if policies.is_empty() {
            policies = allowed;
        } else if !policies.iter().all(|policy| allowed.contains(policy) || Role::any_glob(&globs, policy)) {
            return Err(Error::BadRequest(format!(
                "token policies ({}) must be subset of the role's allowed policies ({}) or glob policies ({})",
                quoted(&policies),
                quoted(&allowed),
                quoted(&globs)
            )));
        }
    }
    match policies.iter().find(|policy| disallowed.contains(policy) || Role::any_glob(&disallowed_globs, policy)) {
        Some(policy) => Err(Error::BadRequest(format!("token policy {policy:?} is disallowed by this role"))),
        None => Ok(policies),
    }
}

/// Texts as Go writes a list of them.
fn quoted(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", texts.join(" "))
}

/// Sanitized, and with `default` unless that is `root`.
fn sanitized_with(policies: &[String], default: bool) -> Vec<String> {
    let mut policies = policies.to_vec();
    if default {
        policies.push(DEFAULT.to_owned());
    }
    sanitize(&policies)
}

/// What no token may have, and what not every token may.
fn check_policies(body: &Body<'_>, policies: &mut Vec<String>, parent: &[String], batch: bool) -> Result<()> {
    if body.boolean("no_default_policy")?.unwrap_or(false) {
        policies.retain(|policy| policy != DEFAULT);
    }
    if let Some(policy) = policies.iter().find(|policy| *policy == RESPONSE_WRAPPING) {
        return Err(Error::BadRequest(format!("cannot assign policy {policy:?}")));
    }
    if policies.iter().any(|policy| policy == ROOT) {
        if !parent.iter().any(|policy| policy == ROOT) {
            return Err(Error::bad_request("root tokens may not be created without parent token being root"));
        }
        if batch {
            return Err(Error::bad_request("batch tokens cannot be root tokens"));
        }
    }
    Ok(())
}
