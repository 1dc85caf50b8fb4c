//! The whole server on etcd, configured as the example's README says.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::*;
use crate::e2e::process::{Server, coffer, free_port, succeed};

#[test]
fn a_server_keeps_its_secrets_in_etcd() {
    let Some(etcd) = Etcd::start().unwrap() else { return };
    let root = tempfile::tempdir().unwrap();
    let plugins = root.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    fs::set_permissions(&plugins, fs::Permissions::from_mode(0o755)).unwrap();
    let file = plugins.join("etcd.wasm");
    fs::copy(crate::runtime::path("etcd"), &file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    succeed(coffer().args(["plugin", "pin", "etcd", "--directory"]).arg(&plugins), Duration::from_secs(180));

    // The file that an operator copies, with the addresses of this machine.
    let example = include_str!("../../../examples/etcd/coffer.hcl");
    let address = format!("127.0.0.1:{}", free_port());
    let config = example
        .replace("/etc/coffer/plugins", &plugins.display().to_string())
        .replace("127.0.0.1:2379", &format!("127.0.0.1:{}", etcd.port()))
        .replace("= 2379", &format!("= {}", etcd.port()))
        .replace("127.0.0.1:8200", &address);
    let path = root.path().join("coffer.hcl");
    fs::write(&path, config).unwrap();

    let start = || Server::configured(&path, &address, root.path().join("log"));
    let mut server = start();
    let keys = server.initialise(1, 1);
    server.done("POST", "sys/mounts/kv", Some(json!({"type": "kv", "options": {"version": "2"}})));
    server.done("PUT", "kv/data/a/b", Some(json!({"data": {"x": "secret of the test"}})));
    assert_eq!(server.done("GET", "kv/data/a/b", None)["data"]["data"]["x"], "secret of the test");
    let token = server.token.clone();
    server.stop();

    // The next server finds it all there, and what is there tells nobody else.
    let mut server = start();
    server.token = token;
    server.unseal(&keys);
    assert_eq!(server.done("GET", "kv/data/a/b", None)["data"]["data"]["x"], "secret of the test");
    let everything = json!({"key": BASE64.encode("cofferdam/"), "range_end": BASE64.encode("cofferdam0")});
    let mut answer = ureq::post(format!("{}/v3/kv/range", etcd.endpoint())).send_json(everything).unwrap();
    let answer: serde_json::Value = answer.body_mut().read_json().unwrap();
    let stored = answer["kvs"].as_array().unwrap();
    assert!(stored.len() > 5, "{answer}");
    for pair in stored {
        let value = BASE64.decode(pair["value"].as_str().unwrap_or_default()).unwrap();
        assert!(!value.windows(18).any(|part| part == b"secret of the test"));
    }
    let log = server.log();
    assert!(log.contains("HTTP requests to http://127.0.0.1"), "{log}");
    server.stop();
}
