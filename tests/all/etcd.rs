//! The example on etcd, through the runtime and the grant `http`, on the real etcd: its locks and fences, what the grant keeps from it and what it is refused,
//! and what happens when etcd goes away.
//!
//! All share one etcd, each with a prefix of its own, but those that kill it or ask it for a password.

mod grant;
mod lock;
mod server;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use cofferdam_backend::{Error, Lease, Part, Storage};
use cofferdam_emulator::Etcd;
use cofferdam_http::{HttpGrant, Options, Rule, Scheme};
use cofferdam_runtime::{Component, OpenError, Runtime, StorageBackend, StorageConfig};
use futures_util::future::join_all;
use http::Method;

pub(crate) use self::lock::fenced;
use crate::conformance::{get, key, list, put, scan};
use crate::runtime::cached;

/// The runtime with the guest.
static GUEST: LazyLock<(Arc<Runtime>, Component)> = LazyLock::new(|| cached("etcd"));

/// A prefix of its own in the etcd that all share.
pub(crate) struct Ground {
    endpoint: String,
    rule: Rule,
    prefix: String,
}

impl Ground {
    /// None where there is no etcd and need not be.
    pub(crate) fn new() -> Option<Ground> {
        static ETCD: LazyLock<Option<Etcd>> = LazyLock::new(|| Etcd::start().unwrap());
        let etcd = ETCD.as_ref();
        if etcd.is_none() {
            eprintln!("skipped: there is no etcd");
        }
        etcd.map(Ground::on)
    }

    /// The same in an etcd of one's own.
    fn on(etcd: &Etcd) -> Ground {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("test-{}/", NEXT.fetch_add(1, Ordering::Relaxed));
        Ground { endpoint: etcd.endpoint(), rule: rule(etcd.port()), prefix }
    }

    pub(crate) async fn open(&self) -> Arc<StorageBackend> {
        self.open_with(None).await.unwrap()
    }

    async fn open_with(&self, lease: Option<Arc<Lease>>) -> Result<Arc<StorageBackend>, OpenError> {
        let settings = [("endpoint", self.endpoint.as_str()), ("prefix", &self.prefix), ("timeout", "60")];
        open(&settings, vec![self.rule.clone()], lease).await
    }
}

/// What the README's block grants.
fn rule(port: u16) -> Rule {
    Rule { methods: Some(vec![Method::POST]), path_prefixes: vec!["/v3/kv".to_owned()], ..Rule::new(Scheme::Http, "127.0.0.1", port) }
}

/// The guest with these settings and this grant.
async fn open(settings: &[(&str, &str)], rules: Vec<Rule>, lease: Option<Arc<Lease>>) -> Result<Arc<StorageBackend>, OpenError> {
    let (runtime, component) = &*GUEST;
    let mut config = StorageConfig::new("etcd");
    config.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let options = Options { time: std::time::Duration::from_secs(60), ..Options::default() };
    config.grants.http = Some(HttpGrant::new("etcd", rules, options).unwrap());
    config.lease = lease;
    runtime.storage(component, config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_prefixes_are_two_stores() {
    let (Some(one), Some(other)) = (Ground::new(), Ground::new()) else { return };
    let (one, other) = (one.open().await, other.open().await);
    put(&*one, "a/b", "one").await;
    assert_eq!(get(&*other, "a/b").await, None);
    put(&*other, "a/b", "other").await;
    assert_eq!(get(&*one, "a/b").await.unwrap(), "one");
    assert_eq!((scan(&*one, 3, 5).await.len(), list(&*other, "").await), (1, vec!["a/".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_are_scanned_in_pages_that_fit() {
    let Some(ground) = Ground::new() else { return };
    let storage = ground.open().await;
    let limit = usize::try_from(storage.descriptor().limits.value).unwrap();
    let large = Bytes::from(vec![b'x'; limit]);
    // First many small ones, which have the reads grow.
    join_all((0..300).map(|number| put(&*storage, Box::leak(format!("a/{number:03}").into_boxed_str()), "small"))).await;
    for number in 0..30 {
        put(&*storage, &format!("b/{number:02}"), large.clone()).await;
    }
    let found = scan(&*storage, 2, 1000).await;
    assert_eq!(found.len(), 330);
    assert!(found.iter().all(|(key, value)| value.len() == if key.starts_with("b/") { limit } else { 5 }));
    let over = storage.put(&key("c"), Bytes::from(vec![0; limit + 1])).await;
    assert!(matches!(over, Err(Error::TooLarge { part: Part::Value, .. })), "the limit is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let Some(mut etcd) = Etcd::start().unwrap() else { return };
    let ground = Ground::on(&etcd);
    let storage = ground.open().await;
    for number in 0..20 {
        put(&*storage, &format!("a/{number}"), number.to_string()).await;
    }
    etcd.stop();
    let gone = storage.get(&key("a/1")).await;
    assert!(matches!(gone, Err(Error::Unavailable(_))), "{gone:?}");
    assert!(storage.put(&key("a/1"), "lost".into()).await.is_err());
    etcd.restart().unwrap();
    // The same instances find it again.
    for number in 0..20 {
        assert_eq!(get(&*storage, &format!("a/{number}")).await.unwrap(), number.to_string());
    }
    assert_eq!(list(&*storage, "a/").await.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_gone_is_passed_over() {
    let Some(ground) = Ground::new() else { return };
    let gone = cofferdam_emulator::free_port().unwrap();
    let endpoints = format!("http://127.0.0.1:{gone},{}", ground.endpoint);
    let settings = [("endpoint", endpoints.as_str()), ("prefix", &ground.prefix)];
    let storage = open(&settings, vec![rule(gone), ground.rule.clone()], None).await.unwrap();
    put(&*storage, "a", "b").await;
    assert_eq!(get(&*ground.open().await, "a").await.unwrap(), "b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_be_meant_are_named() {
    let rules = || vec![rule(1)];
    for (settings, name) in [
        (vec![], "endpoint"),
        (vec![("endpoint", "http://127.0.0.1:1"), ("password", "x")], "password"),
        (vec![("endpoint", "http://root:x@127.0.0.1:1")], "endpoint"),
    ] {
        let error = open(&settings, rules(), None).await.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}
