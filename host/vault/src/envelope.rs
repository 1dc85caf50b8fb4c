//! The JSON that an answer has as its body, in Vault's form: what the server sends, and what a wrapped answer is stored as.

use serde::Serialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::logical::{Auth, Error, Response, Result, WrapInfo};

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    flattened: Option<&'a Map<String, Value>>,
    request_id: &'a str,
    lease_id: &'a str,
    renewable: bool,
    lease_duration: u64,
    data: Option<&'a Map<String, Value>>,
    wrap_info: Option<Value>,
    warnings: Option<&'a [String]>,
    auth: Option<Value>,
}

fn auth_member(auth: &Auth) -> Value {
    let mut member = json!({
        "client_token": auth.client_token.as_str(),
        "accessor": auth.accessor,
        "policies": auth.policies,
        "token_policies": auth.token_policies,
        "metadata": auth.metadata,
        "lease_duration": auth.lease_duration.as_secs(),
        "renewable": auth.renewable,
        "entity_id": auth.entity_id,
        "token_type": auth.token_type,
        "orphan": auth.orphan,
        "mfa_requirement": null,
        "num_uses": auth.num_uses,
    });
    if let Some(member) = member.as_object_mut().filter(|_| !auth.identity_policies.is_empty()) {
        member.insert("identity_policies".to_owned(), auth.identity_policies.clone().into());
    }
    member
}

fn wrap_member(wrapped: &WrapInfo) -> Value {
    let mut member = json!({
        "token": wrapped.token.as_str(),
        "accessor": wrapped.accessor,
        "ttl": wrapped.ttl.as_secs(),
        "creation_time": wrapped.creation_time,
        "creation_path": wrapped.creation_path,
    });
    if let Value::Object(member) = &mut member
        && !wrapped.wrapped_accessor.is_empty()
    {
        member.insert("wrapped_accessor".to_owned(), wrapped.wrapped_accessor.as_str().into());
    }
    member
}

/// Whether there is nothing to send but a status.
pub fn is_empty(response: &Response) -> bool {
    let Response { data, auth, warnings, raw, wrap_info, .. } = response;
    data.is_none() && auth.is_none() && warnings.is_empty() && raw.is_none() && wrap_info.is_none()
}

/// The body, without an end of line. A wrapped answer shows nothing but where it is to be had; its request's id is in it.
pub fn body(request_id: &str, response: &Response) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = match (&response.wrap_info, &response.raw) {
        (Some(wrapped), _) => serde_json::to_vec(&Envelope {
            flattened: None,
            request_id: "",
            lease_id: "",
            renewable: false,
            lease_duration: 0,
            data: None,
            wrap_info: Some(wrap_member(wrapped)),
            warnings: None,
            auth: None,
        }),
        (None, Some(raw)) => return Ok(Zeroizing::new(raw.as_bytes().to_vec())),
        (None, None) => serde_json::to_vec(&plain(request_id, response, response.flatten)),
    };
    bytes.map(Zeroizing::new).map_err(unwritable)
}

/// What is stored of an answer that is wrapped: its body, in the form that `sys/wrapping/unwrap` of this server, Vault and OpenBao hands out.
pub(crate) fn to_wrap(request_id: &str, response: &Response) -> Result<Zeroizing<String>> {
    if let Some(raw) = &response.raw {
        return Ok(raw.clone());
    }
    let inner = serde_json::to_string(&plain(request_id, response, false)).map(Zeroizing::new).map_err(unwritable)?;
    let Some(status) = response.status else { return Ok(inner) };
    // Vault keeps a status beside the body that goes with it.
    let mut data = Map::new();
    data.insert("http_content_type".to_owned(), "application/json".into());
    data.insert("http_raw_body".to_owned(), inner.as_str().into());
    data.insert("http_status_code".to_owned(), status.into());
    serde_json::to_string(&plain(request_id, &Response::data(data), false)).map(Zeroizing::new).map_err(unwritable)
}

fn plain<'a>(request_id: &'a str, response: &'a Response, flatten: bool) -> Envelope<'a> {
    Envelope {
        flattened: response.data.as_ref().filter(|_| flatten),
        request_id,
        lease_id: "",
        renewable: false,
        lease_duration: response.lease_duration.as_secs(),
        data: response.data.as_ref(),
        wrap_info: None,
        warnings: Some(response.warnings.as_slice()).filter(|warnings| !warnings.is_empty()),
        auth: response.auth.as_deref().map(auth_member),
    }
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::Internal(format!("an answer could not be written as JSON: {error}"))
}
