//! `sys/wrapping/*`, and the wrapping of answers.
//!
//! The rule: an answer that is to be wrapped leaves only as the token of its wrapping, after that is stored.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Call, object, params};
use crate::core::Active;
use crate::envelope;
use crate::logical::{Auth, Error, Fields, Operation, Request, Response, Result, WrapInfo};
use crate::token::{Entry, Store, invalid_wrapping};

const LOOKUP: &str = "sys/wrapping/lookup";

/// What a request says of the wrapping of its answer.
pub(crate) struct Asked {
    id: String,
    /// From the API's root.
    path: String,
    ttl: Option<Duration>,
    /// The token is to be a JWT, which names this address of the server.
    jwt: Option<String>,
}

impl Asked {
    /// None if the answer cannot have to be wrapped.
    pub(crate) fn of(request: &Request, address: &str) -> Option<Asked> {
        let wraps = request.wrap_ttl.is_some() || concerns(&request.path);
        let jwt = || request.wrap_jwt.then(|| address.to_owned());
        wraps.then(|| Asked { id: request.id.clone(), path: request.path.clone(), ttl: request.wrap_ttl, jwt: jwt() })
    }
}

/// Whether the path is about a wrapped answer, by its token in the body or, where there is none, by the one that the request came with.
pub(crate) fn concerns(path: &str) -> bool {
    path.strip_prefix("sys/wrapping/").is_some_and(|verb| matches!(verb, "lookup" | "rewrap" | "unwrap"))
}

/// The token that such a request is about, and whether it is another than the one that it came with.
fn named(data: &Fields, token: Option<&Zeroizing<String>>) -> Result<(Zeroizing<String>, bool)> {
    if let Some(named) = params::text(data, "token")?.filter(|named| !named.is_empty()) {
        return Ok((Zeroizing::new(named), true));
    }
    match token.filter(|token| !token.is_empty()) {
        Some(token) => Ok((token.clone(), false)),
        None => Err(Error::Forbidden("error validating wrapping token: token is empty".to_owned())),
    }
}

/// Refuses requests about what is not wrapped, before the request counts as a use of any token. `request.path` is from the API's root. A JWT
/// gives way to the token that it names.
pub(crate) async fn check(active: &Active, request: &mut Request) -> Result<()> {
    let (mut token, in_body) = named(&request.data, request.token.as_ref())?;
    if let Some(inner) = active.tokens.wrapping_key.named(&token).await? {
        token = inner;
        if in_body {
            request.data.insert("token".to_owned(), token.as_str().into());
        } else {
            request.token = Some(token.clone());
        }
    }
    active.tokens.wrapping_token(&token).await.map(drop)
}

/// Whether it is answered to everybody who has the wrapping's token, and uses up none.
pub(crate) fn is_lookup(path: &str) -> bool {
    path == LOOKUP
}

/// `sys/wrapping/lookup`.
pub(crate) async fn lookup(active: &Active, request: &Request) -> Result<Response> {
    if !matches!(request.operation, Operation::Read | Operation::Create | Operation::Update) {
        return Err(Error::UnsupportedOperation);
    }
    let (token, _) = named(&request.data, request.token.as_ref())?;
    let entry = active.tokens.wrapping_token(&token).await?;
    let (ttl, time, path) = active.tokens.wrapped_info(&entry).await?;
    let mut data = Fields::new();
    for (name, value) in [
        ("creation_ttl", ttl.map(|ttl| ttl.as_secs().into())),
        ("creation_time", time.map(Value::from)),
        ("creation_path", path.map(Value::from)),
    ] {
        if let Some(value) = value {
            data.insert(name.to_owned(), value);
        }
    }
    Ok(Response::data(data))
}

/// The others; `verb` is what follows `sys/wrapping/`.
pub(super) async fn handle(call: &Call<'_>, verb: &str, request: &Request) -> Result<Response> {
    let writes = matches!(request.operation, Operation::Create | Operation::Update);
    match verb {
        "wrap" if writes => match request.wrap_ttl {
            Some(_) => Ok(Response::data(request.data.clone())),
            None => Err(Error::bad_request("endpoint requires response wrapping to be used")),
        },
        "unwrap" if writes => unwrapped(&take(call, request).await?.0),
        "rewrap" if writes => {
            let (raw, ttl, path) = take(call, request).await?;
            let ttl = ttl.filter(|ttl| !ttl.is_zero()).ok_or_else(|| Error::bad_request("could not look up the wrapping's TTL"))?;
            let meant = WrapInfo { ttl, creation_path: path.unwrap_or_default(), ..WrapInfo::default() };
            Ok(Response { raw: Some(raw), wrap_info: Some(Box::new(meant)), ..Response::empty() })
        }
        "wrap" | "unwrap" | "rewrap" => Err(Error::UnsupportedOperation),
        _ => Err(Error::unsupported_path()),
    }
}

/// The wrapped body, its TTL and its path; its token is used up.
async fn take(call: &Call<'_>, request: &Request) -> Result<(Zeroizing<String>, Option<Duration>, Option<String>)> {
    let tokens = &call.active.tokens;
    let (token, other) = named(&request.data, request.token.as_ref())?;
    if !other {
        // It came with the request, which has used it up, and is revoked after it.
        return read(tokens, &call.caller.entry).await;
    }
    let entry = tokens.wrapping_token(&token).await?;
    tokens.claim(&entry).await?;
    let taken = read(tokens, &entry).await;
    let revoked = tokens.revoke(&entry.id).await;
    let taken = taken?;
    revoked.map(|()| taken)
}

async fn read(tokens: &Store, entry: &Entry) -> Result<(Zeroizing<String>, Option<Duration>, Option<String>)> {
    if !entry.policies.iter().any(|policy| policy == crate::policy::RESPONSE_WRAPPING) {
        return Err(invalid_wrapping());
    }
    let (ttl, _, path) = tokens.wrapped_info(entry).await?;
    Ok((tokens.wrapped(entry).await?, ttl, path))
}

/// The answer that a body was.
fn unwrapped(body: &Zeroizing<String>) -> Result<Response> {
    let damaged = || Error::Damaged("a wrapped answer is not the JSON of one".to_owned());
    let envelope: Fields = serde_json::from_str(body).map_err(|_| damaged())?;
    let inner = |name: &str| envelope.get("data").and_then(|data| data.get(name));
    let Some(status) = inner("http_status_code") else { return Ok(Response { raw: Some(body.clone()), ..Response::empty() }) };
    let status = status.as_u64().and_then(|status| u16::try_from(status).ok()).ok_or_else(damaged)?;
    // Go writes bytes in base 64.
    let plain = |text: &str| STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned());
    let raw = inner("http_raw_body").and_then(Value::as_str).map(plain);
    Ok(Response { raw: raw.map(Zeroizing::new), status: Some(status), ..Response::empty() })
}

/// Wraps an answer whose request wants that, or that is one of `rewrap`; any other stays as it is.
pub(crate) async fn wrap(active: &Arc<Active>, asked: &Asked, response: Response) -> Result<Response> {
    let Asked { id, path, ttl, jwt } = asked;
    let rewrapped = response.wrap_info.is_some();
    let meant = match (&response.wrap_info, *ttl) {
        // The shorter of the two counts.
        (Some(meant), ttl) => WrapInfo { ttl: ttl.map_or(meant.ttl, |ttl| ttl.min(meant.ttl)), ..(**meant).clone() },
        (None, Some(ttl)) if !envelope::is_empty(&response) => WrapInfo { ttl, creation_path: path.clone(), ..WrapInfo::default() },
        _ => return Ok(response),
    };
    let wrapped_accessor = response.auth.as_ref().map(|auth| auth.accessor.clone()).or_else(|| secret_id(active, path, &response));
    let body = envelope::to_wrap(id, &response)?;
    let meant = WrapInfo { wrapped_accessor: wrapped_accessor.unwrap_or_default(), ..meant };
    // What is wrapped anew gets a plain token, as from Vault.
    let address = jwt.as_deref().filter(|_| !rewrapped);
    let wrapped = active.tokens.wrap(path, &body, meant, address).await?;
    let mut warnings = response.warnings;
    if address.is_some_and(str::is_empty) {
        warnings.push("api_addr is not set, so the token names no address: clients have to know where to unwrap it".to_owned());
    }
    Ok(Response { wrap_info: Some(Box::new(wrapped)), warnings, ..Response::empty() })
}

/// The accessor of a new secret id of approle, by which it can be destroyed that nobody has unwrapped.
fn secret_id(active: &Active, path: &str, response: &Response) -> Option<String> {
    let accessor = response.data.as_ref()?.get("secret_id_accessor")?.as_str()?;
    let routes = active.mounts.routes();
    (routes.find(path)?.0.entry.kind == "approle").then(|| accessor.to_owned())
}

/// What the audit log shows of an answer that was unwrapped: the members of its envelope.
pub(crate) fn opened(raw: &str) -> Response {
    let Ok(mut envelope) = serde_json::from_str::<Fields>(raw) else { return Response::data(object([("http_raw_body", raw.into())])) };
    let mut response = Response::empty();
    if let Some(Value::Object(data)) = envelope.remove("data") {
        response.data = Some(data);
    }
    if let Some(Value::Object(auth)) = envelope.remove("auth") {
        response.auth = Some(Box::new(auth_of(&auth)));
    }
    response.warnings = envelope.get("warnings").map(texts).unwrap_or_default();
    response
}

fn auth_of(auth: &Fields) -> Auth {
    let text = |name: &str| auth.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |name: &str| auth.get(name).map(texts).unwrap_or_default();
    Auth {
        client_token: Zeroizing::new(text("client_token")),
        accessor: text("accessor"),
        policies: list("policies"),
        token_policies: list("token_policies"),
        metadata: auth.get("metadata").and_then(Value::as_object).cloned(),
        lease_duration: Duration::from_secs(auth.get("lease_duration").and_then(Value::as_u64).unwrap_or_default()),
        num_uses: auth.get("num_uses").and_then(Value::as_i64).unwrap_or_default(),
        entity_id: text("entity_id"),
        token_type: text("token_type"),
        ..Auth::default()
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
