//! What the host adds, and what a guest can do about it: nothing.

use std::fs;
use std::path::Path;

use super::*;
use crate::tests::server::ok;

fn added(name: &str, prefix: &str, path: &Path) -> AddedHeader {
    AddedHeader { name: name.to_owned(), prefix: prefix.to_owned(), source: Secret::File(path.to_owned()) }
}

#[tokio::test]
async fn a_header_is_added_and_read_again_when_its_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "one\n").unwrap();
    let server = Server::start(|_, _| ok()).await;
    let grant = grant(Rule { headers: vec![added("Authorization", "Bearer ", &path)], ..rule(&server) });
    for token in ["one", "two", "six"] {
        fs::write(&path, token).unwrap();
        let answer = send(&grant, get(&server.url())).await.unwrap();
        assert!(!format!("{answer:?}").contains(token));
        assert_eq!(server.requests().last().unwrap().header("authorization"), [format!("Bearer {token}")]);
    }
    // Taken away, nothing more is sent, and the guest learns neither file nor token.
    fs::remove_file(&path).unwrap();
    let Err(HttpError::Unreachable(text)) = send(&grant, get(&server.url())).await else { panic!() };
    assert!(!text.contains("token") && !text.contains("six"), "{text}");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn the_guest_cannot_say_what_the_host_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "right").unwrap();
    let server = Server::start(|_, _| ok()).await;
    let headers = vec![added("authorization", "", &path), added("X-Api-Key", "", &path)];
    let grant = grant(Rule { headers, ..rule(&server) });
    let request = Request::post(server.url())
        .header("Authorization", "wrong")
        .header("authorization", "wrong too")
        .header("x-api-key", "wrong")
        .header("X_Api_Key", "wrong")
        .header("host", "evil.example")
        .header("content-length", "1000")
        .header("transfer-encoding", "chunked")
        .header("connection", "authorization, x-api-key, close")
        .header("proxy-authorization", "wrong")
        .body(Bytes::from_static(b"body"))
        .unwrap();
    send(&grant, request).await.unwrap();
    let [request] = &server.requests()[..] else { panic!() };
    assert_eq!(request.header("authorization"), ["right"]);
    assert_eq!(request.header("x-api-key"), ["right"]);
    assert_eq!(request.header("host"), [server.address.to_string()]);
    assert_eq!(request.header("content-length"), ["4"]);
    for name in ["x_api_key", "transfer-encoding", "connection", "proxy-authorization"] {
        assert!(request.header(name).is_empty(), "{name}");
    }
    assert_eq!(request.body.as_ref(), b"body");
}

#[tokio::test]
async fn a_password_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, "open sesame").unwrap();
    let server = Server::start(|_, _| ok()).await;
    let basic = Basic { username: "Aladdin".to_owned(), password: Secret::File(path) };
    let grant = grant(Rule { basic: Some(basic), ..rule(&server) });
    let request = Request::get(server.url()).header("authorization", "Basic d3Jvbmc6d3Jvbmc=").body(Bytes::new()).unwrap();
    send(&grant, request).await.unwrap();
    assert_eq!(server.requests()[0].header("authorization"), ["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]);
}

#[tokio::test]
async fn a_variable_is_added() {
    let server = Server::start(|_, _| ok()).await;
    let source = Secret::Env("CARGO_PKG_NAME".to_owned());
    let header = AddedHeader { name: "x-token".to_owned(), prefix: "of ".to_owned(), source };
    send(&grant(Rule { headers: vec![header], ..rule(&server) }), get(&server.url())).await.unwrap();
    assert_eq!(server.requests()[0].header("x-token"), ["of cofferdam-http"]);
}

#[tokio::test]
async fn one_rule_adds_nothing_to_the_requests_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "right").unwrap();
    let (own, other) = (Server::start(|_, _| ok()).await, Server::start(|_, _| ok()).await);
    let rules = vec![Rule { headers: vec![added("authorization", "", &path)], ..rule(&own) }, rule(&other)];
    let grant = HttpGrant::new("tested", rules, options()).unwrap();
    for server in [&own, &other] {
        send(&grant, get(&server.url())).await.unwrap();
    }
    assert_eq!(own.requests()[0].header("authorization"), ["right"]);
    assert!(other.requests()[0].header("authorization").is_empty());
}

#[test]
fn what_cannot_be_added_is_refused_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "geheim").unwrap();
    let error = |rule: Rule| HttpGrant::new("tested", vec![rule], options()).map(|_| ()).unwrap_err();
    let local = || Rule::new(Scheme::Http, "127.0.0.1", 80);
    for name in ["Host", "connection", "Content-Length", "transfer-encoding", "te", "upgrade", "expect"] {
        let error = error(Rule { headers: vec![added(name, "", &path)], ..local() });
        assert_eq!(error.key(), format!("header {name:?}"));
        assert!(error.to_string().contains("the host sets"), "{error}");
    }
    let headers = |headers: Vec<AddedHeader>| error(Rule { headers, ..local() }).to_string();
    assert!(headers(vec![added("a b", "", &path)]).contains("not the name of a header"));
    assert!(headers(vec![added("x-a", "", &path), added("X-A", "", &path)]).contains("twice"));
    assert!(headers(vec![added("x-a", "", &folder.path().join("none"))]).contains("cannot read"));
    let broken = headers(vec![added("x-a", "line\n", &path)]);
    assert!(broken.contains("single line") && !broken.contains("geheim"), "{broken}");
    let basic = |username: &str| Some(Basic { username: username.to_owned(), password: Secret::File(path.clone()) });
    assert_eq!(error(Rule { basic: basic("a:b"), ..local() }).key(), "basic_auth.username");
    assert_eq!(error(Rule { basic: basic("a"), headers: vec![added("authorization", "", &path)], ..local() }).key(), "basic_auth");
    // In the clear only where nobody listens, or where the operator says so.
    let clear = Rule { basic: basic("a"), ..Rule::new(Scheme::Http, "example.com", 80) };
    assert_eq!(error(clear.clone()).key(), "scheme");
    assert!(HttpGrant::new("tested", vec![Rule { secrets_in_clear: true, ..clear }], options()).is_ok());
    for host in ["127.0.0.1", "::1", "localhost"] {
        assert!(
            HttpGrant::new("tested", vec![Rule { basic: basic("a"), ..Rule::new(Scheme::Http, host, 80) }], options()).is_ok(),
            "{host}"
        );
    }
}
