//! Plugins: who may ask for them, and what health says of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Running, core, errors, listener};
use crate::{Plugins, Reloaded, Server, ServerOptions, UnknownPlugin};

#[derive(Default)]
pub(super) struct Scripted {
    troubles: Mutex<BTreeMap<String, String>>,
    reloads: Mutex<Vec<Option<String>>>,
}

#[async_trait]
impl Plugins for Scripted {
    fn list(&self) -> Vec<Value> {
        vec![json!({"plugin": "storage/memory"})]
    }

    async fn reload(&self, plugin: Option<&str>) -> Result<BTreeMap<String, Reloaded>, UnknownPlugin> {
        self.reloads.lock().unwrap().push(plugin.map(str::to_owned));
        let of = |name: &str, reloaded| (name.to_owned(), reloaded);
        let replaced = || of("storage/memory", Reloaded::Reloaded { from: "one".to_owned(), to: "two".to_owned() });
        match plugin {
            Some("storage/memory") => Ok([replaced()].into()),
            Some(_) => Err(UnknownPlugin(vec!["seal/x".to_owned(), "storage/memory".to_owned()])),
            None => Ok([replaced(), of("seal/x", Reloaded::Refused { reason: "it is not pinned".to_owned() })].into()),
        }
    }

    fn troubles(&self) -> BTreeMap<String, String> {
        self.troubles.lock().unwrap().clone()
    }

    fn storage_lost(&self) -> bool {
        self.troubles.lock().unwrap().contains_key("storage/memory")
    }
}

async fn start() -> (Running, Arc<Scripted>, String) {
    let plugins = Arc::new(Scripted::default());
    let serve = |server: &Server| server.serve_plugins(plugins.clone());
    let running = Running::start_prepared(core(), listener(None), ServerOptions::default(), serve).await;
    let root = running.unseal().await;
    (running, plugins, root)
}

#[tokio::test]
async fn plugins_are_shown_to_who_may_read_them_and_reloaded_by_who_has_sudo() {
    let (running, plugins, root) = start().await;
    let client = &running.client;
    for (path, policy) in [
        ("reader", r#"path "sys/plugins" { capabilities = ["read"] } path "sys/plugins/reload" { capabilities = ["update"] }"#),
        ("keeper", r#"path "sys/plugins/reload" { capabilities = ["update", "sudo"] }"#),
    ] {
        let body = json!({ "policy": policy }).to_string();
        assert_eq!(client.send("PUT", &format!("sys/policies/acl/{path}"), Some(&root), &body).await.status, 204);
    }
    let token = async |policy: &str| {
        let made = client.send("POST", "auth/token/create", Some(&root), &json!({ "policies": [policy] }).to_string()).await;
        made.json()["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    let (reader, keeper) = (token("reader").await, token("keeper").await);
    let listed = client.send("GET", "sys/plugins", Some(&reader), "").await;
    assert_eq!((listed.status, &listed.json()["data"]["plugins"][0]["plugin"]), (200, &json!("storage/memory")), "{listed:?}");
    for (method, path, token) in [
        ("GET", "sys/plugins", None),
        ("GET", "sys/plugins", Some(&keeper)),
        ("PUT", "sys/plugins/reload", Some(&reader)),
        ("POST", "sys/plugins/reload", None),
    ] {
        assert_eq!(client.send(method, path, token.map(String::as_str), "").await.status, 403, "{method} {path}");
    }
    assert!(plugins.reloads.lock().unwrap().is_empty(), "a reload was done for who may not have it");
    assert_eq!(client.send("PUT", "sys/plugins", Some(&root), "").await.status, 405);
    let one = client.send("PUT", "sys/plugins/reload", Some(&keeper), r#"{"plugin": "storage/memory"}"#).await;
    let done = json!({"storage/memory": {"result": "reloaded", "from": "one", "to": "two"}});
    assert_eq!((one.status, &one.json()["data"]["plugins"]), (200, &done), "{one:?}");
    let all = client.send("POST", "sys/plugins/reload", Some(&keeper), "").await;
    assert_eq!((all.status, errors(&all)), (400, json!(["seal/x: it is not pinned"])));
    assert_eq!(all.json()["data"]["plugins"]["storage/memory"], done["storage/memory"]);
    let unknown = client.send("POST", "sys/plugins/reload", Some(&root), r#"{"plugin": "x"}"#).await;
    assert_eq!(
        (unknown.status, errors(&unknown)),
        (400, json!(["plugin: there is no such plugin; this server runs seal/x, storage/memory"]))
    );
    running.stop().await;
}

#[tokio::test]
async fn a_plugin_in_trouble_is_in_health_and_status_and_without_a_storage_the_server_is_not_well() {
    let (running, plugins, _) = start().await;
    let client = &running.client;
    let whole = client.send("GET", "sys/health", None, "").await;
    assert_eq!((whole.status, whole.json().get("plugins")), (200, None));
    let trouble = |name: &str, text: &str| plugins.troubles.lock().unwrap().insert(name.to_owned(), text.to_owned());
    trouble("seal/x", "quarantined: breach");
    let shown = json!({"seal/x": "quarantined: breach"});
    let health = client.send("GET", "sys/health", None, "").await;
    assert_eq!((health.status, &health.json()["plugins"], &health.json()["sealed"]), (200, &shown, &json!(false)));
    let status = client.send("GET", "sys/seal-status", None, "").await.json();
    assert_eq!((&status["plugins"], &status["sealed"], &status["t"]), (&shown, &json!(false), &json!(1)));
    trouble("storage/memory", "quarantined: timed-out");
    let health = client.send("GET", "sys/health?standbyok=true", None, "").await;
    assert_eq!((health.status, &health.json()["plugins"]["storage/memory"]), (503, &json!("quarantined: timed-out")));
    running.stop().await;
}

#[tokio::test]
async fn a_server_without_plugins_has_no_such_path() {
    let (running, root) = Running::unsealed().await;
    assert_eq!(running.client.send("GET", "sys/plugins", Some(&root), "").await.status, 404);
    running.stop().await;
}
