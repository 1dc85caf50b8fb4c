//! Requests that are passed on to a server of the test's own, which tells what it saw.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use cofferdam_connect::Address;
use http_body_util::combinators::BoxBody;
use http_body_util::{Empty, Full, StreamBody};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::*;
use crate::settings::{Cache, Listen, LogFormat, LogLevel, Login, Mode, Own, Settings};
use crate::token::Clock;

type Answer = Response<BoxBody<Bytes, std::io::Error>>;

/// What the server saw of one request.
struct Seen {
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A server; its tasks end with the test's runtime.
struct Server {
    address: String,
    seen: Mutex<Vec<Seen>>,
    logins: AtomicUsize,
    /// Requests for `/v1/held` wait for it.
    held: Semaphore,
}

impl Server {
    async fn start() -> Arc<Server> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/prefix", listener.local_addr().unwrap());
        let server = Arc::new(Server { address, seen: Mutex::default(), logins: AtomicUsize::new(0), held: Semaphore::new(0) });
        let shared = Arc::clone(&server);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = Arc::clone(&shared);
                let service = service_fn(move |request| {
                    let server = Arc::clone(&server);
                    async move { Ok::<_, std::convert::Infallible>(server.answer(request).await) }
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        server
    }

    async fn answer(&self, request: Request<hyper::body::Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let whole = |text: String| Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
        // The proxy's own requests keep the prefix.
        if parts.uri.path() == "/prefix/v1/auth/token/lookup-self" {
            self.logins.fetch_add(1, Ordering::SeqCst);
            return Response::new(whole(r#"{"data":{"ttl":3600,"creation_ttl":3600,"renewable":false}}"#.to_owned()));
        }
        let count = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(Seen { target: parts.uri.to_string(), headers: parts.headers, body });
            seen.len()
        };
        let response = Response::builder().header("x-answer", "a").header("connection", "x-hop").header("x-hop", "h");
        match parts.uri.path() {
            "/v1/held" => {
                self.held.acquire().await.unwrap().forget();
                response.status(if parts.uri.query() == Some("missing") { 404 } else { 200 }).body(whole(format!("answer {count}")))
            }
            "/v1/missing" => response.status(404).body(whole(format!("answer {count}"))),
            "/v1/empty" => response.status(204).body(Empty::new().map_err(|never| match never {}).boxed()),
            "/v1/large" => response.body(BoxBody::new(StreamBody::new(Chunks(100, WHOLE)))),
            "/v1/cut" => response.body(BoxBody::new(StreamBody::new(Chunks(2, CUT)))),
            _ => response.body(whole(format!("answer {count}"))),
        }
        .unwrap()
    }

    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// So many pieces of 1000 bytes; then the end, or a pause, in which they are sent, and an error after it.
struct Chunks(usize, u8);

const WHOLE: u8 = 0;
const CUT: u8 = 1;
const PAUSED: u8 = 2;

impl futures_util::Stream for Chunks {
    type Item = Result<Frame<Bytes>, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.0 > 0 {
            self.0 -= 1;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; 1000])))));
        }
        if self.1 == CUT {
            self.1 = PAUSED;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready((self.1 != WHOLE).then(|| Err(std::io::Error::other("cut"))))
    }
}

fn settings(address: &str) -> Settings {
    Settings {
        address: Address::parse(address).unwrap(),
        tls: cofferdam_connect::Settings::default(),
        own: Own { namespace: None, timeout: Duration::from_secs(60), retries: 0, rate: None },
        mount: "token".to_owned(),
        login: Login::Token(Zeroizing::new("the-token".to_owned())),
        grace: Duration::from_secs(10),
        mode: Mode::Proxy,
        secrets: Vec::new(),
        secret_file_mode: 0o600,
        watch: None,
        listen: Listen::Tcp(([127, 0, 0, 1], 0).into()),
        cache: None,
        lambda: None,
        log_level: LogLevel::Error,
        log_format: LogFormat::Standard,
        warnings: Vec::new(),
    }
}

/// A forwarder to the server, with a cache of so many bytes that requests ask for.
fn forwarder(server: &Server, size: u64) -> Arc<Forwarder> {
    forwarding(&settings(&server.address), size)
}

fn forwarding(settings: &Settings, size: u64) -> Arc<Forwarder> {
    let clock: Clock = Arc::new(SystemTime::now);
    let upstream = Arc::new(Upstream::new(settings).unwrap());
    let keeper = Keeper::new(settings, Arc::clone(&upstream), Arc::clone(&clock));
    let cache = Cache { ttl: Duration::from_secs(3_600), enabled: false, size };
    Arc::new(Forwarder::new(upstream, keeper, Some(Answers::new(cache, clock))))
}

fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::from(body))).unwrap()
}

async fn ask(forwarder: &Forwarder, request: Request<Full<Bytes>>) -> (u16, HeaderMap, Result<Bytes, hyper::Error>) {
    let (parts, body) = forwarder.answer(request).await.into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.map(http_body_util::Collected::to_bytes))
}

/// The body of the answer to a GET with this word for the cache.
async fn get(forwarder: &Forwarder, target: &str, word: &str) -> String {
    let (_, _, body) = ask(forwarder, request("GET", target, &[("X-Vault-Cache-Control", word)], "")).await;
    String::from_utf8(body.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn requests_go_as_they_are_but_for_token_agent_and_connection() {
    let server = Server::start().await;
    let forwarder = forwarder(&server, 1 << 20);
    let headers = [
        ("X-Vault-Token", "the-clients-own"),
        ("X-Vault-Namespace", "team"),
        ("User-Agent", "curl"),
        ("Accept-Encoding", "gzip"),
        ("Connection", "close, X-Private"),
        ("X-Private", "1"),
        ("Host", "127.0.0.1:8200"),
        ("X-Vault-Cache-Control", "nocache"),
    ];
    let (status, answer, body) =
        ask(&forwarder, request("LIST", "http://127.0.0.1:8200/v1/secret/metadata/a%2Fb?x=%20y", &headers, "a body")).await;
    assert_eq!((status, body.unwrap().as_ref()), (200, b"answer 1".as_slice()));
    assert!(answer.contains_key("x-answer") && !answer.contains_key("x-hop") && !answer.contains_key("connection"), "{answer:?}");
    let seen = server.take();
    let header = |name: &str| seen[0].headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join("|");
    // The prefix of the server's address does not count.
    assert_eq!((seen[0].target.as_str(), seen[0].body.as_ref()), ("/v1/secret/metadata/a%2Fb?x=%20y", b"a body".as_slice()));
    assert_eq!((header("x-vault-token").as_str(), header("x-vault-namespace").as_str()), ("the-token", "team"));
    assert_eq!(header("user-agent"), AGENT);
    assert!(header("host").starts_with("127.0.0.1:") && header("host") != "127.0.0.1:8200");
    assert_eq!(header("accept-encoding") + &header("connection") + &header("x-private"), "");
    for (target, status) in [("/v1/missing", 404), ("/v1/empty", 204)] {
        assert_eq!(ask(&forwarder, request("DELETE", target, &[], "")).await.0, status, "{target}");
    }
    let (_, answer, body) = ask(&forwarder, request("HEAD", "/v1/x", &[], "")).await;
    assert_eq!((answer["content-length"].to_str().unwrap(), body.unwrap().len()), ("8", 0));
    assert_eq!(ask(&forwarder, request("GET", "/v1/large", &[], "")).await.2.unwrap().len(), 100_000);
}

#[tokio::test]
async fn a_token_that_ends_with_a_request_is_got_anew() {
    let server = Server::start().await;
    let forwarder = forwarder(&server, 1 << 20);
    assert_eq!(get(&forwarder, "/v1/a", "cache").await, "answer 1");
    let revoke = || request("GET", "/v1/a", &[("X-Vault-Token-Options", "revoke"), ("X-Vault-Cache-Control", "cache")], "");
    assert_eq!(ask(&forwarder, revoke()).await.2.unwrap().as_ref(), b"answer 2");
    assert_eq!((server.logins.load(Ordering::SeqCst), forwarder.answers().unwrap().is_empty()), (1, true));
    assert_eq!(get(&forwarder, "/v1/a", "cache").await, "answer 3");
    assert_eq!(server.logins.load(Ordering::SeqCst), 2);
    assert!(server.take().iter().all(|seen| !seen.headers.contains_key("x-vault-token-options")));
}

#[tokio::test]
async fn the_cache_answers_who_asks_it_to() {
    let server = Server::start().await;
    let forwarder = forwarder(&server, 40_000);
    for (word, answer) in [("cache", 1), ("cache", 1), ("nocache", 2), ("cache", 1), ("recache", 3), ("cache", 3), ("", 4), ("cache", 3)] {
        assert_eq!(get(&forwarder, "/v1/a?b", word).await, format!("answer {answer}"), "{word}");
    }
    let kept = ask(&forwarder, request("GET", "/v1/a?b", &[("X-Vault-Cache-Control", "cache"), ("X-Vault-Index", "i")], "")).await;
    assert_eq!((kept.0, kept.1["x-answer"].as_bytes(), kept.2.unwrap().as_ref()), (200, b"a".as_slice(), b"answer 3".as_slice()));
    // Neither what failed is kept nor what is too large.
    for (answer, _) in [(5, ()), (6, ())] {
        assert_eq!(get(&forwarder, "/v1/missing", "cache").await, format!("answer {answer}"));
    }
    for _ in 0..2 {
        assert_eq!(get(&forwarder, "/v1/large", "cache").await.len(), 100_000);
    }
    assert_eq!(server.take().len(), 8);
}

#[tokio::test]
async fn equal_requests_wait_for_the_first() {
    let server = Server::start().await;
    let forwarder = forwarder(&server, 1 << 20);
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let forwarder = Arc::clone(&forwarder);
            tokio::spawn(async move { get(&forwarder, "/v1/held", "cache").await })
        })
        .collect();
    // One that goes away while the server works does not take the others with it.
    let first = {
        let forwarder = Arc::clone(&forwarder);
        tokio::spawn(async move { get(&forwarder, "/v1/held?other", "cache").await })
    };
    while server.seen.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    first.abort();
    let second = {
        let forwarder = Arc::clone(&forwarder);
        tokio::spawn(async move { get(&forwarder, "/v1/held?other", "cache").await })
    };
    server.held.add_permits(100);
    for asked in asked {
        assert!(asked.await.unwrap().starts_with("answer "));
    }
    assert!(second.await.unwrap().starts_with("answer "));
    let seen = server.take();
    assert_eq!(seen.iter().filter(|seen| seen.target == "/v1/held").count(), 1);
    assert_eq!(seen.iter().filter(|seen| seen.target == "/v1/held?other").count(), 2);
}

#[tokio::test]
async fn who_waited_for_another_asks_with_the_token_of_then() {
    let server = Server::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "first").unwrap();
    let forwarder = forwarding(&Settings { login: Login::TokenFile(file.path().to_owned()), ..settings(&server.address) }, 1 << 20);
    let token = forwarder.keeper.token().await.unwrap();
    let [one, two] = [(), ()].map(|()| {
        let forwarder = Arc::clone(&forwarder);
        tokio::spawn(async move { get(&forwarder, "/v1/held?missing", "cache").await })
    });
    while server.seen.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    std::fs::write(&file, "second").unwrap();
    forwarder.keeper.revoke(&token);
    server.held.add_permits(2);
    assert_eq!((one.await.unwrap().as_str(), two.await.unwrap().as_str()), ("answer 1", "answer 2"));
    let tokens: Vec<_> = server.take().iter().map(|seen| seen.headers["x-vault-token"].clone()).collect();
    assert_eq!(tokens, ["first", "second"]);
}

#[tokio::test]
async fn what_fails_is_told_by_status_and_text() {
    let server = Server::start().await;
    let forwarder = forwarder(&server, 1 << 20);
    let text = |body: Result<Bytes, hyper::Error>| String::from_utf8(body.unwrap().to_vec()).unwrap();
    let (status, _, body) = ask(&forwarder, request("GET", "/v1/cut", &[("X-Vault-Cache-Control", "cache")], "")).await;
    let body = text(body);
    assert!(status == 500 && body.starts_with("failed to read response body: "), "{status} {body}");
    // What was passed on already is cut off instead.
    let (status, _, body) = ask(&forwarder, request("GET", "/v1/cut", &[], "")).await;
    assert!(status == 200 && body.is_err());
    let (status, headers, body) = ask(&forwarder, request("CONNECT", "example.com:443", &[], "")).await;
    assert_eq!((status, headers["x-content-type-options"].as_bytes()), (500, b"nosniff".as_slice()));
    assert!(text(body).starts_with("failed to generate proxy request: "));
    let large = Request::post("/v1/x").body(Full::new(Bytes::from(vec![0; LARGEST_REQUEST + 1]))).unwrap();
    assert_eq!(ask(&forwarder, large).await.0, 413);
    // Nobody is there.
    let away = settings("http://127.0.0.1:1");
    let upstream = Arc::new(Upstream::new(&away).unwrap());
    let there = settings(&server.address);
    let reachable = Arc::new(Upstream::new(&there).unwrap());
    let keeper = Keeper::new(&there, reachable, Arc::new(SystemTime::now));
    let (status, _, body) = ask(&Forwarder::new(Arc::clone(&upstream), keeper, None), request("GET", "/v1/x", &[], "")).await;
    let body = text(body);
    assert!(status == 502 && body.starts_with("failed to proxy request: "), "{status} {body}");
    let keeper = Keeper::new(&away, Arc::clone(&upstream), Arc::new(SystemTime::now));
    let (status, _, body) = ask(&Forwarder::new(upstream, keeper, None), request("GET", "/v1/x", &[], "")).await;
    let body = text(body);
    assert!(status == 500 && body.starts_with("failed to get valid Vault token: ") && !body.contains("the-token"), "{status} {body}");
}
