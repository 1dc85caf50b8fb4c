//! Logging in, and what a renewal is decided by.

use std::collections::BTreeMap;

use super::AppRole;
use super::role::Role;
use super::secret::Secret;
use crate::auth::{Login, LoginLease, networks};
use crate::kv::fields::{Input, Kind, Schema};
use crate::logical::{Error, Fields, Request, Response, Result};
use crate::token::cidr;

const FIELDS: Schema = &[("role_id", Kind::Text), ("secret_id", Kind::Text)];

/// What lease and token say of the role.
const ROLE_NAME: &str = "role_name";

/// The same for a role and for a secret id that is not there, but that only the latter counts towards a lockout.
const INVALID: &str = "invalid role or secret ID";

fn invalid() -> Error {
    Error::bad_request(INVALID)
}

impl AppRole {
    /// `login`.
    pub(super) async fn log_in(&self, request: &Request) -> Result<Response> {
        let input = Input::of_path(request, FIELDS, false, "")?;
        let role_id = input.text("role_id").unwrap_or_default().trim();
        if role_id.is_empty() {
            return Err(Error::bad_request("missing role_id"));
        }
        let name = self.indexed(role_id).await?.ok_or_else(invalid)?;
        // Held to the end, so that nobody logs in to a role that is being deleted.
        let _unchanged = self.roles.read(&name.to_lowercase()).await;
        let role = self.role(&name).await?.filter(|role| role.role_id == role_id).ok_or_else(invalid)?;
        let secret = if role.bind_secret_id {
            let secret_id = input.text("secret_id").unwrap_or_default().trim();
            if secret_id.is_empty() {
                return Err(Error::bad_request("missing secret_id"));
            }
            Some(self.use_secret(&role, secret_id, request).await?)
        } else {
            None
        };
        if !networks::allow(role.networks(), request)? {
            return Err(unauthorized(request, "by CIDR restrictions on the role"));
        }
        let login = login(&role, secret, request)?;
        Ok(input.warn(Response { login: Some(Box::new(login)), ..Response::empty() }))
    }

    /// Checks a secret id and counts its use.
    async fn use_secret(&self, role: &Role, secret_id: &str, request: &Request) -> Result<Secret> {
        let hmac = role.hmac(secret_id)?;
        let _alone = self.secrets.write(&hmac).await;
        let secret = self.counting(role, &hmac).await?.ok_or_else(|| Error::WrongCredentials(INVALID.to_owned()))?;
        // Also where the address turns out to be wrong, as in Vault.
        self.spend(role, &hmac, &secret).await?;
        within(secret.networks(), role.networks())?;
        if !networks::allow(secret.networks(), request)? {
            return Err(unauthorized(request, "through CIDR restrictions on the secret ID"));
        }
        Ok(secret)
    }

    /// A renewal: by what the role says now. The token keeps its policies.
    pub(super) async fn renewed(&self, lease: &LoginLease) -> Result<Login> {
        let name = lease.login.internal_data.get(ROLE_NAME).and_then(serde_json::Value::as_str).unwrap_or_default();
        if name.is_empty() {
            return Err(Error::bad_request("failed to fetch role_name during renewal"));
        }
        let _unchanged = self.roles.read(&name.to_lowercase()).await;
        let role = self.role(name).await?;
        let role = role.ok_or_else(|| Error::BadRequest(format!("role {name:?} does not exist during renewal")))?;
        Ok(Login { ttl: role.token.token_ttl, max_ttl: role.token.token_max_ttl, period: role.token.token_period, ..lease.login.clone() })
    }
}

/// Refuses networks of a secret id that are not within those of its role.
pub(super) fn within(inner: &[String], outer: &[String]) -> Result<()> {
    if networks::within(inner, outer) {
        return Ok(());
    }
    let outer: Vec<String> =
        outer.iter().map(|network| if network.contains('/') { network.clone() } else { format!("{network}/32") }).collect();
    Err(super::failed(format!(
        "failed to verify subset relationship between CIDR blocks on the role {} and CIDR blocks on the secret ID {}",
        networks::quoted(&outer),
        networks::quoted(inner)
    )))
}

fn unauthorized(request: &Request, why: &str) -> Error {
    let address = request.remote.map(|remote| remote.ip().to_canonical().to_string()).unwrap_or_default();
    Error::BadRequest(format!("source address {address:?} unauthorized {why}"))
}

fn login(role: &Role, secret: Option<Secret>, request: &Request) -> Result<Login> {
    let mut login = role.token.login(request);
    let mut metadata = BTreeMap::new();
    if let Some(secret) = secret {
        if let Some(networks) = secret.token_cidr_list.filter(|networks| !networks.is_empty()) {
            login.bound_cidrs = cidr::parse_all(&networks)?;
        }
        metadata = secret.metadata.unwrap_or_default();
    }
    metadata.insert(ROLE_NAME.to_owned(), role.name.clone());
    login.metadata = metadata;
    login.internal_data = Fields::from_iter([(ROLE_NAME.to_owned(), role.name.as_str().into())]);
    login.alias.clone_from(&role.role_id);
    login.role.clone_from(&role.name);
    Ok(login)
}
