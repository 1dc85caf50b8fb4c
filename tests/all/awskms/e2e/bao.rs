//! The real `bao` and our own client use a server that unseals itself; KMS and, in one run, the table are moto's, which checks every signature.

use std::process::Command;
use std::time::Duration;

use cofferdam_emulator::{Keys, Moto};
use serde_json::{Value, json};

use super::process::{LIMIT, Setup, awskms, initialise, json_of, kms_blob, reads, run, signed, status, strings, write};
use crate::e2e::process::{Server, bao as bao_binary, coffer, text, until};

fn bao() -> Command {
    Command::new(bao_binary())
}

/// One answer of the real client.
fn ask(server: &Server, arguments: &[&str]) -> Value {
    json_of(bao(), server, arguments, 0)
}

fn lifecycle(setup: &Setup) {
    let mut server = setup.start();
    let empty = json_of(bao(), &server, &["status", "-format=json"], 2);
    assert_eq!((&empty["initialized"], &empty["sealed"], &empty["type"]), (&json!(false), &json!(true), &json!("awskms")), "{empty}");

    // What is the unseal keys' with Shamir's seal is no parameter of this one.
    for body in
        [json!({"secret_shares": 5, "secret_threshold": 3}), json!({"secret_shares": 1, "secret_threshold": 1, "recovery_shares": 1})]
    {
        let (code, answer) = server.call("PUT", "sys/init", Some(body));
        let said = answer["errors"].to_string();
        assert!(code == 400 && said.contains("not applicable to seal type awskms") && said.contains("secret_shares"), "{code} {answer}");
    }

    let made = ask(&server, &["operator", "init", "-format=json", "-recovery-shares=3", "-recovery-threshold=2"]);
    let shares = strings(&made["recovery_keys_b64"]);
    assert_eq!((shares.len(), &made["unseal_keys_b64"], &made["recovery_keys_threshold"]), (3, &json!([]), &json!(2)), "{made}");
    server.token = made["root_token"].as_str().unwrap().to_owned();
    server.until_active();
    let found = json_of(bao(), &server, &["status", "-format=json"], 0);
    for (name, value) in [
        ("type", json!("awskms")),
        ("recovery_seal", json!(true)),
        ("recovery_seal_type", json!("shamir")),
        ("initialized", json!(true)),
        ("sealed", json!(false)),
        ("t", json!(2)),
        ("n", json!(3)),
        ("migration", json!(false)),
    ] {
        assert_eq!(found[name], value, "{name} of {found}");
    }
    let table = text(&run(bao(), &server, &["status"]));
    for row in
        [["Seal Type", "awskms"], ["Recovery Seal Type", "shamir"], ["Total Recovery Shares", "3"], ["Threshold", "2"], ["Sealed", "false"]]
    {
        let is_row = |line: &str| line.strip_prefix(row[0]).is_some_and(|rest| rest.trim() == row[1]);
        assert!(table.lines().any(is_row), "{row:?} is no row of\n{table}");
    }

    ask(&server, &["secrets", "enable", "-version=2", "-path=secret", "kv"]);
    ask(&server, &["kv", "put", "secret/app", "user=first"]);
    server.stop();

    // Nobody unseals.
    server = setup.serve(&server.token.clone());
    assert_eq!(ask(&server, &["kv", "get", "-format=json", "secret/app"])["data"]["data"], json!({"user": "first"}));

    // Who seals by hand has it sealed, also when the pause before the next try is over.
    ask(&server, &["operator", "seal"]);
    std::thread::sleep(Duration::from_millis(1_500));
    json_of(bao(), &server, &["status", "-format=json"], 2);
    assert_eq!(json_of(bao(), &server, &["operator", "unseal", "-format=json", &shares[2]], 0)["progress"], 1);
    assert_eq!(json_of(bao(), &server, &["operator", "unseal", "-format=json", &shares[0]], 0)["sealed"], false);
    server.until_active();
    assert_eq!(ask(&server, &["kv", "get", "-format=json", "secret/app"])["data"]["data"], json!({"user": "first"}));

    for client in [bao, coffer] {
        let token = generate(client, &server, &shares[1..]);
        let before = std::mem::replace(&mut server.token, token);
        assert_eq!(ask(&server, &["token", "lookup", "-format=json"])["data"]["policies"], json!(["root"]));
        server.token = before;
    }

    ask(&server, &["operator", "rotate"]);
    assert_eq!(server.done("GET", "sys/key-status", None)["data"]["term"], 2);
    rekey(&mut server, &shares);
    server.stop();
    let server = setup.serve(&server.token);
    assert_eq!(ask(&server, &["kv", "get", "-format=json", "secret/app"])["data"]["data"], json!({"user": "first"}));
    assert_eq!((&status(&server)["t"], &status(&server)["n"]), (&json!(3), &json!(5)));
}

/// A root token by the recovery keys, as an operator makes one.
fn generate(client: fn() -> Command, server: &Server, shares: &[String]) -> String {
    let begun = json_of(client(), server, &["operator", "generate-root", "--init", "--format=json"], 0);
    let (nonce, otp) = (format!("--nonce={}", begun["nonce"].as_str().unwrap()), begun["otp"].as_str().unwrap());
    let mut last = Value::Null;
    for share in shares {
        last = json_of(client(), server, &["operator", "generate-root", &nonce, "--format=json", share], 0);
    }
    let encoded = last["encoded_token"].as_str().or(last["encoded_root_token"].as_str()).unwrap_or_else(|| panic!("{last}"));
    let (decode, otp) = (format!("--decode={encoded}"), format!("--otp={otp}"));
    let made = json_of(client(), server, &["operator", "generate-root", &decode, &otp, "--format=json"], 0);
    made["token"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

/// New recovery keys by the old ones, then a new root key by the new ones.
fn rekey(server: &mut Server, shares: &[String]) {
    let begin = ["operator", "rotate-keys", "-init", "-target=recovery", "-key-shares=5", "-key-threshold=3", "-format=json"];
    let nonce = format!("-nonce={}", json_of(bao(), server, &begin, 0)["nonce"].as_str().unwrap());
    let mut last = Value::Null;
    for share in &shares[..2] {
        last = json_of(bao(), server, &["operator", "rotate-keys", "-target=recovery", &nonce, "-format=json", share], 0);
    }
    let new = strings(&last["keys_base64"]);
    assert_eq!((new.len(), &last["complete"]), (5, &json!(true)), "{last}");
    assert_eq!((&status(server)["t"], &status(server)["n"]), (&json!(3), &json!(5)));

    // The old ones are worth nothing; the new ones give a root key that nobody sees.
    assert_eq!(super::process::generate_root(server, &[&shares[..2], &shares[..1]].concat()), None);
    let _ = server.call("DELETE", "sys/generate-root/attempt", None);
    let begin = ["operator", "rotate-keys", "-init", "-target=barrier", "-key-shares=1", "-key-threshold=1", "-format=json"];
    let nonce = format!("-nonce={}", json_of(bao(), server, &begin, 0)["nonce"].as_str().unwrap());
    for share in &new[1..4] {
        last = json_of(bao(), server, &["operator", "rotate-keys", "-target=barrier", &nonce, "-format=json", share], 0);
    }
    assert_eq!(last["complete"], true, "{last}");
    assert!(last["keys_base64"].as_array().is_none_or(Vec::is_empty), "the root key's rekey handed out {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_client_uses_a_server_on_files_that_unseals_itself() {
    let signed = signed().await;
    let key = kms_blob(signed, &["key", "create"]);
    lifecycle(&Setup::files(&signed.1).sealed_by(&[awskms(&key, signed.0.endpoint(), "")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_client_uses_a_server_on_a_table_that_unseals_itself_with_the_same_credentials() {
    let signed = signed().await;
    let key = kms_blob(signed, &["key", "create"]);
    lifecycle(&Setup::table(signed.0.endpoint(), "lifecycle", &signed.1).sealed_by(&[awskms(&key, signed.0.endpoint(), "")]));
}

/// The key that protects the stored keys, as a stranger reads it.
fn protected_by(signed: &(Moto, Keys), setup: &Setup) -> Value {
    serde_json::from_str::<Value>(&kms_blob(signed, &["open", setup.data().to_str().unwrap()])).unwrap()["key_id"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_takes_over_at_the_next_unseal_and_so_does_what_an_alias_is_pointed_at() {
    let signed = signed().await;
    let keys: Vec<String> = (0..3).map(|_| kms_blob(signed, &["key", "create"])).collect();
    for recovery in [2, 0] {
        let mut setup = Setup::files(&signed.1).sealed_by(&[awskms(&keys[0], signed.0.endpoint(), "")]);
        let mut server = setup.start();
        initialise(&mut server, recovery, recovery);
        write(&server, "before");
        server.done("PUT", "sys/rotate", None);
        server.stop();
        assert_eq!(protected_by(signed, &setup), json!(keys[0]));

        let alias = format!("alias/of-{recovery}");
        kms_blob(signed, &["key", "alias", &alias, &keys[1]]);
        let upgraded = |server: &Server, key: &str| {
            let log = server.log();
            let told = |what: &str| log.lines().any(|line| line.contains(what) && line.contains(key));
            assert!(told("upgrading stored keys") && told("upgrading recovery key") == (recovery > 0), "{log}");
            reads(server, "before");
        };
        // Another key, by its alias; then the alias is another key's.
        setup.seals = awskms(&alias, signed.0.endpoint(), "");
        for key in &keys[1..] {
            kms_blob(signed, &["key", "alias", &alias, key]);
            server = setup.serve(&server.token.clone());
            upgraded(&server, key);
            server.stop();
            assert_eq!(protected_by(signed, &setup), json!(key));
        }
        // With nothing changed nothing is written anew.
        server = setup.serve(&server.token.clone());
        assert!(!server.log().contains("upgrading"), "{}", server.log());
        server.stop();

        // No other key than the configured one is asked to decrypt where the operator says so.
        setup.seals = awskms(&keys[0], signed.0.endpoint(), "  previous_key_ids = []\n");
        let token = server.token.clone();
        let server = setup.start();
        until("the refusal of another key", &server, || server.log().contains("previous_key_ids"));
        assert_eq!(status(&server)["sealed"], true);
        drop(server);
        setup.seals = awskms(&keys[0], signed.0.endpoint(), &format!("  previous_key_ids = [\"{}\"]\n", keys[2]));
        let server = setup.serve(&token);
        upgraded(&server, &keys[0]);
    }
}

#[test]
fn the_component_can_reach_kms_by_way_of_the_host_and_nothing_else() {
    let component = crate::runtime::path("awskms");
    let output = crate::e2e::process::succeed(coffer().args(["plugin", "inspect", "--format", "json"]).arg(component), LIMIT);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["can_reach"], "log, aws (if granted), clocks, random bytes", "{found}");
    assert_eq!((&found["grants_needed"], &found["grants_usable"]), (&json!(["aws"]), &json!([])), "{found}");
}
