//! Two servers on one storage: what a standby answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam_backend::Fencing;
use cofferdam_test_support::{Node, Shared};
use cofferdam_vault::core::{Core, Elsewhere, Options};
use cofferdam_vault::ha::{HaOptions, Times};
use serde_json::{Value, json};

use super::{Running, errors, listener, options};
use crate::ServerOptions;

const LONG: Duration = Duration::from_secs(60);
/// Nobody loses the lead by being slow.
const STEADY: Duration = Duration::from_secs(60);

struct Server {
    running: Running,
    core: Arc<Core>,
    node: Node,
}

async fn start(shared: &Shared, api_addr: &str, ttl: Duration) -> Server {
    let node = shared.node(Fencing::Lease);
    let times = Times {
        ttl,
        renew: Duration::from_millis(300),
        retry: Duration::from_millis(25),
        margin: Duration::from_millis(200),
        step_down_pause: Duration::from_secs(20),
    };
    let ha = HaOptions { lock: Arc::new(node.clone()), lease: node.lease().clone(), times };
    let options = Options { api_addr: api_addr.to_owned(), ha: Some(ha), ..options() };
    let core = Core::new(Arc::new(node.clone()), options);
    let serve = |server: &crate::Server| server.serve_plugins(Arc::new(super::plugins::Scripted::default()));
    let running = Running::start_prepared(core.clone(), listener(None), ServerOptions::default(), serve).await;
    Server { running, core, node }
}

/// An active server, a standby that knows it, and the root token.
async fn pair(shared: &Shared, active: &str, ttl: Duration) -> (Server, Server, String) {
    let (first, second) = (start(shared, active, ttl).await, start(shared, "https://second.example:8200", ttl).await);
    let sealed = first.running.client.send("GET", "sys/leader", None, "").await;
    assert_eq!((sealed.status, errors(&sealed)), (503, json!(["Vault is sealed"])));
    let made = first.running.client.send("PUT", "sys/init", None, r#"{"secret_shares":1,"secret_threshold":1}"#).await;
    assert_eq!(made.status, 200, "{made:?}");
    let (key, root) = (made.json()["keys"][0].clone(), made.json()["root_token"].as_str().unwrap().to_owned());
    for server in [&first, &second] {
        let opened = server.running.client.send("PUT", "sys/unseal", None, &json!({ "key": key }).to_string()).await;
        assert_eq!(opened.json()["sealed"], false, "{opened:?}");
        if server.running.client.send("GET", "sys/health", None, "").await.status != 200 {
            assert!(first.core.wait_active(LONG).await);
        }
    }
    let begun = Instant::now();
    while second.core.elsewhere() == Elsewhere::Nobody {
        assert!(begun.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (first, second, root)
}

#[tokio::test]
async fn a_standby_tells_that_it_is_one_and_sends_clients_to_the_active_server() {
    let (active, standby, root) = pair(&Shared::default(), "http://first.example:8200/vault", STEADY).await;
    let (active, client, root) = (&active.running.client, &standby.running.client, Some(root.as_str()));
    assert_eq!(active.send("GET", "sys/health", None, "").await.status, 200);
    let health = client.send("GET", "sys/health", None, "").await;
    assert_eq!((health.status, &health.json()["standby"], &health.json()["sealed"]), (429, &json!(true), &json!(false)));
    assert_eq!(client.send("GET", "sys/health?standbyok=true", None, "").await.status, 200);
    assert_eq!(client.send("GET", "sys/health?standbycode=299", None, "").await.status, 299);
    assert_eq!(client.send("GET", "sys/seal-status", None, "").await.json()["sealed"], false);
    assert_eq!(client.send("GET", "sys/init", None, "").await.json(), json!({ "initialized": true }));
    let leader = client.send("GET", "sys/leader", None, "").await.json();
    assert_eq!((&leader["is_self"], &leader["leader_address"]), (&json!(false), &json!("http://first.example:8200/vault")));
    assert_eq!(active.send("GET", "sys/leader", None, "").await.json()["is_self"], true);
    for (method, path) in [
        ("GET", "secret/data/a%20b?version=2"),
        ("PUT", "secret/data/a"),
        ("GET", "sys/ha-status"),
        ("PUT", "sys/step-down"),
        ("GET", "sys/metrics?format=prometheus"),
    ] {
        let sent = client.send(method, path, root, if method == "PUT" { r#"{"data":{}}"# } else { "" }).await;
        let location = format!("http://first.example:8200/v1/{path}");
        assert_eq!((sent.status, sent.header("location"), sent.text().as_str()), (307, location.as_str(), ""), "{path}");
    }
    // Its plugins are its own: who asks for them is not sent to another server.
    for (method, path) in [("GET", "sys/plugins"), ("PUT", "sys/plugins/reload")] {
        let refused = client.send(method, path, root, "").await;
        assert!(refused.status == 503 && errors(&refused)[0].as_str().unwrap().contains("SIGHUP"), "{refused:?}");
    }
    let seal = client.send("PUT", "sys/seal", root, "").await;
    let text = "vault cannot seal when in standby mode; please restart instead";
    assert_eq!((seal.status, errors(&seal)), (500, json!([text])));
    let nodes = active.send("GET", "sys/ha-status", root, "").await.json()["data"]["nodes"].clone();
    assert_eq!((&nodes[0]["active_node"], &nodes[0]["api_address"]), (&json!(true), &json!("http://first.example:8200/vault")));
    assert_eq!(active.send("GET", "sys/ha-status", None, "").await.status, 403);
}

#[tokio::test]
async fn a_standby_lets_the_same_pages_ask_as_the_active_server() {
    let (active, standby, root) = pair(&Shared::default(), "http://first.example:8200", STEADY).await;
    let set = active.running.client.send("PUT", "sys/config/cors", Some(&root), r#"{"allowed_origins":"http://a.example"}"#).await;
    assert_eq!(set.status, 204, "{set:?}");
    let page = |origin: &str| standby.running.client.clone().with("origin", origin);
    let begun = Instant::now();
    while page("http://b.example").send("GET", "sys/health", None, "").await.status != 403 {
        assert!(begun.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for (path, status) in [("sys/health", 429), ("sys/leader", 200), ("secret/a", 307)] {
        let allowed = page("http://a.example").send("GET", path, None, "").await;
        assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (status, "http://a.example"), "{path}");
    }
    let asks = page("http://a.example").with("access-control-request-method", "PUT");
    assert_eq!(asks.send("OPTIONS", "secret/data/a", None, "").await.status, 200);
    let off = active.running.client.send("DELETE", "sys/config/cors", Some(&root), "").await;
    assert_eq!(off.status, 204, "{off:?}");
    let begun = Instant::now();
    while page("http://b.example").send("GET", "sys/health", None, "").await.status == 403 {
        assert!(begun.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_step_down_wants_sudo_and_moves_the_leadership() {
    let (first, second, root) = pair(&Shared::default(), "http://first.example:8200", STEADY).await;
    let client = &first.running.client;
    let refused = client.send("PUT", "sys/step-down", Some("no token"), "").await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(client.send("PUT", "sys/step-down", Some(&root), "").await.status, 204);
    assert_eq!(client.send("GET", "sys/health", None, "").await.status, 429);
    assert!(second.core.wait_active(LONG).await);
    assert_eq!(second.running.client.send("GET", "auth/token/lookup-self", Some(&root), "").await.status, 200);
    let begun = Instant::now();
    loop {
        let sent = client.send("GET", "auth/token/lookup-self", Some(&root), "").await;
        if sent.status == 307 {
            assert_eq!(sent.header("location"), "https://second.example:8200/v1/auth/token/lookup-self");
            break;
        }
        assert_eq!((sent.status, errors(&sent)), (503, json!(["no active Vault instance found"])));
        assert!(begun.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn without_a_leader_and_without_its_address_clients_are_told() {
    // It loses the lead here, and not before.
    let (active, standby, root) = pair(&Shared::default(), "", Duration::from_secs(5)).await;
    let sent = standby.running.client.send("GET", "secret/a", Some(&root), "").await;
    assert_eq!((sent.status, errors(&sent)), (500, json!(["local node not active but active cluster node not found"])));
    for server in [&active, &standby] {
        server.node.link().cut(true);
    }
    let begun = Instant::now();
    while standby.core.elsewhere() != Elsewhere::Nobody || !active.core.standby() {
        assert!(begun.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let sent = standby.running.client.send("GET", "secret/a", Some(&root), "").await;
    assert_eq!((sent.status, errors(&sent)), (503, json!(["no active Vault instance found"])));
    let cut_off: Value = active.running.client.send("GET", "sys/health", None, "").await.json();
    assert_eq!((&cut_off["standby"], &cut_off["sealed"]), (&json!(true), &json!(false)));
}
