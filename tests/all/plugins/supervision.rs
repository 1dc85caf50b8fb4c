//! A backend that fails repeatedly on a real server: the server goes on answering, says what is wrong, and recovers by itself.

use serde_json::{Value, json};

use super::{LONG, Place, digest, plugin};
use crate::e2e::process::{Server, coffer, finish, text, until};
use crate::runtime::bytes;

/// What the server says of itself to anybody: health, seal status, metrics and the command `status`.
fn said(server: &Server) -> (u16, Value, Value, String) {
    let (code, health) = server.call("GET", "sys/health", None);
    let status = server.done("GET", "sys/seal-status", None);
    let shown = finish(coffer().arg("status").env("VAULT_ADDR", &server.address), LONG);
    (code, health, status, text(&shown))
}

fn metrics(server: &Server) -> String {
    ureq::get(format!("{}/v1/sys/metrics", server.address)).call().unwrap().body_mut().read_to_string().unwrap()
}

/// Goes through a trouble that ends each call with this error, until it is over.
fn suffer(trouble: &str, case: &str, failing: &[u16]) {
    let component = bytes("fragile");
    let place = Place::new("fragile", &component);
    place.pin();
    place.configure("  limits {\n    call = \"1s\"\n    open = \"20s\"\n  }", "", "data");
    let (mut server, _) = place.vault();
    server.done("PUT", "kv/a", Some(json!({"x": "y"})));
    assert!(metrics(&server).contains("coffer_plugin_quarantined{plugin=\"storage/fragile\"} 0"), "{}", metrics(&server));
    std::fs::write(place.path("data/trouble"), trouble).unwrap();
    let mut codes = Vec::new();
    until("the quarantine", &server, || {
        // One key each: what becomes of a write that was given up is not known, and for a while the host lets no other of its key begin.
        let (code, answer) = server.call("PUT", &format!("kv/in-trouble-{}", codes.len()), Some(json!({"x": "z"})));
        assert!(!answer.to_string().contains("words of the guest"), "{answer}");
        codes.push(code);
        server.call("GET", "sys/health", None).1["plugins"]["storage/fragile"] == format!("quarantined: {case}")
    });
    assert!(codes.iter().all(|code| failing.contains(code) || *code == 503), "{codes:?}");
    assert!(codes.iter().any(|code| failing.contains(code)), "{codes:?}");
    // It says so to everybody, and answers at once.
    let (code, health, status, shown) = said(&server);
    let trouble = json!({"storage/fragile": format!("quarantined: {case}")});
    assert_eq!((code, &health["plugins"], &health["sealed"]), (503, &trouble, &json!(false)), "{health}");
    assert_eq!((&status["plugins"], &status["sealed"]), (&trouble, &json!(false)));
    assert!(shown.contains("Plugin Trouble") && shown.contains(&format!("quarantined: {case}")), "{shown}");
    assert_eq!(server.call("PUT", "kv/b", Some(json!({"x": "z"}))).0, 503);
    assert!(metrics(&server).contains("coffer_plugin_quarantined{plugin=\"storage/fragile\"} 1"), "{}", metrics(&server));
    assert!(
        metrics(&server).contains(&format!("coffer_plugin_reopens{{plugin=\"storage/fragile\",outcome=\"{case}\"}}")),
        "{}",
        metrics(&server)
    );
    for shown in [health.to_string(), status.to_string(), shown, metrics(&server)] {
        assert!(!shown.contains("words of the guest"), "{shown}");
    }
    let log = server.log();
    for part in ["the backend fails repeatedly", "the backend is in quarantine", &digest(&component)] {
        assert!(log.contains(part), "{part:?} is not in the log:\n{log}");
    }
    // The cause goes, and nobody does anything.
    std::fs::remove_file(place.path("data/trouble")).unwrap();
    until("the end of the quarantine", &server, || server.call("GET", "sys/health", None).0 == 200);
    let (code, health, status, shown) = said(&server);
    assert!(code == 200 && health.get("plugins").is_none() && status.get("plugins").is_none() && !shown.contains("Trouble"), "{health}");
    server.done("PUT", "kv/b", Some(json!({"x": "z"})));
    for (key, value) in [("a", "y"), ("b", "z")] {
        assert_eq!(server.done("GET", &format!("kv/{key}"), None)["data"]["x"], value);
    }
    let status = plugin(&server)["status"].clone();
    assert!(status["state"] == "running" && status["reopened"].as_u64() >= Some(1), "{status}");
    assert!(server.log().contains("the backend was opened again and answers"));
    server.stop();
}

#[test]
fn a_backend_that_traps_is_quarantined_and_comes_back_when_the_cause_has_gone() {
    suffer("trap", "breach", &[500]);
}

#[test]
fn a_backend_that_hangs_is_quarantined_and_comes_back_when_the_cause_has_gone() {
    suffer("hang", "timed-out", &[503]);
}

#[test]
fn the_storages_trouble_is_not_the_seals() {
    let place = Place::new("fragile", &bytes("fragile"));
    place.pin();
    let config = place.configure("", "", "data");
    let sealing = place.path("plugins/sealing.wasm");
    std::fs::write(&sealing, bytes("sealing")).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    let seal = format!("seal \"sealing\" {{}}\nplugin \"seal\" \"sealing\" {{\n  sha256 = \"{}\"\n}}\n", digest(&bytes("sealing")));
    std::fs::write(&config, text + &seal).unwrap();
    let mut server = place.start();
    let made = server.done("PUT", "sys/init", Some(json!({"recovery_shares": 1, "recovery_threshold": 1})));
    server.token = made["root_token"].as_str().unwrap().to_owned();
    server.until_active();
    server.done("POST", "sys/mounts/kv", Some(json!({"type": "kv"})));
    std::fs::write(place.path("data/trouble"), "trap").unwrap();
    let mut key = 0;
    until("the quarantine", &server, || {
        key += 1;
        server.call("PUT", &format!("kv/in-trouble-{key}"), Some(json!({"x": "z"})));
        server.call("GET", "sys/health", None).1["plugins"] == json!({"storage/fragile": "quarantined: breach"})
    });
    // The seal is replaced and answers meanwhile; SIGHUP asks for no token, which the storage would have to know.
    let other = super::variant(&bytes("sealing"), 1);
    let text = std::fs::read_to_string(&config).unwrap().replace(&digest(&bytes("sealing")), &digest(&other));
    std::fs::write(&config, text).unwrap();
    std::fs::write(&sealing, &other).unwrap();
    std::fs::remove_file(place.path("data/trouble")).unwrap();
    server.signal("HUP");
    until("the seal's reload and the storage's end of quarantine", &server, || {
        let (_, answer) = server.call("GET", "sys/plugins", None);
        server.call("GET", "sys/health", None).0 == 200 && answer["data"]["plugins"][1]["sha256"] == digest(&other)
    });
    let plugins = server.done("GET", "sys/plugins", None)["data"]["plugins"].clone();
    let seal = &plugins[1];
    assert_eq!(
        (&seal["plugin"], &seal["sha256"], &seal["status"]["reopened"]),
        (&json!("seal/sealing"), &json!(digest(&other)), &json!(0)),
        "{plugins}"
    );
    // It unwraps what the one before it has wrapped.
    server.done("PUT", "kv/b", Some(json!({"x": "z"})));
    let token = server.token.clone();
    server.stop();
    let mut server = place.start();
    server.token = token;
    server.until_active();
    assert_eq!(server.done("GET", "kv/b", None)["data"]["x"], "z");
    server.stop();
}
