//! The AWS login: a signed request of `GetCallerIdentity`, which the server sends to STS to learn who signed it.
//!
//! The rule: it is signed anew for each login, with what the credential chain of the server's own egress gives at that time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_credentials::{CallerIdentity, Credentials, CredentialsError, Identity, Sources};
use serde::Serialize;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::settings::AwsLogin;

/// The name under which a role is assumed.
const SESSION: &str = "vault_auth";

/// Room for the login's body, so that none of it is left behind where it grew.
const ROOM: usize = 16 << 10;

/// Signs logins.
pub(crate) struct Signer {
    login: AwsLogin,
    sources: Sources,
    credentials: OnceCell<Arc<Credentials>>,
}

#[derive(Serialize)]
struct Body<'a> {
    role: &'a str,
    iam_http_request_method: &'static str,
    iam_request_url: String,
    iam_request_body: String,
    iam_request_headers: &'a str,
}

impl Signer {
    pub(crate) fn new(login: AwsLogin, sources: Sources) -> Signer {
        Signer { login, sources, credentials: OnceCell::new() }
    }

    /// The body of a login.
    pub(crate) async fn body(&self, now: SystemTime) -> Result<Zeroizing<Vec<u8>>, CredentialsError> {
        let login = &self.login;
        let credentials = self.credentials.get_or_try_init(|| self.open()).await?;
        let request = CallerIdentity::sign(credentials, &login.sts, login.server_id.as_deref(), now).await?;
        let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, value) in request.headers() {
            headers.entry(name).or_default().push(value);
        }
        let mut json = Zeroizing::new(Vec::with_capacity(ROOM));
        let mut encoded = Zeroizing::new(String::with_capacity(ROOM));
        let mut body = Zeroizing::new(Vec::with_capacity(2 * ROOM));
        // What consists of texts is always JSON.
        let unfit = |error: serde_json::Error| CredentialsError::Configuration(error.to_string());
        serde_json::to_writer(&mut *json, &headers).map_err(unfit)?;
        STANDARD.encode_string(&*json, &mut encoded);
        let parts = Body {
            role: &login.role,
            iam_http_request_method: "POST",
            iam_request_url: STANDARD.encode(request.url()),
            iam_request_body: STANDARD.encode(request.body()),
            iam_request_headers: &encoded,
        };
        serde_json::to_writer(&mut *body, &parts).map_err(unfit)?;
        Ok(body)
    }

    async fn open(&self) -> Result<Arc<Credentials>, CredentialsError> {
        let role_arn = self.login.assumed_role_arn.clone();
        let role_session_name = role_arn.is_some().then(|| SESSION.to_owned());
        let identity = Identity { role_arn, role_session_name, ..Identity::default() };
        Credentials::open(identity, self.login.sts.region(), &self.sources).await
    }
}
