//! Wherever a migration is cut, the next run brings it to the same end.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::faulty::{After, Faulty};
use super::{entries, expected, impatient, migration};
use crate::{Error, LOCK, Options};

/// One run against ends that are cut; killed if it stalls. Returns whether it came to its end.
async fn attempt(source: &Faulty, destination: &Faulty, options: &Options) -> Result<(), Option<Error>> {
    let migration = migration(source, destination, options.clone());
    tokio::select! {
        done = migration.run() => done.map(|_| ()).map_err(Some),
        () = source.stalled() => Err(None),
        () = destination.stalled() => Err(None),
    }
}

/// Cuts one end after every number of mutations there can be, and ends the migration with another run.
async fn cut_everywhere(count: usize, options: Options, after: After, cut_source: bool, left: BTreeMap<String, Bytes>) {
    let given = entries(count);
    for mutations in 0.. {
        let (source, destination) = (Faulty::new(given.clone()), Faulty::new(left.clone()));
        let (from, to) = if cut_source {
            (source.cut(mutations, after), destination.clone())
        } else {
            (source.clone(), destination.cut(mutations, after))
        };
        let first = attempt(&from, &to, &options).await;
        if first.is_ok() {
            assert!(!from.was_cut() && !to.was_cut(), "it worked though it was cut");
            assert!(mutations > if cut_source { 1 } else { 5 }, "{mutations}");
            return;
        }
        // Half is never taken for whole.
        let half = destination.snapshot();
        if half == expected(&given) && source.snapshot() == given {
            // All was done but for the last answer.
            continue;
        }
        if half.len() > left.len() {
            assert!(half.contains_key(LOCK), "{mutations}: {half:?}");
        }
        let second = migration(&source, &destination, options.clone()).run().await;
        let report = second.unwrap_or_else(|error| panic!("cut after {mutations}: {first:?}, then {error}"));
        assert_eq!(destination.snapshot(), expected(&given), "cut after {mutations}");
        assert_eq!(source.snapshot(), given, "cut after {mutations}");
        assert_eq!(report.source, report.destination);
        assert_eq!(report.source.total().entries, expected(&given).len() as u64);
    }
}

#[tokio::test]
async fn cut_at_every_mutation_of_the_destination() {
    for after in [After::Cut, After::Stall { late: false }, After::Stall { late: true }] {
        cut_everywhere(30, impatient(), after, false, BTreeMap::new()).await;
    }
}

#[tokio::test]
async fn cut_at_every_mutation_of_the_source() {
    for after in [After::Cut, After::Stall { late: false }, After::Stall { late: true }] {
        cut_everywhere(20, impatient(), after, true, BTreeMap::new()).await;
    }
}

#[tokio::test]
async fn cut_at_every_mutation_while_what_is_there_is_replaced() {
    let left = [("core/old", "1"), ("logical/7b5f/key-2", "2"), ("z", "3")].map(|(key, value)| (key.to_owned(), Bytes::from(value)));
    let options = Options { overwrite: true, ..impatient() };
    cut_everywhere(12, options, After::Stall { late: true }, false, left.into()).await;
}

#[tokio::test]
async fn what_was_done_is_not_done_again() {
    let source = Faulty::new(entries(200));
    let destination = Faulty::new(BTreeMap::new());
    let cut = destination.cut(150, After::Stall { late: false });
    attempt(&source, &cut, &impatient()).await.unwrap_err();
    let again = migration(&source, &destination.throttled(0), impatient());
    let before = again.progress.seen();
    assert_eq!(before.entries, 0);
    let watch = again.progress.clone();
    let report = again.run().await.unwrap();
    assert!(report.resumed && watch.seen().phase == crate::Phase::Done);
    assert_eq!(report.destination.total().entries, 201);
}

#[tokio::test]
async fn throttled_at_both_ends_it_still_comes_to_its_end() {
    let given = entries(60);
    let source = Faulty::new(given.clone()).throttled(3);
    let destination = Faulty::new(BTreeMap::new()).throttled(4);
    let options = Options { patience: Duration::from_secs(3600), ..impatient() };
    tokio::time::pause();
    let migration = migration(&source, &destination, options);
    migration.run().await.unwrap();
    assert_eq!(destination.snapshot(), expected(&given));
    assert!(migration.progress.seen().retries > 0);
}

#[tokio::test]
async fn a_full_disk_ends_the_run_at_once_and_another_goes_on() {
    let given = entries(60);
    let (source, destination) = (Faulty::new(given.clone()), Faulty::new(BTreeMap::new()));
    let full = destination.full();
    let options = Options { patience: Duration::from_secs(3600), ..impatient() };
    let run = migration(&source, &full, options.clone());
    let ended = run.run().await.unwrap_err();
    assert_eq!(ended.to_string(), "error writing entry: to: backend exhausted: no space left");
    assert_eq!(run.progress.seen().retries, 0);
    assert!(destination.snapshot().contains_key(LOCK) && source.snapshot().contains_key(LOCK));
    assert!(migration(&source, &destination, options).run().await.unwrap().resumed);
    assert_eq!((destination.snapshot(), source.snapshot()), (expected(&given), given));
}

#[tokio::test]
async fn two_runs_of_one_migration_do_not_both_go_on() {
    let source = Faulty::new(entries(60));
    let destination = Faulty::new(BTreeMap::new());
    let stalled = destination.cut(20, After::Stall { late: false });
    let slow = migration(&source, &stalled, impatient());
    let mut run = Box::pin(slow.run());
    tokio::select! {
        _ = &mut run => panic!("it was stalled"),
        () = stalled.stalled() => {}
    }
    // Another begins and stalls in turn; what the first would save next is not its own any more.
    attempt(&source, &destination.cut(10, After::Stall { late: false }), &impatient()).await.unwrap_err();
    drop(run);
    let state = crate::state::Lock::read(&destination.snapshot()[LOCK]);
    let Some(crate::state::Mark::Destination(mut state)) = state.cofferdam else { panic!("{state:?}") };
    let end = super::end("to", &destination);
    let patience = crate::retry::Patience { limit: Duration::ZERO, progress: &slow.progress };
    let board = crate::board::Board::new((*state).clone(), &end, patience);
    board.save().await.unwrap();
    state.run = "another".to_owned();
    let other = crate::board::Board::new(*state, &end, patience);
    other.save().await.unwrap();
    board.state().total = Some(7);
    assert!(matches!(board.save().await, Err(Error::TakenOver)));
}

fn stores() -> impl Strategy<Value = BTreeMap<String, Bytes>> {
    let segment = prop_oneof!["[a-c]{1,2}", "_[a-b]", "ä", "core", "sys"];
    let key = proptest::collection::vec(segment, 1..4).prop_map(|segments| segments.join("/"));
    proptest::collection::btree_map(key, proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_store_arrives_whole_through_any_cuts(given in stores(), cuts in proptest::collection::vec((0_i64..40, any::<bool>(), any::<bool>()), 0..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (source, destination) = (Faulty::new(given.clone()), Faulty::new(BTreeMap::new()));
            for (mutations, late, source_too) in cuts {
                let after = After::Stall { late };
                let from = if source_too { source.cut(mutations % 3, after) } else { source.clone() };
                if attempt(&from, &destination.cut(mutations, after), &impatient()).await.is_ok() {
                    break;
                }
            }
            let fresh = destination.snapshot();
            if fresh != expected(&given) || source.snapshot() != given {
                migration(&source, &destination, impatient()).run().await.unwrap();
            }
            assert_eq!(destination.snapshot(), expected(&given));
            assert_eq!(source.snapshot(), given);
        });
    }
}
