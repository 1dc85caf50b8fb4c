//! Another version in the place of the one that runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use super::{LONG, Place, digest, plugin, variant};
use crate::e2e::process::{Server, coffer, finish, succeed, text, until};
use crate::runtime::bytes;

/// Writes and reads until it is told to stop; everything must work. Gives how much was written.
pub(super) fn work(server: &Server, client: usize, over: &AtomicBool, done: &AtomicU64) -> u64 {
    let mut written = 0;
    while !over.load(Ordering::SeqCst) {
        let path = format!("kv/load/{client}/{written}");
        let (status, answer) = server.call("PUT", &path, Some(json!({"n": written})));
        assert_eq!(status, 204, "a write failed during a reload: {answer}\n{}", server.log());
        let read = server.call("GET", &path, None);
        assert_eq!((read.0, &read.1["data"]["n"]), (200, &json!(written)), "a read failed during a reload: {}", read.1);
        let listed = server.call("LIST", &format!("kv/load/{client}"), None);
        assert_eq!(listed.0, 200, "a list failed during a reload: {}", listed.1);
        if written % 3 == 2 {
            // Folders come and go, below which others write.
            let (status, answer) = server.call("DELETE", &format!("kv/load/{client}/{}", written - 1), None);
            assert_eq!(status, 204, "a delete failed during a reload: {answer}");
        }
        written += 1;
        done.fetch_add(1, Ordering::SeqCst);
    }
    written
}

#[test]
fn no_request_fails_and_nothing_is_lost_while_versions_change_under_load() {
    let versions = [bytes("filesystem"), variant(&bytes("filesystem"), 1)];
    let place = Place::new("disk", &versions[0]);
    place.pin();
    place.configure("", "", "data");
    let (mut server, keys) = place.vault();
    assert_eq!(plugin(&server)["sha256"], digest(&versions[0]));
    let (over, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let written: Vec<u64> = std::thread::scope(|scope| {
        let (server, over, done) = (&server, &over, &done);
        let clients: Vec<_> = (0..6).map(|client| scope.spawn(move || work(server, client, over, done))).collect();
        for round in 1..=10 {
            let new = &versions[round % 2];
            let before = done.load(Ordering::SeqCst);
            place.put(new);
            place.pin();
            if round % 3 == 0 {
                server.signal("HUP");
                until("the reload by SIGHUP", server, || plugin(server)["sha256"] == digest(new));
            } else {
                let reloaded = server.done("PUT", "sys/plugins/reload", Some(json!({"plugin": "storage/disk"})));
                let told = json!({"result": "reloaded", "from": digest(&versions[(round + 1) % 2]), "to": digest(new)});
                assert_eq!(reloaded["data"]["plugins"]["storage/disk"], told);
            }
            // Traffic goes on over the new one.
            until("requests after a reload", server, || {
                done.load(Ordering::SeqCst) >= before + 10 || clients.iter().any(|one| one.is_finished())
            });
        }
        over.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let status = &plugin(&server)["status"];
    assert_eq!((&status["reloaded"], &status["state"]), (&json!(10), &json!("running")), "{status}");
    let unchanged = server.done("PUT", "sys/plugins/reload", None);
    assert_eq!(unchanged["data"]["plugins"]["storage/disk"], json!({"result": "unchanged", "sha256": digest(&versions[0])}));
    server.stop();
    // Another process sees what is in the store, not what the first remembers.
    let token = server.token.clone();
    let mut server = place.start();
    server.token = token;
    server.unseal(&keys);
    for (client, written) in written.iter().enumerate() {
        assert!(*written > 10, "client {client} wrote {written}");
        let deleted = |n: u64| n % 3 == 1 && n + 1 < *written;
        let mut names: Vec<String> = (0..*written).filter(|n| !deleted(*n)).map(|n| n.to_string()).collect();
        names.sort();
        assert_eq!(server.done("LIST", &format!("kv/load/{client}"), None)["data"]["keys"], json!(names), "client {client}");
        for name in names {
            assert_eq!(server.done("GET", &format!("kv/load/{client}/{name}"), None)["data"]["n"].to_string(), name);
        }
    }
}

/// Has the reload refused, whose reason must hold all of this; and nothing must have changed.
fn refused(server: &Server, running: &str, parts: &[&str]) {
    let (status, answer) = server.call("PUT", "sys/plugins/reload", None);
    let said = answer["errors"][0].as_str().unwrap_or_default().to_owned();
    assert_eq!((status, &answer["data"]["plugins"]["storage/fragile"]["result"]), (400, &json!("refused")), "{answer}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
    assert!(!answer.to_string().contains("words of the guest"), "{answer}");
    let shown = plugin(server);
    assert_eq!(
        (&shown["sha256"], &shown["status"]["state"], &shown["status"]["generation"]),
        (&json!(running), &json!("running"), &json!(1))
    );
    server.done("PUT", "kv/still", Some(json!({"well": said})));
    assert!(server.log().contains("the reload of the plugin was refused; nothing has changed"));
}

#[test]
fn a_bad_new_version_changes_nothing_and_says_why() {
    let running = bytes("fragile");
    let place = Place::new("fragile", &running);
    let by_digest = |bytes: &[u8]| {
        place.put(bytes);
        place.configure("", &format!("  sha256 = \"{}\"", digest(bytes)), "data");
    };
    by_digest(&running);
    let (mut server, _) = place.vault();
    let is = digest(&running);
    let refused = |parts: &[&str]| refused(&server, &is, parts);
    // Nobody vouches for it.
    place.put(&variant(&running, 1));
    refused(&["sha256", &is, &digest(&variant(&running, 1))]);
    // Cut off, of another kind, in want of what it was not granted, or not of the same limits.
    let cut = &running[..running.len() / 2];
    for (bytes, reason) in [
        (cut.to_vec(), "it is damaged"),
        (bytes("sealing"), "a storage backend is needed, this is"),
        (bytes("needs_http"), "it needs the grant http"),
        (bytes("hostile"), "it declares atomic-folders false"),
    ] {
        by_digest(&bytes);
        refused(&[reason, &digest(&bytes)]);
    }
    // One that does not open.
    by_digest(&variant(&running, 2));
    std::fs::write(place.path("data/trouble"), "open").unwrap();
    refused(&["open of ", &digest(&variant(&running, 2)), "failed: breach"]);
    std::fs::remove_file(place.path("data/trouble")).unwrap();
    // What only a restart may change, and what cannot be read.
    place.configure("  other = \"setting\"", "", "data");
    refused(&["takes a restart"]);
    place.configure("", "", "other");
    refused(&["takes a restart"]);
    std::fs::write(place.path("coffer.hcl"), "storage \"fragile\" {").unwrap();
    refused(&["the configuration cannot be read again", "coffer.hcl"]);
    // A good one is taken after all that.
    let good = variant(&running, 3);
    by_digest(&good);
    let reloaded = server.done("PUT", "sys/plugins/reload", Some(json!({"plugin": "fragile"})));
    assert_eq!(reloaded["data"]["plugins"]["storage/fragile"], json!({"result": "reloaded", "from": is, "to": digest(&good)}));
    assert!(place.path("other/e-636f72652f6b657972696e67").symlink_metadata().is_err(), "something was stored elsewhere");
    server.stop();
}

#[test]
fn an_operator_sees_and_reloads_plugins_by_command() {
    let running = bytes("fragile");
    let place = Place::new("fragile", &running);
    place.pin();
    place.configure("", "", "data");
    let (server, _) = place.vault();
    server.done("PUT", "kv/a", Some(json!({"x": "y"})));
    let command = |arguments: &[&str]| {
        let mut command = coffer();
        command.arg("plugin").args(arguments).env("VAULT_ADDR", &server.address).env("VAULT_TOKEN", &server.token);
        command
    };
    let listed: Value = serde_json::from_slice(&succeed(&mut command(&["list", "-format=json"]), LONG).stdout).unwrap();
    let one = &listed[0];
    assert_eq!(
        (&one["plugin"], &one["kind"], &one["sha256"], &one["contract"], &one["status"]["state"]),
        (&json!("storage/fragile"), &json!("storage"), &json!(digest(&running)), &json!("0.1.0"), &json!("running")),
        "{listed}"
    );
    assert!(one["about"]["grants"]["directory"].as_str().unwrap().contains(&place.path("data").display().to_string()), "{listed}");
    let stats = &one["stats"];
    assert!(stats["calls"].as_u64().unwrap() > 0 && stats["operations"]["put"]["p99"].as_u64().is_some(), "{listed}");
    assert!(stats["pool"]["memory_highest"].as_u64().unwrap() > 0, "{listed}");
    let shown = text(&succeed(&mut command(&["list"]), LONG));
    assert!(shown.contains("storage/fragile") && shown.contains("p99") && shown.contains("directory"), "{shown}");
    // A directory that is named is meant.
    let directory = place.path("plugins").display().to_string();
    // Its own name is made by chance.
    let files = text(&succeed(&mut command(&["list", &directory]), LONG)).replace(&directory, "");
    assert!(files.contains("fragile.wasm") && !files.contains("p99"), "{files}");
    let unchanged = text(&succeed(&mut command(&["reload"]), LONG));
    assert!(unchanged.contains("unchanged"), "{unchanged}");
    place.put(&variant(&running, 1));
    let refused = finish(&mut command(&["reload", "storage/fragile"]), LONG);
    assert!(refused.status.code() == Some(2) && text(&refused).contains("run `coffer plugin pin"), "{}", text(&refused));
    place.pin();
    let reloaded = text(&succeed(&mut command(&["reload", "storage/fragile"]), LONG));
    assert!(reloaded.contains("reloaded") && reloaded.contains(&digest(&variant(&running, 1))), "{reloaded}");
    let unknown = finish(&mut command(&["reload", "nobody"]), LONG);
    assert!(text(&unknown).contains("there is no such plugin"), "{}", text(&unknown));
}
