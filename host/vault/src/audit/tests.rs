//! Devices as the core uses them, over a storage in memory.

mod devices;
mod logins;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cofferdam_test_support::Memory;
use serde_json::{Value, json};

use super::{AuditOptions, Declared, Trail};
use crate::core::Core;
use crate::core::tests::{Vault, call, initialize, options, request, unseal};
use crate::logical::{Error, Operation, Response, Result};

fn declared(name: &str, file: &Path, more: &[(&str, &str)]) -> Declared {
    let mut options: BTreeMap<String, String> = more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    options.insert("file_path".to_owned(), file.display().to_string());
    Declared { path: name.to_owned(), kind: "file".to_owned(), options, ..Declared::default() }
}

fn with(devices: Vec<Declared>) -> AuditOptions {
    AuditOptions { devices, ..AuditOptions::default() }
}

fn core(memory: &Memory, audit: AuditOptions) -> Arc<Core> {
    Core::new(Arc::new(memory.clone()), crate::core::Options { audit, ..options() })
}

async fn vault(audit: AuditOptions) -> Vault {
    let memory = Memory::default();
    let core = core(&memory, audit);
    let made = initialize(&core, 1, 1).await.unwrap();
    unseal(&core, &made.keys[0]).await.unwrap();
    Vault { memory, core, key: made.keys[0].to_string(), root: made.root_token.to_string() }
}

/// The same store, opened by a server that is configured so.
async fn again(vault: &Vault, audit: AuditOptions) -> Result<Vault> {
    vault.core.shutdown().await;
    let core = core(&vault.memory, audit);
    unseal(&core, &vault.key).await?;
    Ok(Vault { memory: vault.memory.clone(), core, key: vault.key.clone(), root: vault.root.clone() })
}

fn entries(file: &Path) -> Vec<Value> {
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(entries: &'a [Value], kind: &str, path: &str) -> Vec<&'a Value> {
    entries.iter().filter(|entry| entry["type"] == kind && entry["request"]["path"] == path).collect()
}

/// Makes every write of a device fail, or succeed again; it notices when it opens its file.
struct Valve {
    _dir: tempfile::TempDir,
    link: PathBuf,
    file: PathBuf,
}

impl Valve {
    fn new() -> Valve {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("audit.log"), dir.path().join("behind"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Valve { _dir: dir, link, file }
    }

    fn turn(&self, core: &Core, full: bool) {
        std::fs::remove_file(&self.link).unwrap();
        let target = if full { Path::new("/dev/full") } else { &self.file };
        std::os::unix::fs::symlink(target, &self.link).unwrap();
        core.reopen_audit();
    }
}

#[tokio::test]
async fn every_request_has_two_entries_and_no_secret_is_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let (file, raw) = (dir.path().join("audit.log"), dir.path().join("raw.log"));
    let vault = vault(with(vec![declared("a", &file, &[]), declared("raw", &raw, &[("log_raw", "true")])])).await;
    let settings = json!({"type": "kv", "config": {"audit_non_hmac_request_keys": ["open"], "audit_non_hmac_response_keys": ["open"]}});
    vault.write("sys/mounts/kv", settings).await.unwrap();
    vault
        .write("kv/a", json!({"key": "hunter2", "open": "shown", "deep": [{"x": "hunter3"}], "at": "2026-11-22T09:46:19Z"}))
        .await
        .unwrap();
    vault.write("kv/a", json!({"key": "hunter2"})).await.unwrap();
    vault.read("kv/a").await.unwrap();
    let made = vault.write("auth/token/create", json!({"policies": ["default"], "meta": {"team": "blue"}})).await.unwrap().auth.unwrap();
    let (token, accessor) = (made.client_token.to_string(), made.accessor.clone());
    assert!(call(&vault.core, Some(&token), Operation::Read, "kv/a", Value::Null).await.is_err());
    assert!(call(&vault.core, Some("s.hunter4"), Operation::Read, "kv/a", Value::Null).await.is_err());
    vault.write("auth/token/revoke", json!({"token": token})).await.unwrap();

    let found = entries(&file);
    let writes = of(&found, "request", "kv/a");
    assert_eq!(
        writes.iter().map(|entry| entry["request"]["operation"].as_str().unwrap()).collect::<Vec<_>>(),
        ["create", "update", "read", "read", "read"]
    );
    assert_eq!(writes[0]["request"]["data"]["open"], "shown");
    assert_eq!(writes[0]["request"]["mount_type"], "kv");
    assert_eq!(writes[0]["auth"]["policy_results"]["granting_policies"], json!([{"name": "root", "namespace_id": "root", "type": "acl"}]));
    let hash = vault.write("sys/audit-hash/a", json!({"input": "hunter2"})).await.unwrap().data.unwrap();
    assert_eq!(writes[0]["request"]["data"]["key"], hash["hash"]);
    assert_eq!(of(&found, "response", "kv/a")[2]["response"]["data"], json!({"key": hash["hash"]}));
    let create = of(&found, "response", "auth/token/create");
    assert_eq!(create[0]["response"]["auth"]["metadata"], json!({"team": "blue"}));
    let denied = &writes[3..];
    assert_eq!(denied[0]["error"], "1 error occurred:\n\t* permission denied\n\n");
    assert_eq!(denied[0]["auth"]["policy_results"], json!({"allowed": false}));
    assert_eq!((&denied[1]["error"], &denied[1]["auth"]), (&json!("permission denied"), &json!({"token_type": "default"})));
    // One of the trial, then two each.
    assert_eq!(of(&found, "request", "sys/audit/test").len(), 1);
    assert_eq!(found.len() % 2, 1);

    let (text, control) = (std::fs::read_to_string(&file).unwrap(), std::fs::read_to_string(&raw).unwrap());
    for secret in [&vault.root, &token, &accessor, "hunter2", "hunter3", "hunter4", "2026-11-22T09:46:19Z"] {
        assert!(!text.contains(secret), "{secret:?} is in the file");
        assert!(control.contains(secret), "{secret:?} was never asked for");
    }
}

#[tokio::test]
async fn what_no_device_takes_is_refused_and_not_done() {
    let valve = Valve::new();
    let vault = vault(with(vec![declared("a", &valve.link, &[])])).await;
    vault.write("sys/mounts/kv", json!({"type": "kv"})).await.unwrap();
    valve.turn(&vault.core, true);
    assert!(matches!(vault.write("kv/a", json!({"k": "v"})).await, Err(Error::Internal(_))));
    assert!(matches!(vault.read("sys/mounts").await, Err(Error::Internal(_))));
    valve.turn(&vault.core, false);
    assert!(matches!(vault.read("kv/a").await, Err(Error::NotFound)), "the write was done");
    assert_eq!(of(&entries(&valve.file), "response", "kv/a").len(), 1);
}

#[tokio::test]
async fn an_answer_that_no_device_takes_does_not_leave() {
    let valve = Valve::new();
    let vault = vault(with(vec![declared("a", &valve.link, &[])])).await;
    let active = vault.core.active().unwrap();
    let request = request(Some(&vault.root), Operation::Read, "sys/mounts", Value::Null);
    let mut trail = Trail::of(&active, &request);
    trail.allowed(Vec::new).await.unwrap();
    valve.turn(&vault.core, true);
    assert!(matches!(trail.end(Ok(Response::empty())).await, Err(Error::Internal(_))));
}

#[tokio::test]
async fn one_device_is_enough() {
    let (valve, dir) = (Valve::new(), tempfile::tempdir().unwrap());
    let other = dir.path().join("other.log");
    let vault = vault(with(vec![declared("a", &valve.link, &[]), declared("b", &other, &[])])).await;
    valve.turn(&vault.core, true);
    vault.write("cubbyhole/a", json!({"k": "v"})).await.unwrap();
    assert_eq!(of(&entries(&other), "response", "cubbyhole/a").len(), 1);
    assert!(of(&entries(&valve.file), "request", "cubbyhole/a").is_empty());
}

fn text(result: Result<Response>) -> String {
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn devices_of_the_api_need_the_operators_word_and_then_stay() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.log");
    let body = json!({"type": "file", "description": "d", "options": {"file_path": file}});
    let vault = vault(with(vec![])).await;
    assert_eq!(
        text(vault.write("sys/audit/x", body.clone()).await),
        "cannot enable audit device via API; use declarative, config-based audit device management instead"
    );
    let open = AuditOptions { api: true, ..AuditOptions::default() };
    let vault = again(&vault, open.clone()).await.unwrap();
    vault.write("sys/audit/x", body.clone()).await.unwrap();
    assert_eq!(of(&entries(&file), "response", "sys/audit/x").len(), 1);
    for (path, body, wanted) in [
        ("sys/audit/x", body.clone(), "path already in use"),
        ("sys/audit/x/y", body.clone(), "path already in use"),
        ("sys/audit/z", json!({"type": "file"}), "file_path is required"),
        ("sys/audit/z", json!({"type": "socket"}), "address is required"),
        ("sys/audit/z", json!({"type": "syslog"}), "unknown backend type: \"syslog\""),
        ("sys/audit/z", json!({"type": "file", "options": {"file_path": "discard", "prefix": "p"}}), "audit log prefixing is not allowed"),
        ("sys/audit/z", json!({"type": "file", "options": {"file_path": "/dev/full"}}), "audit backend failed test message"),
        ("sys/audit-hash/z", json!({"input": "x"}), "unknown audit backend \"z/\""),
        ("sys/audit-hash/x", json!({}), "the \"input\" parameter is empty"),
    ] {
        assert_eq!(text(vault.write(path, body).await), wanted, "{path}");
    }
    let shown = json!({"x/": {"description": "d", "local": false, "options": {"file_path": file}, "path": "x/", "type": "file"}});
    assert_eq!(vault.read("sys/audit").await.unwrap(), shown);

    // A server that allows none keeps using it, with the same salt.
    let hash = vault.write("sys/audit-hash/x", json!({"input": "v"})).await.unwrap().data;
    let vault = again(&vault, with(vec![])).await.unwrap();
    assert_eq!(vault.write("sys/audit-hash/x", json!({"input": "v"})).await.unwrap().data, hash);
    vault.write("cubbyhole/a", json!({"k": "v"})).await.unwrap();
    assert_eq!(of(&entries(&file), "response", "cubbyhole/a").len(), 1);
    assert!(again(&vault, with(vec![declared("x", &file, &[])])).await.is_err(), "the configuration's device has the place of the API's");
    let vault = again(&vault, with(vec![])).await.unwrap();
    vault.call(Operation::Delete, "sys/audit/x", Value::Null).await.unwrap();
    vault.call(Operation::Delete, "sys/audit/x", Value::Null).await.unwrap();
    let written = entries(&file).len();
    vault.read("cubbyhole/a").await.unwrap();
    assert_eq!((entries(&file).len(), vault.read("sys/audit").await.unwrap()), (written, json!({})));
}

#[tokio::test]
async fn the_configuration_decides_over_its_devices() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (declared("one", &dir.path().join("1.log"), &[]), declared("two", &dir.path().join("2.log"), &[]));
    let vault = vault(with(vec![one.clone()])).await;
    assert_eq!(
        text(vault.call(Operation::Delete, "sys/audit/one", Value::Null).await),
        "cannot disable configuration-managed audit device"
    );
    let vault = again(&vault, with(vec![one.clone(), two.clone()])).await.unwrap();
    assert_eq!(vault.read("sys/audit").await.unwrap().as_object().unwrap().len(), 2);
    for changed in [
        Declared { description: "other".to_owned(), ..one.clone() },
        Declared { local: true, ..one.clone() },
        declared("one", &dir.path().join("1.log"), &[("log_raw", "true")]),
    ] {
        assert!(matches!(again(&vault, with(vec![changed, two.clone()])).await, Err(Error::Refused(_))));
    }
    let vault = again(&vault, with(vec![two])).await.unwrap();
    let left = vault.read("sys/audit").await.unwrap();
    assert_eq!(left.as_object().unwrap().keys().collect::<Vec<_>>(), ["two/"]);
    let nowhere = declared("three", Path::new("/proc/none/audit.log"), &[]);
    assert!(matches!(again(&vault, with(vec![nowhere])).await, Err(Error::Refused(_))));
}

#[tokio::test]
async fn a_store_whose_devices_cannot_be_used_stays_sealed_until_one_can() {
    let dir = tempfile::tempdir().unwrap();
    let vault = vault(with(vec![])).await;
    // As Vault stores one.
    let table = json!({"type": "audit", "entries": [{
        "table": "audit", "path": "syslog/", "type": "syslog", "description": "", "uuid": "0f6f2a3e-0000-4000-8000-000000000000",
        "backend_aware_uuid": "", "accessor": "audit_syslog_1", "config": {}, "options": {}, "local": false, "seal_wrap": false, "namespace_id": "root"
    }]});
    vault.core.barrier.put("core/audit", table.to_string().as_bytes()).await.unwrap();
    assert!(matches!(again(&vault, with(vec![])).await, Err(Error::Refused(_))));
    let vault = again(&vault, with(vec![declared("a", &dir.path().join("a.log"), &[])])).await.unwrap();
    assert_eq!(vault.read("sys/audit").await.unwrap().as_object().unwrap().len(), 2);
    vault.call(Operation::Delete, "sys/audit/syslog", Value::Null).await.unwrap();
    assert_eq!(vault.read("sys/audit").await.unwrap().as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn lists_are_counted_and_accessors_shown_where_the_operator_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.log");
    let settings = [("elide_list_responses", "true"), ("hmac_accessor", "false"), ("prefix", "@cee: ")];
    let options = AuditOptions { devices: vec![declared("a", &file, &settings)], prefixing: true, ..AuditOptions::default() };
    let vault = vault(options).await;
    vault.write("cubbyhole/a", json!({"k": "v"})).await.unwrap();
    vault.call(Operation::List, "cubbyhole/", Value::Null).await.unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap().strip_prefix("@cee: ").unwrap()).unwrap();
    assert_eq!(last["response"]["data"], json!({"keys": 1}));
    let accessor = vault.read("auth/token/lookup-self").await.unwrap()["accessor"].clone();
    assert_eq!(last["auth"]["accessor"], accessor);
    assert!(last["auth"]["client_token"].as_str().unwrap().starts_with("hmac-sha256:"));
}

#[tokio::test]
async fn the_entry_of_a_seal_is_written_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.log");
    let vault = vault(with(vec![declared("a", &file, &[])])).await;
    vault.write("sys/seal", Value::Null).await.unwrap();
    let found = entries(&file);
    assert_eq!(found.last().unwrap()["request"]["path"], "sys/seal");
    assert_eq!(found.last().unwrap()["request"].get("mount_point"), None);
    assert!(of(&found, "response", "sys/seal").is_empty());
}
