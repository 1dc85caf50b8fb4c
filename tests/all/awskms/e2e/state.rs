//! A server that remembers what it has seen opens no older store, and makes none where there was one, unless it is told to.

use std::fs;
use std::process::Command;

use cofferdam_emulator::{Keys, Kms, NewKey};
use serde_json::json;

use super::process::{LIMIT, REGION, Setup, awskms, initialise, reads, status, write};
use crate::e2e::process::{Server, succeed, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_rolled_back_or_emptied_is_not_opened_unless_it_is_accepted() {
    let kms = Kms::start().await.unwrap();
    let key = kms.create(NewKey::new(REGION));
    let mut setup = Setup::files(&Keys::any());
    let state = setup.dir().join("state.json");
    setup.seals = format!("state_path = \"{}\"\n", state.display()) + &awskms(&key, kms.endpoint(), "");
    let mut server = setup.start();
    initialise(&mut server, 1, 1);
    write(&server, "kept");
    server.stop();
    let token = server.token.clone();
    assert!(state.exists());
    // Nothing changed: nothing is refused.
    server = setup.serve(&token);
    server.stop();

    let (data, old) = (setup.data(), setup.dir().join("old"));
    succeed(Command::new("cp").arg("-a").arg(&data).arg(&old), LIMIT);
    server = setup.serve(&token);
    server.done("PUT", "sys/rotate", None);
    server.done("POST", "kv/entry", Some(json!({"value": "newer"})));
    server.stop();
    let new = setup.dir().join("new");
    fs::rename(&data, &new).unwrap();
    fs::rename(&old, &data).unwrap();

    let server = setup.start();
    let told = |server: &Server| {
        server.log().lines().any(|line| line.contains("--accept-rollback") && line.contains(&state.display().to_string()))
    };
    until("the refusal of an older store", &server, || told(&server));
    assert_eq!(status(&server)["sealed"], true);
    drop(server);
    // Refused, nothing has changed: the newer one is still good.
    fs::rename(&data, &old).unwrap();
    fs::rename(&new, &data).unwrap();
    let mut server = setup.serve(&token);
    reads(&server, "newer");
    server.stop();

    fs::rename(&data, &new).unwrap();
    let emptied = setup.start();
    let (code, answer) = emptied.call("PUT", "sys/init", Some(json!({"recovery_shares": 1, "recovery_threshold": 1})));
    assert!(code >= 400, "a new vault was made where there was one: {answer}");
    until("the refusal of an emptied store", &emptied, || told(&emptied));
    assert_eq!(status(&emptied)["initialized"], false);
    drop(emptied);
    fs::remove_dir_all(&data).unwrap();

    fs::rename(&old, &data).unwrap();
    setup.arguments.push("--accept-rollback".to_owned());
    server = setup.serve(&token);
    reads(&server, "kept");
    server.stop();
    // Once is enough.
    setup.arguments.clear();
    reads(&setup.serve(&token), "kept");
}
