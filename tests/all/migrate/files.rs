//! From a directory to another: a vault that was in use, and all that is refused.

use std::fs;

use serde_json::json;

use super::{DONE, config, directory, fresh, run, snapshot, store, stored};
use crate::e2e::process::{Server, refused};

#[test]
fn a_vault_moves_by_way_of_a_snapshot_and_is_locked_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::on(dir.path(), "");
    let keys = server.initialise(1, 1);
    server.done("POST", "sys/mounts/kv", Some(json!({"type": "kv", "options": {"version": "2"}})));
    server.done("PUT", "kv/data/a/b", Some(json!({"data": {"x": "1"}})));
    let token = server.token.clone();
    let (data, file) = (dir.path().join("data"), dir.path().join("x.snap"));
    // A server that runs holds its directory.
    let out = config(dir.path(), &directory(&data), &snapshot(&file));
    assert!(run(&out, &[], 2).contains("data"));
    server.stop();

    let said = run(&out, &[], 0);
    assert!(said.contains(DONE) && said.contains("core/") && said.contains("of memory"), "{said}");
    assert!(run(&out, &[], 2).contains("is not empty: it holds a file"));
    let moved = fresh(dir.path(), "moved");
    let back = config(dir.path(), &snapshot(&file), &directory(&moved));
    assert!(run(&back, &[], 0).contains(DONE));
    assert_eq!(stored(&moved), stored(&data));
    let again = run(&back, &[], 2);
    assert!(again.contains("is not empty: it holds the entry") && again.contains("--overwrite"), "{again}");
    assert!(run(&back, &["--verify-only"], 0).contains("Both ends hold the same."));

    // What differs is found.
    let policy = stored(&moved)["sys/policy/default"].clone();
    store(&moved, "sys/policy/default", &[policy.as_slice(), b"x"].concat());
    let differs = run(&back, &["--verify-only"], 2);
    assert!(differs.contains("verification failed") && differs.contains("DIFFERENT"), "{differs}");
    assert!(run(&back, &["-overwrite"], 0).contains(DONE));
    assert_eq!(stored(&moved), stored(&data));

    // A lock, of Vault's here, keeps servers and other migrations out until it is reset.
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&moved, &data).unwrap();
    store(&data, "core/migration", br#"{"start":"2026-01-02T03:04:05Z"}"#);
    let said = refused(&dir.path().join("coffer.hcl"));
    assert!(said.contains("storage migration in progress (started: 2026-01-02T03:04:05Z)"), "{said}");
    fs::remove_file(&file).unwrap();
    let out = config(dir.path(), &directory(&data), &snapshot(&file));
    assert!(run(&out, &[], 2).contains("storage migration in progress (started: 2026-01-02T03:04:05Z)"));
    assert!(run(&out, &["-reset"], 0).contains("Success! Migration lock reset (if it was set)."));
    let mut server = Server::on(dir.path(), "");
    server.token = token;
    server.unseal(&keys);
    assert_eq!(server.done("GET", "kv/data/a/b", None)["data"]["data"]["x"], "1");
}

#[test]
fn what_is_wrong_is_said_before_anything_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (fresh(dir.path(), "from"), fresh(dir.path(), "to"));
    let both = config(dir.path(), &directory(&from), &directory(&to));
    assert!(run(&both, &[], 2).contains("holds no entries"));
    store(&from, "core/x", b"v");
    let file = dir.path().join("x.snap");
    run(&config(dir.path(), &directory(&from), &snapshot(&file)), &[], 0);
    let nested = config(dir.path(), &directory(&from), &directory(&from.join("core")));
    assert!(run(&nested, &[], 1).contains("must not hold one another"));
    let inside = config(dir.path(), &directory(&from), &snapshot(&from.join("x.snap")));
    assert!(run(&inside, &[], 1).contains("must not hold one another"));
    let missing = config(dir.path(), &directory(&dir.path().join("none")), &directory(&to));
    assert!(run(&missing, &[], 1).contains("there is no directory"));
    let raft = config(dir.path(), &directory(&from), "\"Raft\" { path = \"/opt/vault/data\" node_id = \"n1\" }");
    let told = run(&raft, &[], 1);
    for part in ["raft_snapshot", "snapshot restore -force", "THROW-AWAY", "/opt/vault/data", "n1", "2xx"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let damaged = config(dir.path(), &snapshot(&file), &directory(&to));
    let mut bytes = fs::read(&file).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&file, bytes).unwrap();
    assert!(run(&damaged, &[], 2).contains("x.snap"));
    assert!(stored(&to).is_empty());
    assert_eq!(stored(&from).len(), 1);
    // An entry that cannot be read is no entry less.
    fs::write(from.join("core/_broken"), "{").unwrap();
    let unread = run(&config(dir.path(), &directory(&from), &directory(&to)), &[], 2);
    assert!(unread.contains("error reading entry") && unread.contains("damaged"), "{unread}");
    assert!(stored(&to).is_empty() && !from.join("core/_migration").exists());
}
