//! Requests for `GetCallerIdentity`, signed and packed as the Lambda extension does it.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_emulator::Keys;
use serde_json::{Value, json};

/// For which server the tests sign.
pub(super) const SERVER_ID: &str = "vault.example.com";

const URL: &str = "https://sts.amazonaws.com/";
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// A signed request.
pub(super) struct Request {
    url: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// To the global endpoint, for no server in particular.
    pub(super) fn signed(keys: &Keys) -> Request {
        Request::made(keys, URL, "us-east-1", &[])
    }

    /// For the server of this id.
    pub(super) fn for_server(keys: &Keys, id: &str) -> Request {
        Request::made(keys, URL, "us-east-1", &[("X-Vault-AWS-IAM-Server-ID", id)])
    }

    /// To another endpoint.
    pub(super) fn to(keys: &Keys, url: &str, region: &str) -> Request {
        Request::made(keys, url, region, &[])
    }

    fn made(keys: &Keys, url: &str, region: &str, more: &[(&str, &str)]) -> Request {
        let mut headers = vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let identity = Credentials::new(&keys.access, &keys.secret, keys.token.clone(), None, "tests").into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("sts")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let plain = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new("POST", url, plain, SignableBody::Bytes(BODY.as_bytes())).unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        headers.extend(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())));
        Request { url: url.to_owned(), headers }
    }

    /// Changes a header, or adds one, without signing anew.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// The body of a login with it.
    pub(super) fn login(&self, role: &str) -> Value {
        let headers: serde_json::Map<String, Value> = self.headers.iter().map(|(name, value)| (name.clone(), json!([value]))).collect();
        json!({
            "role": role,
            "iam_http_request_method": "POST",
            "iam_request_url": STANDARD.encode(&self.url),
            "iam_request_body": STANDARD.encode(BODY),
            "iam_request_headers": STANDARD.encode(Value::from(headers).to_string()),
        })
    }
}
