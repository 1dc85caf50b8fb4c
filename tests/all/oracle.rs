//! From the real server to ours and back: a store with an entry of every kind goes by `coffer migrate` onto files and onto a table, is used there with the keys
//! and tokens of the first server, and comes back into a fresh real one, which must tell of it what the first one told.
//!
//! What is compared, and what may differ and why, is in tests/clients/oracle.

mod damage;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cofferdam_emulator::Dynalite;
use serde_json::Value;

use crate::e2e::process::{Server, bao, coffer, finish, free_port, script, succeed, text, until};

/// Nothing here takes this long, also on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(600);

/// A real server on raft storage below a directory.
fn real(dir: &Path) -> Server {
    let (port, cluster) = (free_port(), free_port());
    let at = dir.display();
    let data = dir.join("raft");
    fs::create_dir(&data).unwrap();
    let config = dir.join("bao.hcl");
    let text = format!(
        "storage \"raft\" {{\n  path = \"{at}/raft\"\n  node_id = \"one\"\n}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  tls_disable = true\n}}\n\
         api_addr = \"http://127.0.0.1:{port}\"\ncluster_addr = \"http://127.0.0.1:{cluster}\"\n\
         unsafe_allow_api_audit_creation = true\n"
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(bao());
    command.args(["server", "-config"]).arg(&config).env("HOME", dir);
    Server::start(&mut command, &format!("http://127.0.0.1:{port}"), dir.join("log"), None)
}

/// The client of the real server.
fn client(server: &Server, arguments: &[&str], file: &Path) {
    let mut command = Command::new(bao());
    command.args(arguments).arg(file).env("HOME", file.parent().unwrap()).env("BAO_ADDR", &server.address).env("BAO_TOKEN", &server.token);
    succeed(&mut command, LONG);
}

/// Has a fresh real server take a snapshot in place of what it holds, and unseals it with the keys of the snapshot.
fn restore(server: &Server, snapshot: &Path, keys: &[String]) {
    client(server, &["operator", "raft", "snapshot", "restore", "-force"], snapshot);
    until("the restored server to seal itself", server, || server.call("GET", "sys/seal-status", None).1["sealed"] == true);
    server.unseal(keys);
}

/// An end of a migration.
fn snapshot(path: &Path) -> String {
    format!("\"raft_snapshot\" {{ path = \"{}\" }}", path.display())
}

fn table(endpoint: &str) -> String {
    format!(
        "\"dynamodb\" {{\n  endpoint = \"{endpoint}\"\n  region = \"eu-central-1\"\n  table = \"whole-server\"\n  access_key = \"AKIDEXAMPLE\"\n  \
         secret_key = \"example\"\n}}"
    )
}

/// Runs `coffer migrate`; its exit code and what it said.
fn migrate(dir: &Path, source: &str, destination: &str) -> (i32, String) {
    let config = dir.join("migrate.hcl");
    fs::write(&config, format!("storage_source {source}\nstorage_destination {destination}\n")).unwrap();
    let output = finish(coffer().arg("migrate").arg("--config").arg(&config), LONG);
    (output.status.code().unwrap(), text(&output))
}

fn carry(dir: &Path, source: &str, destination: &str) {
    let (code, said) = migrate(dir, source, destination);
    assert_eq!(code, 0, "{source} to {destination}: {said}");
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
    // The second one's election runs beside the first one's work.
    let (mut source, mut target) = (real(&first), real(&second));
    let shares = std::thread::scope(|scope| {
        let other = scope.spawn(|| target.initialise(5, 3));
        let shares = source.initialise(5, 3);
        oracle(&["fill", &source.address, &source.token, facts]);
        other.join().unwrap();
        shares
    });
    client(&source, &["operator", "raft", "snapshot", "save"], &saved);
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

    restore(&target, &exported, unseal);
    oracle(&["read", &target.address, facts, "real"]);
    oracle(&["use", &target.address, facts, "real"]);
    target.kill();

    carry(dir.path(), &snapshot(&saved), &format!("\"filesystem\" {{ path = \"{}\" }}", ours.join("data").display()));
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
    carry(dir.path(), &snapshot(&made), &format!("\"filesystem\" {{ path = \"{}\" }}", dir.path().join("data").display()));
    let mut server = Server::on(dir.path(), "");
    server.unseal(&keys(&read(&facts))[1..]);
    oracle(&["scratched", &server.address, facts.to_str().unwrap()]);
    server.stop();
}
