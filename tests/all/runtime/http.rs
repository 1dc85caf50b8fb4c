//! `wasi:http` behind its grant: what arrives at the grant, what never does, and what of it ends with the call. What may be sent is the grant's to judge; the
//! one here notes all.

mod caps;
mod seal;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Error, Held, Storage};
use cofferdam_runtime::{Component, Http, HttpCall, HttpError, OpenError, Purpose, Source, StorageBackend, StorageConfig};
use tokio::time::{sleep, timeout};

use super::{RUNTIME, key, path};

pub(super) static NEEDS_HTTP: LazyLock<Component> = LazyLock::new(|| RUNTIME.component(Source::File(path("needs_http"))).unwrap());

/// Longer than anything takes, even on a busy machine.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// A request as the grant got it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Got {
    purpose: Purpose,
    line: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// A server that notes what it is sent. Paths named after a fault have it.
#[derive(Debug, Default)]
pub(super) struct Server {
    got: Mutex<Vec<Got>>,
    /// Each request's deadline, which is that of its call.
    calls: Mutex<Vec<Instant>>,
    under_way: Arc<AtomicUsize>,
}

impl Server {
    pub(super) fn got(&self) -> Vec<Got> {
        std::mem::take(&mut self.got.lock().unwrap())
    }

    fn lines(&self) -> Vec<String> {
        self.got().into_iter().map(|got| got.line).collect()
    }

    /// Waits until so many requests are under way.
    async fn busy_with(&self, requests: usize) {
        timeout(LONG, async {
            while self.under_way.load(Ordering::SeqCst) != requests {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
    }
}

/// A request under way.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Http for Server {
    fn describe(&self) -> String {
        "the servers of the tests".to_owned()
    }

    fn max_request(&self) -> u64 {
        100_000
    }

    async fn send(&self, call: &HttpCall, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let _under_way = UnderWay(Arc::clone(&self.under_way));
        assert!(call.deadline > Instant::now());
        self.calls.lock().unwrap().push(call.deadline);
        let (parts, body) = request.into_parts();
        let headers =
            parts.headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
        let path = parts.uri.path().to_owned();
        self.got.lock().unwrap().push(Got { purpose: call.purpose, line: format!("{} {}", parts.method, parts.uri), headers, body });
        let size = path.strip_prefix("/size/").map_or(0, |size| size.parse().unwrap());
        match path.as_str() {
            "/hang" => std::future::pending().await,
            // Only when three others are under way.
            "/fourth" => self.busy_with(4).await,
            "/refused" => return Err(HttpError::Refused("not in the grant".to_owned())),
            "/unreachable" => return Err(HttpError::Unreachable("away".to_owned())),
            "/interrupted" => return Err(HttpError::Interrupted("cut".to_owned())),
            "/too-large" => return Err(HttpError::TooLarge(77)),
            _ => {}
        }
        let body = if size > 0 { Bytes::from(vec![b'a'; size]) } else { Bytes::from_static(b"answer") };
        let answer = http::Response::builder().status(if path == "/bad" { 503 } else { 200 });
        Ok(answer.header("x-told", "yes").header("connection", "close").header("proxy-status", "x").body(body).unwrap())
    }
}

async fn try_open(change: impl FnOnce(&mut StorageConfig)) -> (Arc<Server>, Result<Arc<StorageBackend>, OpenError>) {
    let server = Arc::new(Server::default());
    let mut config = StorageConfig::new("main");
    config.grants.http = Some(Arc::clone(&server) as Arc<dyn Http>);
    config.pool.size = 1;
    change(&mut config);
    (server, RUNTIME.storage(&NEEDS_HTTP, config).await)
}

pub(super) async fn open(change: impl FnOnce(&mut StorageConfig)) -> (Arc<Server>, Arc<StorageBackend>) {
    let (server, backend) = try_open(change).await;
    (server, backend.unwrap())
}

/// Runs a script in `put`, and returns what it came to.
pub(super) async fn run(backend: &StorageBackend, script: &str) -> Result<String, Error> {
    backend.put(&key("script"), script.to_owned().into()).await?;
    Ok(String::from_utf8(backend.get(&key("told")).await?.unwrap().to_vec()).unwrap())
}

/// How many calls the instance has served, to tell whether it is still the same.
async fn count(backend: &StorageBackend) -> u32 {
    String::from_utf8(backend.get(&key("count")).await.unwrap().unwrap().to_vec()).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_grant_it_is_refused_and_the_grant_is_named() {
    let mut config = StorageConfig::new("main");
    let error = RUNTIME.storage(&NEEDS_HTTP, config.clone()).await.err().unwrap();
    assert!(matches!(&error, OpenError::MissingGrant { grant: "http", .. }), "{error}");
    assert!(error.to_string().contains("needs_http.wasm") && error.to_string().contains("`http`"), "{error}");
    assert_eq!(NEEDS_HTTP.inspect().grants_needed(), ["http"]);
    assert!(NEEDS_HTTP.inspect().warnings().is_empty());
    config.grants.http = Some(Arc::new(Server::default()));
    let backend = RUNTIME.storage(&NEEDS_HTTP, config).await.unwrap();
    assert_eq!(backend.about().grants.iter().collect::<Vec<_>>(), [(&"http", &"the servers of the tests".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_arrives_whole_with_the_purpose_of_its_call_and_so_does_its_answer() {
    let (server, backend) = open(|config| config.settings = vec![("open".to_owned(), "GET https://a.test/open?x=1".to_owned())]).await;
    let opened = server.got();
    assert_eq!((opened[0].purpose, opened[0].line.as_str()), (Purpose::Open, "GET https://a.test/open?x=1"));

    let script = "POST http://a.test:81/b?c header=authorization:mine header=x-many:1 header=x-many:2 length=9 body=some-text";
    assert_eq!(run(&backend, script).await.unwrap(), "200\nx-told: yes\n\nanswer", "no header of the connection");
    let headers = [("authorization", "mine"), ("x-many", "1"), ("x-many", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let expected = Got {
        purpose: Purpose::Mutation,
        line: "POST http://a.test:81/b?c".to_owned(),
        headers: headers.to_vec(),
        body: "some-text".into(),
    };
    assert_eq!(server.got(), [expected], "the length and the host are the sender's");

    backend.scan(0, 1, Some("PURGE http://a.test/s".into()), 9).await.unwrap();
    let claim = Held { value: "GET http://a.test/l".into(), identity: "me".to_owned(), expires: 1 };
    backend.lock().unwrap().try_acquire(&key("lock"), claim, None).await.unwrap();
    let purposes: Vec<_> = server.got().into_iter().map(|got| (got.purpose, got.line)).collect();
    assert_eq!(purposes, [(Purpose::Read, "PURGE http://a.test/s".to_owned()), (Purpose::Lock, "GET http://a.test/l".to_owned())]);
    assert!(run(&backend, "GET http://a.test/bad").await.unwrap().starts_with("503\n"));

    run(&backend, "GET http://a.test/1\nGET http://a.test/2").await.unwrap();
    run(&backend, "GET http://a.test/3").await.unwrap();
    let calls = server.calls.lock().unwrap();
    let [one, two, three] = calls[calls.len() - 3..] else { panic!("three requests were expected") };
    assert!(one == two && two != three, "a call of the grant is a call of the guest");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_while_attached() {
    let (server, result) = try_open(|config| config.settings = vec![("attach".to_owned(), "GET http://a.test/x".to_owned())]).await;
    let OpenError::Guest { error, .. } = result.err().unwrap() else { panic!("the guest's error was expected") };
    assert!(matches!(&error, Error::Denied(text) if text.contains("HttpRequestDenied")), "{error}");
    assert!(server.got().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_the_error_of_the_interface_that_says_it() {
    let (_, backend) = open(|_| {}).await;
    let told = async |path: &str| run(&backend, &format!("GET http://a.test/{path}")).await.unwrap_err();
    assert!(matches!(told("refused").await, Error::Denied(text) if text.contains("HttpRequestDenied")));
    for (path, name) in [
        ("unreachable", "ConnectionRefused"),
        ("interrupted", "ConnectionTerminated"),
        ("too-large", "HttpResponseBodySize(Some(77))"),
        ("hang patience=10", "ConnectionReadTimeout"),
    ] {
        let error = told(path).await;
        assert!(matches!(&error, Error::Unavailable(text) if text.contains(name)), "{path}: {error}");
    }
    let error = run(&backend, "POST http://a.test/too-large size=78").await.unwrap_err();
    assert!(error.to_string().contains("HttpRequestBodySize(Some(77))"), "{error}");
    assert_eq!(count(&backend).await, 7, "the instance is the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_with_the_call_that_made_it() {
    let (server, backend) = open(|_| {}).await;
    for script in ["GET http://a.test/hang detached times=3\nGET http://a.test/fourth", "POST http://a.test/x body=part leave"] {
        assert!(run(&backend, script).await.unwrap().starts_with("left"), "{script}");
        server.busy_with(0).await;
        assert_eq!(server.got().len(), if script.contains("fourth") { 4 } else { 0 }, "{script}");
    }
    assert!(count(&backend).await > 2, "the instance lives");
    server.got();
    // And with a call that is ended.
    let error = run(&open(|config| config.limits.call = Duration::from_millis(200)).await.1, "GET http://a.test/hang").await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    let (server, backend) = open(|config| config.limits.call = Duration::from_secs(5)).await;
    assert!(matches!(run(&backend, "GET http://a.test/hang").await, Err(Error::TimedOut(_))));
    assert_eq!(server.lines(), ["GET http://a.test/hang"]);
    server.busy_with(0).await;
    assert_eq!(count(&backend).await, 1, "on a new instance");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_was_not_finished_is_never_sent() {
    let (server, backend) = open(|config| (config.limits.cpu, config.limits.handles) = (Duration::from_millis(500), 200)).await;
    for end in ["drop", "trap", "spin", "leave"] {
        for _ in 0..20 {
            let result = run(&backend, &format!("PUT http://a.test/{end} size=20000 {end}")).await;
            assert_eq!(result.is_ok(), end == "leave", "{end}: {result:?}");
            if end == "spin" {
                break;
            }
        }
    }
    run(&backend, "PUT http://a.test/whole size=20000").await.unwrap();
    assert_eq!(server.lines(), ["PUT http://a.test/whole"]);
}
