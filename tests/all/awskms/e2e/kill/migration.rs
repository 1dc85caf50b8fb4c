//! Migrations between seals that are killed: they can be resumed with the shares that they were begun with, or were made.

use std::time::Instant;

use cofferdam_emulator::NewKey;
use serde_json::{Value, json};

use super::super::process::{LIMIT, REGION, Setup, awskms, generate_root, reads, status, write};
use super::ground::{Ground, Kind};
use super::{ask, at_every_change, kms, on_both, sealed_by_kms};
use crate::e2e::process::{Server, until};

/// Gives shares for the migration; the last answer.
fn migrate(server: &Server, shares: &[String]) -> Option<Value> {
    let mut last = None;
    for share in shares {
        last = Some(ask(server, "PUT", "sys/unseal", json!({"key": share, "migrate": true}))?);
    }
    last
}

/// Starts the server again, and does what its status asks for: nothing, the rest of the migration, or, without a key service, an ordinary unseal.
fn resumed(setup: &Setup, token: &str, shares: &[String], shamir: bool) -> Server {
    let mut server = setup.start();
    token.clone_into(&mut server.token);
    let begun = Instant::now();
    while server.call("GET", "sys/health", None).0 != 200 {
        assert!(begun.elapsed() < LIMIT, "neither open nor to be migrated: {}\n{}", status(&server), server.log());
        let found = status(&server);
        if found["migration"] == json!(true) {
            migrate(&server, shares).unwrap();
        } else if shamir {
            assert_eq!(found["type"], "shamir", "{found}");
            server.unseal(shares);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(status(&server)["migration"], false);
    reads(&server, "kept");
    server
}

async fn from_shamir(kind: Kind) {
    let (kms, key) = kms().await;
    let mut ground = Ground::new(kind, "").await;
    let mut server = ground.setup.start();
    let shares = server.initialise(3, 2)[..2].to_vec();
    write(&server, "kept");
    server.stop();
    let token = server.token.clone();
    ground.setup.seals = awskms(&key, kms.endpoint(), "");
    let operation = {
        let shares = shares.clone();
        move |server: &Server| migrate(server, &shares)
    };
    let check = |setup: &mut Setup, _: Option<Value>| {
        drop(resumed(setup, &token, &shares, false));
        // From now on nobody is needed, and the old unseal keys are the recovery keys.
        let server = setup.serve(&token);
        let found = status(&server);
        assert_eq!(
            (&found["type"], &found["n"], &found["t"], &found["recovery_seal"]),
            (&json!("awskms"), &json!(3), &json!(2), &json!(true)),
            "{found}"
        );
        reads(&server, "kept");
        assert!(generate_root(&server, &shares).is_some());
    };
    at_every_change(&ground, 4, Setup::start, operation, check).await;
}

async fn to_shamir(kind: Kind) {
    let (kms, key) = kms().await;
    let (mut ground, shares, token) = sealed_by_kms(kind, &kms, &key).await;
    let shares = shares[1..].to_vec();
    ground.setup.seals = awskms(&key, kms.endpoint(), "  disabled = true\n");
    let operation = {
        let shares = shares.clone();
        move |server: &Server| migrate(server, &shares)
    };
    let check = |setup: &mut Setup, _: Option<Value>| {
        drop(resumed(setup, &token, &shares, true));
        // The recovery keys are the unseal keys, and KMS is needed no more.
        setup.seals.clear();
        let server = setup.start();
        let found = status(&server);
        assert_eq!(
            (&found["type"], &found["n"], &found["t"], &found["recovery_seal"]),
            (&json!("shamir"), &json!(3), &json!(2), &json!(false)),
            "{found}"
        );
        server.unseal(&shares);
    };
    at_every_change(&ground, 4, Setup::start, operation, check).await;
}

async fn to_another_key(kind: Kind) {
    let (kms, key) = kms().await;
    let other = kms.create(NewKey::new(REGION));
    let (mut ground, shares, token) = sealed_by_kms(kind, &kms, &key).await;
    let disabled = awskms(&key, kms.endpoint(), "  disabled = true\n  name = \"old\"\n");
    ground.setup.seals = disabled + &awskms(&other, kms.endpoint(), "  name = \"new\"\n  previous_key_ids = []\n");
    let shares = shares[..2].to_vec();
    let operation = {
        let shares = shares.clone();
        move |server: &Server| migrate(server, &shares)
    };
    let check = |setup: &mut Setup, _: Option<Value>| {
        drop(resumed(setup, &token, &shares, false));
        let server = setup.serve(&token);
        assert_eq!(status(&server)["n"], 3);
        assert!(generate_root(&server, &shares).is_some());
    };
    at_every_change(&ground, 4, Setup::start, operation, check).await;
    // The control of the last check: without the migration the new key alone opens nothing, since it may not ask for the old one.
    ground.setup.seals = awskms(&other, kms.endpoint(), "  previous_key_ids = []\n");
    let server = ground.setup.start();
    until("a failed unseal", &server, || server.log().contains("failed to unseal core"));
    assert_eq!(status(&server)["sealed"], true);
}

on_both!(from_shamir, from_shamir_to_kms_on_a_table, from_shamir_to_kms_on_files);
on_both!(to_shamir, from_kms_to_shamir_on_a_table, from_kms_to_shamir_on_files);
on_both!(to_another_key, from_one_key_to_another_on_a_table, from_one_key_to_another_on_files);
