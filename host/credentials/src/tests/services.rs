//! The services that credentials come from, as far as their rules matter here: who breaks one is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Method;

use super::server::{Answer, Asked, Server};
use super::{in_seconds, sources};
use crate::Sources;

pub(super) const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const TOKEN: &str = "AQAAAsession-token-of-imds";

pub(super) fn ok(body: String) -> Option<Answer> {
    Some((200, Vec::new(), body))
}

pub(super) fn refuse(status: u16, body: &str) -> Option<Answer> {
    Some((status, Vec::new(), body.to_owned()))
}

/// Credentials as instance and container endpoints write them, numbered so that a test can tell them apart.
pub(super) fn document(number: u32, life: f64) -> String {
    let expiry = in_seconds(life);
    format!(
        r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIA{number}","SecretAccessKey":"temporary-secret-{number}","Token":"temporary-token-{number}","Expiration":"{expiry}"}}"#
    )
}

/// IMDSv2 with one role: a token by PUT with a time to live, and nothing without the token.
pub(super) async fn imds(life: f64) -> Server {
    let given = AtomicU32::new(0);
    Server::start(move |asked| imds_answer(asked, || document(given.fetch_add(1, Ordering::SeqCst) + 1, life))).await
}

pub(super) fn imds_answer(asked: &Asked, document: impl FnOnce() -> String) -> Option<Answer> {
    const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
    if asked.method == Method::PUT {
        return match asked.header(TTL).parse::<u32>() {
            Ok(ttl @ 1..=21600) if asked.path == "/latest/api/token" => Some((200, vec![(TTL, ttl.to_string())], TOKEN.to_owned())),
            _ => refuse(400, "no time to live"),
        };
    }
    if asked.header("x-aws-ec2-metadata-token") != TOKEN {
        return refuse(401, "no token, or a wrong one");
    }
    match asked.path.strip_prefix(ROLES) {
        Some("") => ok("node-role".to_owned()),
        Some("node-role") => ok(document()),
        _ if asked.path == "/latest/meta-data/placement/region" => ok("ap-southeast-2".to_owned()),
        _ => refuse(404, "not found"),
    }
}

pub(super) fn on_instance(imds: &Server) -> Sources {
    sources(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.url)])
}

/// What STS holds true: who may assume what.
#[derive(Clone, Default)]
pub(super) struct Trust {
    /// The key that `AssumeRole` must be signed with, and its session token.
    pub(super) base: Option<(String, Option<String>)>,
    pub(super) external_id: Option<String>,
    /// The token that `AssumeRoleWithWebIdentity` must bring.
    pub(super) token: Arc<std::sync::Mutex<String>>,
    /// How long what it issues first lives; what it issues later lives for an hour.
    pub(super) life: f64,
}

/// STS that issues numbered credentials to whom it trusts.
pub(super) async fn sts(trust: Trust) -> Server {
    let given = AtomicU32::new(0);
    Server::start(move |asked| {
        let action = asked.field("Action").unwrap_or_default();
        match check(&trust, &action, asked) {
            Ok(()) => {
                let number = given.fetch_add(1, Ordering::SeqCst) + 1;
                let expiry = in_seconds(if number == 1 { trust.life } else { 3600.0 });
                ok(format!(
                    r#"<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials><AccessKeyId>ASIASTS{number}</AccessKeyId><SecretAccessKey>sts-secret-{number}</SecretAccessKey><SessionToken>sts-token-{number}</SessionToken><Expiration>{expiry}</Expiration></Credentials></{action}Result></{action}Response>"#
                ))
            }
            Err((code, message)) => refuse(
                403,
                &format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"),
            ),
        }
    })
    .await
}

fn check(trust: &Trust, action: &str, asked: &Asked) -> Result<(), (&'static str, &'static str)> {
    match action {
        "AssumeRole" => {
            let Some((key, session)) = &trust.base else { return Err(("AccessDenied", "nobody may assume this role")) };
            let authorization = asked.header("authorization");
            let scope = format!("AWS4-HMAC-SHA256 Credential={key}/");
            if !authorization.starts_with(&scope) || !authorization.contains("/eu-west-1/sts/aws4_request") {
                return Err(("InvalidClientTokenId", "the request is not signed with the base key for this region"));
            }
            let signature = authorization.split_once("Signature=").map(|(_, hex)| hex).unwrap_or_default();
            if signature.len() != 64 || !signature.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(("SignatureDoesNotMatch", "no signature"));
            }
            if asked.header("x-amz-security-token") != session.as_deref().unwrap_or_default() {
                return Err(("InvalidClientTokenId", "the session token is not the base key's"));
            }
            if asked.field("ExternalId") != trust.external_id {
                return Err(("AccessDenied", "the external id is not the agreed one"));
            }
            Ok(())
        }
        "AssumeRoleWithWebIdentity" if !asked.header("authorization").is_empty() => Err(("AccessDenied", "signed")),
        "AssumeRoleWithWebIdentity" if asked.field("WebIdentityToken").as_deref() == Some(trust.token.lock().unwrap().as_str()) => Ok(()),
        "AssumeRoleWithWebIdentity" => Err(("InvalidIdentityToken", "the token is not the one that was issued")),
        _ => Err(("InvalidAction", "no such action")),
    }
}
