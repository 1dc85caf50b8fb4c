use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::exchange::our_client;
use crate::e2e::process::{Server, succeed, until};

const LIMIT: Duration = Duration::from_secs(180);

/// Sends the snapshot, and kills the server once the store is being replaced: the mark is there first.
fn killed_while_restoring(server: &mut Server, archive: &[u8], mark: &Path) {
    let mut stream = TcpStream::connect(server.address.strip_prefix("http://").unwrap()).unwrap();
    let head = format!(
        "POST /v1/sys/storage/raft/snapshot HTTP/1.1\r\nhost: x\r\nx-vault-token: {}\r\ncontent-length: {}\r\n\r\n",
        server.token,
        archive.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(archive)).unwrap();
    until("the restore", server, || mark.exists() || server.call("GET", "sys/seal-status", None).1["sealed"] == true);
    server.kill();
}

#[test]
fn a_server_killed_in_the_middle_of_a_restore_opens_with_no_key_until_the_same_file_is_restored_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::without_a_journal(dir.path());
    let keys = server.initialise(1, 1);
    server.done("POST", "sys/mounts/plain", Some(json!({"type": "kv"})));
    for number in 0..200 {
        server.done("POST", &format!("plain/{number}"), Some(json!({"n": number})));
    }
    let file = dir.path().join("x.snap");
    succeed(our_client(&server, dir.path(), &["save"]).arg(&file), LIMIT);

    let mark = dir.path().join("data/core/cofferdam/_restore");
    let archive = std::fs::read(&file).unwrap();
    // A kill that comes too late is tried again.
    let cut = (0..10).any(|_| {
        killed_while_restoring(&mut server, &archive, &mark);
        let cut = mark.exists();
        if !cut {
            let token = server.token.clone();
            server = Server::without_a_journal(dir.path());
            server.token = token;
            server.unseal(&keys);
        }
        cut
    });
    assert!(cut, "every restore was over before the server was killed");

    let server = Server::without_a_journal(dir.path());
    let (status, answer) = server.call("PUT", "sys/unseal", Some(json!({"key": keys[0]})));
    assert_eq!(status, 500, "{answer}");
    assert!(answer["errors"][0].as_str().unwrap().contains("the restore of a snapshot was cut off"), "{answer}");
    assert!(server.call("PUT", "sys/init", Some(json!({"secret_shares": 1, "secret_threshold": 1}))).0 >= 400);
    // Without a token, which nobody could check.
    assert!(server.token.is_empty());
    let mut restore = our_client(&server, dir.path(), &["restore"]);
    succeed(restore.arg(&file).env_remove("BAO_TOKEN").env_remove("VAULT_TOKEN"), LIMIT);
    assert!(!mark.exists());
    server.unseal(&keys);
}
