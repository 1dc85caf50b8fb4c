//! Conduct and cost of real components: what is honest passes and is shown, and each check finds the component that it is for.

use std::sync::Arc;

use cofferdam_aws::TableSpec;
use cofferdam_emulator::Keys;
use cofferdam_runtime::{Component, SealConfig, Source, StorageConfig};
use cofferdam_trial::{Figure, GuestSubject, Options, Outcome, Place, Report, Subject, Value};
use serde_json::Value as Json;

use super::{checks, try_out};
use crate::awskms::{Opening, binding, kms};
use crate::dynamodb::{Emulator, component, credentials, ground};
use crate::e2e::process::text;
use crate::runtime::{HOSTILE, RUNTIME, path};

fn table<'r>(report: &'r Json, section: &str, id: &str) -> &'r Vec<Json> {
    let sections = report["sections"].as_array().unwrap();
    let figures = &sections.iter().find(|found| found["name"] == section).unwrap()["figures"];
    let figure = figures.as_array().unwrap().iter().find(|figure| figure["id"] == id).unwrap_or_else(|| panic!("no {id} in {figures:#}"));
    figure["value"].as_array().unwrap()
}

#[test]
fn the_filesystem_guest_behaves_and_is_measured_beside_itself() {
    let tried = try_out(&["--quick", "--format", "json", "--only", "conduct,cost"], &path("filesystem"));
    assert_eq!(tried.status.code(), Some(0), "{}", text(&tried));
    let report: Json = serde_json::from_slice(&tried.stdout).unwrap();
    assert!(checks(&report).iter().all(|(_, outcome)| outcome == "passed") && checks(&report).len() == 7, "{report:#}");

    let paths = table(&report, "conduct", "conduct/paths");
    assert!(paths.iter().any(|row| row["path"].as_str().unwrap().starts_with("conduct/")), "{paths:?}");
    let imports = table(&report, "conduct", "conduct/imports");
    let calls = |name: &str| imports.iter().find(|row| row["import"].as_str().unwrap().starts_with(name)).unwrap()["calls"].clone();
    assert!(calls("wasi:filesystem/types@").as_f64().unwrap() > 1_000.0 && calls("wasi:cli/environment@").is_null(), "{imports:?}");
    let cpu = table(&report, "conduct", "conduct/cpu");
    assert!(cpu.iter().any(|row| row["operation"] == "put" && row["p50_us"].as_f64().unwrap() > 0.0), "{cpu:?}");
    let costs = table(&report, "cost", "cost/operations");
    for operation in ["get", "put", "delete", "list", "batch", "scan"] {
        let row = costs.iter().find(|row| row["operation"] == operation).unwrap_or_else(|| panic!("{operation}: {costs:?}"));
        for number in ["per_second", "p50_us", "p95_us", "p99_us", "beside_per_second", "ratio"] {
            assert!(row[number].as_f64().unwrap() > 0.0, "{number}: {row}");
        }
    }
}

/// What failed and what did not of these checks.
async fn conduct(component: &Component, config: StorageConfig, place: Place, only: &[&str]) -> Report {
    let runtime = Arc::clone(&RUNTIME);
    let subject = GuestSubject::new(runtime, component.clone(), config, Vec::new(), place);
    report(&subject, only).await
}

async fn report(subject: &dyn Subject, only: &[&str]) -> Report {
    let only = only.iter().map(|&only| only.to_owned()).collect();
    cofferdam_trial::run(subject, &Options { only, quick: true, seed: 3, ..Options::default() }).await
}

fn passed(report: &Report, number: usize) {
    let all = report.checks().all(|check| check.outcome == Outcome::Passed);
    assert!(all && report.checks().count() == number, "{}", report.table());
}

fn figure<'r>(report: &'r Report, id: &str) -> &'r Figure {
    let mut figures = report.sections.iter().flat_map(|section| &section.figures);
    figures.find(|figure| figure.id == id).unwrap_or_else(|| panic!("no {id}: {}", report.table()))
}

fn each(misdeed: &str) -> StorageConfig {
    let mut config = StorageConfig::new("hostile");
    config.settings = vec![("each".to_owned(), misdeed.to_owned())];
    config
}

/// Slower leaks and other reaches are modes of `tests/guests/broken`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reaches_for_the_network_or_runs_into_its_limits_is_told_by_name() {
    passed(&conduct(&HOSTILE, each(""), Place::Directory, &["conduct"]).await, 6);
    for (misdeed, id, named) in [
        ("connect", "conduct/nothing-refused", "wasi:sockets create-tcp-socket"),
        ("leak", "conduct/handles-do-not-grow", "its limit ended 1 of its instances"),
        ("leak", "conduct/answers-after-many-calls", "instances lost: 1 by handles"),
    ] {
        let report = conduct(&HOSTILE, each(misdeed), Place::Directory, &[id]).await;
        let [Outcome::Failed { what, script }] = report.checks().map(|check| &check.outcome).collect::<Vec<_>>()[..] else {
            panic!("{misdeed}: {}", report.table())
        };
        assert!(format!("{what} {script:?}").contains(named), "{misdeed}: {what} {script:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_asks_services_is_shown_with_its_operations() {
    let ground = ground(Emulator::Mini).await;
    let mut config = StorageConfig::new("main");
    config.settings = vec![("table".to_owned(), ground.name.clone())];
    config.grants.aws = Some(ground.binding(credentials(&Keys::any()).await, TableSpec::new(""), None));
    let (runtime, component) = component();
    let subject = GuestSubject::new(Arc::clone(runtime), component.clone(), config, Vec::new(), Place::Root);
    let report = report(&subject, &["conduct", "cost"]).await;
    passed(&report, 7);
    let Value::Table(operations) = &figure(&report, "conduct/operations").value else { panic!() };
    assert!(operations.rows.iter().any(|row| row[0] == "Query".into()), "{}", report.table());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_behaves_and_is_measured() {
    let (kms, _) = kms().await;
    let mut config = SealConfig::new("seal");
    config.grants.aws = Some(binding(kms.endpoint(), &Opening::default()).await);
    config.settings = vec![("kms_key_id".to_owned(), "alias/vault".to_owned()), ("region".to_owned(), crate::awskms::REGION.to_owned())];
    let component = RUNTIME.component(Source::File(path("awskms"))).unwrap();
    let report = conduct(&component, config, Place::Root, &["conduct", "cost"]).await;
    passed(&report, 7);
    let Value::Table(costs) = &figure(&report, "cost/operations").value else { panic!() };
    assert_eq!(costs.rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>(), ["wrap".into(), "unwrap".into(), "health".into()]);
}
