//! Tokens that a login earns: made here, and renewed with the consent of the engine that the login was at.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::entry::Entry;
use super::store::Store;
use crate::auth::{Login, LoginLease, TokenType};
use crate::lease::clock::{Clock, Time};
use crate::lease::ttl::{self, Terms};
use crate::lease::{self, Lease};
use crate::logical::{Auth, Error, Fields, Result};
use crate::policy::{DEFAULT, RESPONSE_WRAPPING, ROOT};

/// Where the tokens of one engine come from, and what its mount says of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    /// Below `auth/`, with a slash at its end.
    pub(crate) path: String,
    /// The engine's type.
    pub(crate) kind: String,
    pub(crate) accessor: String,
    pub(crate) token_type: TokenType,
    pub(crate) default_ttl: Duration,
    pub(crate) max_ttl: Duration,
}

/// Who asks the engines of auth mounts.
#[async_trait]
pub(crate) trait Logins: Send + Sync {
    /// What the engine of the mount at this path of the API says of a renewal, and the mount's word.
    async fn renew(&self, path: &str, lease: &LoginLease) -> Result<(Login, Source)>;
}

impl Store {
    /// Where the tokens have the time from.
    pub(crate) fn clock(&self) -> Clock {
        self.leases.clock().clone()
    }

    /// Whom to ask when a token is renewed that a login earned. To be told once, after the store is open.
    pub(crate) fn set_logins(&self, logins: std::sync::Weak<dyn Logins>) {
        // A second one would be the same.
        let _ = self.logins.set(logins);
    }

    /// Makes the token that a login at `path`, a path of the API, earned. The `auth` of the answer, and warnings for the client.
    pub(crate) async fn log_in(&self, login: Login, path: &str, source: &Source) -> Result<(Auth, Vec<String>)> {
        let policies = policies(&login)?;
        let now = self.leases.clock().now();
        let granted = ttl::grant(terms(&login, Duration::ZERO), source.default_ttl, source.max_ttl, now, now)?;
        let name = format!("{}{}", source.path.replace('/', "-"), login.display_name);
        let name = name.strip_suffix('-').unwrap_or(&name).to_owned();
        let mut entry = Entry::new(path.to_owned(), name, now.unix_timestamp());
        entry.policies.clone_from(&policies);
        entry.meta = Some(login.metadata.clone()).filter(|meta| !meta.is_empty());
        entry.ttl = granted.ttl;
        entry.explicit_max_ttl = login.explicit_max_ttl;
        entry.period = login.period;
        entry.num_uses = login.num_uses;
        entry.bound_cidrs = Some(login.bound_cidrs.clone()).filter(|networks| !networks.is_empty());
        entry.entity_id = self.entity_of(&source.accessor, &login.alias).await?;
        if source.token_type.batch(login.token_type) {
            let entry = self.create_batch(entry)?;
            metrics::counter!("vault_token_creation", "auth_method" => label(&source.kind), "token_type" => "batch").increment(1);
            return Ok((self.auth(&entry, granted.ttl, false, entry.id.clone()).await?, granted.warnings));
        }
        self.name(&mut entry)?;
        let renewable = login.renewable;
        let auth = lease::Auth {
            client_token: entry.id.clone(),
            accessor: entry.accessor.clone(),
            display_name: entry.display_name.clone(),
            token_policies: policies,
            entity_id: entry.entity_id.clone(),
            token_type: entry.kind,
            orphan: true,
            ttl: granted.ttl,
            num_uses: entry.num_uses,
            ..stored(&login, source)
        };
        let id = entry.lease_id(&self.salted(&entry.id));
        let mut lease = Lease::for_token(id, entry.path.clone(), auth, Time::from(now), Time::from(now + granted.ttl));
        lease.login_role = login.role;
        self.write(&entry, Some(&lease)).await?;
        metrics::counter!("vault_token_creation", "auth_method" => label(&source.kind), "token_type" => "service").increment(1);
        Ok((self.auth(&entry, granted.ttl, renewable, self.external(&entry)).await?, granted.warnings))
    }

    /// Asks the engine that a token's login was at, and puts its word into the lease. None if the token is of no login.
    pub(super) async fn consult(&self, entry: &Entry, lease: &mut Lease) -> Result<Option<Source>> {
        if entry.path.starts_with("auth/token/") {
            return Ok(None);
        }
        let logins = self.logins.get().and_then(std::sync::Weak::upgrade);
        let logins: Arc<dyn Logins> = logins.ok_or_else(|| Error::Internal("nobody to ask about a login".to_owned()))?;
        let Some(auth) = &mut lease.auth else { return Ok(None) };
        let issued = lease.issue_time.get().unwrap_or_else(|| self.leases.clock().now());
        let (login, source) = logins.renew(&entry.path, &LoginLease::of(auth, &lease.login_role, issued)).await?;
        auth.ttl = login.ttl;
        auth.max_ttl = login.max_ttl;
        auth.period = login.period;
        auth.explicit_max_ttl = login.explicit_max_ttl;
        auth.internal_data = Some(login.internal_data);
        Ok(Some(source))
    }
}

/// What a lease keeps of a login for the next renewal, and for other servers.
fn stored(login: &Login, source: &Source) -> lease::Auth {
    let metadata: Option<Fields> = (!login.metadata.is_empty()).then(|| object(&login.metadata));
    let alias = json!({
        "mount_type": source.kind, "mount_accessor": source.accessor, "name": login.alias, "metadata": metadata.clone().unwrap_or_default(),
    });
    lease::Auth {
        max_ttl: login.max_ttl,
        renewable: login.renewable,
        internal_data: Some(login.internal_data.clone()),
        policies: super::create::sanitize(&login.policies),
        no_default_policy: login.no_default_policy,
        metadata,
        period: login.period,
        explicit_max_ttl: login.explicit_max_ttl,
        alias: match alias {
            Value::Object(alias) if !login.alias.is_empty() => Some(alias),
            _ => None,
        },
        bound_cidrs: (!login.bound_cidrs.is_empty()).then(|| login.bound_cidrs.iter().cloned().map(Value::from).collect()),
        ..lease::Auth::default()
    }
}

fn object(pairs: &std::collections::BTreeMap<String, String>) -> Fields {
    pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
}

/// What the times of a login's token follow from.
pub(super) fn terms(login: &Login, increment: Duration) -> Terms {
    Terms { increment, ttl: login.ttl, period: login.period, max: login.max_ttl, explicit_max: login.explicit_max_ttl }
}

/// The token's policies. No login earns `root`, nor what only this server gives.
fn policies(login: &Login) -> Result<Vec<String>> {
    let mut wanted = login.policies.clone();
    if !login.no_default_policy {
        wanted.push(DEFAULT.to_owned());
    }
    let policies = super::create::sanitize(&wanted);
    if policies.iter().any(|policy| policy == ROOT) {
        return Err(Error::bad_request("auth methods cannot create root tokens"));
    }
    match policies.iter().find(|policy| *policy == RESPONSE_WRAPPING) {
        Some(policy) => Err(Error::BadRequest(format!("cannot assign policy {policy:?}"))),
        None => Ok(policies),
    }
}

/// The label of a metric: one of ours, never a text from a table.
fn label(kind: &str) -> &'static str {
    match kind {
        "approle" => "approle",
        "aws" => "aws",
        _ => "other",
    }
}
