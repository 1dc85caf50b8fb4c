//! Two processes of the built server on one table: one is stopped for longer than its lease and goes on, one is killed. Clients know both addresses and follow
//! redirects, as the field's clients do.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cofferdam_backend::Fencing;
use cofferdam_emulator::{Mini, Proxy};
use serde_json::{Value, json};
use ureq::http::Request;

use super::cluster::{LONG, name};
use super::journal::story;
use crate::e2e::process::{Server, coffer, free_port};

/// Leases short enough to outlast, and long enough not to be lost by a machine that stands still for a moment.
pub(crate) const TIMES: &str = r#"ttl = "6s" renew = "500ms" retry = "200ms" margin = "800ms" step_down_pause = "2s""#;
/// TTL and margin.
const SILENCE: Duration = Duration::from_millis(6_800);
const WRITERS: usize = 2;

/// Writes a server's configuration; gives its address.
fn configure(dir: &Path, number: usize, endpoint: &str, fencing: Fencing) -> String {
    let address = format!("127.0.0.1:{}", free_port());
    let fencing = if fencing == Fencing::Strict { "strict" } else { "lease" };
    let text = format!(
        r#"storage "dynamodb" {{
            table = "shared" region = "eu-central-1" endpoint = "{endpoint}" access_key = "{}" secret_key = "none"
            ha_enabled = "true" fencing = "{fencing}" ha {{ {TIMES} }}
        }}
        listener "tcp" {{ address = "{address}" tls_disable = true }}
        api_addr = "http://{address}"
        "#,
        name(number)
    );
    fs::write(dir.join(format!("{number}.hcl")), text).unwrap();
    format!("http://{address}")
}

fn start(dir: &Path, number: usize, address: &str) -> Server {
    let mut command = coffer();
    command.args(["server", "--config"]).arg(dir.join(format!("{number}.hcl")));
    Server::start(&mut command, address, dir.join(format!("log-{number}")), None)
}

/// The status of an answer, where it sends the client, and its JSON.
struct Answer {
    status: u16,
    location: String,
    body: Value,
}

/// A client that knows all servers.
struct Client {
    agent: ureq::Agent,
    addresses: Vec<String>,
    token: String,
}

impl Client {
    fn new(addresses: &[String], token: &str) -> Client {
        let config = ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true).max_redirects(0);
        let agent = config.timeout_global(Some(LONG)).build().into();
        Client { agent, addresses: addresses.to_vec(), token: token.to_owned() }
    }

    /// One request to one server. None if there is no answer.
    fn ask(&self, url: &str, method: &str, body: Option<&Value>) -> Option<Answer> {
        let request = Request::builder().method(method).uri(url).header("X-Vault-Token", &self.token);
        let mut response = self.agent.run(request.body(body.map(Value::to_string).unwrap_or_default()).unwrap()).ok()?;
        let location = response.headers().get("location").map_or("", |location| location.to_str().unwrap()).to_owned();
        let text = response.body_mut().read_to_string().ok()?;
        Some(Answer { status: response.status().as_u16(), location, body: serde_json::from_str(&text).unwrap_or(Value::Null) })
    }

    fn url(&self, number: usize, path: &str) -> String {
        format!("{}/v1/{path}", self.addresses[number])
    }

    /// One request, by way of the server of this number, to wherever that sends it. None if it was not done.
    fn once(&self, number: usize, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
        let mut url = self.url(number, path);
        for _ in 0..3 {
            let answer = self.ask(&url, method, body)?;
            match answer.status {
                200..=299 => return Some(answer.body),
                307 => url = answer.location,
                500..=599 => return None,
                status => panic!("{method} {path}: {status} {}", answer.body),
            }
        }
        None
    }

    /// A request that is repeated until it is done.
    fn done(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let begun = Instant::now();
        loop {
            if let Some(answer) = (0..self.addresses.len()).find_map(|number| self.once(number, method, path, body)) {
                return answer;
            }
            assert!(begun.elapsed() < LONG, "{method} {path} was not done");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same by way of the server of this number alone.
    fn insist(&self, number: usize, method: &str, path: &str, body: Option<&Value>) -> Value {
        let begun = Instant::now();
        loop {
            if let Some(answer) = self.once(number, method, path, body) {
                return answer;
            }
            assert!(begun.elapsed() < LONG, "{method} {path} was not done by way of {number}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn health(&self, number: usize) -> u16 {
        self.ask(&self.url(number, "sys/health"), "GET", None).map_or(0, |answer| answer.status)
    }

    /// Waits for an active server among these, and gives it.
    fn active(&self, among: &[usize]) -> usize {
        let begun = Instant::now();
        loop {
            if let Some(number) = among.iter().find(|number| self.health(**number) == 200) {
                return *number;
            }
            assert!(begun.elapsed() < LONG, "no server becomes active");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a server stands by and sends clients to the other.
    fn stands_by(&self, number: usize, active: usize) {
        let begun = Instant::now();
        let there = self.url(active, "s/x?y=z");
        loop {
            let answer = self.ask(&self.url(number, "s/x?y=z"), "GET", None).unwrap();
            if answer.status == 307 && answer.location == there {
                break;
            }
            assert!(begun.elapsed() < LONG, "server {number}: {} {:?} {}", answer.status, answer.location, answer.body);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(self.health(number), 429);
        for (at, is_self) in [(number, false), (active, true)] {
            let leader = self.ask(&self.url(at, "sys/leader"), "GET", None).unwrap().body;
            let expected = (&json!(true), &json!(is_self), &json!(self.addresses[active]));
            assert_eq!((&leader["ha_enabled"], &leader["is_self"], &leader["leader_address"]), expected, "{leader}");
        }
    }
}

/// What init answers. It is refused if it takes longer than its lease.
fn initialised(server: &Server) -> Value {
    let begun = Instant::now();
    loop {
        match server.call("PUT", "sys/init", Some(json!({"secret_shares": 1, "secret_threshold": 1}))) {
            (200, made) => return made,
            (500, _) if begun.elapsed() < LONG => {}
            (status, answer) => panic!("PUT sys/init: {status} {answer}\n{}", server.log()),
        }
    }
}

/// Ends the writers also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Writes growing numbers, always by way of one server first. Gives the last that was acknowledged, the last that was tried, and how many were acknowledged.
fn write(client: &Client, writer: usize, over: &AtomicBool) -> (u64, u64, u64) {
    let (mut acknowledged, mut tried, mut count) = (0, 0, 0);
    while !over.load(Ordering::SeqCst) {
        for number in [writer, 1 - writer] {
            tried += 1;
            if client.once(number, "POST", &format!("s/w{writer}"), Some(&json!({"v": tried}))).is_some() {
                (acknowledged, count) = (tried, count + 1);
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    (acknowledged, tried, count)
}

async fn stopped_and_killed(fencing: Fencing) {
    let (mini, dir) = (Arc::new(Mini::new()), tempfile::tempdir().unwrap());
    mini.keep_journal();
    let (mut proxies, mut addresses) = (Vec::new(), Vec::new());
    for number in 0..2 {
        let proxy = Proxy::start(&mini).await.unwrap();
        addresses.push(configure(dir.path(), number, proxy.endpoint(), fencing));
        proxies.push(proxy);
    }
    let mut servers: Vec<Server> = addresses.iter().enumerate().map(|(number, address)| start(dir.path(), number, address)).collect();
    let made = initialised(&servers[0]);
    let key = json!({"key": made["keys_base64"][0]});
    for server in &servers {
        assert_eq!(server.done("PUT", "sys/unseal", Some(key.clone()))["sealed"], json!(false));
    }
    let client = Client::new(&addresses, made["root_token"].as_str().unwrap());
    let first = client.active(&[0, 1]);
    let second = 1 - first;
    client.stands_by(second, first);
    client.done("POST", "sys/mounts/s", Some(&json!({"type": "kv"})));
    client.done("POST", "s/x", Some(&json!({"v": 1})));

    let over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let end = End(&over);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let (client, over) = (&client, &over);
                    move || write(client, writer, over)
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(200));

        // The leader is stopped with requests under way and before it; they are what it sees first when it goes on.
        servers[first].signal("STOP");
        let read = scope.spawn(|| client.ask(&client.url(first, "s/x"), "GET", None).unwrap());
        let put = scope.spawn(|| client.ask(&client.url(first, "s/x"), "POST", Some(&json!({"v": 9}))).unwrap());
        client.active(&[second]);
        client.insist(second, "POST", "s/x", Some(&json!({"v": 2})));
        servers[first].signal("CONT");
        for answer in [read.join().unwrap(), put.join().unwrap()] {
            assert!(matches!(answer.status, 307 | 503), "answered without the lease: {} {}", answer.status, answer.body);
        }
        client.stands_by(first, second);
        assert_eq!(client.insist(first, "GET", "s/x", None)["data"]["v"], json!(2));

        // The leader dies, and comes back as a standby or, if nobody was fit to lead, as the leader.
        servers[second].kill();
        servers[second] = start(dir.path(), second, &addresses[second]);
        assert_eq!(servers[second].done("PUT", "sys/unseal", Some(key))["sealed"], json!(false));
        let active = client.active(&[0, 1]);
        client.stands_by(1 - active, active);
        client.done("POST", "s/x", Some(&json!({"v": 3})));
        std::thread::sleep(Duration::from_millis(100));
        drop(end);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(client.done("GET", "s/x", None)["data"]["v"], json!(3));
    for (writer, (acknowledged, tried, count)) in written.into_iter().enumerate() {
        let stored = client.done("GET", &format!("s/w{writer}"), None)["data"]["v"].as_u64().unwrap();
        assert!((acknowledged..=tried).contains(&stored) && count > 10, "writer {writer}: {stored} of {acknowledged}..={tried}, {count}");
    }
    for server in &mut servers {
        server.stop();
    }
    let story = story(&mini, fencing, SILENCE);
    assert!(story.foreign.is_empty(), "{:?}", story.foreign);
    assert!(story.leaders.len() >= 4 && story.changes > 20, "{:?} led, {} changes", story.leaders, story.changes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_stopped_past_its_lease_answers_and_writes_nothing() {
    stopped_and_killed(Fencing::Lease).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_stopped_past_its_lease_answers_and_writes_nothing_with_strict_fencing() {
    stopped_and_killed(Fencing::Strict).await;
}
