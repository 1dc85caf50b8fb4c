//! Sockets, devices of a configuration that is read again, and what is recorded of headers and of wrapped answers.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use super::{again, declared, entries, of, text, vault, with};
use crate::audit::{AuditOptions, Declared};
use crate::core::tests::request;
use crate::logical::{Error, Operation, Request};

#[tokio::test]
async fn a_socket_device_of_the_api_gets_every_entry_and_none_means_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let vault = vault(AuditOptions { api: true, ..AuditOptions::default() }).await;
    // A device has to take a trial entry, which this address does once somebody listens there.
    let body = json!({"type": "socket", "options": {"address": address, "write_timeout": "60s"}});
    let (made, accepted) = tokio::join!(vault.write("sys/audit/s", body.clone()), listener.accept());
    made.unwrap();
    let mut lines = BufReader::new(accepted.unwrap().0).lines();
    let mut next = async || -> Value { serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap() };
    assert_eq!(next().await["request"]["path"], "sys/audit/test");
    assert_eq!(
        (next().await["type"].take(), vault.read("sys/audit").await.unwrap()["s/"]["type"].take()),
        (json!("response"), json!("socket"))
    );
    assert_eq!(next().await["request"]["path"], "sys/audit");
    drop(lines);
    drop(listener);
    // With the other end gone, and nobody to connect to, nothing is done.
    assert!(matches!(vault.write("cubbyhole/a", json!({"k": "v"})).await, Err(Error::Internal(_))));
    assert!(matches!(vault.read("cubbyhole/a").await, Err(Error::Internal(_))));
    let listener = TcpListener::bind(&address).await.unwrap();
    let drain = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    assert!(matches!(vault.read("cubbyhole/a").await, Err(Error::NotFound)), "the write was done");
    vault.call(Operation::Delete, "sys/audit/s", Value::Null).await.unwrap();
    drain.abort();
    assert!(drain.await.unwrap_err().is_cancelled());
    assert_eq!(text(vault.write("sys/audit/s", body).await), "audit backend failed test message");
}

#[tokio::test]
async fn a_configuration_that_is_read_again_decides_over_its_devices() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let (one, two) = (declared("one", &file("1.log"), &[]), declared("two", &file("2.log"), &[]));
    let vault = vault(with(vec![one.clone()])).await;
    vault.core.reconcile_audit(vec![two.clone()]).await.unwrap();
    let names = async || vault.read("sys/audit").await.unwrap().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names().await, ["two/"]);
    let before = entries(&file("1.log")).len();
    vault.write("cubbyhole/a", json!({"k": "v"})).await.unwrap();
    assert_eq!((entries(&file("1.log")).len(), of(&entries(&file("2.log")), "response", "cubbyhole/a").len()), (before, 1));
    // A changed one is refused, and so is one that cannot be used; what was there stays.
    for wrong in
        [Declared { description: "other".to_owned(), ..two.clone() }, declared("three", std::path::Path::new("/proc/none/a.log"), &[])]
    {
        assert!(matches!(vault.core.reconcile_audit(vec![two.clone(), wrong]).await, Err(Error::Refused(_))));
        assert_eq!(names().await, ["two/"]);
    }
    // A seal forgets none of it.
    vault.core.shutdown().await;
    crate::core::tests::unseal(&vault.core, &vault.key).await.unwrap();
    assert_eq!(names().await, ["two/"]);
    // While sealed it counts from the next unseal on.
    vault.core.shutdown().await;
    vault.core.reconcile_audit(vec![one, two]).await.unwrap();
    crate::core::tests::unseal(&vault.core, &vault.key).await.unwrap();
    assert_eq!(names().await, ["one/", "two/"]);
    assert!(again(&vault, with(vec![])).await.is_ok());
}

#[tokio::test]
async fn wrapped_answers_and_headers_are_recorded_without_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let (file, raw) = (dir.path().join("audit.log"), dir.path().join("raw.log"));
    let vault = vault(with(vec![declared("a", &file, &[]), declared("raw", &raw, &[("log_raw", "true")])])).await;
    vault.write("cubbyhole/a", json!({"k": "hunter2"})).await.unwrap();
    vault.write("sys/config/auditing/request-headers/X-Plain", json!({})).await.unwrap();
    vault.write("sys/config/auditing/request-headers/X-Hashed", json!({"hmac": true})).await.unwrap();
    assert_eq!(vault.core.audited_headers().unwrap().len(), 2);
    let headers = [("x-plain", "shown"), ("x-hashed", "hunter3"), ("x-hashed", "hunter4"), ("x-other", "hunter5")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let asked = request(Some(&vault.root), Operation::Read, "cubbyhole/a", Value::Null);
    let wrapped =
        vault.core.handle(Request { wrap_ttl: Some(Duration::from_secs(60)), headers, ..asked }).await.unwrap().wrap_info.unwrap();
    vault.write("sys/wrapping/unwrap", json!({ "token": wrapped.token.as_str() })).await.unwrap();

    let found = entries(&file);
    let hash = |text: &'static str| {
        let vault = &vault;
        async move { vault.write("sys/audit-hash/a", json!({ "input": text })).await.unwrap().data.unwrap()["hash"].clone() }
    };
    let read = of(&found, "response", "cubbyhole/a").last().unwrap().to_owned();
    assert_eq!(read["request"]["wrap_ttl"], 60);
    assert_eq!(read["request"]["headers"], json!({"x-plain": ["shown"], "x-hashed": [hash("hunter3").await, hash("hunter4").await]}));
    let info = &read["response"]["wrap_info"];
    assert_eq!((&info["ttl"], &info["creation_path"]), (&json!(60), &json!("cubbyhole/a")));
    assert!(info["token"].as_str().unwrap().starts_with("hmac-sha256:") && info["accessor"].as_str().unwrap().starts_with("hmac-sha256:"));
    assert!(read["response"].get("data").is_none());
    let unwrapped = of(&found, "response", "sys/wrapping/unwrap");
    assert_eq!(unwrapped[0]["response"]["data"], json!({"k": hash("hunter2").await}));
    let (text, control) = (std::fs::read_to_string(&file).unwrap(), std::fs::read_to_string(&raw).unwrap());
    for secret in ["hunter2", "hunter3", "hunter4", wrapped.token.as_str(), wrapped.accessor.as_str()] {
        assert!(!text.contains(secret), "{secret:?} is in the file");
        assert!(control.contains(secret), "{secret:?} was never asked for");
    }
    assert!(!text.contains("hunter5") && !control.contains("hunter5"));
}
