//! The imports `aws` and `fencing`: what a guest sends, when, and what of it ends with its call. What may be sent is not this crate's to judge.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use cofferdam_backend::{BootInstant, Error, Fence, Fencing, Folder, Held, Lease, Operation, Storage};
use cofferdam_runtime::{Aws, AwsCall, AwsResponse, AwsSendError, Component, OpenError, Purpose, Source, StorageBackend, StorageConfig};
use tokio::time::{sleep, timeout};

use super::{RUNTIME, key, path};

pub(super) static NEEDS_AWS: LazyLock<Component> = LazyLock::new(|| RUNTIME.component(Source::File(path("needs_aws"))).unwrap());

/// A service that notes what it is sent. Operations named after a fault have it.
#[derive(Debug, Default)]
struct Service {
    /// Purpose, operation, body, and what the call had sent before.
    sent: Mutex<Vec<(Purpose, String, String, u32)>>,
    under_way: Arc<AtomicUsize>,
    /// The most that were under way at once.
    most: AtomicUsize,
}

impl Service {
    /// Waits until so many requests are under way.
    async fn busy_with(&self, requests: usize) {
        timeout(Duration::from_secs(60), async {
            while self.under_way.load(Ordering::SeqCst) != requests {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
    }

    fn sent(&self) -> Vec<(Purpose, String, String, u32)> {
        std::mem::take(&mut self.sent.lock().unwrap())
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
impl Aws for Service {
    fn describe(&self) -> String {
        "a service of the tests".to_owned()
    }

    async fn send(&self, call: &mut AwsCall, operation: &str, body: Vec<u8>) -> Result<AwsResponse, AwsSendError> {
        self.most.fetch_max(self.under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _under_way = UnderWay(Arc::clone(&self.under_way));
        assert!(call.deadline > Instant::now());
        self.sent.lock().unwrap().push((call.purpose, operation.to_owned(), String::from_utf8(body).unwrap(), call.sends));
        call.sends += 1;
        match operation {
            "Nap" => sleep(Duration::from_millis(200)).await,
            "Hang" => std::future::pending().await,
            "Refused" => return Err(AwsSendError::Refused("not bound".to_owned())),
            "Unreachable" => return Err(AwsSendError::Unreachable("away".to_owned())),
            "Interrupted" => return Err(AwsSendError::Interrupted("cut".to_owned())),
            "TooLarge" => return Err(AwsSendError::TooLarge(77)),
            "Credentials" => return Err(AwsSendError::Credentials("expired".to_owned())),
            "Thrice" if call.sends > 3 => return Err(AwsSendError::Refused("three are enough".to_owned())),
            _ => {}
        }
        let status = if operation == "Bad" { 400 } else { 200 };
        Ok(AwsResponse { status, headers: vec![("date".to_owned(), "now".to_owned())], body: "answer".into() })
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(77)
    }
}

async fn try_open(change: impl FnOnce(&mut StorageConfig)) -> (Arc<Service>, Result<Arc<StorageBackend>, OpenError>) {
    let service = Arc::new(Service::default());
    let mut config = StorageConfig::new("main");
    config.grants.aws = Some(Arc::clone(&service) as Arc<dyn Aws>);
    config.pool.size = 1;
    change(&mut config);
    (service, RUNTIME.storage(&NEEDS_AWS, config).await)
}

async fn open(change: impl FnOnce(&mut StorageConfig)) -> (Arc<Service>, Arc<StorageBackend>) {
    let (service, backend) = try_open(change).await;
    (service, backend.unwrap())
}

fn setting(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

fn claim(value: &str) -> Held {
    Held { value: value.to_owned().into(), identity: "me".to_owned(), expires: 1 }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_arrives_as_it_is_with_the_purpose_of_its_call() {
    let (service, backend) = open(|config| config.settings = setting("open", "DescribeTable {\"a\":1}\nOther")).await;
    let expected = |purpose, operation: &str, body: &str, before| (purpose, operation.to_owned(), body.to_owned(), before);
    assert_eq!(
        service.sent(),
        [expected(Purpose::Open, "DescribeTable", "{\"a\":1}", 0), expected(Purpose::Open, "Other", "{}", 1)],
        "in one call"
    );
    let answer = backend.get(&key("send/GetItem/ {not json ")).await.unwrap().unwrap();
    assert_eq!(answer, "200\nanswer");
    backend.list_page(&Folder::new("send/Query/").unwrap(), "{\"q\": \"/\"}", 9).await.unwrap();
    backend.scan(0, 1, Some("{\"s\":1}".into()), 9).await.unwrap();
    let read = |operation, body| expected(Purpose::Read, operation, body, 0);
    assert_eq!(service.sent(), [read("GetItem", " {not json "), read("Query", "{\"q\": \"/\"}"), read("Scan", "{\"s\":1}")]);
    backend.put(&key("send/PutItem"), "{\"p\":1}".into()).await.unwrap();
    backend.delete(&key("send/DeleteItem")).await.unwrap();
    backend.delete(&key("prune/send/Query/leaf")).await.unwrap();
    backend.batch(vec![Operation::Put(key("send/One"), "1".into()), Operation::Delete(key("send/Two"))]).await.unwrap();
    let write = |operation, body, before| expected(Purpose::Mutation, operation, body, before);
    let written = [write("PutItem", "{\"p\":1}", 0), write("DeleteItem", "{}", 0), write("Query", "{}", 0)];
    assert_eq!(service.sent(), [&written[..], &[write("One", "1", 0), write("Two", "{}", 1)]].concat());
    let lock = backend.lock().unwrap();
    assert!(lock.try_acquire(&key("send/UpdateItem"), claim("{\"u\":1}"), None).await.unwrap());
    assert!(lock.renew(&key("send/Renew"), "me", 2).await.unwrap());
    lock.release(&key("send/Release"), "me").await.unwrap();
    let held = lock.read(&key("send/GetItem")).await.unwrap().unwrap();
    assert_eq!((&held.value[..], &*held.identity), (&b"200\nanswer"[..], ""), "an identity may be missing");
    let locks = |operation, body| expected(Purpose::Lock, operation, body, 0);
    assert_eq!(service.sent(), [locks("UpdateItem", "{\"u\":1}"), locks("Renew", "{}"), locks("Release", "{}"), locks("GetItem", "{}")]);
    assert_eq!(lock.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(77), "the service's clock counts");
    assert_eq!(service.under_way.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_has_used_ends_with_it() {
    let (service, backend) = open(|_| {}).await;
    for _ in 0..2 {
        let error = backend.get(&key("send-many/9/Thrice")).await.unwrap_err();
        assert_eq!(error, Error::Denied("after 3: three are enough".to_owned()));
        assert_eq!(service.sent().iter().map(|(.., before)| *before).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_reaches_the_guest_as_what_it_is() {
    let (_, backend) = open(|_| {}).await;
    let error = async |operation: &str| backend.get(&key(&format!("send/{operation}"))).await.unwrap_err();
    assert_eq!(error("Refused").await, Error::Denied("not bound".to_owned()));
    assert_eq!(error("Unreachable").await, Error::Unavailable("unreachable: away".to_owned()));
    assert_eq!(error("Interrupted").await, Error::Unavailable("interrupted: cut".to_owned()));
    assert_eq!(error("TooLarge").await, Error::Exhausted("an answer of 77 bytes".to_owned()));
    assert_eq!(error("Credentials").await, Error::Unavailable("credentials: expired".to_owned()));
    assert_eq!(error("Bad").await, Error::Unavailable("status 400: answer".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_while_an_instance_is_attached() {
    let (service, opened) = try_open(|config| config.settings = setting("attach", "GetItem {}")).await;
    let Err(OpenError::Guest { error: Error::Denied(text), .. }) = opened else { panic!("the refusal was expected") };
    assert!(text.contains("attach"), "{text}");
    assert!(service.sent().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_given_up_at_the_deadline_of_its_call() {
    let (service, backend) = open(|config| config.limits.call = Duration::from_secs(1)).await;
    assert_eq!(backend.get(&key("send/Hang")).await, Err(Error::TimedOut(Duration::from_secs(1))));
    service.busy_with(0).await;
    // A caller that goes away ends nothing before that.
    let (service, backend) = open(|config| config.limits.call = Duration::from_secs(5)).await;
    let hanging = tokio::spawn({
        let backend = Arc::clone(&backend);
        async move { backend.put(&key("send/Hang"), "".into()).await }
    });
    service.busy_with(1).await;
    hanging.abort();
    assert!(hanging.await.unwrap_err().is_cancelled());
    assert_eq!(service.under_way.load(Ordering::SeqCst), 1);
    backend.get(&key("send/GetItem")).await.unwrap();
    assert_eq!(service.under_way.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_lock_has_a_shorter_deadline_and_an_instance_of_its_own() {
    let (service, backend) = open(|config| config.limits.lock = Duration::from_secs(4)).await;
    let lock = backend.lock().unwrap();
    // Entries: the one instance hangs.
    let hanging = tokio::spawn({
        let backend = Arc::clone(&backend);
        async move { backend.get(&key("send/Hang")).await }
    });
    service.busy_with(1).await;
    assert!(lock.renew(&key("send/UpdateItem"), "me", 2).await.unwrap());
    let start = Instant::now();
    assert_eq!(lock.renew(&key("send/Hang"), "me", 2).await, Err(Error::TimedOut(Duration::from_secs(4))));
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(lock.renew(&key("send/UpdateItem"), "me", 2).await.unwrap());
    assert_eq!(service.under_way.load(Ordering::SeqCst), 1);
    hanging.abort();
}

/// One thread serves all: a guest that waits for an answer holds none.
#[tokio::test(flavor = "current_thread")]
async fn requests_of_many_instances_are_under_way_at_once() {
    let (service, backend) = open(|config| config.pool.size = 16).await;
    let start = Instant::now();
    let naps: Vec<_> = (0..32)
        .map(|_| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move { backend.get(&key("send/Nap")).await })
        })
        .collect();
    for nap in naps {
        nap.await.unwrap().unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(400), "two rounds of 200 ms: {:?}", start.elapsed());
    // Sixteen where the machine makes instances as fast as that.
    let most = service.most.load(Ordering::SeqCst);
    assert!((4..=16).contains(&most), "{most} at once");
}

/// What each kind of call is told of the fence.
async fn told(backend: &StorageBackend) -> Vec<String> {
    let fence = key("fence");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut told = vec![text(&backend.get(&fence).await.unwrap().unwrap())];
    let noted = async || text(&backend.get(&key("fenced")).await.unwrap().unwrap());
    backend.put(&fence, "".into()).await.unwrap();
    told.push(noted().await);
    backend.delete(&fence).await.unwrap();
    told.push(noted().await);
    backend.delete(&key("prune/fence/leaf")).await.unwrap();
    told.push(noted().await);
    backend.batch(vec![Operation::Delete(fence.clone())]).await.unwrap();
    told.push(noted().await);
    told.push(text(&backend.lock().unwrap().read(&fence).await.unwrap().unwrap().value));
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_is_told_to_mutations_alone_and_only_if_it_is_wanted_and_held() {
    let nothing = ["none"; 6];
    let (_, backend) = open(|_| {}).await;
    assert_eq!(told(&backend).await, nothing, "no lease");
    for fencing in [Fencing::Lease, Fencing::Strict] {
        let lease = Lease::new(fencing);
        let (_, backend) = open(|config| config.lease = Some(Arc::clone(&lease))).await;
        assert_eq!(told(&backend).await, nothing, "not held");
        let fence = Fence { key: key("core/lock"), identity: "me".to_owned() };
        lease.begin(fence, BootInstant::now().after(Duration::from_secs(60)));
        let mutation = if fencing == Fencing::Strict { "core/lock me" } else { "none" };
        assert_eq!(told(&backend).await, ["none", mutation, mutation, mutation, mutation, "none"]);
        lease.end();
        assert_eq!(told(&backend).await, nothing, "given up");
    }
}
