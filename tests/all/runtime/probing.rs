//! A probe between guest and host: it sees each import, can step in at each, and is told what a call used.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Error, Folder, Storage};
use cofferdam_runtime::{
    Aws, AwsCall, AwsResponse, AwsSendError, BreachKind, Component, Directory, Fault, Http, HttpCall, HttpError, ImportCall, Probe, Source,
    Step, StorageBackend, StorageConfig, Usage,
};
use tempfile::TempDir;

use super::aws::NEEDS_AWS;
use super::http::NEEDS_HTTP;
use super::{RUNTIME, commit, hostile, key, path};

static FILESYSTEM: LazyLock<Component> = LazyLock::new(|| RUNTIME.component(Source::File(path("filesystem"))).unwrap());

/// Notes all, and steps in at the imports of one name, as often as is left.
#[derive(Default)]
struct Looker {
    imports: Mutex<Vec<(&'static str, String, u32)>>,
    refused: Mutex<Vec<String>>,
    ended: Mutex<Vec<Usage>>,
    step: Mutex<Option<(&'static str, Step)>>,
    left: AtomicU32,
}

impl Looker {
    fn step_in(&self, at: &'static str, step: Step, times: u32) {
        *self.step.lock().unwrap() = Some((at, step));
        self.left.store(times, Ordering::SeqCst);
    }

    fn imports(&self) -> Vec<(&'static str, String, u32)> {
        std::mem::take(&mut self.imports.lock().unwrap())
    }

    fn ended(&self) -> Vec<Usage> {
        std::mem::take(&mut self.ended.lock().unwrap())
    }

    fn refused(&self) -> Vec<String> {
        std::mem::take(&mut self.refused.lock().unwrap())
    }
}

impl Probe for Looker {
    fn import(&self, call: ImportCall<'_>) -> Step {
        self.imports.lock().unwrap().push((call.name, call.detail.to_owned(), call.earlier));
        let step = *self.step.lock().unwrap();
        let due = step.filter(|(at, _)| *at == call.name);
        match due.filter(|_| self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()) {
            Some((_, step)) => step,
            None => Step::Go,
        }
    }

    fn refused(&self, what: &str) {
        self.refused.lock().unwrap().push(what.to_owned());
    }

    fn ended(&self, usage: Usage) {
        self.ended.lock().unwrap().push(usage);
    }
}

fn look(config: &mut StorageConfig) -> Arc<Looker> {
    let looker = Arc::new(Looker::default());
    config.probe = Some(Arc::clone(&looker) as Arc<dyn Probe>);
    config.pool.size = 1;
    looker
}

/// The filesystem guest under a probe.
async fn filesystem() -> (TempDir, PathBuf, Arc<Looker>, Arc<StorageBackend>) {
    let temporary = TempDir::new().unwrap();
    let path = temporary.path().join("data");
    let mut config = StorageConfig::new("main");
    let looker = look(&mut config);
    config.grants.directory = Some(Directory::open(&path, true).unwrap());
    let backend = RUNTIME.storage(&FILESYSTEM, config).await.unwrap();
    looker.imports();
    (temporary, path, looker, backend)
}

fn stopped(error: Error) {
    assert_eq!(BreachKind::of(&error), Some(BreachKind::Trap), "{error}");
    assert!(error.to_string().contains("stopped by the probe"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_file_system_is_seen_with_its_path() {
    let (_temporary, _, looker, backend) = filesystem().await;
    backend.put(&key("a/leaf"), "value".into()).await.unwrap();
    let imports = looker.imports();
    let of = |name: &str| imports.iter().filter(|(found, ..)| *found == name).map(|(_, detail, _)| detail.clone()).collect::<Vec<_>>();
    assert!(of("wasi:filesystem/types.rename-at").iter().any(|path| path == "a/_leaf"), "{imports:?}");
    assert!(of("wasi:filesystem/types.create-directory-at").contains(&"a".to_owned()), "{imports:?}");
    assert!(of("wasi:filesystem/types.sync").iter().any(|path| path == "a" || path.starts_with(".cofferdam/")), "{imports:?}");
    let earlier: Vec<u32> = imports.iter().map(|(.., earlier)| *earlier).collect();
    assert_eq!(earlier, (0..u32::try_from(imports.len()).unwrap()).collect::<Vec<_>>(), "counted from the beginning of the call");

    backend.get(&key("a/leaf")).await.unwrap().unwrap();
    let imports = looker.imports();
    assert_eq!(imports[0], ("wasi:filesystem/types.open-at", "a/_leaf".to_owned(), 0));
    assert!(imports[1..].iter().any(|(name, path, _)| name.contains("read") && path == "a/_leaf"), "{imports:?}");
    backend.list_page(&Folder::new("a/").unwrap(), "", 9).await.unwrap();
    let names: BTreeSet<&str> = looker.imports().into_iter().map(|(name, ..)| name).collect();
    assert!(
        names.contains("wasi:filesystem/types.read-directory") && names.contains("wasi:filesystem/types.read-directory-entry"),
        "{names:?}"
    );

    let calls: Vec<_> = looker.ended().into_iter().map(|usage| (usage.operation, usage.outcome, usage.imports > 0)).collect();
    assert_eq!(calls, [("put", "ok", true), ("get", "ok", true), ("list", "ok", true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_the_error_that_the_disk_has_for_it_and_nothing_is_done() {
    let (_temporary, path, looker, backend) = filesystem().await;
    for (fault, case) in
        [(Fault::Full, "exhausted"), (Fault::Denied, "denied"), (Fault::Unavailable, "unavailable"), (Fault::Throttled, "unavailable")]
    {
        for at in ["wasi:filesystem/types.sync", "wasi:filesystem/types.create-directory-at"] {
            looker.step_in(at, Step::Fail(fault), 1);
            let error = backend.put(&key("a/leaf"), "value".into()).await.unwrap_err();
            // The guest takes an error that it knows no better for one of a disk that cannot be written.
            assert!(error.case() == case || (at.contains("create") && error.case() == "denied"), "{fault:?} at {at}: {error}");
            assert!(!path.join("a").exists(), "{fault:?} at {at}");
        }
    }
    backend.put(&key("a/leaf"), "value".into()).await.unwrap();
    looker.step_in("wasi:filesystem/types.open-at", Step::Fail(Fault::Denied), 1);
    assert!(matches!(backend.get(&key("a/leaf")).await, Err(Error::Denied(_))));
    assert_eq!(backend.get(&key("a/leaf")).await.unwrap().unwrap(), "value");
    let outcomes: Vec<_> = looker.ended().into_iter().filter(|usage| usage.operation == "get").map(|usage| usage.outcome).collect();
    assert_eq!(outcomes, ["denied", "ok"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_done_and_the_guest_is_not_told() {
    let (_temporary, path, looker, backend) = filesystem().await;
    looker.step_in("wasi:filesystem/types.rename-at", Step::Lose, 1);
    backend.put(&key("leaf"), "value".into()).await.unwrap_err();
    assert!(path.join("_leaf").exists(), "the rename was done");
    looker.ended();
    // A file that was opened for nobody is closed again.
    looker.step_in("wasi:filesystem/types.open-at", Step::Lose, 1);
    backend.get(&key("leaf")).await.unwrap_err();
    backend.get(&key("leaf")).await.unwrap();
    let handles: Vec<usize> = looker.ended().into_iter().map(|usage| usage.handles).collect();
    assert_eq!(handles[0], handles[1], "{handles:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_can_be_delayed_and_stopped_at_any_import() {
    let (_temporary, path, looker, backend) = filesystem().await;
    looker.step_in("wasi:filesystem/types.open-at", Step::Delay(Duration::from_millis(50)), 1);
    let start = Instant::now();
    backend.get(&key("leaf")).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(50));
    let usage = looker.ended()[0];
    assert!(usage.elapsed >= Duration::from_millis(50) && usage.cpu < usage.elapsed, "{usage:?}");

    for at in [
        "wasi:filesystem/types.rename-at",
        "wasi:filesystem/types.sync",
        "wasi:random/random.get-random-u64",
        "wasi:filesystem/types.open-at",
    ] {
        looker.step_in(at, Step::Stop, 1);
        stopped(backend.put(&key("leaf"), "value".into()).await.unwrap_err());
        assert!(!path.join("_leaf").exists(), "{at}");
        assert_eq!(backend.get(&key("leaf")).await.unwrap(), None, "a new instance serves: {at}");
    }
    assert_eq!(backend.stats().breaches["trap"], 4);
    let outcomes: Vec<_> = looker.ended().into_iter().filter(|usage| usage.operation == "put").map(|usage| usage.outcome).collect();
    assert_eq!(outcomes, ["breach"; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told() {
    let temporary = TempDir::new().unwrap();
    let looker = Arc::new(Looker::default());
    let backend = hostile(|config| {
        config.probe = Some(Arc::clone(&looker) as Arc<dyn Probe>);
        config.grants.directory = Some(Directory::open(&temporary.path().join("data"), true).unwrap());
    })
    .await;
    commit(&backend, "sockets").await.unwrap();
    assert_eq!(looker.refused(), ["wasi:sockets create-tcp-socket", "wasi:sockets create-udp-socket", "wasi:sockets resolve-addresses"]);
    commit(&backend, "read:..~secret").await.unwrap();
    commit(&backend, "read:~etc~hostname").await.unwrap();
    assert_eq!(looker.refused(), ["wasi:filesystem/types.open-at ../secret", "wasi:filesystem/types.open-at /etc/hostname"]);
    // A file that is not there is no refusal.
    commit(&backend, "read:absent").await.unwrap();
    assert!(looker.refused().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_tells_computing_memory_and_handles() {
    let looker = Arc::new(Looker::default());
    let backend = hostile(|config| {
        config.probe = Some(Arc::clone(&looker) as Arc<dyn Probe>);
        (config.pool.size, config.limits.call) = (1, Duration::from_secs(20));
    })
    .await;
    commit(&backend, "count").await.unwrap();
    commit(&backend, "spin").await.unwrap();
    commit(&backend, "nap").await.unwrap();
    backend.get(&key("do/huge")).await.unwrap();
    let ended = looker.ended();
    let [count, spin, nap, huge] = ended[..] else { panic!("four calls were expected: {ended:?}") };
    // It spins by the clock on the wall, of which it may get little.
    assert!((spin.cpu > count.cpu || spin.elapsed > Duration::from_millis(400)) && spin.elapsed >= Duration::from_millis(200), "{spin:?}");
    assert!(nap.cpu < nap.elapsed && nap.elapsed >= Duration::from_millis(200), "{nap:?}");
    assert!(huge.memory > count.memory + (20 << 20), "{huge:?}");
    assert!(nap.imports > 0 && count.handles == nap.handles, "{nap:?}");

    let backend = hostile(|config| {
        config.probe = Some(Arc::clone(&looker) as Arc<dyn Probe>);
        config.limits.call = Duration::from_millis(300);
    })
    .await;
    assert!(matches!(commit(&backend, "sleep").await, Err(Error::TimedOut(_))));
    assert_eq!(looker.ended().iter().map(|usage| usage.outcome).collect::<Vec<_>>(), ["timed-out"]);
}

/// Answers everything.
#[derive(Debug, Default)]
struct Answers(AtomicU32);

#[async_trait]
impl Http for Answers {
    fn describe(&self) -> String {
        "all".to_owned()
    }

    fn max_request(&self) -> u64 {
        1 << 20
    }

    async fn send(&self, _: &HttpCall, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        if request.uri().path() == "/refused" {
            return Err(HttpError::Refused(format!("{} is not granted", request.uri())));
        }
        Ok(http::Response::new("answer".into()))
    }
}

#[async_trait]
impl Aws for Answers {
    fn describe(&self) -> String {
        "all".to_owned()
    }

    async fn send(&self, _: &mut AwsCall, operation: &str, _: Vec<u8>) -> Result<AwsResponse, AwsSendError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        if operation == "Refused" {
            return Err(AwsSendError::Refused("Refused is not granted".to_owned()));
        }
        Ok(AwsResponse { status: 200, headers: Vec::new(), body: "answer".into() })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_taken_at_requests_by_http() {
    let server = Arc::new(Answers::default());
    let mut config = StorageConfig::new("main");
    let looker = look(&mut config);
    config.grants.http = Some(Arc::clone(&server) as Arc<dyn Http>);
    let backend = RUNTIME.storage(&NEEDS_HTTP, config).await.unwrap();
    let at = "wasi:http/outgoing-handler.handle";
    let send = async || backend.put(&key("x"), "POST http://a.test:8/path?secret body=b".into()).await;
    let told = async || String::from_utf8(backend.get(&key("told")).await.unwrap().unwrap().to_vec()).unwrap();
    send().await.unwrap();
    let imports = looker.imports();
    assert!(imports.iter().any(|(name, detail, _)| *name == at && detail == "POST http://a.test:8/path"), "{imports:?}");

    looker.step_in(at, Step::Delay(Duration::from_millis(50)), 1);
    let start = Instant::now();
    send().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(server.0.swap(0, Ordering::SeqCst), 2);
    for (fault, name) in [(Fault::Unavailable, "ConnectionRefused"), (Fault::Denied, "HttpRequestDenied")] {
        looker.step_in(at, Step::Fail(fault), 1);
        let error = send().await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    for (fault, status) in [(Fault::Throttled, "429"), (Fault::Full, "507")] {
        looker.step_in(at, Step::Fail(fault), 1);
        send().await.unwrap();
        assert!(told().await.starts_with(status));
    }
    looker.step_in(at, Step::Stop, 1);
    stopped(send().await.unwrap_err());
    assert_eq!(server.0.load(Ordering::SeqCst), 0, "nothing of that was sent");
    looker.step_in(at, Step::Lose, 1);
    let error = send().await.unwrap_err();
    assert!(error.to_string().contains("ConnectionTerminated") && server.0.load(Ordering::SeqCst) == 1, "{error}");
    backend.put(&key("x"), "GET http://a.test/refused".into()).await.unwrap_err();
    assert_eq!(looker.refused(), ["wasi:http http://a.test/refused is not granted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_taken_at_requests_to_a_service() {
    let service = Arc::new(Answers::default());
    let mut config = StorageConfig::new("main");
    let looker = look(&mut config);
    config.grants.aws = Some(Arc::clone(&service) as Arc<dyn Aws>);
    let backend = RUNTIME.storage(&NEEDS_AWS, config).await.unwrap();
    let at = "cofferdam:backend/aws.send";
    let send = async |operation: &str| backend.get(&key(&format!("send/{operation}"))).await;
    send("GetItem").await.unwrap();
    assert!(looker.imports().contains(&(at, "GetItem".to_owned(), 0)));
    assert_eq!(service.0.swap(0, Ordering::SeqCst), 1);
    for (fault, name) in [
        (Fault::Unavailable, "unreachable"),
        (Fault::Denied, "AccessDeniedException"),
        (Fault::Throttled, "ThrottlingException"),
        (Fault::Full, "LimitExceededException"),
    ] {
        looker.step_in(at, Step::Fail(fault), 1);
        let error = send("GetItem").await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    looker.step_in(at, Step::Stop, 1);
    stopped(send("GetItem").await.unwrap_err());
    assert_eq!(service.0.load(Ordering::SeqCst), 0, "nothing of that was sent");
    looker.step_in(at, Step::Lose, 1);
    let error = send("GetItem").await.unwrap_err();
    assert!(error.to_string().contains("interrupted") && service.0.load(Ordering::SeqCst) == 1, "{error}");
    send("Refused").await.unwrap_err();
    assert_eq!(looker.refused(), ["aws Refused is not granted"]);
    looker.step_in("cofferdam:backend/fencing.current", Step::Stop, 1);
    stopped(backend.put(&key("fence"), "".into()).await.unwrap_err());
}
