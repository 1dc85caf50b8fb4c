//! Each check of a trial finds what it is for, shown on real components: a guest that is right passes them all, and for each check there is a mode of that guest
//! that is wrong in the one way that the check is for. The guests are `tests/guests/broken` and `tests/guests/broken-seal`.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cofferdam_runtime::{Component, Source, StorageConfig, World};
use cofferdam_trial::{Case, GuestSubject, Options, Outcome, Place, Report, conduct, contract, cost, fault};
use futures_util::future::join_all;

use self::table::{Row, SEALS, STORAGE};
use crate::runtime::{RUNTIME, path};

static BROKEN: LazyLock<Component> = LazyLock::new(|| RUNTIME.component(Source::File(path("broken"))).unwrap());
static BROKEN_SEAL: LazyLock<Component> = LazyLock::new(|| RUNTIME.component(Source::File(path("broken_seal"))).unwrap());

/// The modes that are tried at the same time.
const LANES: usize = 4;

/// The longest that a call may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What becomes of these checks of the guest in this mode.
async fn tried(component: &Component, mode: &str, only: Vec<String>, quick: bool) -> Report {
    let mut config = StorageConfig::new("broken");
    config.settings = vec![("mode".to_owned(), mode.to_owned())];
    // Each instance reads the whole log.
    config.pool.size = 4;
    // Nothing is to fail for being slow.
    (config.limits.cpu, config.limits.call, config.limits.lock) = (LIMIT, LIMIT, LIMIT);
    let subject =
        GuestSubject::new(Arc::clone(&RUNTIME), component.clone(), config, Vec::new(), Place::Directory).with_temporary_directory();
    cofferdam_trial::run(&subject, &Options { only, quick, seed: 11, ..Options::default() }).await
}

/// Runs each of the modes, and returns what is not as its row says.
async fn wrong(component: &Component, rows: &[Row]) -> String {
    let lanes = (0..LANES).map(async |lane| {
        let mut wrong = String::new();
        for row in rows.iter().skip(lane).step_by(LANES) {
            let report = tried(component, row.mode, row.tried_on(), row.is_quick()).await;
            let failed = report.checks().filter(|check| matches!(check.outcome, Outcome::Failed { .. }));
            let found: BTreeSet<&str> = failed.map(|check| check.id.as_str()).collect();
            let expected: BTreeSet<&str> = row.checks.iter().chain(row.also).copied().collect();
            if found != expected {
                wrong += &format!("{}: expected {expected:?} to fail\n{}\n", row.mode, report.table());
            }
        }
        wrong
    });
    join_all(lanes).await.concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_check_of_a_storage_catches_the_guest_that_is_for_it() {
    let wrong = wrong(&BROKEN, STORAGE).await;
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_check_of_a_seal_catches_the_guest_that_is_for_it() {
    let wrong = wrong(&BROKEN_SEAL, SEALS).await;
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_guests_pass_every_check_when_nothing_is_wrong_with_them() {
    for component in [&BROKEN, &BROKEN_SEAL] {
        let report = tried(component, "none", Vec::new(), true).await;
        assert!(report.checks().count() >= 10 && report.checks().all(|check| check.outcome == Outcome::Passed), "{}", report.table());
    }
}

/// A check that no guest fails shows nothing: who adds one adds its guest.
#[test]
fn every_check_has_a_guest_that_fails_it() {
    for (world, rows) in [(World::StorageHa, STORAGE), (World::Seal, SEALS)] {
        let sections: [fn(World) -> Vec<&'static Case>; 4] = [contract::cases, fault::cases, conduct::cases, cost::cases];
        let all: BTreeSet<&str> =
            sections.into_iter().flat_map(|cases| cases(world)).map(|case| case.id).chain([contract::OPENS.id]).collect();
        let caught: BTreeSet<&str> = rows.iter().flat_map(|row| row.checks).copied().collect();
        assert_eq!(all, caught);
    }
}

/// The cells of the rows of a document that begin with the name of a guest.
fn listed(document: &str, guest: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let names = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let rows = document.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter(|cells| cells.len() == 6 && cells[1] == format!("`{guest}`")).map(|cells| (names(cells[2]), names(cells[4]))).collect()
}

/// The text of all files below.
fn sources(directory: &str) -> String {
    let directory = format!("{}/{directory}", env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    for entry in std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{directory}: {error}")) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &sources(path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap());
        } else {
            text += &std::fs::read_to_string(path).unwrap();
        }
    }
    text
}

/// What the document says of security is so: its hostile and broken guests are there, and so is what catches them.
#[test]
fn the_document_lists_the_guests_and_what_catches_them() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md")).unwrap();
    let mut count = 0;
    for (guest, rows) in [("broken", STORAGE), ("broken-seal", SEALS)] {
        let told: BTreeMap<String, Vec<String>> =
            listed(&document, guest).into_iter().map(|(modes, checks)| (modes.concat(), checks)).collect();
        let tried: BTreeMap<String, Vec<String>> =
            rows.iter().map(|row| (row.mode.to_owned(), row.checks.iter().map(|id| (*id).to_owned()).collect())).collect();
        assert_eq!(told, tried, "{guest}");
        count += told.len();
    }
    let tests = sources("all");
    for guest in ["hostile", "hostile-seal", "sealing", "needs-aws", "needs-http"] {
        let source = sources(&format!("guests/{guest}/src")) + &sources("guests/sealing/src");
        let rows = listed(&document, guest);
        assert!(!rows.is_empty(), "{guest}");
        for (misdeeds, caught) in rows {
            // As a text of a test begins, or as a word of its script does.
            let said = |misdeed: &str| [format!("\"{misdeed}"), format!(" {misdeed}")].iter().any(|text| tests.contains(text));
            for misdeed in &misdeeds {
                assert!(source.contains(&format!("\"{misdeed}\"")) || said(misdeed), "{guest}: {misdeed}");
            }
            assert!(!caught.is_empty() && caught.iter().all(|name| tests.contains(&format!("fn {name}("))), "{guest}: {caught:?}");
            count += misdeeds.len();
        }
    }
    assert!(count >= 25, "{count}");
}
