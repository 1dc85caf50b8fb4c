use super::*;

fn credentials() -> Option<Credentials> {
    Some(Credentials { username: "reader".to_owned(), password: "secret".to_owned() })
}

/// Base64 of `reader:secret`.
const BASIC: &str = "Basic cmVhZGVyOnNlY3JldA==";

#[tokio::test]
async fn a_component_comes_by_its_digest_and_is_pinned_when_asked() {
    let server = Server::start(|request| honest(&request.path)).await;
    let (directory, mut options) = ground();
    options.pin = true;
    let pulled = pull(&reference(&server), &options, &component).await.unwrap();
    assert_eq!((pulled.sha256.as_str(), pulled.size, pulled.unchanged, pulled.pinned), (sha256(BYTES).as_str(), 18, false, true));
    assert_eq!(fs::read(directory.path().join("etcd.wasm")).unwrap(), BYTES);
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(&pulled.file).unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(crate::verify(directory.path()).unwrap()[0].state, crate::State::Pinned);
    // The same again changes nothing; other content is not overwritten unless that is said, and takes its signature along.
    assert!(pull(&reference(&server), &options, &component).await.unwrap().unchanged);
    fs::write(&pulled.file, "mine").unwrap();
    fs::write(directory.path().join("etcd.wasm.minisig"), "mine").unwrap();
    let error = pull(&reference(&server), &options, &component).await.unwrap_err();
    assert!(matches!(&error, PullError::Exists { sha256: found, .. } if *found == sha256(b"mine")), "{error}");
    assert_eq!(fs::read(&pulled.file).unwrap(), b"mine");
    options.force = true;
    assert!(!pull(&reference(&server), &options, &component).await.unwrap().unchanged);
    assert_eq!(names(&directory), ["coffer-plugins.lock", "etcd.wasm"]);
}

#[tokio::test]
async fn a_tag_alone_is_refused_with_what_to_write() {
    let server = Server::start(|request| honest(&request.path)).await;
    let (directory, options) = ground();
    let tagged = format!("{}/plugins/etcd:1.0", server.host());
    let error = pull(&tagged, &options, &component).await.unwrap_err();
    assert!(error.to_string().contains(&reference(&server)), "{error}");
    assert_eq!(resolve(&tagged, &options).await.unwrap(), reference(&server));
    assert!(names(&directory).is_empty());
    // A registry's words are shown without what a terminal would obey.
    let error = resolve(&format!("{}/plugins/etcd:2.0", server.host()), &options).await.unwrap_err().to_string();
    assert!(error.contains("404") && error.contains("no such\\u{1b}[2J thing"), "{error}");
}

#[tokio::test]
async fn other_bytes_than_the_digests_say_are_refused() {
    let other = b"\0asm another part..";
    for (lie, what) in [("/manifests/", "manifest"), ("/blobs/", "component")] {
        let server = Server::start(move |request| match request.path.contains(lie) {
            true if what == "manifest" => Answer::ok(manifest_of(other)),
            // Of the right length.
            true => Answer::ok(&other[..BYTES.len()]),
            false => honest(&request.path),
        })
        .await;
        let (directory, options) = ground();
        let error = pull(&reference(&server), &options, &component).await.unwrap_err();
        assert!(matches!(&error, PullError::Digest { what: found, .. } if *found == what), "{error}");
        assert!(names(&directory).is_empty());
    }
}

#[tokio::test]
async fn a_body_without_end_ends_at_its_limit() {
    for part in ["/manifests/", "/blobs/", "401", "error"] {
        let server = Server::start(move |request| match part {
            "401" if request.path == "/token" => Answer::status(200).endless(),
            "401" => Answer::status(401).with("www-authenticate", format!("Bearer realm=\"http://{}/token\"", request.headers["host"])),
            "error" => Answer::status(500).endless(),
            part if request.path.contains(part) => Answer::status(200).endless(),
            _ => honest(&request.path),
        })
        .await;
        let (directory, options) = ground();
        let error = pull(&reference(&server), &options, &component).await.unwrap_err();
        let expected = if part == "error" {
            matches!(error, PullError::Answer { status: 500, .. })
        } else {
            matches!(error, PullError::TooLarge { .. })
        };
        assert!(expected, "{part}: {error}");
        assert!(names(&directory).is_empty());
    }
}

#[tokio::test]
async fn a_component_larger_than_allowed_is_not_begun() {
    let server = Server::start(|request| honest(&request.path)).await;
    let (_directory, mut options) = ground();
    options.max_size = 17;
    assert!(matches!(pull(&reference(&server), &options, &component).await, Err(PullError::TooLarge { limit: 17, .. })));
    assert!(server.asked().iter().all(|request| !request.path.contains("/blobs/")));
}

#[tokio::test]
async fn a_registry_that_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_directory, mut options) = ground();
    options.timeout = Duration::from_millis(200);
    let reference = format!("{}/plugins/etcd@sha256:{}", listener.local_addr().unwrap(), sha256(b"x"));
    assert!(matches!(pull(&reference, &options, &component).await, Err(PullError::Timeout { .. })));
}

#[tokio::test]
async fn a_redirect_is_followed_without_the_credentials() {
    let store = Server::start(|_| Answer::ok(BYTES)).await;
    let to = store.host();
    let server = Server::start(move |request| match &request.path {
        _ if request.authorization() != Some(BASIC) => Answer::status(401).with("www-authenticate", "Basic realm=\"x\""),
        path if path.contains("/blobs/") => Answer::status(307).with("location", format!("http://{to}/bucket?signature=1")),
        path => honest(path),
    })
    .await;
    let (_directory, mut options) = ground();
    options.credentials = credentials();
    pull(&reference(&server), &options, &component).await.unwrap();
    let asked = store.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].path.as_str(), asked[0].query.as_str()), ("/bucket", "signature=1"));
    assert!(!asked[0].headers.contains_key("authorization"), "{asked:?}");
    assert!(!asked[0].headers.contains_key("referer"), "{asked:?}");
}

#[tokio::test]
async fn a_redirect_leads_neither_round_and_round_nor_out_of_http() {
    for location in ["/v2/", "ftp://127.0.0.1/", "file:///etc/passwd", ""] {
        let server = Server::start(move |_| match location {
            "" => Answer::status(302),
            location => Answer::status(302).with("location", location),
        })
        .await;
        let (_directory, options) = ground();
        let error = pull(&reference(&server), &options, &component).await.unwrap_err();
        assert!(matches!(error, PullError::Refused { .. }), "{location}: {error}");
        assert!(server.asked().len() <= 6);
    }
}

/// With a session alone, since nobody here is another machine.
#[tokio::test]
async fn a_redirect_leads_neither_from_tls_to_plain_text_nor_into_this_machine() {
    let reference = Reference::parse(&format!("registry.example/plugins/etcd@sha256:{}", sha256(b"x"))).unwrap();
    let (_directory, mut options) = ground();
    let allowed =
        |options: &Options, to: &str| Session::new(&reference, options, None).unwrap().leads("https://registry.example/", to).is_ok();
    assert!(allowed(&options, "https://store.example/x"));
    for to in ["http://store.example/x", "http://registry.example/x", "https://127.0.0.1/x", "https://localhost/x", "https://[::1]/x"] {
        assert!(!allowed(&options, to), "{to}");
    }
    options.insecure = true;
    assert!(allowed(&options, "http://store.example/x") && !allowed(&options, "http://127.0.0.1/x"));
}

#[tokio::test]
async fn credentials_go_to_no_realm_but_the_registrys_own_or_a_named_one() {
    let elsewhere = Server::start(|_| Answer::ok(r#"{"token": "t"}"#)).await;
    let realm = elsewhere.host();
    let server = Server::start(move |request| match request.authorization() {
        Some("Bearer t") => honest(&request.path),
        _ => Answer::status(401).with("www-authenticate", format!("Bearer realm=\"http://{realm}/token\",service=\"registry\"")),
    })
    .await;
    let (directory, mut options) = ground();
    options.credentials = credentials();
    let error = pull(&reference(&server), &options, &component).await.unwrap_err();
    assert!(error.to_string().contains(&format!("--token-host {}", elsewhere.host())), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"));
    assert!(elsewhere.asked().is_empty() && names(&directory).is_empty());
    // The operator knows the host.
    options.token_hosts = vec![elsewhere.host()];
    pull(&reference(&server), &options, &component).await.unwrap();
    let asked = elsewhere.asked().remove(0);
    assert_eq!(asked.authorization(), Some(BASIC));
    assert_eq!(asked.query, "scope=repository%3Aplugins%2Fetcd%3Apull&service=registry");
    assert!(server.asked().iter().all(|request| request.authorization() != Some(BASIC)));
    // Without credentials there is nothing to keep.
    let (_directory, options) = ground();
    pull(&reference(&server), &options, &component).await.unwrap();
    assert_eq!(elsewhere.asked().last().unwrap().authorization(), None);
}

#[tokio::test]
async fn a_registry_that_is_never_content_is_asked_twice_and_no_more() {
    let server = Server::start(|_| Answer::status(401).with("www-authenticate", "Basic realm=\"x\"")).await;
    let (_directory, mut options) = ground();
    for (given, hint) in [(credentials(), false), (None, true)] {
        options.credentials = given;
        let error = pull(&reference(&server), &options, &component).await.unwrap_err();
        assert!(matches!(error, PullError::Answer { status: 401, .. }), "{error}");
        assert_eq!(error.to_string().contains("COFFER_REGISTRY_USERNAME"), hint, "{error}");
    }
    assert!(server.asked().len() <= 4);
}

#[tokio::test]
async fn what_is_no_component_is_not_written() {
    let server = Server::start(|request| honest(&request.path)).await;
    let (directory, options) = ground();
    let error = pull(&reference(&server), &options, &|_: &str, _: &[u8]| Err("no world".to_owned())).await.unwrap_err();
    assert!(error.to_string().contains("no world"), "{error}");
    assert!(names(&directory).is_empty());
}
