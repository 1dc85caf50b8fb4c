//! Where requests go, and where they do not.

use super::*;
use crate::tests::server::ok;
use http::Method;

#[tokio::test]
async fn a_request_reaches_the_server_that_is_named() {
    let server = Server::start(|_, _| {
        Reply::Answer(201, vec![("etag", "x".to_owned()), ("connection", "x-hop".to_owned()), ("x-hop", "1".to_owned())], "made".into())
    })
    .await;
    let grant = grant(rule(&server));
    let request = Request::put(format!("{}/v3/kv?a=b%20c", server.url())).header("x-mine", "1").body(Bytes::from_static(b"body")).unwrap();
    let answer = send(&grant, request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (201, &b"made"[..]));
    assert_eq!(answer.headers().get("etag").unwrap(), "x");
    assert!(!answer.headers().contains_key("x-hop") && !answer.headers().contains_key("connection"));
    let [request] = &server.requests()[..] else { panic!() };
    assert_eq!((request.method.as_str(), request.uri.to_string().as_str(), request.body.as_ref()), ("PUT", "/v3/kv?a=b%20c", &b"body"[..]));
    assert_eq!(request.header("host"), [server.address.to_string()]);
    assert_eq!(request.header("x-mine"), ["1"]);
}

#[tokio::test]
async fn whatever_is_not_named_is_refused_and_nothing_is_sent() {
    let server = Server::start(|_, _| ok()).await;
    let other = Server::start(|_, _| ok()).await;
    let (port, elsewhere) = (server.address.port(), other.address.port());
    let grant = grant(rule(&server));
    for uri in [
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{elsewhere}/"),
        "http://127.0.0.1/".to_owned(),
        format!("http://localhost:{port}/"),
        format!("http://127.0.0.2:{port}/"),
        format!("http://127.0.0.1.:{port}/"),
        format!("http://127.0.0.1@localhost:{port}/"),
        format!("http://user@127.0.0.1:{port}/"),
        format!("http://user:word@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}@example.com/"),
        format!("http://127.1:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://[::1]:{port}/"),
        "/relative".to_owned(),
        format!("127.0.0.1:{port}"),
    ] {
        let text = refused(send(&grant, get(&uri)).await);
        assert!(text.contains("not among") || text.contains("address of the request"), "{uri}: {text}");
    }
    assert_eq!((server.connections(), other.connections()), (0, 0));
}

#[tokio::test]
async fn a_name_is_the_same_in_any_case_and_with_its_closing_dot() {
    let server = Server::start(|_, _| ok()).await;
    let port = server.address.port();
    let names = Arc::new(Names::default().with("etcd.example", &[&["127.0.0.1"]]));
    let rule = Rule { addresses: vec!["127.0.0.0/8".parse().unwrap()], ..Rule::new(Scheme::Http, "Etcd.Example", port) };
    let grant = names.grant(rule);
    for host in ["etcd.example", "ETCD.example", "etcd.example."] {
        send(&grant, get(&format!("http://{host}:{port}/"))).await.unwrap();
    }
    assert!(server.requests().iter().all(|request| request.header("host") == [format!("etcd.example:{port}")]));
    for host in ["etcd.example..", "x.etcd.example", "etcd.example.evil.example", "etcd-example", "etcd.example%2e"] {
        let uri = format!("http://{host}:{port}/");
        if let Ok(uri) = uri.parse::<http::Uri>() {
            refused(send(&grant, Request::get(uri).body(Bytes::new()).unwrap()).await);
        }
    }
}

#[tokio::test]
async fn methods_and_paths_are_held_to_the_rule() {
    let server = Server::start(|_, _| ok()).await;
    let limited =
        Rule { methods: Some(vec![Method::POST]), path_prefixes: vec!["/v3/kv".to_owned(), "/health".to_owned()], ..rule(&server) };
    let grant = grant(limited);
    let request = |method: &str, path: &str| Request::builder().method(method).uri(server.url() + path).body(Bytes::new()).unwrap();
    for path in ["/v3/kv/range", "/v3/kv?x=/../", "/health"] {
        send(&grant, request("POST", path)).await.unwrap();
    }
    for (method, path) in [
        ("GET", "/v3/kv"),
        ("TRACE", "/v3/kv"),
        ("POST", "/v3/auth"),
        ("POST", "/v3/kv/../auth"),
        ("POST", "/v3/kv/%2e%2e/auth"),
        ("POST", "/"),
    ] {
        refused(send(&grant, request(method, path)).await);
    }
    assert_eq!(server.requests().len(), 3);
    // Without a list, too, some methods are out of reach.
    let grant = super::grant(rule(&server));
    for method in ["TRACE", "CONNECT", "PROPFIND"] {
        refused(send(&grant, request(method, "/")).await);
    }
}

#[tokio::test]
async fn a_second_rule_for_a_server_adds_to_the_first() {
    let server = Server::start(|_, _| ok()).await;
    let only = |method: Method, prefix: &str| Rule { methods: Some(vec![method]), path_prefixes: vec![prefix.to_owned()], ..rule(&server) };
    let grant = HttpGrant::new("tested", vec![only(Method::GET, "/read"), only(Method::POST, "/write")], options()).unwrap();
    let request = |method: &str, path: &str| Request::builder().method(method).uri(server.url() + path).body(Bytes::new()).unwrap();
    send(&grant, request("GET", "/read")).await.unwrap();
    send(&grant, request("POST", "/write")).await.unwrap();
    refused(send(&grant, request("GET", "/write")).await);
    refused(send(&grant, request("POST", "/read")).await);
}

#[tokio::test]
async fn a_name_that_leads_inwards_leads_nowhere() {
    let server = Server::start(|_, _| ok()).await;
    let port = server.address.port();
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "10.0.0.1", "169.254.169.254", "0.0.0.0"] {
        let names = Arc::new(Names::default().with("public.example", &[&[address]]));
        let grant = names.grant(Rule::new(Scheme::Http, "public.example", port));
        let text = refused(send(&grant, get(&format!("http://public.example:{port}/"))).await);
        assert!(text.contains("no address that the grant allows") && !text.contains(address), "{text}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn of_several_addresses_only_those_allowed_are_dialled() {
    let server = Server::start(|_, _| ok()).await;
    let port = server.address.port();
    let names = Arc::new(Names::default().with("mixed.example", &[&["127.0.0.2", "::1", "127.0.0.1"]]));
    let rule = Rule { addresses: vec!["127.0.0.1".parse().unwrap()], ..Rule::new(Scheme::Http, "mixed.example", port) };
    // On the other address another server listens at the same port: it would be the first.
    let trap = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    send(&names.grant(rule), get(&format!("http://mixed.example:{port}/"))).await.unwrap();
    assert_eq!(server.requests().len(), 1);
    let tried = std::future::poll_fn(|cx| std::task::Poll::Ready(trap.poll_accept(cx).is_ready())).await;
    assert!(!tried, "the address that is not allowed was dialled");
}

#[tokio::test]
async fn what_was_checked_is_what_is_dialled() {
    let server = Server::start(|_, _| ok()).await;
    let port = server.address.port();
    // The second answer leads elsewhere: it must never be asked for by one connection.
    let names = Arc::new(Names::default().with("rebound.example", &[&["127.0.0.1"], &["10.0.0.1"]]));
    let rule = Rule { addresses: vec!["127.0.0.1".parse().unwrap()], ..Rule::new(Scheme::Http, "rebound.example", port) };
    let grant = names.grant(rule);
    let uri = format!("http://rebound.example:{port}/");
    send(&grant, get(&uri)).await.unwrap();
    assert_eq!(names.asked.load(Ordering::SeqCst), 1);
    // The kept connection stays where it was checked; a new one is checked anew.
    send(&grant, get(&uri)).await.unwrap();
    assert_eq!((names.asked.load(Ordering::SeqCst), server.connections()), (1, 1));
    let again = Arc::clone(&names)
        .grant(Rule { addresses: vec!["127.0.0.1".parse().unwrap()], ..Rule::new(Scheme::Http, "rebound.example", port) });
    refused(send(&again, get(&uri)).await);
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let target = Server::start(|_, _| ok()).await;
    let to = target.url();
    let server = Server::start(move |_, _| Reply::Answer(307, vec![("location", to.clone())], Bytes::new())).await;
    let rules = vec![rule(&server), rule(&target)];
    let grant = HttpGrant::new("tested", rules, options()).unwrap();
    let answer = send(&grant, get(&server.url())).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get("location").unwrap().to_str().unwrap()), (307, target.url().as_str()));
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn names_that_do_not_resolve_and_doors_that_are_shut_are_out_of_reach() {
    let names = Arc::new(Names::default());
    let grant = names.grant(Rule::new(Scheme::Http, "gone.example", 80));
    assert_eq!(send(&grant, get("http://gone.example")).await.unwrap_err(), HttpError::Unreachable("the name does not resolve".to_owned()));
    let port = std::net::TcpListener::bind("127.0.0.3:0").unwrap().local_addr().unwrap().port();
    let grant = super::grant(Rule::new(Scheme::Http, "127.0.0.3", port));
    let error = send(&grant, get(&format!("http://127.0.0.3:{port}/"))).await.unwrap_err();
    assert_eq!(error, HttpError::Unreachable("no connection (connection refused)".to_owned()));
}

#[test]
fn a_grant_that_cannot_be_meant_is_refused_by_its_key() {
    let key = |rule: Rule| HttpGrant::new("tested", vec![rule], options()).map(|_| ()).unwrap_err().key().to_owned();
    let new = |host: &str| Rule::new(Scheme::Https, host, 443);
    for host in [
        "",
        "*",
        "*.example.com",
        "https://example.com",
        "example.com:443",
        "user@example.com",
        "127.1",
        "169.254.169.254",
        "::ffff:169.254.169.254",
    ] {
        assert_eq!(key(new(host)), "host", "{host}");
    }
    assert_eq!(key(Rule { port: 0, ..new("example.com") }), "port");
    assert_eq!(key(Rule { methods: Some(vec![Method::TRACE]), ..new("example.com") }), "methods");
    assert_eq!(key(Rule { methods: Some(Vec::new()), ..new("example.com") }), "methods");
    assert_eq!(key(Rule { path_prefixes: vec!["/a/../b".to_owned()], ..new("example.com") }), "path_prefixes");
    // Metadata that is named alone is what the operator wants.
    let named = Rule { addresses: vec!["169.254.169.254".parse().unwrap()], ..Rule::new(Scheme::Http, "169.254.169.254", 80) };
    assert!(HttpGrant::new("tested", vec![named], options()).is_ok());
}

#[test]
fn a_grant_says_what_it_lets_a_guest_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "geheim").unwrap();
    let source = Secret::File(folder.path().join("token"));
    let rule = Rule {
        addresses: vec!["10.0.0.0/8".parse().unwrap()],
        headers: vec![AddedHeader { name: "X-Token".to_owned(), prefix: String::new(), source: source.clone() }],
        basic: Some(Basic { username: "u".to_owned(), password: source }),
        methods: Some(vec![Method::GET, Method::POST]),
        path_prefixes: vec!["/v3".to_owned()],
        secrets_in_clear: true,
        ..Rule::new(Scheme::Http, "etcd.internal", 2379)
    };
    let grant = HttpGrant::new("tested", vec![rule, Rule::new(Scheme::Http, "::1", 80)], options()).unwrap();
    assert_eq!(
        grant.describe(),
        "http://etcd.internal:2379 (the host adds x-token, authorization; may resolve to 10.0.0.0/8; only GET, POST; below /v3); http://[::1]:80"
    );
    assert!(!format!("{grant:?}").contains("geheim"));
    assert_eq!(grant.max_request(), options().max_request);
}
