//! Connections that break after each write in turn, with the write done or not, on storages with and without atomic batches.

use cofferdam_test_support::Cut;

use super::*;

/// More than anything takes.
const ALL: i64 = i64::MAX / 2;

/// The storage, behind a connection that is to break; `done`: with the write done, and no answer.
fn wire(memory: &Memory, atomic: bool, done: bool) -> Cut {
    let memory = if atomic { memory.clone() } else { memory.clone().without_atomic_batch() };
    if done { Cut::losing_the_answer_after(memory, ALL) } else { Cut::after(memory, ALL) }
}

/// Every kind of storage and of break.
const KINDS: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];

/// A store as it was left, for another process, on a storage of the same kind.
fn left(storage: &Memory, atomic: bool) -> Memory {
    let memory = Memory::from_snapshot(storage.snapshot());
    if atomic { memory } else { memory.without_atomic_batch() }
}

async fn opens_now(storage: &Memory, atomic: bool, parts: &Parts) -> bool {
    let memory = left(storage, atomic);
    let unsealer = over(memory.clone());
    for part in parts {
        match unsealer.unseal(part).await {
            Ok(true) => {
                serves(&unsealer).await;
                assert_copies_are_right(&memory, &unsealer).await;
                return true;
            }
            Ok(false) => {}
            Err(Error::BadRequest(_)) => return false,
            Err(error) => panic!("{error}"),
        }
    }
    false
}

#[tokio::test]
async fn a_rekey_of_shamirs_seal_leaves_the_old_shares_or_gives_out_the_new_ones() {
    for (atomic, done) in KINDS {
        let (store, old) = shamir().await;
        let mut lost = 0;
        for writes in 0.. {
            let storage = Memory::from_snapshot(store.snapshot());
            let wire = wire(&storage, atomic, done);
            let unsealer = over(wire.clone());
            open(&unsealer, &old).await;
            let nonce = begin(&unsealer, Target::Root, &asked(4, 3)).await.unwrap();
            wire.allow(writes);
            let told = update(&unsealer, Target::Root, &old, &nonce).await;
            let case = format!("{writes} writes, atomic {atomic}, done {done}, told {}", told.is_ok());
            let (by_old, by_new) = match &told {
                Ok(given) => (false, opens_now(&storage, atomic, &parts_of(given)).await),
                Err(_) => (opens_now(&storage, atomic, &old).await, false),
            };
            // What remains: the write was done, its answer never came, and the process ends before it does.
            let remains = done && told.is_err() && !by_old;
            assert!(by_old || by_new || remains, "{case}");
            lost += usize::from(remains);

            // The process goes on, and the storage answers again.
            wire.allow(ALL);
            unsealer.inner.barrier.settle();
            let ended = writes > 20;
            let new = match told {
                Ok(given) => parts_of(&given),
                Err(_) => {
                    // Before the next one: whatever is written now is written under the right root key.
                    unsealer.maintain().await.unwrap();
                    parts_of(&update(&unsealer, Target::Root, &old, &nonce).await.unwrap_or_else(|error| panic!("{case}: {error}")))
                }
            };
            serves(&unsealer).await;
            assert!(opens_now(&storage, atomic, &new).await, "{case}");
            assert!(!opens_now(&storage, atomic, &old).await, "{case}");
            // Whoever did not get the answer may have it again.
            assert_eq!(parts_of(&update(&unsealer, Target::Root, &old, &nonce).await.unwrap()), new, "{case}");
            if ended {
                break;
            }
        }
        assert!(lost <= 1, "of the writes one alone decides: {lost}, atomic {atomic}, done {done}");
    }
}

#[tokio::test]
async fn with_verification_no_break_and_no_end_of_the_process_loses_anything() {
    for (atomic, done) in KINDS {
        let (store, old) = shamir().await;
        for writes in 0..16 {
            let storage = Memory::from_snapshot(store.snapshot());
            let wire = wire(&storage, atomic, done);
            let unsealer = over(wire.clone());
            open(&unsealer, &old).await;
            let given = rekeyed(&unsealer, Target::Root, &old, &verified(4, 3)).await.unwrap();
            let (new, nonce) = (parts_of(&given), given.verification_nonce.unwrap());
            wire.allow(writes);
            let told = proven(&unsealer, Target::Root, &new, &nonce).await;
            let case = format!("{writes} writes, atomic {atomic}, done {done}, told {}", told.is_ok());
            let (by_old, by_new) = (opens_now(&storage, atomic, &old).await, opens_now(&storage, atomic, &new).await);
            assert!(by_old != by_new && (told.is_err() || by_new), "{case}");
            wire.allow(ALL);
            if told.is_err() {
                // Where a batch was done, that can be seen; else nobody knows yet, and it is said.
                if writes == 0 && !(atomic && done) {
                    let again = unsealer.rekey_prove(Target::Root, Words::Rekey, &new[0], &nonce).await;
                    assert!(matches!(again, Err(Error::Refused(text)) if text.contains("it is not known yet")), "{case}");
                    assert!(matches!(unsealer.rotate().await, Err(Error::Storage(_))), "{case}");
                }
                unsealer.inner.barrier.settle();
                proven(&unsealer, Target::Root, &new, &nonce).await.unwrap_or_else(|error| panic!("{case}: {error}"));
            }
            unsealer.inner.barrier.settle();
            serves(&unsealer).await;
            assert!(opens_now(&storage, atomic, &new).await && !opens_now(&storage, atomic, &old).await, "{case}");
        }
    }
}

#[tokio::test]
async fn a_new_root_key_under_a_key_service_is_there_or_not() {
    for (atomic, done) in KINDS {
        for without_shares in [false, true] {
            let (store, service, recovery) = serviced(3, 2).await;
            for writes in 0..16 {
                let storage = Memory::from_snapshot(store.snapshot());
                let wire = wire(&storage, atomic, done);
                let unsealer = with_service(wire.clone(), &service);
                unsealer.unseal_by_service().await.unwrap();
                let before = root(&unsealer);
                let nonce = begin(&unsealer, Target::Root, &Asked::default()).await.unwrap();
                wire.allow(writes);
                let told = match without_shares {
                    true => unsealer.rotate_root().await,
                    false => update(&unsealer, Target::Root, &recovery, &nonce).await.map(drop),
                };
                let case = format!("{writes} writes, atomic {atomic}, done {done}, without shares {without_shares}, told {}", told.is_ok());
                let opened = async || {
                    let unsealer = with_service(left(&storage, atomic), &service);
                    assert!(unsealer.unseal_by_service().await.unwrap(), "{case}");
                    serves(&unsealer).await;
                    root(&unsealer)
                };
                assert!(told.is_err() || opened().await != before, "{case}");
                opened().await;
                // The same process goes on: it never writes the keyring under the wrong root key.
                wire.allow(ALL);
                unsealer.inner.barrier.settle();
                serves(&unsealer).await;
                assert_eq!(opened().await, root(&unsealer), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_rekey_of_the_recovery_key_leaves_key_and_configuration_of_one_kind() {
    for (atomic, done) in KINDS {
        for from_nothing in [false, true] {
            let (store, service, old) = if from_nothing { serviced(0, 0).await } else { serviced(3, 2).await };
            for writes in 0..12 {
                let storage = Memory::from_snapshot(store.snapshot());
                let wire = wire(&storage, atomic, done);
                let unsealer = with_service(wire.clone(), &service);
                unsealer.unseal_by_service().await.unwrap();
                let make = async |nonce: &str| match from_nothing {
                    true => match unsealer.rekey_begin(Target::Recovery, Words::Rotate, &asked(5, 3)).await? {
                        Given::Done(shares) => Ok(shares),
                        Given::More(_) => panic!("shares are asked for that nobody has"),
                    },
                    false => update(&unsealer, Target::Recovery, &old, nonce).await,
                };
                let nonce = if from_nothing { String::new() } else { begin(&unsealer, Target::Recovery, &asked(5, 3)).await.unwrap() };
                wire.allow(writes);
                let told = make(&nonce).await;
                let case = format!("{writes} writes, atomic {atomic}, done {done}, from nothing {from_nothing}, told {}", told.is_ok());
                // Whether these shares authorise, in another process.
                let authorises = async |parts: &Parts| {
                    let unsealer = with_service(left(&storage, atomic), &service);
                    assert!(unsealer.unseal_by_service().await.unwrap(), "{case}");
                    let counts = unsealer.status().await.unwrap();
                    assert!([(5, 3), if from_nothing { (0, 0) } else { (3, 2) }].contains(&(counts.shares, counts.threshold)), "{case}");
                    match begin(&unsealer, Target::Root, &Asked::default()).await {
                        Ok(nonce) if parts.len() >= usize::from(counts.threshold) => {
                            update(&unsealer, Target::Root, parts, &nonce).await.is_ok()
                        }
                        _ => false,
                    }
                };
                if let Ok(given) = &told {
                    assert!(authorises(&parts_of(given)).await, "{case}");
                }
                assert!(from_nothing || done || told.is_ok() || authorises(&old).await, "{case}");
                wire.allow(ALL);
                unsealer.inner.barrier.settle();
                let new = match told {
                    Ok(given) => parts_of(&given),
                    Err(_) => parts_of(&make(&nonce).await.unwrap_or_else(|error| panic!("{case}: {error}"))),
                };
                assert!(authorises(&new).await && !authorises(&old).await, "{case}");
            }
        }
    }
}
