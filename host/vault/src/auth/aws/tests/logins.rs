//! Logins, with every way in which STS may answer, and renewals.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;

use super::*;
use crate::auth::{Login, LoginLease};

/// A login as a client sends it.
fn body(change: Value) -> Value {
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/sts/aws4_request, SignedHeaders=host;x-amz-date, Signature=00";
    let headers = json!({"Authorization": [authorization], "X-Amz-Date": ["20260101T000000Z"], "Connection": "x"});
    let mut body = json!({
        "role": "dev",
        "iam_http_request_method": "POST",
        "iam_request_url": STANDARD.encode("https://sts.amazonaws.com/"),
        "iam_request_body": STANDARD.encode("Action=GetCallerIdentity&Version=2011-06-15"),
        "iam_request_headers": STANDARD.encode(headers.to_string()),
    });
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

async fn log_in(engine: &Aws, change: Value) -> Result<Login> {
    write(engine, "login", body(change)).await.map(|response| *response.login.unwrap())
}

async fn refused(engine: &Aws, change: Value) -> String {
    refusal(write(engine, "login", body(change)).await)
}

/// A mount whose role `dev` is for the caller [`deploy`], and whose settings ask STS once.
async fn ready(answers: impl IntoIterator<Item = Outcome>) -> (Aws, Arc<Script>, View) {
    let mount = mount(answers).await;
    write(&mount.0, "role/dev", json!({"bound_iam_principal_arn": ROLE, "token_policies": "p", "token_ttl": 60})).await.unwrap();
    write(&mount.0, "config/client", json!({"max_retries": 0})).await.unwrap();
    mount
}

#[tokio::test]
async fn a_signed_request_earns_what_the_role_says() {
    let (engine, script, _) = ready([deploy()]).await;
    let login = log_in(&engine, json!({})).await.unwrap();
    assert_eq!((login.policies.as_slice(), login.ttl, login.renewable), (&["p".to_owned()][..], Duration::from_secs(60), true));
    assert_eq!((login.display_name.as_str(), login.role.as_str()), ("deploy/i-1", "dev"));
    let id = read(&engine, "role/dev").await["role_id"].as_str().unwrap().to_owned();
    assert_eq!(login.alias, id);
    let metadata = [("account_id", "123456789012"), ("auth_type", "iam"), ("role_id", &id)];
    assert!(login.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(metadata), "{:?}", login.metadata);
    assert_eq!(
        Value::from(login.internal_data),
        json!({
            "role_name": "dev", "role_id": id, "canonical_arn": ROLE, "client_arn": "arn:aws:sts::123456789012:assumed-role/deploy/i-1",
            "client_user_id": "AROAEXAMPLE", "inferred_entity_id": "", "inferred_aws_region": "", "account_id": "123456789012",
        })
    );
    let calls = script.calls.lock().unwrap().clone();
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!((call.endpoint.as_str(), call.host.as_str()), ("https://sts.amazonaws.com", "sts.amazonaws.com"));
    assert_eq!(call.body, "Action=GetCallerIdentity&Version=2011-06-15");
    let mut names: Vec<&str> = call.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Authorization", "X-Amz-Date"]);
    assert!(!format!("{call:?}").contains("Signature"));
}

#[tokio::test]
async fn without_a_role_the_principals_name_is_the_roles() {
    let (engine, ..) = ready([deploy()]).await;
    assert_eq!(refused(&engine, json!({"role": ""})).await, "entry for role deploy not found");
    write(&engine, "role/deploy", json!({"bound_iam_principal_arn": "arn:aws:iam::123456789012:role/d*"})).await.unwrap();
    assert_eq!(log_in(&engine, json!({"role": null})).await.unwrap().role, "deploy");
    assert_eq!(refused(&engine, json!({"role": "../x"})).await, "entry for role ../x not found");
}

#[tokio::test]
async fn the_form_of_a_login_is_told_by_its_fields() {
    let (engine, ..) = ready([deploy()]).await;
    for (change, error) in [
        (json!({"pkcs7": "x"}), "supplied auth values for both ec2 and iam auth types"),
        (json!({"iam_request_url": ""}), "didn't supply required authentication values"),
        (json!({"iam_request_url": null, "identity": "x"}), "didn't supply required authentication values"),
    ] {
        assert_eq!(refused(&engine, change).await, error);
    }
    let instance = refused(&engine, json!({"iam_request_url": "", "identity": "x", "signature": "y"})).await;
    assert!(instance.contains("not offered"), "{instance}");
}

#[tokio::test]
async fn who_is_not_bound_does_not_get_in() {
    let stranger = "arn:aws:iam::123456789012:user/mallory";
    let (engine, _, view) = ready([caller(stranger, "AIDA")]).await;
    assert_eq!(refused(&engine, json!({})).await, format!("IAM Principal {stranger:?} does not belong to the role \"dev\""));
    view.put("role/e", br#"{"auth_type":"ec2","version":3}"#).await.unwrap();
    assert_eq!(refused(&engine, json!({"role": "e"})).await, "auth method iam not allowed for role e");
    view.put("role/i", br#"{"auth_type":"iam","version":3,"inferred_entity_type":"ec2_instance"}"#).await.unwrap();
    assert!(refused(&engine, json!({"role": "i"})).await.contains("is about instances of EC2"));
    write(&engine, "role/b", json!({"bound_iam_principal_arn": stranger, "token_bound_cidrs": "10.0.0.0/8"})).await.unwrap();
    let mut from = request(Operation::Update, "login", body(json!({"role": "b"})));
    for (address, allowed) in [("10.1.1.1:1", true), ("127.0.0.1:1", false)] {
        from.remote = Some(address.parse().unwrap());
        let outcome = engine.handle(&from).await;
        assert!(if allowed { outcome.is_ok() } else { matches!(outcome, Err(Error::PermissionDenied)) }, "{address}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_stss_admits_nobody() {
    let answer = |status, content_type: &str, body: &str| {
        Ok(Answer { status, content_type: Some(content_type.to_owned()), body: body.as_bytes().to_vec() })
    };
    for (outcome, error) in [
        (answer(403, "text/xml", "<ErrorResponse/>"), "received error code 403 from STS: <ErrorResponse/>"),
        (answer(301, "text/xml", ""), "received error code 301 from STS: "),
        (answer(200, "application/json", "{}"), "body of GetCallerIdentity is invalid"),
        (answer(200, "text/xml", "<GetCallerIdentityResponse"), "error parsing STS response"),
        (Err(CallError::TooLarge), "body of GetCallerIdentity is invalid"),
        (Err(CallError::Unanswered("10.0.0.1: refused".to_owned())), "STS cannot be reached; the server's log says more"),
        (Err(CallError::Unfit("x".to_owned())), "STS cannot be reached; the server's log says more"),
    ] {
        let (engine, script, _) = ready([outcome]).await;
        assert_eq!(refused(&engine, json!({})).await, format!("error making upstream request: {error}"));
        assert_eq!(script.calls.lock().unwrap().len(), 1);
    }
    let (engine, ..) = ready([caller("arn:aws:iam::123456789012:root", "123456789012")]).await;
    assert_eq!(
        refused(&engine, json!({})).await,
        "error parsing arn \"arn:aws:iam::123456789012:root\": unrecognized arn: \"root\" contains fewer than 2 slash-separated parts"
    );
}

#[tokio::test(start_paused = true)]
async fn only_what_may_pass_is_asked_again() {
    let busy = || Ok(Answer { status: 503, content_type: Some("text/xml".to_owned()), body: Vec::new() });
    let broken = || Err(CallError::Unanswered(String::new()));
    for (answers, retries, calls, admitted) in [
        (vec![busy(), broken(), deploy()], 2, 3, true),
        (vec![busy(), broken(), deploy()], 1, 2, false),
        (vec![busy(), busy(), busy(), deploy()], -1, 4, true),
        (vec![Err(CallError::TooLarge), deploy()], 5, 1, false),
        (vec![Err(CallError::Unfit(String::new())), deploy()], 5, 1, false),
    ] {
        let (engine, script, _) = ready(answers).await;
        write(&engine, "config/client", json!({"max_retries": retries})).await.unwrap();
        assert_eq!(log_in(&engine, json!({})).await.is_ok(), admitted);
        assert_eq!(script.calls.lock().unwrap().len(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn an_sts_that_never_answers_is_given_up() {
    let script = Arc::new(Script { silent: true, ..Script::default() });
    let engine = Aws::new(test_view().await, script.clone());
    let begin = tokio::time::Instant::now();
    assert!(refused(&engine, json!({})).await.ends_with("STS cannot be reached; the server's log says more"));
    assert_eq!(begin.elapsed().as_secs(), 30);
    assert_eq!(script.calls.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn the_settings_are_held_to() {
    let (engine, script, _) = ready([deploy()]).await;
    write(&engine, "config/client", json!({"iam_server_id_header_value": "vault.example"})).await.unwrap();
    let missing = "error validating X-Vault-AWS-IAM-Server-ID header: missing header \"X-Vault-AWS-IAM-Server-ID\"";
    assert_eq!(refused(&engine, json!({})).await, missing);
    let headers = json!({
        "x-vault-aws-iam-server-id": "vault.example", "authorization": "AWS4-HMAC-SHA256 SignedHeaders=host;x-vault-aws-iam-server-id, Signature=0",
    });
    log_in(&engine, json!({"iam_request_headers": headers})).await.unwrap();
    write(&engine, "config/client", json!({"iam_server_id_header_value": "", "sts_endpoint": "http://127.0.0.1:9"})).await.unwrap();
    log_in(&engine, json!({})).await.unwrap();
    assert_eq!(script.calls.lock().unwrap().last().unwrap().endpoint, "http://127.0.0.1:9");
    let elsewhere = json!({"iam_request_url": STANDARD.encode("https://sts.evil.example/")});
    assert!(refused(&engine, elsewhere).await.contains("is neither one of AWS's hosts of STS"));
}

async fn renew(engine: &Aws, login: &Login) -> Result<Login, String> {
    let lease = LoginLease { login: login.clone(), issued: OffsetDateTime::UNIX_EPOCH };
    engine.renew(&lease).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_renewal_goes_by_the_role_of_today_and_asks_nobody() {
    let (engine, script, _) = ready([deploy()]).await;
    let login = log_in(&engine, json!({})).await.unwrap();
    script.calls.lock().unwrap().clear();
    write(&engine, "role/dev", json!({"token_ttl": 90, "token_max_ttl": 900, "token_policies": "q"})).await.unwrap();
    let renewed = renew(&engine, &login).await.unwrap();
    assert_eq!((renewed.ttl.as_secs(), renewed.max_ttl.as_secs(), &renewed.policies), (90, 900, &login.policies));
    // Vault's lease does not know the ARN that STS gave.
    let mut vaults = login.clone();
    vaults.internal_data.remove("client_arn");
    assert!(renew(&engine, &vaults).await.is_ok());
    let other = json!({"bound_iam_principal_arn": "arn:aws:iam::123456789012:role/other,arn:aws:sts::123456789012:assumed-role/deploy/*"});
    write(&engine, "role/dev", other).await.unwrap();
    assert!(renew(&engine, &login).await.is_ok());
    assert_eq!(renew(&engine, &vaults).await, Err(format!("role \"dev\" no longer bound to ARN {ROLE:?}")));
    ask(&engine, Operation::Delete, "role/dev", json!({})).await.unwrap();
    assert_eq!(renew(&engine, &login).await, Err("role entry not found".to_owned()));
    vaults.internal_data.clear();
    assert_eq!(renew(&engine, &vaults).await, Err("error retrieving role_name during renewal".to_owned()));
    assert!(script.calls.lock().unwrap().is_empty());
}
