use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::e2e::bao::raft;
use crate::e2e::process::{Server, bao, coffer, finish, succeed, text};

const LIMIT: Duration = Duration::from_secs(180);

/// A command of the real client about snapshots, against the server, with its token.
pub(crate) fn real_client(server: &Server, home: &Path, line: &[&str]) -> Command {
    let mut command = server.client(Command::new(bao()), home);
    command.args(["operator", "raft", "snapshot"]).args(line);
    command
}

/// The same of ours.
pub(super) fn our_client(server: &Server, home: &Path, line: &[&str]) -> Command {
    let mut command = server.client(coffer(), home);
    command.arg("snapshot").args(line);
    command
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

fn secrets(server: &Server) -> Value {
    let data = |path: &str| server.done("GET", path, None)["data"].clone();
    json!([
        data("secret/data/app/db")["data"],
        data("secret/data/app/db?version=1")["data"],
        data("plain/a/b"),
        data("sys/policies/acl/reader")["policy"]
    ])
}

#[test]
fn a_store_goes_to_the_real_server_and_comes_back_with_what_that_has_added() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut server = Server::on(ours.path(), "");
    let keys = server.initialise(3, 2);
    server.done("POST", "sys/mounts/secret", Some(json!({"type": "kv", "options": {"version": "2"}})));
    server.done("POST", "sys/mounts/plain", Some(json!({"type": "kv", "options": {"version": "1"}})));
    server.done("PUT", "sys/policies/acl/reader", Some(json!({"policy": "path \"secret/data/*\" { capabilities = [\"read\"] }"})));
    server.done("POST", "secret/data/app/db", Some(json!({"data": {"user": "first"}})));
    server.done("PUT", "sys/rotate", None);
    server.done("POST", "secret/data/app/db", Some(json!({"data": {"user": "second", "note": "gr\u{fc}n"}})));
    server.done("POST", "plain/a/b", Some(json!({"n": "1"})));
    let token = server.done("POST", "auth/token/create", Some(json!({"policies": ["reader"], "ttl": "20h"})));
    let token = token["auth"]["client_token"].as_str().unwrap().to_owned();
    let expected = secrets(&server);

    // Saved by our command, and looked at without a key.
    let path = |name: &str| ours.path().join(name).display().to_string();
    let (first, second, third) = (path("first.snap"), path("second.snap"), path("third.snap"));
    succeed(&mut our_client(&server, ours.path(), &["save", &first]), LIMIT);
    let seen = json_of(&succeed(&mut our_client(&server, ours.path(), &["inspect", "-format=json", &first]), LIMIT));
    assert_eq!((&seen["seal_type"], &seen["sealed_sums"], &seen["sorted"]), (&json!("shamir"), &json!(true), &json!(true)), "{seen}");
    assert!(seen["entries"].as_u64().unwrap() > 20 && seen["prefixes"]["core/"]["entries"].as_u64().unwrap() > 5, "{seen}");
    assert!(text(&succeed(&mut our_client(&server, ours.path(), &["inspect", &first]), LIMIT)).contains("Largest Entries"));

    // The real server takes it, and goes on with it.
    let mut real = raft(theirs.path(), "");
    real.initialise(3, 2);
    succeed(&mut real_client(&real, theirs.path(), &["restore", "-force", &first]), LIMIT);
    real.reopen(&keys[1..]);
    real.token.clone_from(&server.token);
    assert_eq!(secrets(&real), expected);
    let child = real.done("POST", "auth/token/lookup", Some(json!({"token": token})));
    assert_eq!(child["data"]["policies"], json!(["default", "reader"]));
    real.done("POST", "secret/data/app/added", Some(json!({"data": {"by": "them"}})));
    real.done("PUT", "sys/rotate", None);
    real.done("POST", "plain/added", Some(json!({"by": "them"})));
    succeed(&mut real_client(&real, theirs.path(), &["save", &second]), LIMIT);
    drop(real);

    // Back by the real client: what was written since is gone, what they have added is there.
    server.done("POST", "secret/data/lost", Some(json!({"data": {"x": "1"}})));
    succeed(&mut real_client(&server, theirs.path(), &["restore", "-force", &second]), LIMIT);
    server.reopen(&keys[..2]);
    assert_eq!(secrets(&server), expected);
    assert_eq!(server.done("GET", "secret/data/app/added", None)["data"]["data"], json!({"by": "them"}));
    assert_eq!(server.done("GET", "plain/added", None)["data"], json!({"by": "them"}));
    assert_eq!(server.call("GET", "secret/data/lost", None).0, 404);
    let child = server.done("POST", "auth/token/lookup", Some(json!({"token": token})));
    assert_eq!(child["data"]["policies"], json!(["default", "reader"]));

    // Saved by the real client, which checks what it got; restored by ours, of the same vault and so without force.
    succeed(&mut real_client(&server, theirs.path(), &["save", &third]), LIMIT);
    server.done("DELETE", "plain/added", None);
    succeed(&mut our_client(&server, ours.path(), &["restore", &third]), LIMIT);
    server.reopen(&keys[..2]);
    assert_eq!(server.done("GET", "plain/added", None)["data"], json!({"by": "them"}));

    // A file that is damaged is refused before anything is sent, and so is one of another vault without force.
    let mut bytes = fs::read(&third).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&first, &bytes).unwrap();
    let refused = finish(&mut our_client(&server, ours.path(), &["restore", "-force", &first]), LIMIT);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("hash check failed") || text(&refused).contains("failed to read snapshot"), "{}", text(&refused));
    assert_eq!(secrets(&server), expected);
    server.stop();
}
