//! Every check of the section `fault` against a backend that meets its imports' trouble in the one wrong way that it is for, and against an honest one.

mod shaky;
mod shaky_seal;

use std::collections::BTreeSet;

use cofferdam_runtime::World;

use self::shaky::{Shaky, Slip};
use self::shaky_seal::{SealSlip, ShakySeal};
use crate::{Options, Outcome, Report, Subject, cases, run};

const STORAGE: &[(&str, Slip)] = &[
    ("import-fails", Slip::AcknowledgesFailures),
    ("throttled", Slip::ThrottledIsDenied),
    ("answer-lost", Slip::TearsWhenLost),
    ("stopped", Slip::StaysDown),
    ("delayed", Slip::CannotWait),
    ("batch-kept", Slip::BatchLosesItsFirst),
    ("reads-true", Slip::FailedReadIsNone),
    ("pages-go-on", Slip::SkipsAfterFailure),
    ("listings-whole", Slip::HidesFolders),
    ("error-cases", Slip::FullIsCorrupt),
    ("recovers", Slip::NeverRecovers),
    ("opening", Slip::LosesWhenOpened),
    ("lock-fails", Slip::FailedClaimIsTold),
    ("lock-answer-lost", Slip::LostClaimIsDenied),
    ("lock-stopped", Slip::StopTearsLocks),
];

const SEALS: &[(&str, SealSlip)] = &[
    ("seal-fails", SealSlip::FailedUnwrapIsAKey),
    ("seal-answer-lost", SealSlip::LostWrapIsRubbish),
    ("seal-stopped", SealSlip::StaysDown),
    ("seal-delayed", SealSlip::CannotWait),
    ("seal-opening", SealSlip::ForgetsWhenOpened),
];

/// The section, or one check of it, in a quick run.
async fn tried(subject: &dyn Subject, only: &str) -> Report {
    let only = if only.is_empty() { "fault".to_owned() } else { format!("fault/{only}") };
    run(subject, &Options { only: vec![only], quick: true, seed: 5, ..Options::default() }).await
}

#[test]
fn every_check_has_a_slip_here() {
    for (world, slips) in [
        (World::StorageHa, STORAGE.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>()),
        (World::Seal, SEALS.iter().map(|(id, _)| *id).collect()),
    ] {
        let info = crate::Info { world, ..Shaky::new(Slip::None).info().clone() };
        let all: BTreeSet<&str> = cases(&info).iter().filter_map(|case| case.id.strip_prefix("fault/")).collect();
        assert_eq!(all, slips);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_honest_pass_everything() {
    for subject in [&Shaky::new(Slip::None) as &dyn Subject, &ShakySeal::new(SealSlip::None)] {
        let report = tried(subject, "").await;
        assert!(report.checks().count() > 4, "{}", report.table());
        assert!(report.checks().all(|check| check.outcome == Outcome::Passed), "{}", report.table());
    }
}

async fn missed(id: &str, subject: &dyn Subject) -> Option<String> {
    let report = tried(subject, id).await;
    match report.checks().map(|check| &check.outcome).collect::<Vec<_>>()[..] {
        [Outcome::Failed { what, script }] if !what.is_empty() && !script.is_empty() => None,
        _ => Some(format!("{id}: {}", report.table())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_check_finds_its_slip() {
    let mut all = Vec::new();
    for (id, slip) in STORAGE {
        all.extend(missed(id, &Shaky::new(*slip)).await);
    }
    for (id, slip) in SEALS {
        all.extend(missed(id, &ShakySeal::new(*slip)).await);
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// What calls no import cannot be tried so, and that is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_imports_the_checks_are_skipped() {
    let report = tried(&Shaky::new(Slip::NoImports), "").await;
    let skipped = |outcome: &Outcome| matches!(outcome, Outcome::Skipped { why } if why.contains("calls no import"));
    assert!(report.checks().all(|check| skipped(&check.outcome)), "{}", report.table());
}

/// The failure names the import, and what was found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_says_what_was_done_to_which_import() {
    let report = tried(&Shaky::new(Slip::TearsWhenLost), "answer-lost").await;
    let Some(Outcome::Failed { what, .. }) = report.checks().next().map(|check| &check.outcome) else { panic!("{}", report.table()) };
    for part in ["put f", "with import 1 (toy:store/commit)", "its answer lost", "expected", "found"] {
        assert!(what.contains(part), "{part}: {what}");
    }
}
