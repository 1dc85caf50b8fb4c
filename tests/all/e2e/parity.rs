//! The real `bao` command line, hvac and raw HTTP drive our server and the real one; both must give the same answers.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cofferdam_emulator::Dynalite;

use super::process::{Server, bao as bao_binary, finish, script, succeed, text};
use super::{bao, process};

pub(super) const LIMIT: Duration = Duration::from_secs(1_200);

fn record(suite: &str, server: &Server, out: &Path) {
    let mut command = script("parity.py");
    command.args(["record", suite, "--bao"]).arg(bao_binary()).args(["--address", &server.address]);
    command.args(["--token", &server.token]).arg(out);
    succeed(&mut command, LIMIT);
}

pub(super) fn compare(expected: &Path, found: &Path) -> (bool, String) {
    let output = finish(script("parity.py").arg("compare").arg(expected).arg(found), LIMIT);
    (output.status.success(), text(&output))
}

#[test]
fn clients_get_the_answers_of_the_real_development_server() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("theirs.json"), dir.path().join("ours.json"));
    std::thread::scope(|scope| {
        scope.spawn(|| record("dev", &bao::dev(), &theirs));
        record("dev", &Server::dev(), &ours);
    });
    let (equal, report) = compare(&theirs, &ours);
    assert!(equal, "{report}");
}

#[test]
fn an_empty_server_is_initialised_unsealed_and_sealed_as_the_real_one() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("theirs.json"), dir.path().join("ours.json"));
    std::thread::scope(|scope| {
        scope.spawn(|| record("fresh", &bao::fresh_with(""), &theirs));
        let work = tempfile::tempdir().unwrap();
        record("fresh", &process::Server::on(work.path(), ""), &ours);
    });
    let (equal, report) = compare(&theirs, &ours);
    assert!(equal, "{report}");
    comparison_notices_every_kind_of_change(&theirs);
}

#[test]
fn clients_do_not_notice_that_the_storage_is_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let (files, table) = (dir.path().join("files.json"), dir.path().join("table.json"));
    let (on_files, on_table) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dynalite = Dynalite::start(50).unwrap();
    record("fresh", &Server::on(on_files.path(), ""), &files);
    record("fresh", &Server::on_table(on_table.path(), dynalite.endpoint()), &table);
    let (equal, report) = compare(&files, &table);
    assert!(equal, "{report}");
    // The suite for a server that is ready, on the same two storages.
    let ready = |mut server: Server, out: &Path| {
        server.initialise(1, 1);
        server.done("POST", "sys/mounts/secret", Some(serde_json::json!({"type": "kv", "options": {"version": "2"}})));
        record("dev", &server, out);
    };
    let (on_files, on_other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dynalite = Dynalite::start(50).unwrap();
    ready(Server::on(on_files.path(), ""), &files);
    ready(Server::on_table(on_other.path(), dynalite.endpoint()), &table);
    let (equal, report) = compare(&files, &table);
    assert!(equal, "{report}");
}

/// The control of the comparison itself: a transcript equals itself, and an altered, a missing and an added step do not pass.
fn comparison_notices_every_kind_of_change(transcript: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let altered = dir.path().join("altered.json");
    let steps: Vec<serde_json::Value> = serde_json::from_slice(&fs::read(transcript).unwrap()).unwrap();
    assert!(compare(transcript, transcript).0);
    let (mut value, mut fewer, mut more) = (steps.clone(), steps.clone(), steps.clone());
    let step = value.iter_mut().find(|step| step["name"] == "sealed health").unwrap();
    step["body"]["sealed"] = false.into();
    fewer.pop();
    more.push(serde_json::json!({"name": "one more", "exit": 0}));
    for changed in [value, fewer, more] {
        fs::write(&altered, serde_json::to_vec(&changed).unwrap()).unwrap();
        let (equal, report) = compare(transcript, &altered);
        assert!(!equal && report.contains("1 differences"), "{report}");
    }
}
