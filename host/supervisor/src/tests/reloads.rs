//! One generation in another's place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cofferdam_backend::{Lock, Storage};
use cofferdam_test_support::Memory;

use super::{Script, Scripted, breach, key, pass, reads};
use crate::{OpenFailure, Phase, SupervisedStorage};

async fn reload(storage: &SupervisedStorage<Scripted>, new: Scripted) -> Result<(String, String), OpenFailure> {
    storage.replace(|_| async { Ok(new) }).await.map(|replaced| (replaced.from, replaced.to))
}

#[tokio::test(start_paused = true)]
async fn no_call_fails_and_no_write_is_lost_while_generations_change() {
    let script = Script::new();
    let storage = Arc::new(script.supervised());
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let (storage, over) = (Arc::clone(&storage), Arc::clone(&over));
            tokio::spawn(async move {
                let mut written = 0_u32;
                while !over.load(Ordering::SeqCst) {
                    storage.put(&key(&format!("w{writer}/{written}")), "v".into()).await.unwrap();
                    written += 1;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                written
            })
        })
        .collect();
    for round in 0..10 {
        let (from, to) = (if round == 0 { "one".to_owned() } else { format!("n{}", round - 1) }, format!("n{round}"));
        assert_eq!(reload(&storage, script.generation(&to)).await.unwrap(), (from, to));
        pass(1).await;
    }
    over.store(true, Ordering::SeqCst);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap() as usize;
    }
    assert!(written > 1000, "{written}");
    assert_eq!(script.0.memory.snapshot().len(), written);
    assert_eq!((storage.status().reloaded, storage.status().generation, script.alive()), (10, 11, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_on_the_generation_on_which_it_began() {
    let script = Script::new();
    let storage = Arc::new(script.supervised());
    let closed = script.0.gate.write().await;
    let put = {
        let storage = Arc::clone(&storage);
        tokio::spawn(async move { storage.put(&key("slow"), "v".into()).await })
    };
    pass(1).await;
    reload(&storage, script.generation("two")).await.unwrap();
    pass(10).await;
    assert_eq!((script.alive(), storage.current().sha256.as_str()), (2, "two"));
    assert!(!put.is_finished());
    drop(closed);
    put.await.unwrap().unwrap();
    pass(1).await;
    assert_eq!(script.alive(), 1, "the old generation stays after its last call");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_changes_nothing_and_says_why() {
    let script = Script::new();
    script.0.memory.put(&key("core/probe"), "here".into()).await.unwrap();
    let storage = script.supervised();
    let said = |failure: OpenFailure| failure.said().to_owned();
    let unopened = storage.replace(|_| async { Err(OpenFailure::refused("it is not pinned").with_detail("more")) }).await;
    assert_eq!(said(unopened.unwrap_err()), "it is not pinned");
    let mut smaller = script.generation("smaller");
    smaller.descriptor.limits.value = 7;
    let refused = said(reload(&storage, smaller).await.unwrap_err());
    assert!(refused.contains("without a restart") && refused.contains("the limit value is 7, and was 16777216"), "{refused}");
    let mut lockless = script.generation("lockless");
    lockless.locks = false;
    assert!(said(reload(&storage, lockless).await.unwrap_err()).contains("it has no lock, and had one"));
    let mut elsewhere = script.generation("elsewhere");
    elsewhere.memory = Memory::default();
    assert!(said(reload(&storage, elsewhere).await.unwrap_err()).contains("does not read core/probe as the running one does"));
    let broken = Script::new();
    broken.fail(Some(breach()));
    let refused = reload(&storage, broken.generation("broken")).await.unwrap_err();
    assert_eq!((refused.case(), refused.said()), ("breach", "a read of core/probe failed: breach"));
    assert!(refused.to_string().contains("words of the guest"));
    let status = storage.status();
    assert_eq!((status.generation, status.reloaded, status.state), (1, 0, Phase::Running));
    assert_eq!((storage.current().sha256.as_str(), reads(&storage, 1).await), ("one", vec!["ok"]));
}

#[tokio::test(start_paused = true)]
async fn what_was_promised_at_first_holds_after_every_reload() {
    let script = Script::new();
    let storage = script.supervised();
    let promised = storage.descriptor().clone();
    let mut larger = script.generation("larger");
    larger.descriptor.limits.value *= 2;
    larger.descriptor.version = "9.0.0".to_owned();
    reload(&storage, larger).await.unwrap();
    assert_eq!(*storage.descriptor(), promised);
    // Back to what it was at first: compared with the promise, not with what ran meanwhile.
    reload(&storage, script.generation("one")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_lock_follows_the_generations() {
    let script = Script::new();
    let storage = script.supervised();
    let lock = storage.lock().unwrap();
    let who = async || lock.read(&key("l")).await.unwrap().unwrap().identity;
    assert_eq!(who().await, "one");
    reload(&storage, script.generation("two")).await.unwrap();
    assert_eq!(who().await, "two");
    assert!(lock.renew(&key("l"), "me", 1).await.unwrap());
    assert_eq!(lock.now(), std::time::SystemTime::UNIX_EPOCH);
    // It holds no generation.
    pass(1).await;
    assert_eq!(script.alive(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reload_ends_a_quarantine() {
    let (script, mended) = (Script::new(), Script::new());
    let storage = script.supervised();
    script.fail(Some(breach()));
    reads(&storage, 5).await;
    pass(10).await;
    assert_eq!(storage.status().state, Phase::Quarantined);
    // One that is as broken does not.
    reload(&storage, script.generation("two")).await.unwrap_err();
    assert_eq!(storage.status().state, Phase::Quarantined);
    reload(&storage, mended.generation("three")).await.unwrap();
    assert_eq!((storage.status().trouble(), reads(&storage, 1).await), (None, vec!["ok"]));
    // Who saw to the old one has nothing left to do.
    let opens = script.opens();
    pass(3600).await;
    assert_eq!((script.opens(), storage.status().generation), (opens, 2));
}
