//! Starting, ending, and who may use a directory.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::process::{Server, bao, coffer, component, configuration, free_port, listener, refused, root, storage, succeed, text};

const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_second_server_on_a_directory_is_refused_and_told_who_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Server::on(dir.path(), "");
    let config = dir.path().join("second.hcl");
    std::fs::write(&config, configuration(dir.path(), &format!("127.0.0.1:{}", free_port()))).unwrap();
    let said = refused(&config);
    assert!(said.contains(&first.id().to_string()), "the holder {} is not named: {said}", first.id());
    assert!(said.contains(&dir.path().join("data").display().to_string()), "the directory is not named: {said}");
    first.initialise(1, 1);
    first.kill();
    // The kernel gives the lock of a killed process free.
    Server::on(dir.path(), "").stop();
}

#[test]
fn sigterm_ends_the_server_cleanly_and_keeps_every_acknowledged_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::on(dir.path(), "");
    let keys = server.initialise(1, 1);
    server.done("POST", "sys/mounts/secret", Some(json!({"type": "kv", "options": {"version": "2"}})));
    let (over, begun) = (AtomicBool::new(false), AtomicU64::new(0));
    let shared = &server;
    let written = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (over, begun) = (&over, &begun);
                scope.spawn(move || {
                    let mut last = 0_u64;
                    while !over.load(Ordering::Relaxed) {
                        let body = json!({"data": {"n": last + 1}});
                        match shared.try_call("POST", &format!("secret/data/w{writer}"), Some(&body)) {
                            Ok((200, _)) => last += 1,
                            _ => break,
                        }
                        if last == 1 {
                            begun.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    last
                })
            })
            .collect();
        let start = Instant::now();
        while begun.load(Ordering::Relaxed) < 4 && start.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(300));
        shared.signal("TERM");
        std::thread::sleep(Duration::from_secs(2));
        over.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
    });
    let status = server.ended(LIMIT);
    assert!(status.success(), "{status}:\n{}", server.log());
    assert!(written.iter().all(|last| *last > 0), "a writer wrote nothing: {written:?}");
    let token = server.token.clone();
    let mut server = Server::on(dir.path(), "");
    server.token = token;
    server.unseal(&keys);
    for (writer, last) in written.iter().enumerate() {
        let found = server.done("GET", &format!("secret/data/w{writer}"), None)["data"]["data"]["n"].as_u64().unwrap();
        // A write whose answer was cut off may be there.
        assert!(found == *last || found == last + 1, "w{writer} holds {found} after {last} were acknowledged");
    }
}

#[test]
fn the_development_server_says_how_to_reach_it_and_what_its_storage_is() {
    let server = Server::dev();
    let log = server.log();
    let digest = succeed(Command::new("sha256sum").arg(component()), LIMIT);
    let digest = String::from_utf8_lossy(&digest.stdout).split_whitespace().next().unwrap().to_owned();
    for needed in ["Unseal Key:", "Root Token: root", &server.address, &digest] {
        assert!(log.contains(needed), "{needed:?} is not in the output:\n{log}");
    }
    assert_eq!(server.done("GET", "sys/mounts/secret/tune", None)["data"]["options"], json!({"version": "2"}));
    server.done("POST", "secret/data/a", Some(json!({"data": {"x": "1"}})));
    let key = log.lines().find_map(|line| line.trim().strip_prefix("Unseal Key:")).unwrap().trim().to_owned();
    server.done("PUT", "sys/seal", None);
    server.unseal(&[key]);
    assert_eq!(server.done("GET", "secret/data/a", None)["data"]["data"], json!({"x": "1"}));
}

#[test]
fn a_development_server_keeps_its_data_in_the_directory_it_is_told() {
    let (dir, address) = (tempfile::tempdir().unwrap(), format!("127.0.0.1:{}", free_port()));
    let data = dir.path().join("dev");
    let mut command = coffer();
    command.args(["server", "--dev", "--dev-root-token-id=root", "--dev-no-store-token"]).env("HOME", dir.path());
    command.arg(format!("--dev-listen-address={address}")).arg("--dev-storage-path").arg(&data);
    let mut server = Server::start(&mut command, &format!("http://{address}"), dir.path().join("log"), None);
    server.token = "root".to_owned();
    server.until_active();
    server.done("POST", "secret/data/a", Some(json!({"data": {"x": "1"}})));
    server.stop();
    assert!(data.join("core/_keyring").is_file(), "nothing is stored in {}", data.display());
}

#[test]
fn several_listeners_and_the_pid_file_serve_until_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (second, pid) = (format!("127.0.0.1:{}", free_port()), dir.path().join("coffer.pid"));
    let more = format!("listener \"tcp\" {{\n  address = \"{second}\"\n  tls_disable = \"true\"\n}}\npid_file = \"{}\"\n", pid.display());
    let mut server = Server::on(dir.path(), &more);
    server.initialise(1, 1);
    let status = succeed(Command::new(bao()).args(["status", "-format=json"]).env("BAO_ADDR", format!("http://{second}")), LIMIT);
    assert!(text(&status).contains("\"sealed\": false"));
    assert_eq!(std::fs::read_to_string(&pid).unwrap().trim(), server.id().to_string());
    server.stop();
    assert!(!pid.exists(), "the pid file outlives the server");
}

#[test]
fn a_client_that_goes_away_does_not_undo_its_write() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::on(dir.path(), "");
    server.initialise(1, 1);
    server.done("POST", "sys/mounts/secret", Some(json!({"type": "kv", "options": {"version": "2"}})));
    let rounds: u64 = 20;
    for round in 0..rounds {
        let body = json!({"data": {"round": round}}).to_string();
        let mut stream = std::net::TcpStream::connect(server.address.trim_start_matches("http://")).unwrap();
        let head = format!(
            "POST /v1/secret/data/r{round} HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {}\r\nContent-Length: {}\r\n\r\n",
            server.token,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        drop(stream);
    }
    // Each is there whole or not at all, and its metadata agrees: a read never finds a version that its metadata names missing.
    std::thread::sleep(Duration::from_millis(500));
    for round in 0..rounds {
        let read = || server.call("GET", &format!("secret/data/r{round}"), None);
        let (mut status, mut answer) = read();
        if status == 404 {
            if server.call("GET", &format!("secret/metadata/r{round}"), None).0 == 404 {
                continue;
            }
            // Written between the two looks, or half-written for good.
            (status, answer) = read();
        }
        assert_eq!((status, &answer["data"]["data"]), (200, &json!({"round": round})), "r{round} is half-written");
    }
}

#[test]
fn the_example_configuration_starts_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let (config, address) = (dir.path().join("coffer.hcl"), format!("127.0.0.1:{}", free_port()));
    let example = std::fs::read_to_string(root().join("examples/single-node.hcl")).unwrap();
    let text = example.replace("/var/lib/coffer", &dir.path().display().to_string()).replace("127.0.0.1:8200", &address);
    assert!(text.contains(&address) && !text.contains("/var/lib"), "the example changed its address or its directory");
    std::fs::write(&config, text).unwrap();
    let mut server = Server::configured(&config, &address, dir.path().join("log"));
    server.initialise(3, 2);
    server.stop();
}

#[test]
fn a_journal_that_is_not_to_be_had_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("wrong.hcl");
    for (keys, said) in [
        ("journal = \"maybe\"", "expected true or false, found \"maybe\""),
        ("journal = \"true\"\n  fsync = \"false\"", "remove one of the two"),
        ("in_place = \"true\"", "the host sets it where there is a journal"),
    ] {
        std::fs::write(&config, storage(dir.path(), &format!("  {keys}\n")) + &listener(&format!("127.0.0.1:{}", free_port()))).unwrap();
        let text = refused(&config);
        assert!(text.contains(said) && text.contains("wrong.hcl:1"), "{keys}: {text}");
    }
}

#[test]
fn a_server_that_was_stopped_leaves_an_empty_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::on(dir.path(), "");
    server.initialise(1, 1);
    let journal = dir.path().join("data/.cofferdam/journal-0");
    assert!(std::fs::metadata(&journal).unwrap().len() > 0);
    server.stop();
    for number in 0..2 {
        assert_eq!(std::fs::metadata(dir.path().join(format!("data/.cofferdam/journal-{number}"))).unwrap().len(), 0);
    }
}
