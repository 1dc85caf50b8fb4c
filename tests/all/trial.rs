//! `coffer plugin test` on real components: what is honest passes, what is not is told by the check that it fails, and what is missing is explained.

mod broken;
mod conduct;
mod fault;
mod record;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use cofferdam_runtime::{SealConfig, Source};
use cofferdam_trial::{GuestSubject, Options, Outcome, Place, Report};
use serde_json::Value;

use crate::awskms::{Opening, binding, kms};
use crate::dynamodb::{Emulator, REGION, ground};
use crate::e2e::process::{coffer, finish, text};
use crate::runtime::{RUNTIME, path};

const LIMIT: Duration = Duration::from_secs(900);

/// What the command makes of a component.
fn try_out(arguments: &[&str], file: &Path) -> Output {
    finish(coffer().args(["plugin", "test"]).arg(file).args(arguments), LIMIT)
}

fn written(directory: &Path, name: &str, content: &str) -> PathBuf {
    let file = directory.join(name);
    fs::write(&file, content).unwrap();
    file
}

/// The checks of a JSON report, by name with their outcomes.
fn checks(report: &Value) -> Vec<(String, String)> {
    let sections = report["sections"].as_array().unwrap();
    let all = sections.iter().flat_map(|section| section["checks"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|check| (text(&check["id"]), text(&check["outcome"]))).collect()
}

#[test]
fn the_filesystem_guest_needs_no_further_argument() {
    let tried = try_out(&["--quick", "--format", "json", "--seed", "7", "--only", "contract"], &path("filesystem"));
    assert_eq!(tried.status.code(), Some(0), "{}", text(&tried));
    let report: Value = serde_json::from_slice(&tried.stdout).unwrap();
    assert_eq!((&report["passed"], &report["seed"]), (&true.into(), &7.into()));
    let grants = report["subject"]["grants"].as_array().unwrap();
    assert!(grants[0].as_str().unwrap().contains("temporary directory"), "{grants:?}");
    let checks = checks(&report);
    assert!(checks.iter().all(|(_, outcome)| outcome == "passed") && checks.len() > 25, "{checks:?}");
}

/// The directory that the configuration names is not for trials.
#[test]
fn a_configured_directory_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let config = written(directory.path(), "c.hcl", &format!("storage \"file\" {{ path = \"{}\" }}", store.display()));
    let report = directory.path().join("report.xml");
    let (config, report) = (config.to_str().unwrap(), report.to_str().unwrap());
    let only = "contract/open*,contract/restart";
    let tried = try_out(&["--quick", "--config", config, "--only", only, "--format", "junit", "--output", report], &path("filesystem"));
    assert_eq!(tried.status.code(), Some(0), "{}", text(&tried));
    assert!(!store.exists());
    let (xml, table) = (fs::read_to_string(report).unwrap(), text(&tried));
    assert!(xml.contains("tests=\"5\"") && xml.contains("failures=\"0\"") && xml.contains("contract/restart"), "{xml}");
    assert!(table.contains("5 passed, 0 failed") && table.contains("temporary directory"), "{table}");
}

/// It keeps its entries in the memory of an instance.
#[test]
fn a_guest_that_forgets_is_told_by_name() {
    let tried = try_out(&["--quick", "--format", "json", "--only", "contract/restart,contract/opens"], &path("hostile"));
    assert_eq!(tried.status.code(), Some(2), "{}", text(&tried));
    let report: Value = serde_json::from_slice(&tried.stdout).unwrap();
    assert_eq!(report["passed"], false);
    let told = |id: &str, outcome: &str| (id.to_owned(), outcome.to_owned());
    assert_eq!(checks(&report), [told("contract/opens", "passed"), told("contract/restart", "failed")]);
    let failed = &report["sections"][0]["checks"][1];
    assert!(failed["what"].as_str().unwrap().contains("scan in 2 segments"), "{failed}");
    assert!(failed["script"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().starts_with("put p/")), "{failed}");
}

#[test]
fn what_is_missing_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let needs_aws = path("needs_aws");
    let tried = try_out(&[], &needs_aws);
    let said = text(&tried);
    assert_eq!(tried.status.code(), Some(1), "{said}");
    for part in
        ["does not start without the grant aws", "--config", "storage \"needs_aws\"", "plugin \"storage\" \"needs_aws\"", "grant \"aws\""]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    // A block without the grant.
    let block = format!("storage \"x\" {{ }}\nplugin \"storage\" \"x\" {{ path = \"{}\" }}", needs_aws.display());
    let config = written(directory.path(), "c.hcl", &block);
    let tried = try_out(&["--config", config.to_str().unwrap()], &needs_aws);
    assert!(tried.status.code() == Some(1) && text(&tried).contains("which needs the grant aws"), "{}", text(&tried));
    // A block of other bytes.
    let block = format!("storage \"x\" {{ }}\nplugin \"storage\" \"x\" {{ sha256 = \"{}\" }}", "a".repeat(64));
    let config = written(directory.path(), "other.hcl", &block);
    let tried = try_out(&["--config", config.to_str().unwrap()], &needs_aws);
    assert!(tried.status.code() == Some(1) && text(&tried).contains("is of another file"), "{}", text(&tried));
    // No stanza of its kind.
    let none = written(directory.path(), "none.hcl", "log_level = \"info\"");
    for (file, named) in [("filesystem", "no storage stanza"), ("awskms", "no seal stanza")] {
        let tried = try_out(&["--config", none.to_str().unwrap()], &path(file));
        assert!(tried.status.code() == Some(1) && text(&tried).contains(named), "{}", text(&tried));
    }
    // A component of the release says so by its stanza.
    let tried = try_out(&[], &path("dynamodb"));
    assert!(tried.status.code() == Some(1) && text(&tried).contains("derived from its stanza"), "{}", text(&tried));
    // A check that there is not.
    let tried = try_out(&["--only", "contract/restrat"], &path("filesystem"));
    assert!(tried.status.code() == Some(1) && text(&tried).contains("did you mean contract/restart?"), "{}", text(&tried));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_tried_by_its_stanza_on_an_empty_table_or_by_force() {
    let ground = ground(Emulator::Mini).await;
    let directory = tempfile::tempdir().unwrap();
    let stanza = format!(
        "storage \"dynamodb\" {{ table = \"{}\" region = \"{REGION}\" endpoint = \"{}\" access_key = \"AKIA\" secret_key = \"S\" }}",
        ground.name,
        ground.proxy.endpoint()
    );
    let config = written(directory.path(), "c.hcl", &stanza);
    let try_out = async |force: bool| {
        let config = config.clone();
        let run = move || {
            let only = "contract/openbao*,contract/lock-seen,contract/restart";
            let force: &[&str] = if force { &["--force"] } else { &[] };
            try_out(&[&["--quick", "--config", config.to_str().unwrap(), "--only", only], force].concat(), &path("dynamodb"))
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    let tried = try_out(false).await;
    assert!(tried.status.code() == Some(0) && text(&tried).contains("5 passed, 0 failed"), "{}", text(&tried));
    assert!(ground.table.items().await.unwrap().is_empty(), "what was written is removed");

    crate::conformance::put(&*ground.open().await, "others/k", "theirs").await;
    let before = ground.table.items().await.unwrap();
    let tried = try_out(false).await;
    assert!(tried.status.code() == Some(1) && text(&tried).contains("not empty"), "{}", text(&tried));
    let tried = try_out(true).await;
    assert!(tried.status.code() == Some(0) && text(&tried).contains("5 passed, 0 failed"), "{}", text(&tried));
    assert_eq!(ground.table.items().await.unwrap(), before);
}

/// A seal on a KMS in memory.
async fn sealed(hostile: Option<&str>, only: &str) -> Report {
    let (kms, _) = kms().await;
    let mut config = SealConfig::new("seal");
    config.grants.aws = Some(binding(kms.endpoint(), &Opening::default()).await);
    let mut settings = vec![("kms_key_id", "alias/vault")];
    match hostile {
        Some(mode) => settings.push(("mode", mode)),
        None => settings.push(("region", crate::awskms::REGION)),
    }
    config.settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let file = path(if hostile.is_some() { "hostile_seal" } else { "awskms" });
    let component = RUNTIME.component(Source::File(file)).unwrap();
    let subject = GuestSubject::new(Arc::clone(&RUNTIME), component, config, Vec::new(), Place::Root);
    let options = Options { only: vec![only.to_owned()], seed: 3, ..Options::default() };
    cofferdam_trial::run(&subject, &options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seal_of_the_release_passes_every_check() {
    let report = sealed(None, "contract").await;
    assert!(report.checks().count() >= 10 && report.checks().all(|check| check.outcome == Outcome::Passed), "{}", report.table());
    assert!(report.table().contains("byte for byte"), "{}", report.table());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_that_betrays_keys_is_caught_by_the_check_for_it() {
    let report = sealed(Some("context"), "contract/seal-split-knowledge").await;
    let [Outcome::Failed { what, script }] = report.checks().map(|check| &check.outcome).collect::<Vec<_>>()[..] else {
        panic!("{}", report.table())
    };
    assert!(what.contains("key: ") && !script.is_empty(), "{what}");
}
