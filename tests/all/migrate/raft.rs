//! A vault of ours onto a real server's integrated storage, by the commands that `storage_destination "raft"` is answered with.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::{DONE, config, directory, run, snapshot};
use crate::e2e::process::{Server, bao, free_port, succeed, until};

/// A new cluster of one node.
fn cluster(dir: &Path) -> Server {
    let port = free_port();
    fs::create_dir(dir.join("raft")).unwrap();
    let config = dir.join("bao.hcl");
    let text = format!(
        "storage \"raft\" {{\n  path = {:?}\n  node_id = \"n\"\n}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  tls_disable = true\n}}\n\
         api_addr = \"http://127.0.0.1:{port}\"\ncluster_addr = \"http://127.0.0.1:{}\"\n",
        dir.join("raft"),
        port + 1
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(bao());
    command.args(["server", "-config"]).arg(&config).env("HOME", dir);
    Server::start(&mut command, &format!("http://127.0.0.1:{port}"), dir.join("bao.log"), None)
}

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

    let mut theirs = cluster(dir.path());
    theirs.initialise(1, 1);
    let mut restore = Command::new(bao());
    restore.args(["operator", "raft", "snapshot", "restore", "-force"]).arg(&file);
    restore.env("BAO_ADDR", &theirs.address).env("BAO_TOKEN", &theirs.token).env("HOME", dir.path());
    succeed(&mut restore, Duration::from_secs(180));
    until("the restored server to seal itself", &theirs, || {
        // It does not answer as long as it is about it.
        theirs.try_call("GET", "sys/seal-status", None).is_ok_and(|(status, answer)| status == 200 && answer["sealed"] == true)
    });
    theirs.token = token;
    theirs.unseal(&keys);
    for (version, value) in [(1, "1"), (2, "2")] {
        until("the secret", &theirs, || {
            let (status, answer) = theirs.call("GET", &format!("kv/data/a?version={version}"), None);
            status == 200 && answer["data"]["data"]["x"] == value
        });
    }
}
