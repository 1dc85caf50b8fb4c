//! A snapshot of a vault that KMS unseals, under shares: opened by the real server, without KMS.

use cofferdam_emulator::{Keys, Kms, NewKey};
use serde_json::json;

use super::process::{LIMIT, REGION, Setup, awskms, initialise, json_of, reads, run, strings, write};
use crate::e2e::bao::raft;
use crate::e2e::process::{coffer, finish, text};
use crate::snapshot::exchange::real_client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_put_under_shares_opens_in_the_real_server_without_kms() {
    let kms = Kms::start().await.unwrap();
    let key = kms.create(NewKey::new(REGION));
    let setup = Setup::files(&Keys::any()).sealed_by(&[awskms(&key, kms.endpoint(), "")]);
    let mut server = setup.start();
    initialise(&mut server, 1, 1);
    write(&server, "kept");
    let path = |name: &str| setup.dir().join(name).display().to_string();
    let (sealed, shared) = (path("kms.snap"), path("shares.snap"));
    let saved = run(coffer(), &server, &["snapshot", "save", &sealed]);
    assert!(saved.status.success(), "{}", text(&saved));
    assert_eq!(json_of(coffer(), &server, &["snapshot", "inspect", "-format=json", &sealed], 0)["seal_type"], "awskms");

    let config = path("coffer.hcl");
    let convert = ["snapshot", "convert", "-to-shamir", "-config", &config, "-n", "3", "-t", "2", "-format=json", &sealed, &shared];
    let unsure = finish(coffer().args(convert), LIMIT);
    assert!(unsure.status.code() == Some(1) && text(&unsure).contains("--without-key-service"), "{}", text(&unsure));
    let made = finish(coffer().args(convert).arg("-without-key-service"), LIMIT);
    assert!(made.status.success(), "{}", text(&made));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!((&made["from"], &made["to"]), (&json!("awskms"), &json!("shamir")));
    let keys = strings(&made["keys_base64"]);
    assert_eq!(json_of(coffer(), &server, &["snapshot", "inspect", "-format=json", &shared], 0)["seal_type"], "shamir");
    // It is written once.
    let again = finish(coffer().args(convert).arg("-without-key-service"), LIMIT);
    assert!(again.status.code() == Some(1) && text(&again).contains("there is such a file"), "{}", text(&again));

    kms.set_state(&key, "Disabled");
    let theirs = tempfile::tempdir().unwrap();
    let mut real = raft(theirs.path(), "");
    real.initialise(3, 2);
    let restored = finish(&mut real_client(&real, theirs.path(), &["restore", "-force", &shared]), LIMIT);
    assert!(restored.status.success(), "{}", text(&restored));
    real.reopen(&keys[1..]);
    real.token.clone_from(&server.token);
    reads(&real, "kept");
    server.stop();
}
