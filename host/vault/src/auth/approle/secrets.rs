//! `role/<name>/secret-id…`: making, showing, listing and destroying secret ids.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::AppRole;
use super::login::within;
use super::role::Role;
use super::roles::{NAME, nanoseconds};
use super::secret::Secret;
use crate::auth::networks;
use crate::auth::params::seconds;
use crate::crypto;
use crate::kv::fields::{Input, Kind, Schema};
use crate::logical::{Error, Fields, Request, Response, Result};

const MAKING: [(&str, Kind); 6] = [
    ("metadata", Kind::Text),
    ("cidr_list", Kind::Texts),
    ("token_bound_cidrs", Kind::Texts),
    ("num_uses", Kind::Int),
    ("ttl", Kind::Seconds),
    ("secret_id", Kind::Text),
];
const BY_ID: Schema = &[("secret_id", Kind::Text)];
const BY_ACCESSOR: Schema = &[("secret_id_accessor", Kind::Text)];

/// 404, with data that say what is missing.
const NOT_FOUND: u16 = 404;

fn no_role(name: &str) -> Error {
    super::failed(format!("role {name:?} does not exist"))
}

/// A field that has to be there.
fn required<'a>(input: &'a Input<'_>, name: &str) -> Result<&'a str> {
    input.text(name).filter(|text| !text.is_empty()).ok_or_else(|| Error::BadRequest(format!("missing {name}")))
}

fn no_accessor(accessor: &str) -> String {
    format!("failed to find accessor entry for secret_id_accessor: {accessor:?}")
}

impl AppRole {
    /// `secret-id`, and with an id of the client's own `custom-secret-id`.
    pub(super) async fn make_secret(&self, name: &str, request: &Request, custom: bool) -> Result<Response> {
        let [generated @ .., _] = &MAKING;
        let input = Input::of_path(request, if custom { &MAKING } else { generated }, false, NAME)?;
        let secret_id = Zeroizing::new(if custom { required(&input, "secret_id")?.to_owned() } else { crypto::uuid() });
        let _unchanged = self.roles.read(&name.to_lowercase()).await;
        let role = self.role(name).await?.ok_or_else(|| Error::NoRoute(format!("role {name:?} does not exist")))?;
        let secret = wanted(&role, &input)?;
        let hmac = role.hmac(&secret_id)?;
        let secret = {
            let _alone = self.secrets.write(&hmac).await;
            self.register(&role, &hmac, secret).await?
        };
        self.tidy_now_and_then();
        let mut data = Fields::new();
        data.insert("secret_id".to_owned(), secret_id.as_str().into());
        data.insert("secret_id_accessor".to_owned(), secret.secret_id_accessor.into());
        data.insert("secret_id_num_uses".to_owned(), secret.secret_id_num_uses.into());
        data.insert("secret_id_ttl".to_owned(), self.capped(secret.secret_id_ttl).as_secs().into());
        Ok(input.warn(Response::data(data)))
    }

    /// The accessors of a role's secret ids.
    pub(super) async fn list_secrets(&self, name: &str) -> Result<Response> {
        let _unchanged = self.roles.read(&name.to_lowercase()).await;
        let role = self.role(name).await?.ok_or_else(|| Error::BadRequest(format!("role {name:?} does not exist")))?;
        let folder = role.folder()?;
        let mut accessors = Vec::new();
        for hmac in self.view.list(&folder).await? {
            let _unchanged = self.secrets.read(&hmac).await;
            if let Some(secret) = self.secret_at(&format!("{folder}{hmac}")).await?.filter(|secret| !secret.ended(self.clock.now())) {
                accessors.push(secret.secret_id_accessor);
            }
        }
        Response::list(accessors)
    }

    pub(super) async fn look_up_secret(&self, name: &str, request: &Request) -> Result<Response> {
        let input = Input::of_path(request, BY_ID, false, NAME)?;
        let secret_id = required(&input, "secret_id")?;
        let _unchanged = self.roles.read(&name.to_lowercase()).await;
        let role = self.role(name).await?.ok_or_else(|| no_role(name))?;
        let hmac = role.hmac(secret_id)?;
        let _alone = self.secrets.write(&hmac).await;
        Ok(match self.counting(&role, &hmac).await? {
            Some(secret) => input.warn(Response::data(secret.shown())),
            None => Response::empty(),
        })
    }

    /// Nothing there is a success.
    pub(super) async fn destroy_secret(&self, name: &str, request: &Request) -> Result<Response> {
        let input = Input::of_path(request, BY_ID, false, NAME)?;
        let secret_id = required(&input, "secret_id")?;
        let _unchanged = self.roles.read(&name.to_lowercase()).await;
        let role = self.role(name).await?.ok_or_else(|| no_role(name))?;
        let hmac = role.hmac(secret_id)?;
        let _alone = self.secrets.write(&hmac).await;
        if let Some(secret) = self.secret_at(&format!("{}{hmac}", role.folder()?)).await? {
            self.delete_secret(&role, &hmac, &secret).await?;
        }
        Ok(Response::empty())
    }

    pub(super) async fn look_up_accessor(&self, name: &str, request: &Request) -> Result<Response> {
        let input = Input::of_path(request, BY_ACCESSOR, false, NAME)?;
        let accessor = required(&input, "secret_id_accessor")?;
        let _unchanged = self.roles.read(&name.to_lowercase()).await;
        let role = self.role(name).await?.ok_or_else(|| no_role(name))?;
        let Some(index) = self.accessor(&role, accessor).await? else {
            let data = Fields::from_iter([("error".to_owned(), no_accessor(accessor).into())]);
            return Ok(Response { status: Some(NOT_FOUND), ..Response::data(data) });
        };
        let _alone = self.secrets.write(&index.secret_id_hmac).await;
        Ok(match self.counting(&role, &index.secret_id_hmac).await? {
            Some(secret) => input.warn(Response::data(secret.shown())),
            None => Response::empty(),
        })
    }

    pub(super) async fn destroy_accessor(&self, name: &str, request: &Request) -> Result<Response> {
        let input = Input::of_path(request, BY_ACCESSOR, false, NAME)?;
        let accessor = required(&input, "secret_id_accessor")?;
        let _unchanged = self.roles.read(&name.to_lowercase()).await;
        let role = self.role(name).await?.ok_or_else(|| no_role(name))?;
        let index = self.accessor(&role, accessor).await?.ok_or_else(|| super::failed(no_accessor(accessor)))?;
        let hmac = index.secret_id_hmac;
        let _alone = self.secrets.write(&hmac).await;
        let secret = self.secret_at(&format!("{}{hmac}", role.folder()?)).await?;
        // It may be another role's.
        let secret = secret.ok_or_else(|| Error::Forbidden("invalid secret id accessor".to_owned()))?;
        self.delete_secret(&role, &hmac, &secret).await?;
        Ok(Response::empty())
    }
}

/// The secret id that a request asks for. It may have less than its role gives, not more.
fn wanted(role: &Role, input: &Input<'_>) -> Result<Secret> {
    let refused = |text: &str| Err(Error::bad_request(text));
    if !role.bind_secret_id {
        return refused("bind_secret_id is not set on the role");
    }
    let (from, tokens) = (input.texts("cidr_list").unwrap_or_default(), input.texts("token_bound_cidrs").unwrap_or_default());
    if let Some(wrong) = networks::invalid(from) {
        return Err(super::failed(format!("failed to validate CIDR blocks: {wrong}")));
    }
    within(from, role.networks())?;
    if let Some(wrong) = networks::invalid(tokens) {
        return Err(super::failed(format!("failed to validate token CIDR blocks: {wrong}")));
    }
    within(tokens, role.token.bound_cidrs())?;
    let uses = input.int("num_uses").unwrap_or(role.secret_id_num_uses);
    if uses < 0 {
        return refused("num_uses cannot be negative");
    }
    if role.secret_id_num_uses > 0 && (uses == 0 || uses > role.secret_id_num_uses) {
        return refused("num_uses cannot be higher than the role's secret_id_num_uses");
    }
    let ttl = seconds(input, "ttl").map_or(role.secret_id_ttl, nanoseconds);
    if role.secret_id_ttl > 0 && (ttl == 0 || ttl > role.secret_id_ttl) {
        return refused("ttl cannot be longer than the role's secret_id_ttl");
    }
    let metadata = metadata(input.text("metadata").unwrap_or_default());
    let metadata = metadata.map_err(|reason| Error::BadRequest(format!("failed to parse metadata: {reason}")))?;
    Ok(Secret {
        secret_id_num_uses: uses,
        secret_id_ttl: ttl,
        metadata: Some(metadata),
        cidr_list: Some(from.to_vec()),
        token_cidr_list: Some(tokens.to_vec()),
        ..Secret::default()
    })
}

/// Names with texts: as JSON, also in base 64, or as `a=b,c=d`, which Vault puts into lower case.
pub(super) fn metadata(text: &str) -> Result<BTreeMap<String, String>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let decoded = STANDARD.decode(text).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = decoded.as_deref().unwrap_or(text);
    let pairs = match serde_json::from_str::<BTreeMap<String, String>>(text) {
        Ok(pairs) => pairs,
        Err(_) => key_values(text).map_err(|reason| format!("failed to parse the input: {reason}"))?,
    };
    match pairs.iter().find(|(name, value)| !name.is_empty() && value.is_empty()) {
        Some((name, _)) => Err(format!("invalid value for key {name:?}")),
        None => Ok(pairs),
    }
}

fn key_values(text: &str) -> Result<BTreeMap<String, String>, String> {
    let text = text.to_lowercase();
    let mut parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    parts.sort_unstable();
    let mut pairs = BTreeMap::new();
    for part in parts {
        let (name, value) = part.split_once('=').filter(|(_, value)| !value.contains('=')).ok_or("invalid <key,value> format")?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || value.is_empty() {
            return Err(format!("invalid <key,value> pair: key: {name:?} value: {value:?}"));
        }
        pairs.insert(name.to_owned(), value.to_owned());
    }
    Ok(pairs)
}
