use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Call, CallError, Upstream};
use crate::scripted::{Answer, Hand, Scripted, Seen, ok, refusal};
use crate::token::Token;

const PAUSE: Duration = Duration::from_millis(1);

fn upstream(server: &Scripted, variables: &[(&str, &str)], hand: &Hand) -> Arc<Upstream> {
    Arc::new(Upstream::with(&server.settings(variables), hand.clock(), PAUSE).unwrap())
}

fn request(method: &str, target: &str) -> Request<Bytes> {
    Request::builder().method(method).uri(target).body(Bytes::from_static(b"body")).unwrap()
}

async fn sent(upstream: &Upstream, method: &str) -> Result<(StatusCode, Bytes), String> {
    let response = upstream.send(request(method, "/v1/x?a=b")).await.map_err(|error| error.to_string())?;
    let status = response.status();
    Ok((status, response.into_body().collect().await.unwrap().to_bytes()))
}

#[tokio::test]
async fn a_connection_is_used_again_once_its_answer_is_read() {
    let server = Scripted::start(|_: &Seen| ok(&json!({"a": 1}))).await;
    let hand = Hand::new();
    let upstream = upstream(&server, &[], &hand);
    for _ in 0..3 {
        assert_eq!(sent(&upstream, "PUT").await.unwrap(), (StatusCode::OK, Bytes::from_static(b"{\"a\":1}")));
    }
    let seen = server.take();
    assert!(seen.iter().all(|seen| seen.connection == 0 && seen.line == "PUT /v1/x?a=b" && seen.body == "body"), "{seen:?}");
    assert_eq!(seen[0].header("host"), server.url.strip_prefix("http://"));
    // Two at once need two; an answer that is not read closes its own.
    let first = upstream.send(request("GET", "/v1/x")).await.unwrap();
    let second = upstream.send(request("GET", "/v1/x")).await.unwrap();
    assert_eq!(server.take().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [0, 1]);
    drop(first);
    second.into_body().collect().await.unwrap();
    assert_eq!(upstream.pool.waiting(), 1);
    // Frozen meanwhile: what has waited long by the wall clock is not used.
    hand.forward(3600);
    sent(&upstream, "GET").await.unwrap();
    assert_eq!(server.take()[0].connection, 2);
    hand.back(10);
    sent(&upstream, "GET").await.unwrap();
    assert_eq!(server.take()[0].connection, 3);
}

#[tokio::test]
async fn only_what_changes_nothing_is_sent_again_when_a_kept_connection_breaks() {
    // Each connection answers once, and breaks on what comes next.
    let mut last = None;
    let once = move |seen: &Seen| -> Answer {
        let again = last.replace(seen.connection) == Some(seen.connection);
        if again { None } else { ok(&json!({})) }
    };
    let server = Scripted::start(once).await;
    let upstream = upstream(&server, &[], &Hand::new());
    sent(&upstream, "GET").await.unwrap();
    sent(&upstream, "GET").await.unwrap();
    assert_eq!(server.take().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [0, 0, 1]);
    let error = sent(&upstream, "PUT").await.unwrap_err();
    assert!(error.contains(&server.url), "{error}");
    assert_eq!(server.take().len(), 1);
    assert!(sent(&upstream, "PUT").await.is_ok());
}

#[tokio::test]
async fn nobody_there_is_an_error_that_names_the_server() {
    let mut server = Scripted::start(|_: &Seen| None).await;
    server.url = "http://127.0.0.1:1".to_owned();
    let upstream = upstream(&server, &[], &Hand::new());
    let error = sent(&upstream, "GET").await.unwrap_err();
    assert!(error.starts_with("http://127.0.0.1:1: ") && error.contains("refused"), "{error}");
}

#[tokio::test]
async fn own_requests_are_repeated_as_vaults_clients_do() {
    let mut script =
        vec![refusal("500 Internal Server Error", "a"), refusal("412 Precondition Failed", "b"), None, ok(&json!({"x": 1}))].into_iter();
    let server = Scripted::start(move |_: &Seen| script.next().unwrap()).await;
    let upstream = upstream(&server, &[("VAULT_MAX_RETRIES", "3"), ("VAULT_NAMESPACE", "team")], &Hand::new());
    let token = Token::new(Zeroizing::new("t-1".to_owned()));
    let body = Some(Zeroizing::new(b"{}".to_vec()));
    let call = Call { method: Method::PUT, path: "/kv/a b%?", token: Some(&token), body, ..Call::default() };
    assert_eq!(upstream.call(&call).await.unwrap_or_else(|error| panic!("{error}")).json(), Some(json!({"x": 1})));
    let seen = server.take();
    assert_eq!(seen.len(), 4);
    for seen in &seen {
        assert_eq!(seen.line, "PUT /v1/kv/a%20b%25%3F");
        let headers = ["x-vault-token", "x-vault-namespace", "x-vault-request", "content-type"].map(|name| seen.header(name).unwrap());
        assert_eq!(headers, ["t-1", "team", "true", "application/json"]);
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words_and_not_repeated() {
    let server = Scripted::start(|_: &Seen| refusal("403 Forbidden", "permission\ndenied")).await;
    let upstream = upstream(&server, &[], &Hand::new());
    let error = upstream.call(&Call { path: "x", ..Call::default() }).await.err().unwrap();
    assert_eq!(error.to_string(), format!("GET {}/v1/x: 403 Forbidden: permission denied", server.url));
    assert_eq!(server.take().len(), 1);
    assert_eq!(error.status(), Some(StatusCode::FORBIDDEN));
}

#[tokio::test]
async fn a_failing_server_is_asked_no_more_than_is_allowed_and_no_longer() {
    let server = Scripted::start(|_: &Seen| refusal("503 Service Unavailable\r\nretry-after: 0", "sealed")).await;
    let all = upstream(&server, &[("VAULT_RATE_LIMIT", "1000:1")], &Hand::new());
    let error = all.call(&Call { path: "x", ..Call::default() }).await.err().unwrap();
    assert!(matches!(error, CallError::Refused { status: StatusCode::SERVICE_UNAVAILABLE, .. }), "{error}");
    assert_eq!(server.take().len(), 3);
    let none = upstream(&server, &[("VAULT_MAX_RETRIES", "0")], &Hand::new());
    assert!(none.call(&Call { path: "x", ..Call::default() }).await.is_err());
    assert_eq!(server.take().len(), 1);
    // Nothing but the time-out ends this one.
    let asked = Scripted::start(|_: &Seen| refusal("503 Service Unavailable\r\nretry-after: 100000", "sealed")).await;
    let brief = upstream(&asked, &[("VAULT_CLIENT_TIMEOUT", "50ms")], &Hand::new());
    let error = brief.call(&Call { path: "x", ..Call::default() }).await.err().unwrap().to_string();
    assert!(error.ends_with("no answer within 50ms"), "{error}");
}

#[tokio::test]
async fn a_standby_sends_to_the_active_one_once() {
    let active = Scripted::start(|_: &Seen| ok(&json!({"active": true}))).await;
    let location = format!("307 Temporary Redirect\r\nlocation: {}/v1/x", active.url);
    let standby = Scripted::start(move |_: &Seen| Some((location.clone(), String::new()))).await;
    let upstream = upstream(&standby, &[], &Hand::new());
    let answer = upstream.call(&Call { path: "x", ..Call::default() }).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.json(), Some(json!({"active": true})));
    assert_eq!((standby.take().len(), active.lines()), (1, vec!["GET /v1/x".to_owned()]));
    // A proxied request's redirect is its client's matter.
    assert_eq!(sent(&upstream, "GET").await.unwrap().0, StatusCode::TEMPORARY_REDIRECT);
}
