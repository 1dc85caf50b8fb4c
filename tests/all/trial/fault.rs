//! The section `fault` on the guests of the release: whatever import of theirs fails, lingers or loses its answer, and wherever they are stopped. The
//! examples for authors are tried whole, where their walk-through is.

use std::sync::Arc;

use cofferdam_runtime::{Source, StorageConfig};
use cofferdam_trial::{GuestSubject, Options, Outcome, Place, Report, Subject};

use super::sealed;
use crate::dynamodb::{Emulator, credentials, ground};
use crate::runtime::{RUNTIME, path};

fn subject(guest: &str, config: StorageConfig, place: Place) -> GuestSubject {
    let component = RUNTIME.component(Source::File(path(guest))).unwrap();
    GuestSubject::new(Arc::clone(&RUNTIME), component, config, Vec::new(), place)
}

/// The section. What it wrote is gone at its end.
async fn tried(subject: &dyn Subject) -> Report {
    let options = Options { only: vec!["fault".to_owned()], quick: true, seed: 9, ..Options::default() };
    let report = cofferdam_trial::run(subject, &options).await;
    assert!(report.left_behind.is_none(), "{:?}", report.left_behind);
    report
}

fn all_passed(report: &Report, least: usize) {
    let passed = report.checks().all(|check| check.outcome == Outcome::Passed);
    assert!(passed && report.checks().count() >= least, "{}", report.table());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_filesystem_guest_passes() {
    all_passed(&tried(&subject("filesystem", StorageConfig::new("trial"), Place::Directory)).await, 12);
}

/// With the host's own prunes of folders, below a folder that is in question, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dynamodb_guest_passes() {
    let ground = ground(Emulator::Mini).await;
    let mut config = StorageConfig::new("trial");
    let settings = [("table", ground.name.as_str()), ("dynamodb_max_retries", "1")];
    config.settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let keys = cofferdam_emulator::Keys::any();
    config.grants.aws = Some(ground.binding(credentials(&keys).await, cofferdam_aws::TableSpec::new(""), None));
    all_passed(&tried(&subject("dynamodb", config, Place::Folder)).await, 15);
    assert!(ground.table.items().await.unwrap().is_empty(), "what was written is removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seal_of_the_release_passes() {
    all_passed(&sealed(None, "fault").await, 5);
}

/// It keeps its entries in the memory of an instance, for which it needs no import.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_without_imports_cannot_be_tried_and_that_is_said() {
    let report = tried(&subject("hostile", StorageConfig::new("trial"), Place::Directory)).await;
    let skipped = report.checks().filter(|check| matches!(&check.outcome, Outcome::Skipped { why } if why.contains("calls no import")));
    assert!(skipped.count() > 5, "{}", report.table());
}
