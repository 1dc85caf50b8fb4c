//! A client's signed request for `GetCallerIdentity`, as it comes with a login.
//!
//! The rule: nothing of it is believed but what STS says of its signature, so whatever could make STS, or anything that stands for it, answer another
//! question is refused before it is sent: other operations, a query, a path, another host.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::client::Client;
use super::headers::Headers;
use super::sts::{Authority, Call, endpoint};
use crate::logical::Fields;

/// The header by which a client says for which server it signed.
pub(super) const SERVER_ID: &str = "X-Vault-Aws-Iam-Server-Id";
/// The same as Vault spells it in texts.
const SERVER_ID_SHOWN: &str = "X-Vault-AWS-IAM-Server-ID";

/// The headers of AWS's that a request for `GetCallerIdentity` has.
const AMZ: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Content-Sha256",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-Signedheaders",
];

/// The longest URL and body that are looked at.
const LONGEST: usize = 4 << 10;

/// A request, checked as far as it does not depend on the mount's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    /// The host of the URL, as it was written.
    host: String,
    authority: Authority,
    headers: Headers,
    body: String,
}

impl Signed {
    /// Reads the fields of a login, in Vault's order and with its texts.
    pub(super) fn parse(data: &Fields) -> Result<Signed, String> {
        let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
        let decoded = |name: &str| -> Result<String, String> {
            let given = text(name);
            if given.is_empty() {
                return Err(format!("missing {name}"));
            }
            let failed = || format!("failed to base64 decode {name}");
            if given.len() > LONGEST {
                return Err(failed());
            }
            STANDARD.decode(given).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(failed)
        };
        match text("iam_http_request_method") {
            "POST" => {}
            "" => return Err("missing iam_http_request_method".to_owned()),
            _ => return Err("invalid iam_http_request_method; currently only 'POST' is supported".to_owned()),
        }
        let (host, authority) = url(&decoded("iam_request_url")?)?;
        let body = decoded("iam_request_body")?;
        if !is_caller_identity(&body) {
            return Err("iam request body is invalid".to_owned());
        }
        let headers = Headers::parse(data.get("iam_request_headers").unwrap_or(&Value::Null))
            .map_err(|reason| format!("Field validation failed: error converting input for field \"iam_request_headers\": {reason}"))?;
        if headers.is_empty() {
            return Err("missing iam_request_headers".to_owned());
        }
        if headers.values("Authorization").len() > 1 {
            return Err("invalid request header: Authorization".to_owned());
        }
        Ok(Signed { host, authority, headers, body })
    }

    /// Holds it to the mount's settings, if there are any.
    pub(super) fn check(&self, client: &Client) -> Result<(), String> {
        if !client.iam_server_id_header_value.is_empty() {
            let failed = |reason: String| format!("error validating {SERVER_ID_SHOWN} header: {reason}");
            self.names_server(&client.iam_server_id_header_value).map_err(failed)?;
        }
        let allowed = |name: &str| AMZ.contains(&name) || client.allowed_sts_header_values.iter().flatten().any(|allowed| allowed == name);
        match self.headers.names().find(|name| name.starts_with("X-Amz-") && !allowed(name)) {
            Some(name) => Err(format!("invalid request header: {name}")),
            None => Ok(()),
        }
    }

    /// Whether it was signed for the server of this id.
    fn names_server(&self, id: &str) -> Result<(), String> {
        let given = self.headers.values(SERVER_ID).join(",");
        if given.is_empty() {
            return Err(format!("missing header {SERVER_ID_SHOWN:?}"));
        }
        if given != id {
            return Err(format!("expected {id:?} but got {given:?}"));
        }
        let [authorization] = self.headers.values("Authorization") else { return Err("missing Authorization header".to_owned()) };
        let parameters = authorization.split_once(' ').map_or("", |(_, parameters)| parameters);
        let mut signed = parameters.split(',').filter_map(|part| part.trim().strip_prefix("SignedHeaders="));
        let names = signed.next().unwrap_or_default();
        if signed.next().is_some() {
            return Err("found multiple SignedHeaders components".to_owned());
        }
        let wanted = SERVER_ID.to_ascii_lowercase();
        if names.split(';').any(|name| name == wanted) { Ok(()) } else { Err("vault header wasn't signed".to_owned()) }
    }

    /// What is to be sent, and where.
    pub(super) fn call(&self, sts_endpoint: &str) -> Result<Call, String> {
        let to = if sts_endpoint.is_empty() {
            let host = self.authority.of_aws().ok_or_else(|| {
                format!("invalid iam_request_url; {:?} is not one of AWS's hosts of STS, and no sts_endpoint is configured", self.host)
            })?;
            format!("https://{host}")
        } else {
            let (scheme, configured) =
                endpoint(sts_endpoint).ok_or("the configured sts_endpoint is not https://host or http://host".to_owned())?;
            let own = |port: Option<u16>| port.unwrap_or(if scheme == "https" { 443 } else { 80 });
            let same = configured.host == self.authority.host && own(configured.port) == own(self.authority.port);
            if !same && self.authority.of_aws().is_none() {
                return Err(format!(
                    "invalid iam_request_url; {:?} is neither one of AWS's hosts of STS nor the configured sts_endpoint",
                    self.host
                ));
            }
            sts_endpoint.trim_end_matches('/').to_owned()
        };
        Ok(Call { endpoint: to, host: self.host.clone(), headers: self.headers.passed_on(), body: self.body.clone() })
    }
}

/// The host of a URL whose path is `/`, as it is written and as it is read.
fn url(text: &str) -> Result<(String, Authority), String> {
    let unreadable = || "error parsing iam_request_url".to_owned();
    let scheme =
        ["https://", "http://"].into_iter().find(|scheme| text.get(..scheme.len()).is_some_and(|given| given.eq_ignore_ascii_case(scheme)));
    let rest = scheme.and_then(|scheme| text.get(scheme.len()..)).ok_or_else(unreadable)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(end).ok_or_else(unreadable)?;
    if path.contains(['?', '#']) {
        return Err("invalid request".to_owned());
    }
    if !matches!(path, "" | "/") {
        return Err("invalid iam_request_url; its path must be /".to_owned());
    }
    Ok((host.to_owned(), Authority::parse(host).ok_or_else(unreadable)?))
}

/// Whether a form asks for exactly that. No escape is needed for it, and none is read.
fn is_caller_identity(body: &str) -> bool {
    let (mut actions, mut versions) = (0, 0);
    for pair in body.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("Action", "GetCallerIdentity")) => actions += 1,
            Some(("Version", version)) if version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => versions += 1,
            _ => return false,
        }
    }
    actions == 1 && versions <= 1
}

#[cfg(test)]
mod tests;
