//! Logins by the aws auth method: the built server, with requests that the official signer signed, checked by Moto, which verifies signatures; and with
//! an STS of our own for wrong answers.

mod scripted;
mod signed;

use std::process::Command;
use std::time::Duration;

use cofferdam_emulator::{Keys, Moto};
use serde_json::{Value, json};

use crate::e2e::process::{Server, bao, script, succeed, text};
use scripted::Scripted;
use signed::{Request, SERVER_ID};

/// What Moto calls its account.
const ACCOUNT: &str = "123456789012";
const LIMIT: Duration = Duration::from_secs(180);

/// A development server with an aws mount that asks this STS once.
fn mounted(endpoint: &str) -> Server {
    let server = Server::dev();
    server.done("POST", "sys/auth/aws", Some(json!({"type": "aws"})));
    configure(&server, json!({"sts_endpoint": endpoint, "max_retries": 0}));
    server
}

fn configure(server: &Server, settings: Value) -> Value {
    server.done("POST", "auth/aws/config/client", Some(settings))
}

fn role(server: &Server, name: &str, arn: &str, more: Value) {
    let mut body = json!({"auth_type": "iam", "bound_iam_principal_arn": arn, "token_policies": "default"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.done("POST", &format!("auth/aws/role/{name}"), Some(body));
}

/// A login without a token; its status and answer.
fn log_in(server: &Server, role: &str, request: &Request) -> (u16, Value) {
    server.call_as("", "PUT", "auth/aws/login", Some(request.login(role)))
}

/// The one error of a refused login.
fn refused(server: &Server, role: &str, request: &Request) -> String {
    let (status, answer) = log_in(server, role, request);
    assert_eq!(status, 400, "{answer}");
    answer["errors"][0].as_str().unwrap().to_owned()
}

/// Who signed, the server's id, roles and their wildcards, renewal; and hvac and `bao` as clients.
#[test]
fn signed_requests_are_checked_with_sts() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (moto, user, assumed) = runtime.block_on(Moto::start_auth()).unwrap();
    let server = mounted(moto.endpoint());
    role(&server, "user", &format!("arn:aws:iam::{ACCOUNT}:user/user"), json!({"token_ttl": "1h"}));
    role(&server, "assumed", &format!("arn:aws:iam::{ACCOUNT}:role/role"), json!({}));
    role(&server, "roles", &format!("arn:aws:iam::{ACCOUNT}:role/ro*"), json!({}));
    role(&server, "session", &format!("arn:aws:sts::{ACCOUNT}:assumed-role/role/te*"), json!({}));
    role(&server, "other", &format!("arn:aws:iam::{ACCOUNT}:user/other*"), json!({}));

    let (status, answer) = log_in(&server, "user", &Request::signed(&user));
    assert_eq!(status, 200, "{answer}");
    let auth = &answer["auth"];
    assert_eq!((&auth["lease_duration"], &auth["renewable"], &auth["token_type"]), (&json!(3_600), &json!(true), &json!("service")));
    let metadata = &auth["metadata"];
    assert_eq!((&metadata["account_id"], &metadata["auth_type"]), (&json!(ACCOUNT), &json!("iam")), "{metadata}");
    let token = auth["client_token"].as_str().unwrap().to_owned();
    let found = server.call_as(&token, "GET", "auth/token/lookup-self", None).1["data"].clone();
    assert_eq!(
        (&found["display_name"], &found["path"], &found["meta"]),
        (&json!("aws-user"), &json!("auth/aws/login"), metadata),
        "{found}"
    );

    for (name, admitted) in [("assumed", true), ("roles", true), ("session", true), ("user", false), ("other", false)] {
        let (status, answer) = log_in(&server, name, &Request::signed(&assumed));
        assert_eq!(status == 200, admitted, "{name}: {answer}");
        if !admitted {
            let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/role/test");
            assert_eq!(answer["errors"][0], format!("IAM Principal {arn:?} does not belong to the role {name:?}"));
        }
    }
    // Without a role the principal's name is the role's.
    assert_eq!(refused(&server, "", &Request::signed(&assumed)), "entry for role role not found");
    assert_eq!(log_in(&server, "user", &Request::to(&user, "https://sts.eu-west-1.amazonaws.com/", "eu-west-1")).0, 200);

    // What nobody signed so.
    let wrong = Keys { secret: "wrong".to_owned(), ..user.clone() };
    let mut changed = Request::signed(&user);
    changed.set("x-amz-date", "20260101T000000Z");
    let stolen = Keys { token: Some("wrong".to_owned()), ..assumed.clone() };
    for request in [Request::signed(&wrong), changed, Request::signed(&stolen)] {
        let text = refused(&server, "user", &request);
        assert!(text.starts_with("error making upstream request: "), "{text}");
    }
    assert!(
        refused(&server, "user", &Request::to(&user, "https://sts.evil.example/", "us-east-1")).contains("is neither one of AWS's hosts")
    );

    // For which server it was signed.
    let warned = configure(&server, json!({}));
    assert!(warned["warnings"][0].as_str().unwrap().starts_with("iam_server_id_header_value is not set"), "{warned}");
    configure(&server, json!({"iam_server_id_header_value": SERVER_ID}));
    let missing = "error validating X-Vault-AWS-IAM-Server-ID header: missing header \"X-Vault-AWS-IAM-Server-ID\"";
    assert_eq!(refused(&server, "user", &Request::signed(&user)), missing);
    let mut unsigned = Request::signed(&user);
    unsigned.set("x-vault-aws-iam-server-id", SERVER_ID);
    assert!(refused(&server, "user", &unsigned).ends_with("vault header wasn't signed"));
    assert_eq!(log_in(&server, "user", &Request::for_server(&user, SERVER_ID)).0, 200);
    assert!(refused(&server, "user", &Request::for_server(&user, "other")).ends_with(&format!("expected {SERVER_ID:?} but got \"other\"")));

    renewals_go_by_the_role(&server, &token);
    real_clients(&server, moto.endpoint(), &user, &assumed);
}

fn renewals_go_by_the_role(server: &Server, token: &str) {
    let renew = || server.call_as(token, "POST", "auth/token/renew-self", Some(json!({})));
    role(server, "user", &format!("arn:aws:iam::{ACCOUNT}:user/us*"), json!({"token_ttl": "30m"}));
    let (status, answer) = renew();
    assert_eq!((status, &answer["auth"]["lease_duration"]), (200, &json!(1_800)), "{answer}");
    role(server, "user", &format!("arn:aws:iam::{ACCOUNT}:user/other"), json!({}));
    let (status, answer) = renew();
    // As in Vault, where every renewal that an auth method refuses is one that failed.
    assert_eq!(status, 500, "{answer}");
    assert!(answer["errors"][0].as_str().unwrap().contains("no longer bound to ARN"), "{answer}");
    role(server, "user", &format!("arn:aws:iam::{ACCOUNT}:user/user"), json!({}));
    assert_eq!(renew().0, 200);
}

fn real_clients(server: &Server, endpoint: &str, user: &Keys, assumed: &Keys) {
    let mut hvac = script("aws_login.py");
    hvac.args([&server.address, &server.token, endpoint, SERVER_ID, &user.access, &user.secret, &assumed.access, &assumed.secret]);
    let output = succeed(hvac.arg(assumed.token.as_deref().unwrap()), LIMIT);
    assert!(text(&output).contains("hvac logged in as aws-user and aws-role/test"), "{}", text(&output));
    let login = Request::for_server(user, SERVER_ID).login("user");
    let mut command = Command::new(bao());
    command.env("BAO_ADDR", &server.address).env("HOME", "/nonexistent").args(["write", "-field=token", "auth/aws/login"]);
    for (name, value) in login.as_object().unwrap() {
        command.arg(format!("{name}={}", value.as_str().unwrap()));
    }
    let token = text(&succeed(&mut command, LIMIT)).trim().to_owned();
    assert_eq!(server.call_as(&token, "GET", "auth/token/lookup-self", None).0, 200, "{token}");
}

/// Whatever stands where STS should: nobody gets in by it, and it is not followed elsewhere.
#[test]
fn an_sts_that_answers_otherwise_admits_nobody() {
    let sts = Scripted::start();
    let server = mounted(sts.endpoint());
    role(&server, "r", &format!("arn:aws:iam::{ACCOUNT}:user/*"), json!({}));
    let request = Request::signed(&Keys::any());
    let good = scripted::identity(&format!("arn:aws:iam::{ACCOUNT}:user/alice"));
    sts.answer("200 OK", "text/xml", &good);
    assert_eq!(log_in(&server, "r", &request).0, 200);
    let seen = sts.take().join("\n").to_ascii_lowercase();
    assert!(seen.starts_with("post / http/1.1\r\n") && seen.contains("\r\nhost: sts.amazonaws.com\r\n"), "{seen}");
    assert!(seen.ends_with("action=getcalleridentity&version=2011-06-15") && !seen.contains("x-vault-token"), "{seen}");

    let reason = |text: &str| format!("error making upstream request: {text}");
    let (invalid, unreachable) =
        (reason("body of GetCallerIdentity is invalid"), reason("STS cannot be reached; the server's log says more"));
    let moved = format!("307 Temporary Redirect\r\nlocation: {}/", sts.endpoint());
    let entity = good.replace("<GetC", "<!DOCTYPE x [<!ENTITY a \"b\">]><GetC").replacen("alice", "&a;", 1);
    for (status, content_type, body, error) in [
        (moved.as_str(), "text/xml", good.as_str(), reason(&format!("received error code 307 from STS: {good}"))),
        ("200 OK", "application/json", &good, invalid.clone()),
        ("200 OK", "text/xml", &format!("{good}{}", " ".repeat(70_000)), invalid.clone()),
        ("200 OK", "text/xml", &format!("{{}}{good}"), invalid.clone()),
        ("200 OK", "text/xml", &format!("<?xml version=\"1.0\"?>{entity}"), reason("error parsing STS response")),
        ("200 OK", "text/xml", &good.replace("2011-06-15", "2012-06-15"), reason("error parsing STS response")),
        ("200 OK", "text/xml", "<?xml", reason("error parsing STS response")),
        ("403 Forbidden", "text/xml", "<ErrorResponse/>", reason("received error code 403 from STS: <ErrorResponse/>")),
    ] {
        sts.answer(status, content_type, body);
        assert_eq!(refused(&server, "r", &request), error, "{status}");
        assert_eq!(sts.take().len(), 1, "{status}");
    }
    sts.hang_up();
    assert_eq!(refused(&server, "r", &request), unreachable);
    sts.answer("200 OK", "text/xml", &scripted::identity(&format!("arn:aws:iam::{ACCOUNT}:root")));
    assert!(refused(&server, "r", &request).contains("contains fewer than 2 slash-separated parts"));
    // What passes is asked again.
    sts.take();
    configure(&server, json!({"max_retries": 2}));
    sts.answer("503 Slow Down", "text/xml", "");
    sts.then("200 OK", "text/xml", &good);
    assert_eq!(log_in(&server, "r", &request).0, 200);
    assert_eq!(sts.take().len(), 2);
    // The machine's metadata are not asked, whoever configured them.
    configure(&server, json!({"sts_endpoint": "http://169.254.169.254"}));
    assert_eq!(refused(&server, "r", &request), unreachable);
    // Nor is anything asked that nobody configured and that is not AWS's.
    configure(&server, json!({"sts_endpoint": ""}));
    let local = Request::to(&Keys::any(), &format!("{}/", sts.endpoint()), "us-east-1");
    assert!(refused(&server, "r", &local).contains("is not one of AWS's hosts of STS"));
    assert_eq!(sts.take().len(), 0);
    let log = server.log();
    assert!(log.contains("cannot be checked with STS") && !log.contains("Signature="), "{log}");
}
