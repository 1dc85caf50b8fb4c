//! Blobs exchanged with a stranger: a script that knows the formats and shares no code with the server (`tests/clients/kms_blob.py`).

use cofferdam_emulator::{Keys, Moto};
use serde_json::{Value, json};

use super::process::{Setup, awskms, generate_root, initialise, kms_blob, reads, signed, status, strings, write};
use crate::e2e::process::until;

fn opened(signed: &(Moto, Keys), setup: &Setup) -> Value {
    serde_json::from_str(&kms_blob(signed, &["open", setup.data().to_str().unwrap()])).unwrap()
}

fn replace(signed: &(Moto, Keys), setup: &Setup, key: &str, mechanism: &str) {
    kms_blob(signed, &["replace", setup.data().to_str().unwrap(), "--key", key, "--mechanism", mechanism]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_opens_our_blobs_and_we_open_a_strangers() {
    let signed = signed().await;
    let key = kms_blob(signed, &["key", "create"]);
    let mut setup = Setup::files(&signed.1).sealed_by(&[awskms(&key, signed.0.endpoint(), "")]);
    let mut server = setup.start();
    let recovery = initialise(&mut server, 1, 1);
    write(&server, "kept");
    server.done("PUT", "sys/rotate", None);
    server.stop();

    let ours = opened(signed, &setup);
    assert_eq!((&ours["mechanism"], &ours["key_id"], &ours["terms"]), (&json!(1), &json!(key), &json!([1, 2])), "{ours}");
    for (name, value) in
        [("type", json!("awskms")), ("secret_shares", json!(1)), ("secret_threshold", json!(1)), ("stored_shares", json!(1))]
    {
        assert_eq!(ours["seal"][name], value, "{name} of {ours}");
    }
    // One share of a recovery key is the key.
    assert_eq!(ours["recovery"]["key"], json!(recovery[0]), "{ours}");
    assert_eq!((&ours["recovery"]["mechanism"], &ours["recovery"]["config"]["type"]), (&json!(1), &json!("shamir")), "{ours}");
    assert_eq!(ours["own"], json!([]), "left over in the store");

    replace(signed, &setup, &key, "1");
    let server = setup.serve(&server.token);
    reads(&server, "kept");
    assert!(!server.log().contains("it was replaced"), "{}", server.log());
    let token = server.token.clone();
    drop(server);
    assert_eq!(opened(signed, &setup)["root_key"], ours["root_key"]);

    // A blob that holds the root key itself is not shown to a guest.
    replace(signed, &setup, &key, "0");
    let server = setup.start();
    until("the refusal of a direct blob", &server, || server.log().contains("allow_direct_blob"));
    assert_eq!(status(&server)["sealed"], true);
    drop(server);
    assert_eq!(opened(signed, &setup)["mechanism"], 0, "what was refused was changed");

    // Where the operator allows it, it is the last time.
    setup.seals = awskms(&key, signed.0.endpoint(), "  allow_direct_blob = true\n");
    let server = setup.serve(&token);
    reads(&server, "kept");
    let log = server.log();
    assert!(
        log.lines()
            .any(|line| line.contains("WARN") && line.contains("root key") && line.contains("replaced") && line.contains("mechanism 1")),
        "{log}"
    );
    drop(server);
    let after = opened(signed, &setup);
    assert_eq!((&after["mechanism"], &after["own"]), (&json!(1), &json!([])), "{after}");
    assert_ne!(after["root_key"], ours["root_key"], "the root key that the guest has seen is still in use");
    assert_eq!(after["recovery"], ours["recovery"]);

    setup.seals = awskms(&key, signed.0.endpoint(), "");
    let server = setup.serve(&token);
    reads(&server, "kept");
    assert!(generate_root(&server, &strings(&json!(recovery))).is_some());
}
