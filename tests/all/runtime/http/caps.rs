//! What a guest must not make the host send, hold or do by `wasi:http`.

use cofferdam_backend::{Error, Storage};
use cofferdam_runtime::BreachKind;

use super::{count, open, run};
use crate::hostile::logged;
use crate::runtime::key;

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_the_connection_is_the_hosts() {
    let (server, backend) = open(|_| {}).await;
    let headers = [
        "host",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "http2-settings",
        "proxy-authorization",
        "proxy-connection",
        "proxy-anything",
        "Host",
        "Proxy-Authorization",
    ];
    for name in headers {
        let told = run(&backend, &format!("GET http://a.test/ header={name}:x lenient")).await.unwrap();
        assert!(told.contains("Forbidden"), "{name}: {told}");
    }
    for named in ["length=5", "length=3", "header=content-length:x"] {
        let told = run(&backend, &format!("PUT http://a.test/ {named} body=four lenient")).await.unwrap();
        assert!(told.contains("BodySize") || told.contains("InvalidSyntax") || told.contains("ProtocolError"), "{named}: {told}");
    }
    let told = run(&backend, "PUT http://a.test/ body=four trailers lenient").await.unwrap();
    assert!(told.contains("TrailerSectionSize"), "{told}");
    for (request, name) in [
        ("CONNECT http://a.test:443/", "MethodInvalid"),
        ("GET http://a.test@b.test/", "UriInvalid"),
        ("GET http://user:word@b.test/", "UriInvalid"),
        ("GET ftp://a.test/", "ProtocolError"),
    ] {
        let told = run(&backend, &format!("{request} lenient")).await.unwrap();
        assert!(told.contains(name), "{request}: {told}");
    }
    assert!(server.got().is_empty(), "nothing of that arrives");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_a_size() {
    // The server takes 100 000 bytes, the backend 300 000 at once.
    let (server, backend) = open(|config| config.limits.response = 300_000).await;
    run(&backend, "PUT http://a.test/ size=100000").await.unwrap();
    assert_eq!(server.got()[0].body.len(), 100_000);
    let error = run(&backend, "PUT http://a.test/ size=100001").await.unwrap_err();
    assert!(error.to_string().contains("HttpRequestBodySize(Some(100000))"), "{error}");
    assert!(server.got().is_empty());

    let script = |size: usize| format!("GET http://a.test/size/{size} unread");
    backend.put(&key("x"), script(300_000).into()).await.unwrap();
    let error = backend.put(&key("x"), script(1).into()).await.unwrap_err();
    assert!(error.to_string().contains("HttpResponseBodySize(Some(300000))"), "what is unread counts: {error}");
    let (_, fresh) = open(|config| config.limits.response = 300_000).await;
    let error = fresh.put(&key("x"), script(300_001).into()).await.unwrap_err();
    assert!(error.to_string().contains("HttpResponseBodySize(Some(300000))"), "{error}");
    for _ in 0..20 {
        fresh.scan(0, 1, Some("GET http://a.test/size/200000".into()), 9).await.unwrap();
    }
    assert_eq!(count(&fresh).await, 22, "what is read is given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_backend_holds_for_requests_too() {
    let (server, backend) = open(|config| config.limits.response = 50_000).await;
    let error = backend.put(&key("x"), "PUT http://a.test/ size=50001".into()).await.unwrap_err();
    assert!(error.to_string().contains("HttpRequestBodySize(Some(50000))"), "{error}");
    assert!(server.got().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_fields_and_handles_have_a_cap() {
    let (server, backend) = open(|config| config.limits.handles = 200).await;
    let error = run(&backend, "GET http://a.test/hang times=8 detached\nGET http://a.test/ninth").await.unwrap_err();
    assert!(error.to_string().contains("ConnectionLimitReached"), "{error}");
    server.busy_with(0).await;

    let broken = |error: Error, kind| assert_eq!(BreachKind::of(&error), Some(kind), "{error}");
    broken(run(&backend, "GET http://a.test/ fields=70000").await.unwrap_err(), BreachKind::Response);
    run(&backend, "GET http://a.test/ fields=20000").await.unwrap();

    let (_, narrow) = open(|config| config.limits.handles = 12).await;
    broken(run(&narrow, "GET http://a.test/ times=8 unread\nGET http://a.test/ times=8 unread").await.unwrap_err(), BreachKind::Handles);
    run(&narrow, "GET http://a.test/").await.unwrap();
}

#[test]
fn the_operator_is_told_in_the_log_what_the_interface_has_no_words_for() {
    let text = logged(async {
        let (_, backend) = open(|_| {}).await;
        for path in ["refused", "unreachable", "interrupted"] {
            run(&backend, &format!("GET http://a.test/{path}")).await.unwrap_err();
        }
    });
    for line in ["http: refused: not in the grant", "http: unreachable: away", "http: interrupted: cut"] {
        assert!(text.contains(line), "{line} is missing: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_a_row_leave_no_handle_behind() {
    let (server, backend) = open(|_| {}).await;
    // Each with options, which are a handle of their own.
    for _ in 0..100 {
        run(&backend, "PUT http://a.test/ body=four patience=60000").await.unwrap();
    }
    // Each of them is two calls, and to ask for their number another.
    assert_eq!((server.got().len(), count(&backend).await), (100, 201), "one instance has sent them all");
}
