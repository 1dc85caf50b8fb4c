//! `auth/token/create` and `auth/token/create-orphan`: what a token may hand on to a new one.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Caller;
use super::entry::Entry;
use super::fields::Body;
use super::id::{LEGACY, SERVICE};
use super::store::Store;
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
fn sanitize(policies: &[String]) -> Vec<String> {
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

impl Store {
    /// Makes a token for a request to `create` (a child of the caller's) or, with `orphan`, to `create-orphan`.
    pub(super) async fn create_requested(&self, request: &Request, caller: &Caller, orphan: bool) -> Result<Response> {
        let parent = self.live(&caller.entry.id).await?;
        let parent = parent.ok_or_else(|| Error::bad_request("parent token lookup failed: no parent found"))?.entry;
        if parent.num_uses > 0 {
            return Err(Error::bad_request("restricted use token cannot generate child tokens"));
        }
        let path = format!("auth/token/{}", request.path);
        let sudo = caller.acl.sudo(&path);
        let body = Body(&request.data);
        let mut warnings: Vec<String> = body.ignored(&FIELDS).into_iter().collect();

        let mut entry = Entry::new(path, "token".to_owned(), self.leases.clock().now().unix_timestamp());
        entry.num_uses = body.integer("num_uses")?;
        if entry.num_uses < 0 {
            return Err(Error::bad_request("number of uses cannot be negative"));
        }
        if !body.text("entity_alias")?.is_empty() {
            return Err(Error::bad_request("'entity_alias' is only allowed in combination with token role"));
        }
        match body.text("type")?.as_str() {
            "" | "service" => {}
            "batch" => return Err(Error::bad_request("batch tokens are not supported by this server; leave out 'type'")),
            _ => return Err(Error::bad_request("invalid 'token_type' value")),
        }
        let name = body.text("display_name")?;
        if !name.is_empty() {
            entry.display_name = display_name(&name);
        }
        entry.meta = body.pairs("meta")?;
        entry.id = Zeroizing::new(body.text("id")?);
        if !entry.id.is_empty() {
            check_chosen(&entry.id, sudo)?;
            warnings.push(CHOSEN_ID.to_owned());
        }
        entry.policies = policies(&body, &parent.policies, sudo)?;
        let orphan = orphan || body.boolean("no_parent")?.unwrap_or(false);
        if !orphan {
            entry.parent = parent.id.clone();
        } else if request.path != "create-orphan" && !sudo {
            return Err(Error::bad_request("root or sudo privileges required to create orphan token"));
        }
        let renewable = self.times(&mut entry, &body, sudo, &parent, &mut warnings)?;
        for policy in &entry.policies {
            if policy != ROOT && self.policies.get(policy).await?.is_none() {
                warnings.push(format!("Policy {policy:?} does not exist"));
            }
        }
        let entry = self.create(entry, renewable).await?;
        let auth = self.auth(&entry, entry.ttl, renewable, self.external(&entry));
        Ok(Response { auth: Some(Box::new(auth)), warnings, ..Response::default() })
    }

    /// Decides how long the token lives, and whether it can be renewed.
    fn times(&self, entry: &mut Entry, body: &Body<'_>, sudo: bool, parent: &Arc<Entry>, warnings: &mut Vec<String>) -> Result<bool> {
        entry.explicit_max_ttl = body.duration("explicit_max_ttl")?;
        entry.period = body.duration("period")?;
        if !entry.period.is_zero() && !sudo {
            return Err(Error::bad_request("root or sudo privileges required to create periodic token"));
        }
        let mut wanted = body.duration("ttl")?;
        if body.text("ttl")?.is_empty() {
            wanted = body.duration("lease")?;
        }
        if !entry.period.is_zero() || !wanted.is_zero() || !entry.is_root() {
            let terms = Terms { ttl: wanted, period: entry.period, explicit_max: entry.explicit_max_ttl, ..Terms::default() };
            let now = self.leases.clock().now();
            let granted = ttl::grant(terms, self.default_lease_ttl, self.max_lease_ttl, now, now)?;
            entry.ttl = granted.ttl;
            warnings.extend(granted.warnings);
        }
        if entry.ttl.is_zero() {
            // A root token, which would live for ever.
            entry.ttl = entry.explicit_max_ttl;
        }
        if entry.ttl.is_zero() {
            if !parent.ttl.is_zero() {
                return Err(Error::bad_request("expiring root tokens cannot create non-expiring root tokens"));
            }
            return Ok(false);
        }
        Ok(body.boolean("renewable")?.unwrap_or(true))
    }

    /// The `auth` of an answer about a token.
    pub(super) fn auth(&self, entry: &Entry, ttl: Duration, renewable: bool, client_token: Zeroizing<String>) -> Auth {
        let metadata = entry.meta.clone().map(|meta| meta.into_iter().map(|(key, value)| (key, value.into())).collect::<Fields>());
        Auth {
            client_token,
            accessor: entry.accessor.clone(),
            policies: entry.policies.clone(),
            token_policies: entry.policies.clone(),
            metadata,
            lease_duration: ttl,
            renewable,
            token_type: "service".to_owned(),
            orphan: entry.parent.is_empty(),
            num_uses: entry.num_uses,
            entity_id: entry.entity_id.clone(),
            display_name: entry.display_name.clone(),
            issue_time: None,
        }
    }
}

fn check_chosen(id: &str, sudo: bool) -> Result<()> {
    if !sudo {
        return Err(Error::bad_request("root or sudo privileges required to specify token id"));
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
    if add_default {
        wanted.push(DEFAULT.to_owned());
    }
    let mut policies = sanitize(&wanted);
    if no_default {
        policies.retain(|policy| policy != DEFAULT);
    }
    if let Some(policy) = policies.iter().find(|policy| *policy == RESPONSE_WRAPPING) {
        return Err(Error::BadRequest(format!("cannot assign policy {policy:?}")));
    }
    if policies.iter().any(|policy| policy == ROOT) && !parent.iter().any(|policy| policy == ROOT) {
        return Err(Error::bad_request("root tokens may not be created without parent token being root"));
    }
    Ok(policies)
}
