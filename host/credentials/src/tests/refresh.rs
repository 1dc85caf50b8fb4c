use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use super::server::Server;
use super::services::{document, ok, refuse};
use super::*;

/// A container endpoint whose credentials live so long, and which fails while told to.
struct Endpoint {
    server: Server,
    failing: Arc<AtomicBool>,
}

impl Endpoint {
    async fn new(life: f64) -> Endpoint {
        let failing = Arc::<AtomicBool>::default();
        let (fails, given) = (failing.clone(), AtomicU32::new(0));
        let server = Server::start(move |_| {
            if fails.load(Ordering::SeqCst) {
                return refuse(400, "out of order");
            }
            ok(document(given.fetch_add(1, Ordering::SeqCst) + 1, life))
        })
        .await;
        Endpoint { server, failing }
    }

    async fn open(&self) -> Arc<Credentials> {
        open(Identity::default(), &sources(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &self.server.url)])).await
    }

    fn asked(&self) -> usize {
        self.server.asked().len()
    }
}

/// All that so many concurrent calls come to.
async fn together<T: Send + 'static, R: Future<Output = T> + Send + 'static>(many: usize, call: impl Fn() -> R) -> Vec<T> {
    let calls: Vec<_> = (0..many).map(|_| tokio::spawn(call())).collect();
    let mut outcomes = Vec::new();
    for call in calls {
        outcomes.push(call.await.unwrap());
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_nothing_fails_and_the_source_is_asked_seldom() {
    let endpoint = Arc::new(Endpoint::new(4.0).await);
    let credentials = endpoint.open().await;
    let begun = Instant::now();
    let outcomes = together(50, || {
        let (credentials, endpoint) = (credentials.clone(), Arc::clone(&endpoint));
        async move {
            let (mut calls, mut seen) = (0_u32, std::collections::BTreeSet::new());
            // Until they were replaced twice, however long that takes.
            while endpoint.asked() < 3 || seen.len() < 2 {
                assert!(begun.elapsed() < Duration::from_secs(120), "they were not replaced");
                let before = SystemTime::now();
                let keys = credentials.get().await.unwrap();
                assert!(keys.expiry().unwrap() > before);
                seen.insert(keys.access_key_id().to_owned());
                calls += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            calls
        }
    })
    .await;
    // Each set lives for four seconds, of which the last is for the next one.
    let (asked, most) = (endpoint.asked(), 2 + begun.elapsed().as_secs() / 3);
    assert!(asked as u64 <= most, "asked {asked} times in {:?}", begun.elapsed());
    assert!(outcomes.iter().sum::<u32>() > 100, "{outcomes:?}");
}

#[tokio::test]
async fn a_failed_refresh_is_repeated_while_the_old_ones_serve() {
    let endpoint = Endpoint::new(3600.0).await;
    let credentials = endpoint.open().await;
    let old = credentials.get().await.unwrap();
    endpoint.failing.store(true, Ordering::SeqCst);
    assert!(!credentials.refresh_now(&old).await);
    assert_eq!((endpoint.asked(), credentials.get().await.unwrap()), (2, old));
    // Nobody asks for it again.
    endpoint.failing.store(false, Ordering::SeqCst);
    becomes(&credentials, "ASIA2").await;
}

#[tokio::test]
async fn once_expired_it_is_an_error_with_its_cause_by_one_attempt_for_all() {
    // A machine that stalls lets them expire before they were there.
    let mut valid = None;
    while valid.is_none() {
        let endpoint = Endpoint::new(1.0).await;
        let credentials = endpoint.open().await;
        let there = credentials.get().await.is_ok();
        endpoint.failing.store(true, Ordering::SeqCst);
        valid = there.then_some((endpoint, credentials));
    }
    let (endpoint, credentials) = valid.unwrap();
    while credentials.get().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = endpoint.asked();
    let outcomes = together(50, || {
        let credentials = credentials.clone();
        async move { credentials.get().await }
    })
    .await;
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert!(matches!(error, CredentialsError::Expired { .. }) && error.to_string().contains("out of order"), "{error}");
    }
    // One attempt, and those of a second or two for which the machine may have stood still.
    assert!(endpoint.asked() - before <= 3, "{} attempts for fifty", endpoint.asked() - before);
    // The next who needs them brings on another.
    endpoint.failing.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let again = async {
        while credentials.get().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("nobody tried again");
}

#[tokio::test]
async fn refused_credentials_are_replaced_once_for_all_who_ask() {
    let endpoint = Endpoint::new(3600.0).await;
    let credentials = endpoint.open().await;
    let old = credentials.get().await.unwrap();
    let ask = |keys: Keys| {
        let credentials = credentials.clone();
        move || {
            let (credentials, keys) = (credentials.clone(), keys.clone());
            async move { credentials.refresh_now(&keys).await }
        }
    };
    assert_eq!(together(50, ask(old)).await, vec![true; 50]);
    assert_eq!(endpoint.asked(), 2);
    // A role that was taken away refuses the new ones too: the source is left in peace.
    let new = credentials.get().await.unwrap();
    assert_eq!(new.access_key_id(), "ASIA2");
    assert_eq!(together(50, ask(new.clone())).await, vec![false; 50]);
    assert_eq!(endpoint.asked(), 2);
    assert_eq!(credentials.get().await.unwrap(), new);
}

#[tokio::test]
async fn keys_that_are_given_are_not_looked_for_again() {
    let credentials = open(stanza_keys(), &sources(&[])).await;
    let keys = credentials.get().await.unwrap();
    assert_eq!(shown(&keys), ("AKIASTANZA", "stanza-secret", None));
    assert!(!credentials.refresh_now(&keys).await);
    assert_eq!(credentials.get().await.unwrap(), keys);
}

#[tokio::test]
async fn what_has_expired_already_is_an_error() {
    let endpoint = Endpoint::new(-60.0).await;
    let cause = failure(&endpoint.open().await).await;
    assert!(cause.contains("they expired at 2"), "{cause}");
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_nothing() {
    let slow = Arc::<AtomicU32>::default();
    let counted = slow.clone();
    let server = Server::start(move |_| {
        // The first request is never answered; the attempt's own limit ends it.
        if counted.fetch_add(1, Ordering::SeqCst) == 0 { None } else { ok(document(1, 3600.0)) }
    })
    .await;
    let credentials = open(Identity::default(), &sources(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &server.url)])).await;
    assert!(tokio::time::timeout(Duration::from_millis(200), credentials.get()).await.is_err());
    assert_eq!(credentials.get().await.unwrap().access_key_id(), "ASIA1");
    assert_eq!(slow.load(Ordering::SeqCst), 2);
}
