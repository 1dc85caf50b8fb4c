//! Logging in, and what a renewal is decided by.
//!
//! The order of checks and their texts are Vault's. What went wrong on the way to STS is for the log: a client without a token learns of it only that
//! it did.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use super::arn::Principal;
use super::request::Signed;
use super::role::Caller;
use super::sts::{Answer, Call, CallError};
use super::{Aws, answer, client, identity, roles};
use crate::auth::{Login, LoginLease, networks};
use crate::logical::{Error, Fields, Request, Response, Result};

/// How long one request to STS may take, and all of a login's.
const ATTEMPT: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(30);
/// What is waited before a request is sent again the first time, and at most.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

const SIGNED: [&str; 4] = ["iam_http_request_method", "iam_request_url", "iam_request_body", "iam_request_headers"];

const UNREACHABLE: &str = "error making upstream request: STS cannot be reached; the server's log says more";

/// Which form a login is of, by Vault's rule: only all fields of a form count.
fn check_form(data: &Fields) -> Result<()> {
    let given = |name: &&str| match data.get(*name) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    };
    let instance = given(&"pkcs7") || ["identity", "signature"].iter().all(given);
    match (instance, SIGNED.iter().all(given)) {
        (true, true) => Err(Error::bad_request("supplied auth values for both ec2 and iam auth types")),
        (true, false) => Err(Error::bad_request(
            "logins of instances by identity documents (the ec2 auth type) are not offered by this server; sign a request of GetCallerIdentity",
        )),
        (false, true) => Ok(()),
        (false, false) => Err(Error::bad_request("didn't supply required authentication values")),
    }
}

impl Aws {
    /// `login`.
    pub(super) async fn log_in(&self, request: &Request) -> Result<Response> {
        check_form(&request.data)?;
        let signed = Signed::parse(&request.data).map_err(Error::BadRequest)?;
        let settings = client::load(&self.view).await?;
        if let Some(settings) = &settings {
            signed.check(settings).map_err(Error::BadRequest)?;
        }
        let settings = settings.unwrap_or_default();
        if settings.iam_server_id_header_value.is_empty() && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                mount = self.view.prefix(),
                "an aws auth method has no iam_server_id_header_value: a login request that was signed for another server is accepted here, too"
            );
        }
        let call = signed.call(&settings.sts_endpoint).map_err(Error::BadRequest)?;
        let answer = self.ask(&call, settings.retries()).await?;
        let caller = answer::identity(&answer).map_err(|reason| Error::BadRequest(format!("error making upstream request: {reason}")))?;
        let principal =
            Principal::parse(&caller.arn).map_err(|reason| Error::BadRequest(format!("error parsing arn {:?}: {reason}", caller.arn)))?;
        self.admit(request, &caller, &principal).await
    }

    /// Whether the caller may have the role, and what it gets then.
    async fn admit(&self, request: &Request, caller: &answer::Identity, principal: &Principal) -> Result<Response> {
        let wanted = request.data.get("role").and_then(Value::as_str).unwrap_or_default();
        let name = if wanted.is_empty() { principal.name.as_str() } else { wanted };
        let missing = || Error::BadRequest(format!("entry for role {name} not found"));
        if !super::is_name(name) {
            return Err(missing());
        }
        let role = self.role(name).await?.ok_or_else(missing)?;
        if !networks::allow(role.token.bound_cidrs(), request)? {
            return Err(Error::PermissionDenied);
        }
        if !role.is_iam() {
            return Err(Error::BadRequest(format!("auth method iam not allowed for role {name}")));
        }
        if role.infers() {
            return Err(roles::of_instances(name));
        }
        let canonical = principal.canonical();
        if !role.admits(&Caller { unique_id: caller.unique_id(), canonical: &canonical, arn: &caller.arn }) {
            return Err(Error::BadRequest(format!("IAM Principal {:?} does not belong to the role {name:?}", caller.arn)));
        }
        let known = identity::load(&self.view).await?;
        let mut login = role.token.login(request);
        login.display_name = principal.display_name();
        login.alias = known.alias(role.id(), caller);
        login.metadata = known.metadata(role.id(), principal, caller);
        login.role = name.to_owned();
        login.internal_data = Fields::from_iter(
            [
                ("role_name", name),
                ("role_id", role.id()),
                ("canonical_arn", &canonical),
                ("client_arn", &caller.arn),
                ("client_user_id", caller.unique_id()),
                ("inferred_entity_id", ""),
                ("inferred_aws_region", ""),
                ("account_id", &principal.account),
            ]
            .map(|(name, value)| (name.to_owned(), value.into())),
        );
        Ok(Response { login: Some(Box::new(login)), ..Response::empty() })
    }

    /// Asks STS, again where that may help.
    async fn ask(&self, call: &Call, retries: u32) -> Result<Answer> {
        let asked = tokio::time::timeout(WHOLE, async {
            // As many as one mount may have under way: who logs in needs no token to be asked for.
            let _under_way = self.calls.acquire().await;
            let mut pause = PAUSE;
            let mut left = retries;
            loop {
                let answer = tokio::time::timeout(ATTEMPT, self.sts.post(call)).await;
                let answer = answer.unwrap_or_else(|_| Err(CallError::Unanswered("no answer in time".to_owned())));
                let again = match &answer {
                    Ok(answer) => answer.status == 429 || answer.status >= 500 && answer.status != 501,
                    Err(error) => matches!(error, CallError::Unanswered(_)),
                };
                if !again || left == 0 {
                    return answer;
                }
                left -= 1;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
        match asked.await.unwrap_or_else(|_| Err(CallError::Unanswered("no answer in time".to_owned()))) {
            Ok(answer) => Ok(answer),
            Err(error) => {
                tracing::warn!(endpoint = call.endpoint, %error, "a login by the aws auth method cannot be checked with STS");
                Err(Error::bad_request(match error {
                    CallError::TooLarge => "error making upstream request: body of GetCallerIdentity is invalid",
                    CallError::Unfit(_) | CallError::Unanswered(_) => UNREACHABLE,
                }))
            }
        }
    }

    /// A renewal: by what the role says now, and who it was that logged in. STS is not asked.
    pub(super) async fn renewed(&self, lease: &LoginLease) -> Result<Login> {
        let login = &lease.login;
        let said = |name: &str| {
            let kept = login.internal_data.get(name).and_then(Value::as_str);
            kept.or_else(|| login.metadata.get(name).map(String::as_str)).unwrap_or_default()
        };
        let name = said("role_name");
        if name.is_empty() {
            return Err(Error::bad_request("error retrieving role_name during renewal"));
        }
        let role = self.role(name).await?.ok_or_else(|| Error::bad_request("role entry not found"))?;
        if !role.is_iam() || role.infers() {
            return Err(roles::of_instances(name));
        }
        let canonical = said("canonical_arn");
        if !role.admits(&Caller { unique_id: said("client_user_id"), canonical, arn: said("client_arn") }) {
            return Err(Error::BadRequest(format!("role {name:?} no longer bound to ARN {canonical:?}")));
        }
        Ok(Login { ttl: role.token.token_ttl, max_ttl: role.token.token_max_ttl, period: role.token.token_period, ..login.clone() })
    }
}
