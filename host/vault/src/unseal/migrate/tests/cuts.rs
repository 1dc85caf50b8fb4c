//! Migrations whose connection is cut after each write in turn, and whose repetition is cut as well.

use cofferdam_test_support::Cut;

use super::*;
use crate::unseal::migrate::offline::Prepared;

fn cut(storage: &Memory, writes: i64, late: bool) -> Cut {
    if late { Cut::losing_the_answer_after(storage.clone(), writes) } else { Cut::after(storage.clone(), writes) }
}

fn copy(storage: &Memory, atomic: bool) -> Memory {
    let memory = Memory::from_snapshot(storage.snapshot());
    if atomic { memory } else { memory.without_atomic_batch() }
}

#[tokio::test]
async fn a_migration_that_is_cut_off_twice_is_finished_and_loses_nothing() {
    for case in CASES {
        let setting = Setting::new(case).await;
        for atomic in [true, false] {
            let mut writes = 0;
            loop {
                let mut done = false;
                for late in [false, true] {
                    let storage = setting.storage(atomic);
                    let cut_off = with(cut(&storage, writes, late), &setting.new);
                    done = give(&cut_off, &setting.parts, true).await.is_ok();
                    drop(cut_off);
                    // What is left opens as it is, either way, by whoever comes.
                    let opens = async |options: &SealOptions| setting.open(copy(&storage, atomic), options).await;
                    let (old, new) = (opens(&setting.old).await, opens(&setting.new).await);
                    assert!(old.is_ok() != new.is_ok(), "{case:?}, {writes} writes: {}, {}", old.is_ok(), new.is_ok());
                    assert!(!done || new.is_ok());
                    for opened in [old, new].iter().flatten() {
                        holds_its_entry(opened).await;
                    }
                    for again in 0..=writes {
                        let storage = copy(&storage, atomic);
                        let _ = setting.finish(cut(&storage, again, late)).await;
                        let finished =
                            setting.finish(storage.clone()).await.unwrap_or_else(|error| panic!("{case:?}, {writes}, {again}: {error}"));
                        holds_its_entry(&finished).await;
                        setting.assert_migrated(&storage.snapshot()).await;
                    }
                }
                if done {
                    break;
                }
                writes += 1;
            }
            // One batch; or the journal, the entries, and its end.
            let expected = match (atomic, case) {
                (true, _) => 1,
                (false, Case::ToService) => 2 + 7,
                (false, Case::ToShamir) => 2 + 5,
                (false, Case::Between) => 2 + 3,
            };
            assert!(writes <= expected, "{case:?}: {writes}");
        }
    }
}

/// Prepares and commits; the shares once they were shown.
async fn reshare(unsealer: &Unsealer, counts: (i64, i64)) -> (Option<Parts>, Result<()>) {
    let prepared: Prepared = match unsealer.reshare(Some(counts)).await {
        Ok(prepared) => prepared.unwrap(),
        Err(error) => return (None, Err(error)),
    };
    let parts = prepared.shares.iter().map(|share| Zeroizing::new(share.expose().to_vec())).collect();
    (Some(parts), unsealer.commit_reshare(prepared).await)
}

#[tokio::test]
async fn new_shares_count_from_one_write_on_and_the_service_until_then() {
    for recovery in [0, 3] {
        let old = Service::new("old").seal("old");
        let (made, _) = made_by(&old, recovery, if recovery == 0 { 0 } else { 2 }).await;
        for atomic in [true, false] {
            for late in [false, true] {
                for writes in 0.. {
                    let storage = copy(&made, atomic);
                    let (parts, committed) = reshare(&sealed_by(cut(&storage, writes, late), &[], Some(&old)), (5, 2)).await;
                    let parts = parts.unwrap();
                    assert_eq!(parts.len(), 5);
                    let by_shares = give(&sealed_by(copy(&storage, atomic), &[], Some(&old)), &parts, false).await.is_ok();
                    let by_service = sealed_by(copy(&storage, atomic), &[&old], None).unseal_by_service().await.is_ok();
                    assert!(by_shares != by_service, "{writes}");
                    assert!(committed.is_err() || by_shares);
                    if by_shares {
                        // A second time there is nothing to do, and the shares stay.
                        assert!(sealed_by(storage.clone(), &[], Some(&old)).reshare(Some((1, 1))).await.unwrap().is_none());
                        let opened = over(storage.clone());
                        give(&opened, &parts, false).await.unwrap();
                        holds_its_entry(&opened).await;
                        let stored = storage.snapshot();
                        assert!(!stored.contains_key(RECOVERY_KEY_PATH) && !stored.contains_key(RECOVERY_CONFIG_PATH));
                    }
                    if committed.is_ok() {
                        break;
                    }
                }
            }
        }
    }
}
