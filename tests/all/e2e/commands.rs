//! The server's own command line: status, operator, plugin, version.

use std::time::Duration;

use serde_json::Value;

use super::process::{Server, coffer, component, finish, succeed, text};

const LIMIT: Duration = Duration::from_secs(180);

fn json(arguments: &[&str], server: &Server, code: i32) -> Value {
    let home = tempfile::tempdir().unwrap();
    let output = finish(server.client(coffer(), home.path()).args(arguments), LIMIT);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

#[test]
fn an_operator_needs_no_other_client() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::on(dir.path(), "");
    assert_eq!(json(&["status", "--format", "json"], &server, 2)["initialized"], false);
    let made = json(&["operator", "init", "--key-shares=3", "--key-threshold=2", "--format", "json"], &server, 0);
    let keys: Vec<&str> = made["unseal_keys_b64"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(keys.len(), 3);
    server.token = made["root_token"].as_str().unwrap().to_owned();
    assert_eq!(json(&["status", "--format", "json"], &server, 2)["sealed"], true);
    assert_eq!(json(&["operator", "unseal", "--format", "json", keys[2]], &server, 0)["progress"], 1);
    assert_eq!(json(&["operator", "unseal", "--format", "json", keys[0]], &server, 0)["sealed"], false);
    server.until_active();
    assert_eq!(json(&["status", "--format", "json"], &server, 0)["sealed"], false);
    json(&["operator", "rotate", "--format", "json"], &server, 0);
    assert_eq!(server.done("GET", "sys/key-status", None)["data"]["term"], 2);
    json(&["operator", "seal"], &server, 0);
    assert_eq!(json(&["status", "--format", "json"], &server, 2)["sealed"], true);
}

#[test]
fn inspect_tells_what_a_component_is_and_asks_for() {
    let component = component();
    let found: Value =
        serde_json::from_slice(&succeed(coffer().args(["plugin", "inspect", "--format", "json"]).arg(&component), LIMIT).stdout).unwrap();
    let digest = text(&succeed(std::process::Command::new("sha256sum").arg(&component), LIMIT));
    assert_eq!(found["sha256"], digest.split_whitespace().next().unwrap());
    assert_eq!(found["world"], "storage-backend", "{found}");
    let table = text(&succeed(coffer().args(["plugin", "inspect"]).arg(&component), LIMIT));
    for needed in ["storage-backend", "0.1", digest.split_whitespace().next().unwrap()] {
        assert!(table.contains(needed), "{needed} is not in\n{table}");
    }
}

#[test]
fn inspect_refuses_what_is_no_backend_and_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [("text.wasm", &b"not wasm at all"[..]), ("module.wasm", b"\0asm\x01\0\0\0"), ("empty.wasm", b"")] {
        let file = dir.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let output = finish(coffer().args(["plugin", "inspect"]).arg(&file), LIMIT);
        let said = text(&output);
        assert!(!output.status.success() && said.contains(name), "{name}: {said}");
    }
}

#[test]
fn version_names_the_contract_and_the_engine() {
    let said = text(&succeed(coffer().arg("--version"), LIMIT));
    for needed in ["0.1", "wasmtime 48"] {
        assert!(said.contains(needed), "{needed} is not in {said}");
    }
}
