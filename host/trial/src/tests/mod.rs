//! Every check against a backend that has the fault that it is for, and against one that has none.

mod behaviour;
mod conduct;
mod fault;
mod seal;
mod toy;
mod toy_lock;

use std::collections::BTreeSet;
use std::time::Duration;

use cofferdam_runtime::World;

use self::fault::Fault;
use self::seal::{SealFault, ToySeal};
use self::toy::Toy;
use crate::{Options, Outcome, Report, Subject, cases, run};

/// Each check, and a fault that it must find.
const STORAGE: &[(&str, Fault)] = &[
    ("openbao-basics", Fault::KeepsEmptyFolders),
    ("openbao-ten-keys", Fault::AfterIsInclusive),
    ("openbao-prefixes", Fault::HidesLeafBesideFolder),
    ("values-any-bytes", Fault::EmptyValueIsNone),
    ("values-replaced", Fault::LongerValueKeepsItsTail),
    ("keys-kept-apart", Fault::FoldsCase),
    ("leaf-and-folder", Fault::DeleteRemovesBelow),
    ("delete-missing", Fault::DeleteOfMissingFails),
    ("limits-to-the-byte", Fault::LargestValueIsRefused),
    ("batch-limits", Fault::LargestBatchLosesItsLast),
    ("names-sort-by-bytes", Fault::SortsAsUtf16),
    ("list-after", Fault::AfterMustExist),
    ("large-folder", Fault::ListsFiveHundred),
    ("pages-under-writes", Fault::PutHasAGap),
    ("folders-come-and-go", Fault::FolderIsListedOnce),
    ("folders-after-opening-anew", Fault::ForgetsNothing),
    ("scan-complete", Fault::ScanSkipsDeepKeys),
    ("scan-segments-stay", Fault::SegmentByPosition),
    ("scan-parallel", Fault::OneSegmentHasAll),
    ("scan-cursor-lasts", Fault::CursorInMemory),
    ("scan-under-writes", Fault::CursorByPosition),
    ("batch-in-order", Fault::BatchEndsAtMissing),
    ("batch-seen-in-order", Fault::BatchBackwards),
    ("batch-stopped", Fault::BatchInPieces),
    ("whole-values", Fault::PutInHalves),
    ("race-in-one-folder", Fault::DeletePrunesLate),
    ("race-on-one-key", Fault::PutInHalves),
    ("instances-share-nothing", Fault::WritesIntoMemory),
    ("read-by-another", Fault::CachesReads),
    ("restart", Fault::WritesIntoMemory),
    ("random-operations", Fault::AfterWithoutSlash),
    ("lock-exclusion", Fault::SeenIsIgnored),
    ("lock-seen", Fault::ExpiryIsNotCompared),
    ("lock-renew", Fault::RenewStoresNothing),
    ("lock-release", Fault::RenewRevives),
    ("lock-strangers", Fault::AnyoneReleases),
    ("lock-expiry", Fault::JudgesExpiry),
    ("lock-clocks", Fault::ExpiryInMillis),
    ("lock-values", Fault::ValueAsText),
    ("lock-and-entry", Fault::LockIsAnEntry),
    ("lock-hidden", Fault::ListsLocks),
    ("lock-several", Fault::OneLockForAll),
    ("lock-race", Fault::LooksThenTakes),
    ("lock-restart", Fault::LocksInMemory),
];

const SEALS: &[(&str, SealFault)] = &[
    ("seal-health", SealFault::Ill),
    ("seal-round-trip", SealFault::LosesAKey),
    ("seal-tampering", SealFault::IgnoresAByte),
    ("seal-length", SealFault::IgnoresTheRest),
    ("seal-key-id", SealFault::AnotherKeyForAnotherName),
    ("seal-rotation", SealFault::ForgetsWhenOpened),
    ("seal-together", SealFault::MixesUp),
    ("seal-oversized", SealFault::TrapsOnRubbish),
    ("seal-split-knowledge", SealFault::BetraysAKey),
];

fn quick(only: &str) -> Options {
    let only = if only.is_empty() { vec!["contract".to_owned()] } else { vec![format!("contract/{only}")] };
    Options { only, quick: true, seed: 11, patience: Duration::from_secs(300), ..Options::default() }
}

async fn tried(subject: &dyn Subject, only: &str) -> Report {
    run(subject, &quick(only)).await
}

#[test]
fn every_check_has_a_fault_here() {
    for (world, faults) in [
        (World::StorageHa, STORAGE.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>()),
        (World::Seal, SEALS.iter().map(|(id, _)| *id).collect()),
    ] {
        let toy = Toy::new(Fault::None);
        let info = crate::Info { world, ..toy.info().clone() };
        let all: BTreeSet<&str> = cases(&info).iter().filter_map(|case| case.id.strip_prefix("contract/")).collect();
        assert_eq!(all, faults);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_storage_passes_everything() {
    let report = tried(&Toy::new(Fault::None), "").await;
    assert!(report.passed(), "{}", report.table());
    assert!(report.checks().all(|check| check.outcome == Outcome::Passed), "{}", report.table());
    assert_eq!(report.subject.name.as_deref(), Some("toy"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_seal_passes_everything() {
    let report = tried(&ToySeal::new(SealFault::None), "").await;
    assert!(report.passed(), "{}", report.table());
    let figures: Vec<&str> = report.sections[0].figures.iter().map(|figure| figure.id.as_str()).collect();
    assert_eq!(figures, ["contract/seal-key", "contract/seal-wraps-differ", "contract/seal-judged-by"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_check_of_a_storage_finds_its_fault() {
    let mut missed = Vec::new();
    for (id, fault) in STORAGE {
        let report = tried(&Toy::new(*fault), id).await;
        match report.checks().map(|check| &check.outcome).collect::<Vec<_>>()[..] {
            [Outcome::Failed { what, script }] => assert!(!what.is_empty() && !script.is_empty(), "{id}: {what} {script:?}"),
            _ => missed.push(format!("{id} {fault:?}: {}", report.table())),
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_check_of_a_seal_finds_its_fault() {
    for (id, fault) in SEALS {
        let report = tried(&ToySeal::new(*fault), id).await;
        let [Outcome::Failed { what, .. }] = report.checks().map(|check| &check.outcome).collect::<Vec<_>>()[..] else {
            panic!("{id} {fault:?}: {}", report.table())
        };
        assert!(!what.is_empty());
    }
}

/// The fault shows in listings that go on after a folder's name only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_operations_shrink_to_a_readable_script() {
    let report = tried(&Toy::new(Fault::AfterWithoutSlash), "random-operations").await;
    let Some(Outcome::Failed { what, script }) = report.checks().next().map(|check| &check.outcome) else { panic!("{}", report.table()) };
    assert!(what.starts_with("list ") && what.contains("expected ["), "{what}");
    assert!(script.len() <= 8, "{script:#?}");
    assert!(script.iter().any(|line| line.starts_with("put ")) && script.last().unwrap().contains("found ["), "{script:#?}");
    // The same seed, the same script.
    let again = tried(&Toy::new(Fault::AfterWithoutSlash), "random-operations").await;
    assert_eq!(again.checks().next().unwrap().outcome, report.checks().next().unwrap().outcome);
}

#[tokio::test]
async fn what_does_not_open_is_not_tried_further() {
    let report = tried(&Toy::new(Fault::DoesNotOpen), "").await;
    assert!(!report.passed() && report.checks().count() == 1, "{}", report.table());
    let check = report.checks().next().unwrap();
    let Outcome::Failed { what, .. } = &check.outcome else { panic!() };
    assert!(check.id == "contract/opens" && what.contains("no such table"), "{what}");
}

#[tokio::test]
async fn what_does_not_end_fails() {
    let options = Options { patience: Duration::from_secs(3), ..quick("restart") };
    let report = run(&Toy::new(Fault::Hangs), &options).await;
    let Some(Outcome::Failed { what, script }) = report.checks().next().map(|check| &check.outcome) else { panic!() };
    assert!(what.contains("did not end") && !script.is_empty(), "{what}");
}
