use std::sync::{Arc, Mutex};

use super::server::{Asked, Server};
use super::services::{document, ok, refuse};
use super::*;

/// An endpoint that wants this token, and gives credentials that live so long.
async fn endpoint(token: &Arc<Mutex<String>>, life: f64) -> Server {
    let token = token.clone();
    let given = std::sync::atomic::AtomicU32::new(0);
    Server::start(move |asked: &Asked| {
        if asked.header("authorization") != *token.lock().unwrap() {
            return refuse(401, "not the token of this pod");
        }
        ok(document(given.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1, life))
    })
    .await
}

#[tokio::test]
async fn the_token_file_is_read_anew_for_each_refresh() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let file = write(&path, "token-one\n");
    let token = Arc::new(Mutex::new("token-one".to_owned()));
    let server = endpoint(&token, 3600.0).await;
    let uri = format!("{}/v1/credentials", server.url);
    let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file)];
    let credentials = open(Identity::default(), &sources(&variables)).await;
    let first = credentials.get().await.unwrap();
    assert_eq!(shown(&first), ("ASIA1", "temporary-secret-1", Some("temporary-token-1")));
    // The platform rotates: from now on the old token is refused.
    write(&path, "token-two");
    "token-two".clone_into(&mut token.lock().unwrap());
    assert!(credentials.refresh_now(&first).await);
    assert_eq!(credentials.get().await.unwrap().access_key_id(), "ASIA2");
    let brought: Vec<String> = server.asked().iter().map(|asked| asked.header("authorization").to_owned()).collect();
    assert_eq!(brought, ["token-one", "token-two"]);
    assert!(server.asked().iter().all(|asked| asked.path == "/v1/credentials"));
}

#[tokio::test]
async fn a_refused_token_is_an_error_and_nothing_else_is_asked() {
    let server = endpoint(&Arc::new(Mutex::new("right".to_owned())), 3600.0).await;
    let instance = services::imds(3600.0).await;
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &instance.url),
    ];
    let credentials = open(Identity::default(), &sources(&variables)).await;
    let cause = failure(&credentials).await;
    assert!(cause.contains("container endpoint") && cause.contains("status 401: not the token of this pod"), "{cause}");
    assert!(!cause.contains("wrong"), "{cause}");
    assert_eq!((server.asked().len(), instance.asked().len()), (1, 0));
}

#[tokio::test]
async fn a_missing_token_file_is_named() {
    let server = endpoint(&Arc::new(Mutex::new(String::new())), 3600.0).await;
    let variables =
        [("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url.as_str()), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nowhere/token")];
    let cause = failure(&open(Identity::default(), &sources(&variables)).await).await;
    assert!(cause.contains("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE /nowhere/token"), "{cause}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_servers_error_is_tried_again() {
    let failures = std::sync::atomic::AtomicU32::new(0);
    let server = Server::start(move |_| {
        if failures.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 { refuse(503, "busy") } else { ok(document(9, 3600.0)) }
    })
    .await;
    let credentials = open(Identity::default(), &sources(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &server.url)])).await;
    assert_eq!(credentials.get().await.unwrap().access_key_id(), "ASIA9");
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn the_token_goes_to_no_other_machine_without_tls() {
    for address in ["http://192.0.2.1/", "http://169.254.169.254/", "http://[2001:db8::1]/"] {
        let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", address), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token")];
        let cause = failure(&open(Identity::default(), &sources(&variables)).await).await;
        assert!(cause.contains("without TLS") && cause.contains("169.254.170.23"), "{cause}");
    }
    for path in [".example.org/", "@example.org/", "relative"] {
        let what = refusal(Identity::default(), &[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", path)]).await;
        assert!(what.contains("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), "{what}");
    }
    let what = refusal(Identity::default(), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "ftp://127.0.0.1/")]).await;
    assert!(what.contains("not an http or https address"), "{what}");
}

#[tokio::test]
async fn the_relative_form_is_the_endpoint_of_ecs_and_has_precedence() {
    let variables =
        [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x"), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")];
    let credentials = open(Identity::default(), &sources(&variables)).await;
    assert_eq!(credentials.source(), "the container endpoint http://169.254.170.2/v2/credentials/x");
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error_without_its_text() {
    for answer in ["AKIA secret", r#"{"AccessKeyId":"AKIA","Token":"secret","Expiration":"2100-01-01T00:00:00Z"}"#] {
        let server = Server::start(move |_| ok(answer.to_owned())).await;
        let credentials = open(Identity::default(), &sources(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &server.url)])).await;
        let cause = failure(&credentials).await;
        assert!(cause.contains("its answer") && !cause.contains("AKIA") && !cause.contains("\"secret"), "{cause}");
    }
}
