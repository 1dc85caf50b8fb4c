//! The seal of a running server: replaced while the vault is sealed, unsealed and given new keys, and in trouble while the storage works.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use super::{LONG, Place, digest, variant};
use crate::e2e::process::{Server, coffer, finish, text, until};
use crate::runtime::bytes;

const SEAL: &str = "seal/fragile-seal";

/// A server on files, whose seal's trouble comes and goes with a file of its own directory.
struct Sealed {
    place: Place,
    /// What stands in the seal's stanza.
    stanza: &'static str,
}

impl Sealed {
    fn new(stanza: &'static str) -> Sealed {
        let sealed = Sealed { place: Place::new("disk", &bytes("filesystem")), stanza };
        sealed.place.pin();
        sealed.put(&bytes("fragile_seal"));
        sealed
    }

    /// Puts a version of the seal into its place, and pins it in the configuration.
    fn put(&self, component: &[u8]) {
        let Sealed { place, stanza } = self;
        let beside = place.path("plugins/.seal");
        fs::write(&beside, component).unwrap();
        fs::rename(beside, place.path("plugins/fragile-seal.wasm")).unwrap();
        let config = place.configure("", "", "data");
        let seal = format!(
            "seal \"fragile-seal\" {{\n{stanza}\n}}\nplugin \"seal\" \"fragile-seal\" {{\n  sha256 = \"{}\"\n  \
             grant \"directory\" {{ path = \"{}\" access = \"read-only\" }}\n}}\n",
            digest(component),
            place.path("other").display()
        );
        fs::write(&config, fs::read_to_string(&config).unwrap() + &seal).unwrap();
    }

    fn trouble(&self, what: Option<&str>) {
        let file = self.place.path("other/trouble");
        what.map_or_else(|| fs::remove_file(&file), |what| fs::write(&file, what)).unwrap();
    }

    /// A vault with an engine at `kv/`, and its recovery key.
    fn vault(&self) -> (Server, Value) {
        let mut server = self.place.start();
        let made = server.done("PUT", "sys/init", Some(json!({"recovery_shares": 1, "recovery_threshold": 1})));
        server.token = made["root_token"].as_str().unwrap().to_owned();
        server.until_active();
        server.done("POST", "sys/mounts/kv", Some(json!({"type": "kv"})));
        server.done("PUT", "kv/a", Some(json!({"x": "y"})));
        (server, made["recovery_keys_base64"][0].clone())
    }

    /// The same vault by another process, which nobody unseals.
    fn again(&self, before: &Server) -> Server {
        let mut server = self.place.start();
        server.token.clone_from(&before.token);
        server
    }
}

/// What `sys/plugins` tells of the storage and of the seal.
fn plugins(server: &Server) -> [Value; 2] {
    let listed = server.done("GET", "sys/plugins", None)["data"]["plugins"].clone();
    let [storage, seal] = [0, 1].map(|at| listed[at].clone());
    assert_eq!((&storage["plugin"], &seal["plugin"]), (&json!("storage/disk"), &json!(SEAL)), "{listed}");
    [storage, seal]
}

/// All that the server tells of itself, in one text.
fn said(server: &Server) -> String {
    let metrics = ureq::get(format!("{}/v1/sys/metrics", server.address)).call().unwrap().body_mut().read_to_string().unwrap();
    let answers = ["sys/health", "sys/seal-status", "sys/plugins"].map(|path| server.call("GET", path, None).1.to_string());
    text(&finish(coffer().arg("status").env("VAULT_ADDR", &server.address), LONG)) + &metrics + &answers.concat()
}

#[test]
fn versions_of_the_seal_change_while_it_unseals_and_wraps() {
    let sealed = Sealed::new("");
    let versions = [bytes("fragile_seal"), variant(&bytes("fragile_seal"), 1)];
    let (mut server, key) = sealed.vault();
    let (over, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (server, over, rounds) = (&server, &over, &rounds);
        // New root keys are wrapped, and what was wrapped is unwrapped: for the recovery key that is given, and for the root key.
        let worker = scope.spawn(move || {
            while !over.load(Ordering::SeqCst) {
                server.done("PUT", "sys/rotate/root", None);
                server.done("PUT", "sys/seal", None);
                assert_eq!(server.done("PUT", "sys/unseal", Some(json!({"key": key})))["sealed"], json!(false));
                server.until_active();
                assert_eq!(server.done("GET", "kv/a", None)["data"]["x"], "y");
                rounds.fetch_add(1, Ordering::SeqCst);
            }
        });
        let goes_on = |what: &str| {
            let before = rounds.load(Ordering::SeqCst);
            until(what, server, || rounds.load(Ordering::SeqCst) >= before + 2 || worker.is_finished());
        };
        // A sealed server checks no token: it is asked by a signal.
        let logged = |part: &str| server.log().lines().filter(|line| line.contains(part) && line.contains(SEAL)).count();
        for round in 1..=4 {
            sealed.put(&versions[round % 2]);
            server.signal("HUP");
            until("the reload", server, || logged("the plugin was reloaded") == round || worker.is_finished());
            goes_on("work by the new version");
        }
        sealed.put(&versions[1][..versions[1].len() / 2]);
        server.signal("HUP");
        until("the refusal", server, || logged("the reload of the plugin was refused; nothing has changed") == 1 || worker.is_finished());
        goes_on("work by the version that stayed");
        over.store(true, Ordering::SeqCst);
        worker.join().unwrap();
    });
    let [storage, seal] = plugins(&server);
    assert_eq!(
        (&seal["sha256"], &seal["status"]["reloaded"], &seal["status"]["reopened"], &seal["status"]["state"]),
        (&json!(digest(&versions[0])), &json!(4), &json!(0), &json!("running")),
        "{seal}"
    );
    assert_eq!(storage["status"]["reloaded"], json!(0), "{storage}");
    server.stop();
    // What the one wrapped the other unwraps, from the start on.
    sealed.put(&versions[1]);
    let mut server = sealed.again(&server);
    server.until_active();
    assert_eq!(server.done("GET", "kv/a", None)["data"]["x"], "y");
    server.stop();
}

/// Puts the seal into trouble until it is in quarantine. All the while the storage serves, and nobody is told more than the case.
fn suffer(sealed: &Sealed, server: &Server, trouble: &str, case: &str) {
    let quarantined = json!({SEAL: format!("quarantined: {case}")});
    sealed.trouble(Some(trouble));
    let over = AtomicBool::new(false);
    let answers = std::thread::scope(|scope| {
        let over = &over;
        let rotating = scope.spawn(move || {
            let mut answers = Vec::new();
            while !over.load(Ordering::SeqCst) {
                answers.push(server.call("PUT", "sys/rotate/root", None));
            }
            answers
        });
        let mut count = 0;
        until("the quarantine of the seal", server, || {
            let path = format!("kv/{trouble}/{count}");
            server.done("PUT", &path, Some(json!({"n": count})));
            assert_eq!(server.done("GET", &path, None)["data"]["n"], json!(count));
            count += 1;
            let (code, health) = server.call("GET", "sys/health", None);
            assert_eq!(code, 200, "the storage works: {health}");
            health["plugins"] == quarantined || rotating.is_finished()
        });
        over.store(true, Ordering::SeqCst);
        rotating.join().unwrap()
    });
    for (code, answer) in &answers {
        assert!((500..600).contains(code) && !answer.to_string().contains("words of the guest"), "{code} {answer}");
    }
    let [storage, seal] = plugins(server);
    assert_eq!((&seal["status"]["state"], &seal["status"]["case"]), (&json!("quarantined"), &json!(case)), "{seal}");
    assert_eq!((&storage["status"]["state"], &storage["status"]["reopened"]), (&json!("running"), &json!(0)), "{storage}");
    let said = said(server);
    assert!(said.contains(&format!("quarantined: {case}")) && said.contains("Plugin Trouble"), "{said}");
    assert!(said.contains(&format!("coffer_plugin_quarantined{{plugin=\"{SEAL}\"}} 1")), "{said}");
    assert!(!said.contains("words of the guest"), "{said}");
    sealed.trouble(None);
}

/// The seal works again, and so does everything that needs it.
fn recovered(sealed: &Sealed, mut server: Server) {
    until("the end of the quarantine", &server, || server.call("GET", "sys/health", None).1.get("plugins").is_none());
    server.done("PUT", "sys/rotate/root", None);
    assert_eq!(plugins(&server)[1]["status"]["state"], json!("running"));
    server.stop();
    let mut server = sealed.again(&server);
    server.until_active();
    assert_eq!(server.done("GET", "kv/a", None)["data"]["x"], "y");
    server.stop();
}

#[test]
fn a_seal_that_traps_is_nobody_elses_trouble_and_comes_back_by_itself() {
    let sealed = Sealed::new("");
    let (mut server, _) = sealed.vault();
    // A server that starts in the midst of it stays sealed, says why in a word, and opens when the trouble is over.
    server.stop();
    sealed.trouble(Some("trap"));
    let server = sealed.again(&server);
    let status = || server.done("GET", "sys/seal-status", None);
    until("an unseal in vain", &server, || status()["warnings"].to_string().contains("breach"));
    let found = status();
    assert_eq!((&found["sealed"], &found["initialized"]), (&json!(true), &json!(true)), "{found}");
    assert!(server.log().contains("failed to unseal core") && !said(&server).contains("words of the guest"), "{found}");
    sealed.trouble(None);
    server.until_active();
    suffer(&sealed, &server, "trap", "breach");
    recovered(&sealed, server);
}

#[test]
fn a_seal_that_hangs_is_nobody_elses_trouble_and_is_brought_back_by_a_reload() {
    let sealed = Sealed::new("  limits { call = \"2s\" }");
    let (server, _) = sealed.vault();
    suffer(&sealed, &server, "hang", "timed-out");
    server.signal("HUP");
    recovered(&sealed, server);
}
