//! Another version of the storage on the server that leads, and on the one that stands by, while clients work: no request fails, the lead stays where it is, and the next
//! leader has the new version.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cofferdam_backend::Fencing;
use cofferdam_emulator::{Mini, Proxy};
use serde_json::json;

use super::grants::{OPERATIONS, configure, on_table};
use super::reload::work;
use super::{Place, digest, plugin, variant};
use crate::e2e::process::{Server, until};
use crate::ha::journal::story;
use crate::runtime::bytes;

/// Times that no slow machine outlasts: the lead changes when it is handed over, and not otherwise.
const STANZA: &str = r#"  table = "shared"
  ha_enabled = "true"
  fencing = "strict"
  ha { ttl = "300s" renew = "5s" retry = "200ms" margin = "10s" step_down_pause = "300s" }
"#;

/// Two servers, each with its own plugin directory and its own way to the table.
struct Pair {
    places: [Place; 2],
    proxies: Vec<Proxy>,
}

impl Pair {
    async fn new(mini: &Arc<Mini>, component: &[u8]) -> Pair {
        let places = [(); 2].map(|()| Place::new("tables", component));
        let proxies = vec![Proxy::start(mini).await.unwrap(), Proxy::start(mini).await.unwrap()];
        let pair = Pair { places, proxies };
        [0, 1].into_iter().for_each(|number| pair.put(number, component));
        pair
    }

    /// Puts a version into the place of a server, pinned.
    fn put(&self, number: usize, component: &[u8]) {
        self.places[number].put(component);
        let operations = [&OPERATIONS[..], &["CreateTable"]].concat();
        let grant = on_table("shared", self.proxies[number].endpoint(), &operations, &format!("AKID{number}"));
        configure(&self.places[number], component, STANZA, &grant);
    }
}

fn leads(server: &Server) -> bool {
    server.done("GET", "sys/leader", None)["is_self"] == json!(true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_stays_where_it_is_while_versions_change_under_load() {
    let mini = Arc::new(Mini::new());
    mini.keep_journal();
    let versions = [bytes("dynamodb"), variant(&bytes("dynamodb"), 1)];
    let pair = Pair::new(&mini, &versions[0]).await;
    let mut servers = pair.places.each_ref().map(Place::start);
    let made = servers[0].done("PUT", "sys/init", Some(json!({"secret_shares": 1, "secret_threshold": 1})));
    for server in &mut servers {
        server.token = made["root_token"].as_str().unwrap().to_owned();
        server.done("PUT", "sys/unseal", Some(json!({"key": made["keys_base64"][0]})));
        // Whoever is first leads, and the other finds it leading.
        until("the unseal", server, || matches!(server.call("GET", "sys/health", None).0, 200 | 429));
    }
    let health = |number: usize| servers[number].call("GET", "sys/health", None).0;
    until("a leader and a standby", &servers[0], || [200, 429].iter().all(|code| health(0) == *code || health(1) == *code));
    let first = usize::from(health(0) != 200);
    let second = 1 - first;
    let (leader, standby) = (&servers[first], &servers[second]);
    assert!(leads(leader) && !leads(standby));
    leader.done("POST", "sys/mounts/kv", Some(json!({"type": "kv"})));
    // The first of them made the vault.
    let led = |number: usize| format!("AKID{number}");
    let leaders = || story(&mini, Fencing::Strict, Duration::ZERO).leaders;
    let before = leaders();
    assert_eq!(before.last(), Some(&led(first)));

    let (over, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let written: Vec<u64> = std::thread::scope(|scope| {
        let (over, done) = (&over, &done);
        let clients: Vec<_> = (0..4).map(|client| scope.spawn(move || work(leader, client, over, done))).collect();
        let traffic_goes_on = |server: &Server| {
            let before = done.load(Ordering::SeqCst);
            until("requests after a reload", server, || {
                done.load(Ordering::SeqCst) >= before + 8 || clients.iter().any(|one| one.is_finished())
            });
            assert!(leads(leader), "the lead was lost:\n{}", leader.log());
        };
        for round in 1..=4 {
            let new = &versions[round % 2];
            pair.put(first, new);
            if round % 2 == 0 {
                leader.signal("HUP");
                until("the reload by SIGHUP", leader, || plugin(leader)["sha256"] == digest(new));
            } else {
                let reloaded = leader.done("PUT", "sys/plugins/reload", Some(json!({"plugin": "storage/tables"})));
                assert_eq!(reloaded["data"]["plugins"]["storage/tables"]["to"], digest(new), "{reloaded}");
            }
            traffic_goes_on(leader);
        }
        // A version that is cut off changes nothing, and neither does one that has another kind of lock: none.
        for (bad, reason) in [(versions[1][..versions[1].len() / 2].to_vec(), "it is damaged"), (bytes("filesystem"), "")] {
            pair.put(first, &bad);
            let (status, answer) = leader.call("PUT", "sys/plugins/reload", None);
            let refused = &answer["data"]["plugins"]["storage/tables"];
            assert_eq!((status, &refused["result"]), (400, &json!("refused")), "{answer}");
            assert!(refused["reason"].as_str().unwrap().contains(reason), "{answer}");
            assert_eq!(plugin(leader)["sha256"], digest(&versions[0]));
            traffic_goes_on(leader);
        }
        // The standby takes the new version, too. It cannot check a token, so that it is asked by a signal.
        pair.put(second, &versions[1]);
        standby.signal("HUP");
        until("the standby's reload", standby, || standby.log().contains("the plugin was reloaded"));
        traffic_goes_on(leader);
        over.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let status = plugin(leader)["status"].clone();
    assert_eq!((&status["reloaded"], &status["reopened"], &status["state"]), (&json!(4), &json!(0), &json!("running")), "{status}");

    // It hands the lead over, to the version that it never ran itself; all that was acknowledged is there.
    leader.done("PUT", "sys/step-down", None);
    until("the next leader", standby, || health(second) == 200);
    assert_eq!(plugin(standby)["sha256"], digest(&versions[1]));
    for (client, written) in written.iter().enumerate() {
        assert!(*written > 8, "client {client} wrote {written}");
        for n in (0..*written).filter(|n| n % 3 != 1 || n + 1 == *written) {
            assert_eq!(standby.done("GET", &format!("kv/load/{client}/{n}"), None)["data"]["n"], json!(n), "client {client}");
        }
    }
    standby.done("PUT", "kv/after", Some(json!({"x": "y"})));
    for server in &mut servers {
        server.stop();
    }
    // The table says the same: the lead went from the one to the other once, and nobody else changed anything.
    assert_eq!(leaders(), [&before[..], &[led(second)]].concat());
    let story = story(&mini, Fencing::Strict, Duration::ZERO);
    assert!(story.foreign.is_empty() && story.changes > 40, "{:?} of {}", story.foreign, story.changes);
}
