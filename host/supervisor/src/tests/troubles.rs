//! Backends that fail: what counts, what is done, and what ends it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cofferdam_backend::{Error, Lock, Storage};
use cofferdam_test_support::Memory;

use super::{Script, breach, key, pass, reads};
use crate::{OpenFailure, Phase};

#[tokio::test(start_paused = true)]
async fn a_few_faults_are_the_callers_and_a_success_forgives_them() {
    let script = Script::new();
    let storage = script.supervised();
    for _ in 0..10 {
        script.fail(Some(breach()));
        assert_eq!(reads(&storage, 4).await, ["breach"; 4]);
        script.fail(None);
        assert_eq!(reads(&storage, 1).await, ["ok"]);
    }
    // Far apart they are no row of faults either.
    script.fail(Some(breach()));
    for _ in 0..10 {
        reads(&storage, 1).await;
        pass(20).await;
    }
    pass(100).await;
    assert_eq!((script.opens(), storage.status().state), (0, Phase::Running));
}

#[tokio::test(start_paused = true)]
async fn what_a_service_does_is_no_fault_of_the_guest() {
    let script = Script::new();
    let storage = script.supervised();
    for failure in [
        Error::Unavailable("away".to_owned()),
        Error::Throttled(Duration::from_secs(1)),
        Error::Denied("no".to_owned()),
        Error::Busy(Duration::from_secs(1)),
        Error::Corrupt("damaged".to_owned()),
        Error::Exhausted("full".to_owned()),
    ] {
        script.fail(Some(failure));
        reads(&storage, 50).await;
    }
    pass(100).await;
    assert_eq!((script.opens(), storage.status().trouble()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_repeatedly_is_opened_again_and_goes_on() {
    let script = Script::new();
    let storage = script.supervised();
    script.fail(Some(Error::TimedOut(Duration::from_secs(30))));
    reads(&storage, 5).await;
    tokio::task::yield_now().await;
    assert_eq!(storage.status().trouble().as_deref(), Some("reopening: timed-out"));
    // Calls go on meanwhile: nobody knows better than the backend whether it fails.
    assert_eq!(reads(&storage, 1).await, ["timed-out"]);
    // The fault is gone with its instances: the next generation works. No success before tells the supervisor so.
    script.fail(None);
    pass(2).await;
    let status = storage.status();
    assert_eq!((status.state, status.generation, status.reopened, script.opens()), (Phase::Running, 2, 1, 1));
    assert_eq!((reads(&storage, 1).await, storage.current().forgotten.load(Ordering::SeqCst)), (vec!["ok"], 1));
    assert_eq!(script.alive(), 1, "the failed generation stays");
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_again_by_itself_is_left_alone() {
    let script = Script::new();
    let storage = script.supervised();
    script.fail(Some(breach()));
    reads(&storage, 5).await;
    script.fail(None);
    reads(&storage, 1).await;
    pass(5).await;
    assert_eq!((script.opens(), storage.status().trouble()), (0, None));
    // And is seen to as before when it fails later.
    script.fail(Some(breach()));
    reads(&storage, 5).await;
    pass(2).await;
    assert_eq!(script.opens(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_stays_broken_is_quarantined_and_comes_back_when_the_cause_has_gone() {
    let script = Script::new();
    let storage = script.supervised();
    script.fail(Some(breach()));
    reads(&storage, 5).await;
    pass(8).await;
    // After one, two and four seconds.
    assert_eq!((script.opens(), storage.status().state), (3, Phase::Quarantined));
    assert_eq!(storage.status().trouble().as_deref(), Some("quarantined: breach"));
    let asked = script.calls();
    let refused = storage.get(&key("a")).await.unwrap_err();
    assert_eq!(refused, Error::Quarantined("storage/scripted".to_owned()));
    assert_eq!(storage.lock().unwrap().read(&key("l")).await.unwrap_err(), refused);
    assert_eq!(script.calls(), asked, "a call in quarantine reached the guest");
    // It is tried again, less and less often.
    let tried = async |seconds| {
        let before = script.opens();
        pass(seconds).await;
        script.opens() - before
    };
    assert_eq!((tried(31).await, tried(61).await, tried(121).await, tried(1200).await), (1, 1, 1, 4));
    script.fail(None);
    pass(301).await;
    assert_eq!((storage.status().trouble(), reads(&storage, 2).await), (None, vec!["ok", "ok"]));
    assert_eq!(script.alive(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_for_a_service_that_is_away_ends_soon_after_it_is_back() {
    let script = Script::new();
    let storage = script.supervised();
    script.fail(Some(breach()));
    reads(&storage, 5).await;
    script.fail_opening(Some(OpenFailure::of("open", &Error::Unavailable("words".to_owned()))));
    pass(3600).await;
    assert_eq!(storage.status().trouble().as_deref(), Some("quarantined: unavailable"));
    script.fail_opening(None);
    script.fail(None);
    pass(31).await;
    assert_eq!(storage.status().trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn who_can_make_the_guest_trap_takes_the_backend_from_nobody() {
    let script = Script::new();
    script.0.puts_only.store(true, Ordering::SeqCst);
    let storage = script.supervised();
    script.fail(Some(breach()));
    let mut opened = Vec::new();
    for _ in 0..600 {
        for _ in 0..5 {
            storage.put(&key("poison"), "x".into()).await.unwrap_err();
        }
        pass(1).await;
        assert_ne!(storage.status().state, Phase::Quarantined);
        opened.push(script.opens());
    }
    let opened = (opened.first().unwrap().to_owned(), opened.last().unwrap().to_owned());
    assert!((8..=20).contains(&opened.1), "the pauses do not grow: {opened:?}");
    assert_eq!(reads(&storage, 3).await, ["ok"; 3]);
}

#[tokio::test(start_paused = true)]
async fn one_backends_trouble_is_not_anothers() {
    let (script, other) = (Script::new(), Script::new());
    let (storage, beside) = (script.supervised(), other.supervised());
    script.fail(Some(breach()));
    reads(&storage, 5).await;
    pass(60).await;
    assert_eq!((storage.status().state, beside.status().state), (Phase::Quarantined, Phase::Running));
    assert_eq!((reads(&beside, 2).await, other.opens()), (vec!["ok", "ok"], 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_that_the_guest_says_is_in_a_status() {
    let script = Script::new();
    let storage = script.supervised();
    script.fail(Some(breach()));
    reads(&storage, 5).await;
    pass(10).await;
    let shown = format!("{:?} {:?}", storage.status(), storage.get(&key("a")).await);
    assert!(shown.contains("breach") && !shown.contains("words"), "{shown}");
    let failure = OpenFailure::of("open", &breach());
    assert_eq!((failure.said(), failure.to_string().contains("words")), ("open failed: breach", true));
}

#[tokio::test(start_paused = true)]
async fn who_sees_to_a_backend_ends_with_it() {
    let script = Script::new();
    let storage = script.supervised();
    script.fail(Some(breach()));
    reads(&storage, 5).await;
    pass(10).await;
    drop(storage);
    let opens = script.opens();
    pass(3600).await;
    assert_eq!((script.opens(), script.alive()), (opens, 0));
    assert!(Memory::default().snapshot().is_empty());
}
