//! `coffer bench` as operators run it: the same file against this server and the real `bao`, its results shown again and compared; and a storage without a server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cofferdam_emulator::Dynalite;
use serde_json::Value;

use crate::e2e::bao;
use crate::e2e::process::{Server, coffer, configuration, finish, free_port, listener, root, succeed, table, text};

/// Nothing here takes this long, also on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(300);
const HEAD: [&str; 8] = ["op", "count", "rate", "throughput", "mean", "95th%", "99th%", "successRatio"];

fn bench(arguments: &[&str]) -> Command {
    let mut command = coffer();
    command.arg("bench").args(arguments);
    for name in ["VAULT_ADDR", "VAULT_TOKEN", "BAO_ADDR", "BAO_TOKEN"] {
        command.env_remove(name);
    }
    command
}

/// Its report, which is all that is on standard output.
fn report(command: &mut Command) -> String {
    String::from_utf8(succeed(command, LONG).stdout).unwrap()
}

/// The rows of the one table, their cells.
fn rows(report: &str) -> Vec<Vec<&str>> {
    let mut lines = report.lines();
    assert!(lines.next().unwrap().starts_with("Target: "), "{report}");
    let rows: Vec<Vec<&str>> = lines.take_while(|line| !line.is_empty()).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], HEAD, "{report}");
    rows
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The mounts of a server but those that every server has.
fn mounts(server: &Server) -> Vec<String> {
    let mut found = Vec::new();
    for path in ["sys/mounts", "sys/auth"] {
        found.extend(server.done("GET", path, None)["data"].as_object().unwrap().keys().cloned());
    }
    found.sort();
    found
}

/// The seed's example, twice each on this server and on `bao`; what was set up is gone afterwards.
#[test]
fn the_example_runs_on_this_server_and_on_bao() {
    let (ours, theirs, dir) = (Server::dev(), bao::dev(), tempfile::tempdir().unwrap());
    let example = root().join("examples/bench/logins-and-writes.hcl");
    let saved = [("ours", &ours), ("theirs", &theirs)].map(|(name, server)| {
        let (before, path) = (mounts(server), dir.path().join(name));
        let mut command = bench(&["-config", shown(&example), "-duration=300ms", "--repeat=2", "--save", shown(&path)]);
        let report = report(command.arg(format!("-vault_addr={}", server.address)).env("VAULT_TOKEN", &server.token));
        let rows = rows(&report);
        let names: Vec<&str> = rows.iter().map(|row| row[0]).collect();
        assert_eq!(names, ["op", "approle_logins", "static_secret_writes", "---", "TOTAL"], "{report}");
        assert!(report.starts_with(&format!("Target: {}\n", server.address)), "{report}");
        let counts: Vec<u64> = [1, 2, 4].map(|row| rows[row][1].parse().unwrap()).to_vec();
        assert!(counts[0] > 0 && counts[1] > 0 && counts[2] == counts[0] + counts[1], "{report}");
        assert_eq!(rows[4][7], "100.00%", "{report}");
        assert_eq!(mounts(server), before, "{name}");
        path
    });
    reviews(&saved[0], &ours.address, dir.path());
    compares(&saved, dir.path());
}

/// Saved results say the same again, in every mode.
fn reviews(saved: &Path, address: &str, dir: &Path) {
    let page = dir.join("report.html");
    let table = report(&mut bench(&["review", shown(saved), "--html", shown(&page)]));
    assert_eq!(table, report(&mut bench(&["review", &format!("-results_file={}", shown(saved))])));
    assert_eq!(table, report(&mut bench(&["-input_results", shown(saved)])));
    let verbose = report(&mut bench(&["review", "-report_mode=verbose", shown(saved)]));
    assert!(verbose.contains("\nLatencies     [min, mean, 50, 90, 95, 99, max]  "), "{verbose}");
    let json = report(&mut bench(&["review", "-report_mode=json", shown(saved)]));
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["target_addr"], address);
    let total = &value["metrics"]["total"];
    assert_eq!(total["success"], 1.0, "{total}");
    assert_eq!(rows(&table)[4][1], total["requests"].to_string());
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("static_secret_writes"), "{page}");
    let wrong = finish(&mut bench(&["review", shown(&root().join("README.md"))]), LONG);
    assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong));
    assert!(text(&wrong).contains("README.md: is not JSON"), "{}", text(&wrong));
}

/// A verdict on every figure; two repetitions are enough for one.
fn compares(saved: &[PathBuf; 2], dir: &Path) {
    let [ours, theirs] = saved.each_ref().map(|path| shown(path));
    let table = report(&mut bench(&["compare", theirs, ours]));
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].ends_with("(2 runs)") && lines[2].starts_with("op "), "{table}");
    for line in &lines[3..18] {
        assert!(["better", "worse", "no difference shown"].iter().any(|verdict| line.ends_with(verdict)), "{line}");
    }
    assert!(lines[3..18].iter().any(|line| line.starts_with("TOTAL ")), "{table}");
    let same = report(&mut bench(&["compare", ours, ours, "--fail-on-worse"]));
    assert!(same.contains("15 no difference shown (at 95 % confidence)"), "{same}");

    // The same figures but for the latencies of the total, which are made up: what a busy machine measures may differ by anything.
    let fabricated = |name: &str, nanoseconds: u64, runs: usize| {
        let value: Value = serde_json::from_str(&fs::read_to_string(ours).unwrap()).unwrap();
        let mut each = Vec::new();
        for (number, repetition) in (0..).zip(value["details"]["repetitions"].as_array().unwrap()) {
            let mut metrics = repetition.clone();
            for figure in ["mean", "95th", "99th"] {
                metrics["total"]["latencies"][figure] = Value::from(nanoseconds * (100 + number) / 100);
            }
            each.push(serde_json::json!({"target_addr": "a", "metrics": metrics}).to_string());
        }
        let path = dir.join(name);
        fs::write(&path, each[..runs].join("\n")).unwrap();
        path
    };
    let (fast, slow, once) =
        (fabricated("fast", 10_000_000, 2), fabricated("slow", 1_000_000_000, 2), fabricated("once", 1_000_000_000, 1));
    let output = finish(&mut bench(&["compare", shown(&fast), shown(&slow), "--fail-on-worse"]), LONG);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("3 worse, 12 no difference shown"), "{}", text(&output));
    let output = report(&mut bench(&["compare", shown(&fast), shown(&once), "--fail-on-worse"]));
    assert!(output.contains("15 one run cannot tell") && output.contains("--repeat 5"), "{output}");
}

/// The load on a storage alone: on a directory that no server holds, and not on one that a server does.
#[test]
fn a_directory_is_measured_without_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::on(dir.path(), "");
    server.initialise(1, 1);
    let config = dir.path().join("coffer.hcl");
    let probe = |flags: &[&str]| {
        let mut command = bench(&["storage", "--config", shown(&config), "--duration=50ms", "--keys=150"]);
        command.args(flags);
        command
    };
    let held = finish(&mut probe(&[]), LONG);
    assert_eq!(held.status.code(), Some(2), "{}", text(&held));
    assert!(held.stdout.is_empty() && text(&held).contains("in use"), "{}", text(&held));
    server.stop();

    let files = || {
        let mut found: Vec<String> =
            fs::read_dir(dir.path().join("data")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        found.sort();
        found
    };
    let (before, saved) = (files(), dir.path().join("results"));
    let table = report(&mut probe(&["--save", shown(&saved), "--repeat=2"]));
    let names: Vec<&str> = rows(&table).iter().map(|row| row[0]).collect();
    assert_eq!(names, ["op", "storage_delete", "storage_get", "storage_list", "storage_put", "---", "TOTAL"], "{table}");
    assert!(rows(&table).iter().skip(1).all(|row| row[7] == "100.00%" || row[7] == "---"), "{table}");
    assert!(table.starts_with("Target: filesystem "), "{table}");
    assert_eq!(files(), before, "nothing stays");
    assert_eq!(table, report(&mut bench(&["review", shown(&saved)])));
    // As a flag of the load on a server.
    let table = report(&mut bench(&["-storage-probe", "-config", shown(&config), "-duration=20ms", "-report_mode=json"]));
    assert!(serde_json::from_str::<Value>(&table).unwrap()["metrics"]["storage_put"]["requests"].as_u64().unwrap() > 0, "{table}");

    let mistyped = dir.path().join("mistyped.hcl");
    fs::write(&mistyped, configuration(&dir.path().join("none"), "127.0.0.1:1")).unwrap();
    let refused = finish(&mut bench(&["storage", "--config", shown(&mistyped)]), LONG);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("path: there is no directory"), "{}", text(&refused));
}

/// A table that a server leads is left alone; one whose server has ended only with the operator's word.
#[test]
fn a_table_is_measured_if_no_server_leads_it() {
    let (dynalite, dir) = (Dynalite::start(0).unwrap(), tempfile::tempdir().unwrap());
    let address = format!("127.0.0.1:{}", free_port());
    let config = dir.path().join("coffer.hcl");
    let storage = table(dynalite.endpoint()).replacen('{', "{\n  ha_enabled = \"true\"", 1);
    fs::write(&config, format!("storage {storage}\n{}", listener(&address))).unwrap();
    let mut server = Server::configured(&config, &address, dir.path().join("log"));
    server.initialise(1, 1);
    let probe = |flags: &[&str], code: i32| {
        let output = finish(bench(&["storage", "--config", shown(&config), "--duration=100ms", "--keys=20"]).args(flags), LONG);
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {}", text(&output));
        text(&output)
    };
    assert!(probe(&["--no-server-runs"], 2).contains("it holds the lock core/lock"));
    server.stop();
    assert!(probe(&[], 2).contains("give --no-server-runs"));
    assert!(probe(&["--no-server-runs"], 0).contains("storage_delete"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let items = runtime.block_on(cofferdam_emulator::Client::new(dynalite.endpoint()).items("whole-server")).unwrap();
    assert!(items.iter().all(|item| !item.to_string().contains("coffer-bench")), "{items:?}");
}
