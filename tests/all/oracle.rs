//! From the real server to ours and back: a store with an entry of every kind goes by `coffer migrate` onto files and onto a table, is used there with the keys
//! and tokens of the first server, and comes back into a fresh real one, which must tell of it what the first one told.
//!
//! What is compared, and what may differ and why, is in tests/clients/oracle.

mod damage;

use std::fs;
use std::path::Path;
use std::time::Duration;

use cofferdam_emulator::Dynalite;
use serde_json::Value;

use crate::e2e::bao::raft;
use crate::e2e::process::{Server, finish, script, succeed, table, text};
use crate::migrate::{command, config, run, snapshot};
use crate::snapshot::exchange::real_client;

/// Nothing here takes this long, also on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(600);

/// The real client's `operator raft snapshot`, with this file.
fn client(server: &Server, line: &[&str], file: &Path) {
    succeed(real_client(server, file.parent().unwrap(), line).arg(file), LONG);
}

/// The directory of a server as an end of a migration.
fn directory(place: &Path) -> String {
    format!("\"filesystem\" {{ path = \"{}\" }}", place.join("data").display())
}

/// Runs `coffer migrate`; its exit code and what it said.
fn migrate(dir: &Path, source: &str, destination: &str) -> (i32, String) {
    let output = finish(&mut command(&config(dir, source, destination), &[]), LONG);
    (output.status.code().unwrap(), text(&output))
}

/// The same, which must succeed.
fn carry(dir: &Path, source: &str, destination: &str) {
    run(&config(dir, source, destination), &[], 0);
}

/// A command of tests/clients/oracle.py, which must find nothing wrong.
fn oracle(arguments: &[&str]) {
    let output = finish(script("oracle.py").args(arguments), LONG);
    assert!(output.status.success(), "oracle.py {arguments:?}:\n{}", text(&output));
    println!("{}: {}", arguments.first().unwrap(), String::from_utf8_lossy(&output.stdout).trim());
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn keys(facts: &Value) -> Vec<String> {
    serde_json::from_value(facts["shares"].clone()).unwrap()
}

#[test]
fn all_that_a_real_server_holds_comes_in_is_used_and_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let [first, second, ours, on_table] = ["first", "second", "ours", "on-table"].map(|name| {
        fs::create_dir(at(name)).unwrap();
        at(name)
    });
    let (facts, saved, exported) = (at("facts.json"), at("saved.snap"), at("exported.snap"));
    let facts = facts.to_str().unwrap();
    let server = |dir: &Path| raft(dir, "unsafe_allow_api_audit_creation = true\n");
    // The second one's election runs beside the first one's work.
    let (mut source, mut target) = (server(&first), server(&second));
    let shares = std::thread::scope(|scope| {
        let other = scope.spawn(|| target.initialise(5, 3));
        let shares = source.initialise(5, 3);
        oracle(&["fill", &source.address, &source.token, facts]);
        other.join().unwrap();
        shares
    });
    client(&source, &["save"], &saved);
    source.kill();
    let mut known = read(Path::new(facts));
    known["shares"] = shares.clone().into();
    fs::write(facts, known.to_string()).unwrap();
    let unseal = &shares[1..4];

    let dynalite = Dynalite::start(0).unwrap();
    carry(dir.path(), &snapshot(&saved), &table(dynalite.endpoint()));
    let mut server = Server::on_table(&on_table, dynalite.endpoint());
    server.unseal(unseal);
    oracle(&["read", &server.address, facts, "ours"]);
    kept(&mut server, &known);
    server.stop();
    carry(dir.path(), &table(dynalite.endpoint()), &snapshot(&exported));
    oracle(&["entries", saved.to_str().unwrap(), exported.to_str().unwrap(), facts]);

    client(&target, &["restore", "-force"], &exported);
    target.reopen(unseal);
    oracle(&["read", &target.address, facts, "real"]);
    oracle(&["use", &target.address, facts, "real"]);
    target.kill();

    carry(dir.path(), &snapshot(&saved), &directory(&ours));
    let mut server = Server::on(&ours, "");
    server.unseal(unseal);
    oracle(&["read", &server.address, facts, "ours"]);
    oracle(&["use", &server.address, facts, "ours"]);
    server.stop();
}

/// What this server has not is named, in the log and to who asks, and no request reaches it.
fn kept(server: &mut Server, facts: &Value) {
    server.token = facts["tokens"]["root"].as_str().unwrap().to_owned();
    let kept = server.done("GET", "sys/internal/inspect/kept", None)["data"].clone();
    let log = server.log();
    for (path, kind) in [("transit/", "transit"), ("pki/", "pki"), ("auth/userpass/", "userpass"), ("identity/", "identity")] {
        assert_eq!(kept["mounts"][path]["type"], kind, "{kept}");
        assert!(log.contains(&format!("path={path:?}")), "{path} is not in the log:\n{log}");
    }
    assert!(kept["mounts"].get("secret/").is_none(), "{kept}");
    let paths: Vec<&str> = kept["namespaces"].as_object().unwrap().values().filter_map(|namespace| namespace["path"].as_str()).collect();
    assert!(paths.contains(&"ns1/") && paths.contains(&"ns1/child/"), "{kept}");
    assert!(log.contains("path=\"ns1/child/\""), "{log}");
    let (status, answer) = server.call("GET", "transit/keys/aes", None);
    assert!(status == 400 && answer["errors"][0].as_str().unwrap().contains("does not offer engines of type \"transit\""), "{answer}");
    // By its path, by a header and with a token of its own.
    assert_eq!(server.call("GET", "ns1/kv/data/inside", None).0, 404);
    let mut request = ureq::get(format!("{}/v1/kv/data/inside", server.address)).config().http_status_as_error(false).build();
    for (name, value) in [("X-Vault-Namespace", "ns1"), ("X-Vault-Token", server.token.as_str())] {
        request = request.header(name, value);
    }
    let mut answer = request.call().unwrap();
    assert_eq!((answer.status().as_u16(), answer.body_mut().read_to_string().unwrap().contains("namespace not found")), (404, true));
    server.token = facts["namespace"]["token"].as_str().unwrap().to_owned();
    assert_eq!(server.call("GET", "auth/token/lookup-self", None).0, 403);
}

#[test]
fn a_store_that_no_server_made_comes_in() {
    let dir = tempfile::tempdir().unwrap();
    let (facts, made) = (dir.path().join("facts.json"), dir.path().join("made.snap"));
    oracle(&["scratch", made.to_str().unwrap(), facts.to_str().unwrap()]);
    carry(dir.path(), &snapshot(&made), &directory(dir.path()));
    let mut server = Server::on(dir.path(), "");
    server.unseal(&keys(&read(&facts))[1..]);
    oracle(&["scratched", &server.address, facts.to_str().unwrap()]);
    server.stop();
}
