//! A core that a key service seals: it unseals itself, and never in a storm.

use std::time::Instant;

use cofferdam_backend::Error as Backend;
use cofferdam_test_support::Cut;
use serde_json::json;

use super::*;
use crate::seal::{HealthTimes, Retry, SealOptions};
use crate::testing::service::Service;

/// No test waits longer for something that must happen.
const LONG: Duration = Duration::from_secs(60);

fn auto(storage: impl Storage, seal: SealOptions) -> Arc<Core> {
    Core::new(Arc::new(storage), Options { seal, ..options() })
}

async fn init(core: &Arc<Core>, shares: i64, threshold: i64) -> Result<InitResult> {
    core.initialize(InitRequest { recovery_shares: shares, recovery_threshold: threshold, ..InitRequest::default() }).await
}

async fn until(what: &str, there: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !there().await {
        assert!(begun.elapsed() < LONG, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn sealed(core: &Core) -> bool {
    core.seal_status().await.unwrap().sealed
}

async fn unsealed(core: &Core) {
    until("the core is unsealed", async || !sealed(core).await).await;
}

fn unavailable() -> Option<Backend> {
    Some(Backend::Unavailable("arn:aws:kms:eu-central-1:111:key/secret-name".to_owned()))
}

/// A vault under a service, shut down.
async fn made(shares: i64, threshold: i64) -> (Memory, Service, InitResult) {
    let (memory, service) = (Memory::default(), Service::new("k1"));
    let core = auto(memory.clone(), service.options());
    let made = init(&core, shares, threshold).await.unwrap();
    core.shutdown().await;
    (memory, service, made)
}

#[tokio::test]
async fn it_is_unsealed_when_init_has_answered_and_after_every_start() {
    for (shares, threshold) in [(3, 2), (0, 0)] {
        let (memory, service) = (Memory::default(), Service::new("k1"));
        let core = auto(memory.clone(), service.options());
        core.start();
        let made = init(&core, shares, threshold).await.unwrap();
        assert!(made.keys.is_empty() && made.keys_base64.is_empty());
        assert_eq!(made.recovery_keys.as_ref().map(Vec::len), Some(shares as usize));
        let status = serde_json::to_value(core.seal_status().await.unwrap()).unwrap();
        assert_eq!(
            (&status["type"], &status["sealed"], &status["t"], &status["n"], &status["recovery_seal"], &status["recovery_seal_type"]),
            (&json!("awskms"), &json!(false), &json!(threshold), &json!(shares), &json!(true), &json!("shamir"))
        );
        assert!(status.get("warnings").is_none());
        call(&core, Some(&made.root_token), Operation::Update, "sys/mounts/s", json!({"type": "kv"})).await.unwrap();
        call(&core, Some(&made.root_token), Operation::Update, "s/a", json!({"k": "v"})).await.unwrap();
        core.shutdown().await;
        let core = auto(memory, service.options());
        assert!(sealed(&core).await);
        core.start();
        unsealed(&core).await;
        let read = call(&core, Some(&made.root_token), Operation::Read, "s/a", Value::Null).await.unwrap();
        assert_eq!(data(read), json!({"k": "v"}));
    }
}

#[tokio::test]
async fn a_server_that_waits_for_a_vault_opens_the_one_that_another_makes() {
    let (memory, service) = (Memory::default(), Service::new("k1"));
    let waiting = auto(memory.clone(), service.options());
    waiting.start();
    until("it has looked", async || true).await;
    let status = waiting.seal_status().await.unwrap();
    assert!(!status.initialized && status.warnings.is_empty());
    let maker = auto(memory, service.options());
    init(&maker, 0, 0).await.unwrap();
    unsealed(&waiting).await;
}

#[tokio::test]
async fn who_seals_it_has_it_stay_sealed_until_recovery_shares_or_a_start() {
    let (memory, service, made) = made(3, 2).await;
    let core = auto(memory, service.options());
    core.start();
    unsealed(&core).await;
    call(&core, Some(&made.root_token), Operation::Update, "sys/seal", json!({})).await.unwrap();
    let asked = service.asked();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(sealed(&core).await);
    assert_eq!(service.asked(), asked, "it tried to unseal");
    let keys = made.recovery_keys.unwrap();
    assert!(unseal(&core, &keys[0]).await.unwrap().sealed);
    assert!(!unseal(&core, &keys[2]).await.unwrap().sealed);
    assert_eq!(service.asked().1, asked.1 + 2, "the recovery key and the stored keys");
}

#[tokio::test]
async fn failures_are_tried_again_with_growing_pauses_and_one_call_each() {
    let (memory, service, _) = made(0, 0).await;
    let (first, cap) = (Duration::from_millis(10), Duration::from_millis(80));
    let retry = Retry { first, cap, uninitialized: cap };
    service.fail(unavailable());
    let before = service.asked();
    let core = auto(memory, SealOptions { retry, ..service.options() });
    let begun = Instant::now();
    core.start();
    until("it has tried four times", async || service.asked().1 >= before.1 + 4).await;
    // Half of 10, of 20 and of 40 at least.
    assert!(begun.elapsed() >= Duration::from_millis(35), "{:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_millis(400)).await;
    let calls = service.asked().1 - before.1;
    let most = 5 + u32::try_from(begun.elapsed().as_millis() / 40).unwrap();
    assert!(calls as u32 <= most, "{calls} calls in {:?}", begun.elapsed());
    // Whatever else happens, it does not try sooner.
    let (asked, begun) = (service.asked().1, Instant::now());
    for _ in 0..50 {
        core.keys_lost();
        assert!(sealed(&core).await);
        tokio::task::yield_now().await;
    }
    let (calls, elapsed) = (service.asked().1 - asked, begun.elapsed());
    assert!(calls <= 2 + usize::try_from(elapsed.as_millis() / 40).unwrap(), "{calls} calls in {elapsed:?}");
    assert_eq!((service.asked().0, service.asked().2), (before.0, before.2), "other calls than unwraps");
    service.fail(None);
    unsealed(&core).await;
    assert!(core.seal_status().await.unwrap().warnings.is_empty());
}

#[tokio::test]
async fn a_status_says_the_case_and_nothing_of_the_text() {
    let (memory, service, _) = made(0, 0).await;
    for (failure, case) in [
        (unavailable().unwrap(), "unavailable"),
        (Backend::Denied("secret-name".to_owned()), "denied"),
        (Backend::Throttled(Duration::from_secs(1)), "throttled"),
        (Backend::Breach("secret-name".to_owned()), "breach"),
    ] {
        service.fail(Some(failure));
        let core = auto(memory.clone(), service.options());
        core.start();
        until("it has a warning", async || !core.seal_status().await.unwrap().warnings.is_empty()).await;
        assert_eq!(core.seal_status().await.unwrap().warnings, [format!("the vault cannot unseal itself: {case}")]);
    }
    // Keys that do not belong together are no missing vault.
    service.fail(None);
    let (other, ..) = made(0, 0).await;
    let path = crate::keyring::KEYRING_PATH;
    let mut mixed = memory.snapshot();
    mixed.insert(path.to_owned(), other.snapshot()[path].clone());
    let core = auto(Memory::from_snapshot(mixed), service.options());
    core.start();
    until("it has a warning", async || !core.seal_status().await.unwrap().warnings.is_empty()).await;
    assert_eq!(core.seal_status().await.unwrap().warnings, ["the vault cannot unseal itself: damaged"]);
}

#[tokio::test]
async fn an_init_can_be_run_again_after_every_cut() {
    let service = Service::new("k1");
    for writes in 0.. {
        let memory = Memory::default();
        let cut = Cut::after(memory.clone(), writes);
        let made = init(&auto(cut, service.options()), 1, 1).await;
        let core = auto(memory, service.options());
        core.start();
        let done = made.is_ok();
        let made = match made {
            Ok(made) => made,
            Err(_) => {
                assert!(!core.initialized().await.unwrap(), "initialised after {writes} writes without an answer");
                init(&core, 1, 1).await.unwrap_or_else(|error| panic!("after {writes} writes: {error}"))
            }
        };
        unsealed(&core).await;
        call(&core, Some(&made.root_token), Operation::Read, "sys/mounts", Value::Null).await.unwrap();
        if done {
            assert!(writes > 10);
            return;
        }
    }
}

#[tokio::test]
async fn a_service_that_goes_is_shown_and_one_that_comes_back_gets_what_it_missed() {
    let (memory, east, west) = (Memory::default(), Service::new("east-1"), Service::new("west-1"));
    let ms = Duration::from_millis;
    let health = HealthTimes { enabled: true, interval: ms(20), unhealthy: ms(10), timeout: LONG };
    let seal = SealOptions { seals: vec![east.seal("east"), west.seal("west")], health, ..east.options() };
    let core = auto(memory.clone(), seal.clone());
    core.start();
    init(&core, 1, 1).await.unwrap();
    let warnings = async || core.seal_status().await.unwrap().warnings;
    assert!(warnings().await.is_empty());
    west.fail(unavailable());
    until("west is unhealthy", async || warnings().await == ["seal \"west\" is unhealthy: unavailable"]).await;
    let key = crate::secret::Secret::random().unwrap();
    core.unsealer().set_recovery_key(&key).await.unwrap();
    assert_eq!(warnings().await.len(), 2);
    west.fail(None);
    until("west has what it missed", async || warnings().await.is_empty()).await;
    core.shutdown().await;
    east.fail(unavailable());
    let core = auto(memory, seal);
    core.start();
    unsealed(&core).await;
}

#[tokio::test]
async fn what_runs_beside_the_requests_ends_with_the_core() {
    let (memory, service, _) = made(0, 0).await;
    let interval = Duration::from_millis(5);
    let health = HealthTimes { enabled: true, interval, unhealthy: interval, timeout: LONG };
    let core = auto(memory, SealOptions { health, ..service.options() });
    core.start();
    unsealed(&core).await;
    let asked = service.asked().2;
    until("it checks", async || service.asked().2 > asked).await;
    let weak = Arc::downgrade(&core);
    drop(core);
    until("it is gone", async || weak.upgrade().is_none()).await;
    tokio::time::sleep(interval).await;
    let asked = service.asked();
    tokio::time::sleep(10 * interval).await;
    assert_eq!(service.asked(), asked);
}
