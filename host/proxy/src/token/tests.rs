use std::sync::OnceLock;
use std::time::Duration;

use cofferdam_credentials::Sources;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::*;
use crate::scripted::{Answer, Hand, Scripted, Seen, auth, ok, refusal};
use crate::settings::Settings;

const KEYS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hidden"), ("AWS_SESSION_TOKEN", "hidden-session")];

fn keeper(settings: &Settings, hand: &Hand) -> Arc<Keeper> {
    let upstream = Upstream::with(settings, hand.clock(), Duration::from_millis(1)).unwrap();
    Keeper::with(settings, Arc::new(upstream), hand.clock(), Sources::of(KEYS))
}

/// Each login gives the next token.
fn counting(seconds: u64, renewable: bool) -> impl FnMut(&Seen) -> Answer {
    let mut logins = 0;
    move |seen: &Seen| {
        if seen.line.ends_with("/renew-self") {
            return auth(seen.header("x-vault-token").unwrap(), seconds, renewable);
        }
        logins += 1;
        let (_, body) = auth(&format!("t-{logins}"), seconds, renewable).unwrap();
        Some((format!("200 OK\r\nx-vault-index: index-{logins}"), body))
    }
}

async fn token(keeper: &Arc<Keeper>) -> String {
    keeper.token().await.unwrap_or_else(|error| panic!("{error}")).expose().to_owned()
}

#[tokio::test]
async fn the_login_is_what_the_extension_sends() {
    use base64::Engine as _;
    let server = Scripted::start(counting(100, false)).await;
    let settings = server.settings(&[("VAULT_IAM_SERVER_ID", "vault.example.com"), ("VAULT_AUTH_PROVIDER", "/auth/my-aws/")]);
    let keeper = keeper(&settings, &Hand::new());
    assert_eq!(token(&keeper).await, "t-1");
    assert_eq!(keeper.index(), ["index-1"]);
    let seen = server.take().remove(0);
    assert_eq!(seen.line, "PUT /v1/auth/my-aws/login");
    let body = seen.json();
    let decoded = |name: &str| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(body[name].as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!((&body["role"], &body["iam_http_request_method"]), (&json!("app"), &json!("POST")));
    assert_eq!(decoded("iam_request_url"), "https://sts.amazonaws.com/");
    assert_eq!(decoded("iam_request_body"), "Action=GetCallerIdentity&Version=2011-06-15");
    let headers: Value = serde_json::from_str(&decoded("iam_request_headers")).unwrap();
    assert_eq!(headers["X-Vault-AWS-IAM-Server-ID"], json!(["vault.example.com"]));
    assert_eq!(headers["x-amz-security-token"], json!(["hidden-session"]));
    // 2027-01-15, which is when the clock says it is.
    let authorization = headers["authorization"][0].as_str().unwrap();
    assert!(
        authorization.contains("AKID/20270115/us-east-1/sts/aws4_request") && authorization.contains("x-vault-aws-iam-server-id"),
        "{authorization}"
    );
}

#[tokio::test]
async fn a_token_is_kept_renewed_in_its_last_fifth_and_got_anew_before_its_end() {
    let server = Scripted::start(counting(100, true)).await;
    let hand = Hand::new();
    let keeper = keeper(&server.settings(&[("VAULT_TOKEN_EXPIRY_GRACE_PERIOD", "5s")]), &hand);
    assert_eq!(token(&keeper).await, "t-1");
    hand.forward(80);
    assert_eq!(token(&keeper).await, "t-1");
    assert_eq!(server.lines(), ["PUT /v1/auth/aws/login"]);
    hand.forward(1);
    assert_eq!(token(&keeper).await, "t-1");
    let renewal = server.take().remove(0);
    assert_eq!(
        (renewal.line.as_str(), renewal.json(), renewal.header("x-vault-token")),
        ("PUT /v1/auth/token/renew-self", json!({"increment": 100}), Some("t-1"))
    );
    // Frozen for so long that renewing is too late: within the grace period it counts as ended.
    hand.forward(95);
    assert_eq!(token(&keeper).await, "t-2");
    assert_eq!(server.lines(), ["PUT /v1/auth/aws/login"]);
    // A clock that was set back to before the login says nothing of its age.
    hand.back(10);
    assert_eq!(token(&keeper).await, "t-3");
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_token_and_is_not_tried_by_every_request() {
    let mut first = true;
    let server = Scripted::start(move |seen: &Seen| {
        if std::mem::take(&mut first) { auth("t-1", 100, true) } else { refusal("403 Forbidden", &format!("no {}", seen.line)) }
    })
    .await;
    let hand = Hand::new();
    let keeper = keeper(&server.settings(&[]), &hand);
    token(&keeper).await;
    hand.forward(82);
    server.take();
    for renewals in [1, 0, 0] {
        assert_eq!(token(&keeper).await, "t-1");
        assert_eq!(server.take().len(), renewals);
    }
    hand.forward(5);
    assert_eq!((token(&keeper).await.as_str(), server.take().len()), ("t-1", 1));
    // Its end is its end, whoever cannot log in.
    hand.forward(3);
    let error = keeper.token().await.unwrap_err().to_string();
    assert!(error.contains("/v1/auth/aws/login") && error.contains("403"), "{error}");
    assert!(keeper.token().await.is_err());
}

#[tokio::test]
async fn what_is_revoked_is_not_used_again() {
    let server = Scripted::start(counting(0, false)).await;
    let hand = Hand::new();
    let keeper = keeper(&server.settings(&[]), &hand);
    assert_eq!(token(&keeper).await, "t-1");
    hand.forward(1_000_000);
    let first = keeper.token().await.unwrap();
    assert_eq!(first.expose(), "t-1");
    keeper.revoke(&first);
    assert_eq!(token(&keeper).await, "t-2");
    // Somebody else who had it says so, too.
    keeper.revoke(&first);
    assert_eq!(token(&keeper).await, "t-2");
    assert_eq!(server.take().len(), 2);
}

#[tokio::test]
async fn a_token_that_is_revoked_while_it_is_renewed_is_not_used_again() {
    let revoked: Arc<OnceLock<(Arc<Keeper>, Token)>> = Arc::default();
    let (mut answer, told) = (counting(100, true), Arc::clone(&revoked));
    let server = Scripted::start(move |seen: &Seen| {
        let renewal = told.get().filter(|_| seen.line.ends_with("/renew-self"));
        renewal.iter().for_each(|(keeper, token)| keeper.revoke(token));
        answer(seen)
    })
    .await;
    let hand = Hand::new();
    let keeper = keeper(&server.settings(&[]), &hand);
    let first = keeper.token().await.unwrap();
    revoked.set((Arc::clone(&keeper), first)).ok().unwrap();
    hand.forward(81);
    assert_eq!((token(&keeper).await.as_str(), token(&keeper).await.as_str()), ("t-2", "t-2"));
    assert_eq!(server.lines(), ["PUT /v1/auth/aws/login", "PUT /v1/auth/token/renew-self", "PUT /v1/auth/aws/login"]);
}

/// So many who ask at once, and what they get.
async fn at_once(keeper: &Arc<Keeper>, number: usize) -> Vec<Result<Token, LoginError>> {
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..number {
        let keeper = Arc::clone(keeper);
        all.spawn(async move { keeper.token().await });
    }
    all.join_all().await
}

#[tokio::test]
async fn many_at_once_log_in_once_also_if_the_first_goes_away() {
    let asker: Arc<OnceLock<AbortHandle>> = Arc::default();
    let (mut answer, told) = (counting(100, false), Arc::clone(&asker));
    // Gone when the login has arrived, and before it is answered.
    let server = Scripted::start(move |seen: &Seen| {
        told.get().into_iter().for_each(AbortHandle::abort);
        answer(seen)
    })
    .await;
    let keeper = keeper(&server.settings(&[]), &Hand::new());
    let gone = tokio::spawn({
        let keeper = Arc::clone(&keeper);
        async move { keeper.token().await }
    });
    asker.set(gone.abort_handle()).unwrap();
    assert!(gone.await.unwrap_err().is_cancelled());
    for token in at_once(&keeper, 20).await {
        assert_eq!(token.unwrap().expose(), "t-1");
    }
    assert_eq!(server.lines(), ["PUT /v1/auth/aws/login"]);
}

#[tokio::test]
async fn one_failure_answers_all_who_waited_for_it() {
    let server = Scripted::start(|_: &Seen| refusal("403 Forbidden", "no")).await;
    let keeper = keeper(&server.settings(&[]), &Hand::new());
    assert!(at_once(&keeper, 20).await.iter().all(Result::is_err));
    assert_eq!(server.take().len(), 1);
    // Who asks later tries again.
    assert!(keeper.token().await.is_err());
    assert_eq!(server.take().len(), 1);
}

#[tokio::test]
async fn other_logins_read_their_files_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (secret_id, token_file) = (directory.path().join("secret-id"), directory.path().join("token"));
    let server = Scripted::start(move |seen: &Seen| match seen.line.as_str() {
        "PUT /v1/auth/approle/login" => auth(seen.json()["secret_id"].as_str().unwrap(), 100, false),
        _ => ok(&json!({"data": {"ttl": 100, "creation_ttl": 1000, "renewable": true}})),
    })
    .await;
    let hand = Hand::new();
    let base = [("VAULT_AUTH_PROVIDER", "approle"), ("COFFER_PROXY_AUTH_METHOD", "approle"), ("COFFER_PROXY_ROLE_ID", "r-1")];
    let file = [("COFFER_PROXY_SECRET_ID_FILE", secret_id.to_str().unwrap())];
    let by_role = keeper(&server.settings(&[base.as_slice(), &file].concat()), &hand);
    let error = by_role.token().await.unwrap_err().to_string();
    assert!(error.contains("secret-id: cannot be read"), "{error}");
    for secret in ["s-1", "s-2"] {
        std::fs::write(&secret_id, format!("{secret}\n")).unwrap();
        assert_eq!(token(&by_role).await, secret);
        by_role.revoke(&Token::new(Zeroizing::new(secret.to_owned())));
    }
    assert_eq!(server.take()[0].json(), json!({"role_id": "r-1", "secret_id": "s-1"}));

    let settings = server.settings(&[("COFFER_PROXY_AUTH_METHOD", "token"), ("COFFER_PROXY_TOKEN_FILE", token_file.to_str().unwrap())]);
    let by_token = keeper(&settings, &hand);
    std::fs::write(&token_file, "one\n").unwrap();
    assert_eq!(token(&by_token).await, "one");
    // Of its whole life less than a fifth is left.
    token(&by_token).await;
    assert_eq!(server.lines(), ["GET /v1/auth/token/lookup-self", "PUT /v1/auth/token/renew-self"]);
    std::fs::write(&token_file, "two").unwrap();
    hand.forward(100);
    assert_eq!(token(&by_token).await, "two");
}

#[tokio::test]
async fn what_is_no_token_is_an_error() {
    let mut answers =
        vec![ok(&json!({"auth": {"mfa_requirement": {}}})), ok(&json!({})), Some(("200 OK".to_owned(), "<html>".to_owned()))].into_iter();
    let server = Scripted::start(move |_: &Seen| answers.next().unwrap()).await;
    let keeper = keeper(&server.settings(&[]), &Hand::new());
    for _ in 0..3 {
        assert!(keeper.token().await.unwrap_err().to_string().contains("holds no token"));
    }
    let nobody = Keeper::with(
        &server.settings(&[]),
        Arc::new(Upstream::new(&server.settings(&[])).unwrap()),
        system_clock(),
        Sources::of([("AWS_ACCESS_KEY_ID", "AKID")]),
    );
    let error = nobody.token().await.unwrap_err().to_string();
    assert!(error.contains("AWS_SECRET_ACCESS_KEY"), "{error}");
}
