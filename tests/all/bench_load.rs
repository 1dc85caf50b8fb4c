//! The load of `coffer bench`: every type of test against a server that knows it, and what happens to a run that is stopped or refused.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::e2e::bao;
use crate::e2e::process::{Server, coffer, finish, succeed, text, until};

/// Nothing here takes this long, also on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(300);

const HERE: &[&str] = &[
    "approle_auth",
    "cubbyhole_read",
    "cubbyhole_write",
    "ha_status",
    "kvv1_read",
    "kvv1_write",
    "kvv2_read",
    "kvv2_write",
    "metrics",
    "seal_status",
];

/// What this server has no engine for.
const ELSEWHERE: &[&str] = &["transit_decrypt", "transit_encrypt", "transit_sign", "transit_verify", "userpass_auth"];

/// A file with a test of each type, called after it, all as frequent as whole percents allow.
fn file(dir: &Path, types: &[&str], duration: &str) -> PathBuf {
    let each = 100 / types.len();
    let mut text = format!("duration = \"{duration}\"\ncleanup = true\nworkers = 4\n");
    for (index, name) in types.iter().enumerate() {
        let weight = if index == 0 { 100 - each * (types.len() - 1) } else { each };
        let config = if name.starts_with("kv") { "config { numkvs = 10 }" } else { "" };
        text.push_str(&format!("test {name:?} {name:?} {{\n  weight = {weight}\n  {config}\n}}\n"));
    }
    let path = dir.join("tests.hcl");
    fs::write(&path, text).unwrap();
    path
}

fn bench(server: &Server, file: &Path) -> Command {
    let mut command = coffer();
    for name in ["VAULT_TOKEN", "BAO_ADDR", "BAO_TOKEN", "VAULT_NAMESPACE"] {
        command.env_remove(name);
    }
    command.args(["bench", "run", "-config"]).arg(file).env("VAULT_ADDR", &server.address).arg(format!("-vault_token={}", server.token));
    command
}

/// The mounts of a server.
fn mounts(server: &Server) -> Vec<String> {
    let of = |path| server.done("GET", path, None)["data"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    [of("sys/mounts"), of("sys/auth")].concat()
}

fn all_succeed(server: &Server, types: &[&str]) {
    let (dir, before) = (tempfile::tempdir().unwrap(), mounts(server));
    // A fixed rate, so that the number of requests depends on no machine.
    let output = succeed(bench(server, &file(dir.path(), types, "500ms")).args(["-rps=100", "-debug", "-disable_http2"]), LONG);
    let report = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = report.lines().map(|line| line.split_whitespace().collect()).collect();
    for name in types {
        assert!(rows.iter().any(|row| row.first() == Some(name)), "{name} is missing: {report}");
    }
    let total = rows.iter().find(|row| row.first() == Some(&"TOTAL")).unwrap();
    assert_eq!((total[1], total[7]), ("50", "100.00%"), "{report}");
    assert_eq!(mounts(server), before);
}

#[test]
fn every_type_runs_where_it_is_known() {
    all_succeed(&bao::dev(), &[HERE, ELSEWHERE].concat());
    let ours = Server::dev();
    all_succeed(&ours, HERE);
    is_refused(&ours);
    is_stopped(&ours);
}

/// A server without the engine: what was set up for the others goes, and nothing is measured.
fn is_refused(server: &Server) {
    let (dir, before) = (tempfile::tempdir().unwrap(), mounts(server));
    let output = finish(&mut bench(server, &file(dir.path(), &["kvv2_read", "transit_encrypt"], "1h")), LONG);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(output.stdout.is_empty(), "{}", text(&output));
    assert!(text(&output).contains("target setup failed: test \"transit_encrypt\": POST "), "{}", text(&output));
    assert_eq!(mounts(server), before);
}

/// A signal ends the load; what was set up goes, and what there is is reported.
fn is_stopped(server: &Server) {
    let (dir, before) = (tempfile::tempdir().unwrap(), mounts(server));
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let mut command = bench(server, &file(dir.path(), &["kvv2_write", "seal_status"], "10m"));
    command.stdin(Stdio::null()).stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    let mut child = command.spawn().unwrap();
    until("the start of the load", server, || fs::read_to_string(&err).unwrap().contains("starting benchmarks: duration=10m0s"));
    succeed(Command::new("kill").args(["-INT", &child.id().to_string()]), LONG);
    let status = child.wait().unwrap();
    let (out, err) = (fs::read_to_string(&out).unwrap(), fs::read_to_string(&err).unwrap());
    assert_eq!(status.code(), Some(2), "{out}{err}");
    assert!(out.starts_with(&format!("Target: {}\n", server.address)) && out.contains("TOTAL "), "{out}");
    assert!(err.contains("stopped before its end"), "{err}");
    assert_eq!(mounts(server), before);
}
