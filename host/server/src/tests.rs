//! The API over real sockets, on a storage in memory.

mod browser;
mod client;
mod ha;
mod plugins;
mod shares;
mod snapshot;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use cofferdam_test_support::Memory;
use cofferdam_vault::core::{Core, Options};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::client::{Client, Reply};
use crate::{ListenerConfig, Metrics, Server, ServerOptions, TlsConfig};

/// A server on a free port, stopped when it is dropped.
struct Running {
    client: Client,
    reload: crate::Reload,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

fn options() -> Options {
    Options {
        default_lease_ttl: Duration::from_secs(3600),
        max_lease_ttl: Duration::from_secs(7200),
        api_addr: String::new(),
        cluster_addr: String::new(),
        cluster_name: None,
        storage_type: "memory".to_owned(),
        version: "0.1.0".to_owned(),
        build_date: String::new(),
        cache: true,
        ha: None,
        seal: cofferdam_vault::seal::SealOptions::default(),
        lockout: cofferdam_vault::lockout::LockoutOptions::default(),
        audit: cofferdam_vault::audit::AuditOptions::default(),
        sts: None,
    }
}

fn core() -> Arc<Core> {
    Core::new(Arc::new(Memory::default()), options())
}

fn listener(tls: Option<TlsConfig>) -> ListenerConfig {
    ListenerConfig {
        address: "127.0.0.1:0".parse().unwrap(),
        tls,
        max_request_size: 64 << 10,
        max_request_duration: Duration::from_secs(30),
        unauthenticated_metrics: false,
        disable_unauthed_rekey_endpoints: true,
        disable_unauthed_generate_root_endpoints: true,
    }
}

impl Running {
    async fn start(config: ListenerConfig) -> Running {
        Running::start_with(config, ServerOptions { grace: Duration::from_secs(60), ..ServerOptions::default() }).await
    }

    async fn start_with(config: ListenerConfig, options: ServerOptions) -> Running {
        Running::start_core(core(), config, options).await
    }

    async fn start_core(core: Arc<Core>, config: ListenerConfig, options: ServerOptions) -> Running {
        Running::start_prepared(core, config, options, |_| {}).await
    }

    async fn start_prepared(core: Arc<Core>, config: ListenerConfig, options: ServerOptions, prepare: impl FnOnce(&Server)) -> Running {
        let metrics = Metrics::of(PrometheusBuilder::new().build_recorder().handle());
        let server = Server::bind(core, vec![config], metrics, options).await.unwrap();
        prepare(&server);
        let client = Client::plain(server.addresses()[0]);
        let reload = server.reload_handle();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async move { drop(stopped.await) }));
        Running { client, reload, stop: Some(stop), task }
    }

    async fn unsealed() -> (Running, String) {
        let running = Running::start(listener(None)).await;
        let root = running.unseal().await;
        (running, root)
    }

    /// Makes a vault and unseals it; gives its root token.
    async fn unseal(&self) -> String {
        let made = self.client.send("PUT", "sys/init", None, r#"{"secret_shares":1,"secret_threshold":1}"#).await;
        assert_eq!(made.status, 200, "{made:?}");
        let key = made.json()["keys"][0].as_str().unwrap().to_owned();
        let opened = self.client.send("PUT", "sys/unseal", None, &json!({ "key": key }).to_string()).await;
        assert_eq!(opened.json()["sealed"], false, "{opened:?}");
        made.json()["root_token"].as_str().unwrap().to_owned()
    }

    async fn stop(mut self) {
        drop(self.stop.take());
        self.task.await.unwrap();
    }
}

fn errors(reply: &Reply) -> Value {
    reply.json()["errors"].clone()
}

#[tokio::test]
async fn before_init_the_state_is_told_and_everything_else_refused() {
    let running = Running::start(listener(None)).await;
    let client = &running.client;
    assert_eq!(client.send("GET", "sys/health", None, "").await.status, 501);
    assert_eq!(client.send("GET", "sys/health?uninitcode=299", None, "").await.status, 299);
    let status = client.send("GET", "sys/seal-status", None, "").await;
    assert_eq!((status.status, &status.json()["initialized"], &status.json()["sealed"]), (200, &json!(false), &json!(true)));
    assert_eq!(client.send("GET", "sys/init", None, "").await.json(), json!({ "initialized": false }));
    let refused = client.send("GET", "secret/data/a", Some("t"), "").await;
    assert_eq!((refused.status, errors(&refused)), (503, json!(["Vault is sealed"])));
    running.stop().await;
}

#[tokio::test]
async fn a_secret_is_written_read_and_listed() {
    let (running, root) = Running::unsealed().await;
    let (client, root) = (&running.client, Some(root.as_str()));
    assert_eq!(client.send("GET", "sys/health", None, "").await.status, 200);
    assert_eq!(client.send("POST", "sys/mounts/secret", root, r#"{"type":"kv","options":{"version":"2"}}"#).await.status, 204);
    let written = client.send("PUT", "secret/data/a/b", root, r#"{"data":{"n":1.10}}"#).await;
    assert_eq!((written.status, &written.json()["data"]["version"]), (200, &json!(1)), "{written:?}");
    let read = client.send("GET", "secret/data/a/b?version=1", root, "").await;
    assert!(read.text().contains(r#""n":1.10"#), "{read:?}");
    for list in ["secret/metadata/?list=true", "secret/metadata?list=1"] {
        assert_eq!(client.send("GET", list, root, "").await.json()["data"]["keys"], json!(["a/"]));
    }
    assert_eq!(client.send("LIST", "secret/metadata/a", root, "").await.json()["data"]["keys"], json!(["b"]));
    let deleted = client.send("DELETE", "secret/data/a/b", root, "").await;
    assert_eq!((deleted.status, deleted.text().as_str()), (204, ""));
    running.stop().await;
}

#[tokio::test]
async fn envelopes_have_every_member_that_clients_look_for() {
    let (running, root) = Running::unsealed().await;
    let reply = running.client.send("GET", "auth/token/lookup-self", Some(&root), "").await;
    let envelope = reply.json();
    let members: Vec<_> = envelope.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["auth", "data", "lease_duration", "lease_id", "renewable", "request_id", "warnings", "wrap_info"]);
    let flat = running.client.send("GET", "sys/mounts", Some(&root), "").await.json();
    assert_eq!(flat["sys/"], flat["data"]["sys/"]);
    assert!(flat["sys/"].is_object());
    running.stop().await;
}

#[tokio::test]
async fn bad_requests_get_the_status_and_text_of_vault() {
    let (running, root) = Running::unsealed().await;
    let (client, root) = (&running.client, Some(root.as_str()));
    let cases = [
        ("GET", "secret/data/x", None, "", 403, json!(["permission denied"])),
        ("GET", "secret/data/x", Some("bad"), "", 403, json!(["permission denied"])),
        ("GET", "nosuch/x", root, "", 404, json!(["no handler for route \"nosuch/x\". route entry not found."])),
        ("FOO", "sys/mounts", root, "", 405, json!([])),
        ("PUT", "sys/seal-status", root, "", 405, json!([])),
        ("PUT", "sys/unseal", None, "{}", 400, json!(["'key' must be specified in request body as JSON, or 'reset' set to true"])),
        ("PUT", "sys/init", None, r#"{"secret_shares":1,"secret_threshold":1}"#, 400, json!(["Vault is already initialized"])),
    ];
    for (method, path, token, body, status, texts) in cases {
        let reply = client.send(method, path, token, body).await;
        assert_eq!((reply.status, errors(&reply)), (status, texts), "{method} {path}");
    }
    let malformed = client.send("PUT", "sys/policies/acl/p", root, "{bad").await;
    assert_eq!(malformed.status, 400);
    assert!(errors(&malformed)[0].as_str().unwrap().starts_with("failed to decode JSON input"), "{malformed:?}");
    let large = client.send("PUT", "cubbyhole/x", root, &json!({ "a": "x".repeat(65 << 10) }).to_string()).await;
    assert_eq!((large.status, errors(&large)), (413, json!(["http: request body too large"])));
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_still_sends_what_is_too_large_gets_to_reading_the_refusal() {
    let (running, root) = Running::unsealed().await;
    let mut begun = running.client.begin("PUT", "cubbyhole/x", Some(&root)).await;
    // The limit is passed with the sixth.
    for _ in 0..10 {
        begun.more(&"x".repeat(12 << 10)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let refused = begun.finish("x").await;
    assert_eq!((refused.status, errors(&refused)), (413, json!(["http: request body too large"])));
    running.stop().await;
}

#[tokio::test]
async fn headers_decide_namespace_and_patch() {
    let (running, root) = Running::unsealed().await;
    let client = running.client.clone().with("x-vault-token", &root);
    let namespace = client.clone().with("x-vault-namespace", "team").send("GET", "sys/mounts", None, "").await;
    assert_eq!((namespace.status, errors(&namespace)), (404, json!(["namespace not found"])));
    assert_eq!(client.clone().with("x-vault-namespace", "root/").send("GET", "sys/mounts", None, "").await.status, 200);
    assert_eq!(client.send("PATCH", "cubbyhole/x", None, "{}").await.status, 415);
    let form = client.clone().with("content-type", "application/x-www-form-urlencoded");
    assert_eq!(form.send("PUT", "cubbyhole/x", None, r#"{"a":"b"}"#).await.status, 204);
    assert_eq!(client.send("GET", "cubbyhole/x", None, "").await.json()["data"], json!({ "a": "b" }));
    let moved = client.send("GET", "cubbyhole//x?a=b", None, "").await;
    assert_eq!((moved.status, moved.header("location")), (307, "/v1/cubbyhole/x?a=b"));
    running.stop().await;
}

#[tokio::test]
async fn metrics_want_a_token_unless_the_listener_says_otherwise() {
    let (running, root) = Running::unsealed().await;
    assert_eq!(running.client.send("GET", "sys/metrics", None, "").await.status, 403);
    let read = running.client.send("GET", "sys/metrics", Some(&root), "").await;
    assert_eq!((read.status, read.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    running.stop().await;
    let open = Running::start(ListenerConfig { unauthenticated_metrics: true, ..listener(None) }).await;
    assert_eq!(open.client.send("GET", "sys/metrics", None, "").await.status, 200);
    open.stop().await;
}

#[tokio::test]
async fn stopping_lets_a_request_under_way_finish_and_takes_no_more() {
    let (running, root) = Running::unsealed().await;
    let client = running.client.clone();
    let begun = client.begin("PUT", "cubbyhole/slow", Some(&root)).await;
    let stopping = tokio::spawn(running.stop());
    let begun_to_stop = std::time::Instant::now();
    while !client.refused().await {
        assert!(begun_to_stop.elapsed() < Duration::from_secs(60), "a new connection was taken");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let reply = begun.finish(r#"{"a":"b"}"#).await;
    assert_eq!(reply.status, 204, "{reply:?}");
    stopping.await.unwrap();
}

#[tokio::test]
async fn connections_are_bounded_and_idle_ones_closed() {
    let options = ServerOptions { idle: Duration::from_millis(300), connections: 2, ..ServerOptions::default() };
    let running = Running::start_with(listener(None), options).await;
    let begun = std::time::Instant::now();
    let (first, second) = (running.client.idle().await, running.client.idle().await);
    assert_eq!(running.client.send("GET", "sys/init", None, "").await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(290), "a third connection was taken beside two");
    assert!(first.closed().await && second.closed().await);
    running.stop().await;
}
