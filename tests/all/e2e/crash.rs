//! Hard kills of the whole server during a storm of writes: what was acknowledged is there, nothing is half-written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cofferdam_emulator::Dynalite;
use serde_json::json;

use super::process::Server;

const WRITERS: usize = 6;
const KEYS: u64 = 5;

/// Per secret: the last value that was acknowledged and the last that was sent.
type Ledger = Mutex<BTreeMap<String, (u64, u64)>>;

#[test]
fn acknowledged_writes_survive_hard_kills_of_the_server() {
    survive(|dir| Server::on(dir, ""));
}

#[test]
fn acknowledged_writes_survive_hard_kills_of_a_server_on_a_table() {
    let dynalite = Dynalite::start(50).unwrap();
    survive(|dir| Server::on_table(dir, dynalite.endpoint()));
}

#[test]
fn acknowledged_writes_survive_hard_kills_of_a_server_without_a_journal() {
    survive(Server::without_a_journal);
}

/// What a crash left in a journal is applied also by a server that keeps none itself.
#[test]
fn acknowledged_writes_survive_hard_kills_of_servers_with_and_without_a_journal() {
    let starts = AtomicU64::new(0);
    survive(|dir| if starts.fetch_add(1, Ordering::Relaxed) % 3 == 2 { Server::without_a_journal(dir) } else { Server::on(dir, "") });
}

fn survive(start: impl Fn(&Path) -> Server) {
    let rounds = if std::env::var_os("COFFERDAM_FULL").is_some() { 50 } else { 6 };
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::default();
    let mut server = start(dir.path());
    let keys = server.initialise(1, 1);
    let token = server.token.clone();
    server.done("POST", "sys/mounts/storm", Some(json!({"type": "kv", "options": {"version": "2"}})));
    let mut acknowledged = 0;
    for round in 0..rounds {
        storm(&mut server, &ledger, Duration::from_millis(120 + 37 * (round % 7)));
        server = start(dir.path());
        server.token.clone_from(&token);
        server.unseal(&keys);
        acknowledged = check(&server, &ledger);
    }
    assert!(acknowledged > rounds, "only {acknowledged} writes were acknowledged in {rounds} rounds: the storm is none");
}

/// Writes from several connections until the server is killed under them.
fn storm(server: &mut Server, ledger: &Ledger, time: Duration) {
    let (over, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let shared = &*server;
    let id = server.id();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (over, acknowledged) = (&over, &acknowledged);
            scope.spawn(move || {
                for turn in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("w{writer}/folder/k{}", turn % KEYS);
                    let next = {
                        let mut ledger = ledger.lock().unwrap();
                        let entry = ledger.entry(name.clone()).or_default();
                        entry.1 += 1;
                        entry.1
                    };
                    let body = json!({"data": {"n": next, "fill": "x".repeat(500)}});
                    if let Ok((200, _)) = shared.try_call("POST", &format!("storm/data/{name}"), Some(&body)) {
                        ledger.lock().unwrap().get_mut(&name).unwrap().0 = next;
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        std::thread::sleep(time);
        // On a slow machine the storm takes its time to rise.
        let begun = Instant::now();
        while acknowledged.load(Ordering::Relaxed) < 2 && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let killed = std::process::Command::new("kill").args(["-KILL", &id.to_string()]).status();
        over.store(true, Ordering::Relaxed);
        assert!(killed.unwrap().success());
    });
    server.kill();
}

/// Reads everything back; gives how many writes were acknowledged so far.
fn check(server: &Server, ledger: &Ledger) -> u64 {
    let mut ledger = ledger.lock().unwrap();
    let mut total = 0;
    for (name, (acknowledged, sent)) in ledger.iter_mut() {
        total += *acknowledged;
        let (status, answer) = server.call("GET", &format!("storm/data/{name}"), None);
        if status == 404 {
            assert_eq!(*acknowledged, 0, "{name} was acknowledged and is gone: {answer}");
            continue;
        }
        assert_eq!(status, 200, "{name}: {answer}");
        let found = answer["data"]["data"]["n"].as_u64().unwrap();
        assert!((*acknowledged..=*sent).contains(&found), "{name} holds {found}; {acknowledged} was acknowledged, {sent} sent");
        assert_eq!(answer["data"]["data"]["fill"].as_str().map(str::len), Some(500), "{name} is half-written");
        let (folder, leaf) = name.rsplit_once('/').unwrap();
        let listed = server.done("LIST", &format!("storm/metadata/{folder}"), None);
        assert!(listed["data"]["keys"].as_array().unwrap().contains(&json!(leaf)), "{name} is readable and not listed: {listed}");
        // The state to compare the next kill with: what is there now cannot vanish later.
        *acknowledged = found;
        *sent = (*sent).max(found);
    }
    total
}
