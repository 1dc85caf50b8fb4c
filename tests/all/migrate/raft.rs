//! A vault of ours onto a real server's integrated storage, by the commands that `storage_destination "raft"` is answered with.

use std::time::Duration;

use serde_json::json;

use super::{DONE, config, directory, run, snapshot};
use crate::e2e::bao::raft;
use crate::e2e::process::{Server, succeed, until};
use crate::snapshot::exchange::real_client;

#[test]
fn a_vault_of_ours_is_restored_by_a_real_cluster_and_opens_with_its_own_keys() {
    let dir = tempfile::tempdir().unwrap();
    let mut ours = Server::on(dir.path(), "");
    let keys = ours.initialise(1, 1);
    ours.done("POST", "sys/mounts/kv", Some(json!({"type": "kv", "options": {"version": "2"}})));
    ours.done("PUT", "kv/data/a", Some(json!({"data": {"x": "1"}})));
    ours.done("PUT", "kv/data/a", Some(json!({"data": {"x": "2"}})));
    let token = ours.token.clone();
    ours.stop();
    let file = dir.path().join("migrate.snap");
    assert!(run(&config(dir.path(), &directory(&dir.path().join("data")), &snapshot(&file)), &[], 0).contains(DONE));

    let mut theirs = raft(dir.path(), "");
    theirs.initialise(1, 1);
    succeed(real_client(&theirs, dir.path(), &["restore", "-force"]).arg(&file), Duration::from_secs(180));
    theirs.token = token;
    theirs.reopen(&keys);
    for (version, value) in [(1, "1"), (2, "2")] {
        until("the secret", &theirs, || {
            let (status, answer) = theirs.call("GET", &format!("kv/data/a?version={version}"), None);
            status == 200 && answer["data"]["data"]["x"] == value
        });
    }
}
