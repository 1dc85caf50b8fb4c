//! From Shamir's shares to KMS, to another key, and back again, with the real `bao`.

use std::process::Command;

use cofferdam_emulator::{Keys, Kms, NewKey};
use serde_json::{Value, json};

use super::process::{REGION, Setup, awskms, generate_root, json_of, reads, run, status, write};
use crate::e2e::process::{Server, bao as bao_binary, text, until};

fn unseal(server: &Server, shares: &[String], migrate: bool) -> Value {
    let mut last = Value::Null;
    for share in shares {
        let mut arguments = vec!["operator", "unseal", "-format=json"];
        arguments.extend(migrate.then_some("-migrate"));
        arguments.push(share);
        last = json_of(Command::new(bao_binary()), server, &arguments, 0);
    }
    last
}

/// Starts the server, which waits for a migration; migrates with these shares, and ends it.
fn migrate(setup: &Setup, token: &str, shares: &[String], to: &str) {
    let mut server = setup.start();
    until("the migration mode", &server, || server.log().contains("entering seal migration mode"));
    let found = status(&server);
    assert_eq!((&found["migration"], &found["sealed"], &found["type"]), (&json!(true), &json!(true), &json!(to)), "{found}");
    // Without the flag a share does nothing.
    let output = run(Command::new(bao_binary()), &server, &["operator", "unseal", &shares[0]]);
    assert!(!output.status.success() && text(&output).contains("migrate option not provided"), "{}", text(&output));
    unseal(&server, shares, true);
    server.until_active();
    token.clone_into(&mut server.token);
    reads(&server, "kept");
    let found = status(&server);
    assert_eq!((&found["migration"], &found["type"]), (&json!(false), &json!(to)), "{found}");
    assert!(server.log().contains("seal migration complete"), "{}", server.log());
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_shares_to_a_key_to_another_and_back_to_shares() {
    let kms = Kms::start().await.unwrap();
    let (first, second) = (kms.create(NewKey::new(REGION)), kms.create(NewKey::new("eu-west-3")));
    let mut setup = Setup::files(&Keys::any());
    let mut server = setup.start();
    let shares = server.initialise(3, 2)[..2].to_vec();
    write(&server, "kept");
    server.stop();
    let token = server.token.clone();

    setup.seals = awskms(&first, kms.endpoint(), "");
    migrate(&setup, &token, &shares, "awskms");
    reads(&setup.serve(&token), "kept");

    // A stored seal of KMS and no stanza: nothing is guessed.
    let with_key = std::mem::take(&mut setup.seals);
    let (code, said) = setup.refused();
    assert!(
        code == 2 && said.contains("cannot seal migrate from \"awskms\" to Shamir, no disabled seal in configuration"),
        "{code}: {said}"
    );

    setup.seals = with_key.replace("}\n", "  disabled = true\n  name = \"old\"\n}\n")
        + &awskms(&second, kms.endpoint(), "  region = \"eu-west-3\"\n  name = \"new\"\n");
    migrate(&setup, &token, &shares, "awskms");
    kms.set_state(&first, "Disabled");
    setup.seals = awskms(&second, kms.endpoint(), "  region = \"eu-west-3\"\n");
    let server = setup.serve(&token);
    reads(&server, "kept");
    assert!(generate_root(&server, &shares).is_some());
    server.done("PUT", "sys/rotate", None);
    drop(server);

    setup.seals = awskms(&second, kms.endpoint(), "  region = \"eu-west-3\"\n  disabled = true\n");
    migrate(&setup, &token, &shares, "shamir");
    kms.set_state(&second, "Disabled");
    setup.seals.clear();
    let mut server = setup.start();
    unseal(&server, &shares, false);
    server.until_active();
    server.token.clone_from(&token);
    reads(&server, "kept");
    let found = status(&server);
    assert_eq!(
        (&found["type"], &found["recovery_seal"], &found["t"], &found["n"]),
        (&json!("shamir"), &json!(false), &json!(2), &json!(3)),
        "{found}"
    );
}
