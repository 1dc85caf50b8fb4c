//! Two servers on one table, with one set of credentials for table and key: nobody unseals either, and one takes over from the other, also after a rekey.

use cofferdam_emulator::{Keys, Kms, Mini, NewKey, Proxy};
use serde_json::{Value, json};

use super::process::{REGION, Setup, awskms, generate_root, reads, status, strings};
use crate::e2e::process::{Server, until};
use crate::ha::processes::TIMES;

fn health(server: &Server) -> u16 {
    server.call("GET", "sys/health", None).0
}

fn setup(table: &Proxy, kms: &Kms, key: &str) -> Setup {
    let mut setup = Setup::table(table.endpoint(), "shared", &Keys::any()).sealed_by(&[awskms(key, kms.endpoint(), "")]);
    setup.storage = setup.storage.replace("\n}\n", &format!("\n  ha_enabled = \"true\"\n  ha {{ {TIMES} }}\n}}\n"));
    setup
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_unseals_itself_and_takes_over_what_the_leader_rekeyed() {
    let (kms, mini) = (Kms::start().await.unwrap(), std::sync::Arc::new(Mini::new()));
    let (key, table) = (kms.create(NewKey::new(REGION)), Proxy::start(&mini).await.unwrap());
    let (one, other) = (setup(&table, &kms, &key), setup(&table, &kms, &key));
    let mut leader = one.start();
    let made = leader.done("PUT", "sys/init", Some(json!({"recovery_shares": 2, "recovery_threshold": 2})));
    let shares = strings(&made["recovery_keys_base64"]);
    made["root_token"].as_str().unwrap().clone_into(&mut leader.token);
    until("a leader", &leader, || health(&leader) == 200);
    super::process::write(&leader, "kept");
    let mut standby = other.start();
    standby.token.clone_from(&leader.token);
    until("the standby", &standby, || health(&standby) == 429);
    assert_eq!(status(&standby)["sealed"], false);

    // The root key is another one now, and the standby has the old one.
    let begun = leader.done("PUT", "sys/rekey/init", Some(json!({"secret_shares": 1, "secret_threshold": 1})));
    let mut last = Value::Null;
    for share in &shares {
        last = leader.done("PUT", "sys/rekey/update", Some(json!({"key": share, "nonce": begun["nonce"]})));
    }
    assert_eq!(last["complete"], true, "{last}");
    leader.done("PUT", "sys/rotate", None);
    leader.done("POST", "kv/entry", Some(json!({"value": "later"})));
    leader.kill();
    until("the new leader", &standby, || health(&standby) == 200);
    reads(&standby, "later");
    assert!(generate_root(&standby, &shares).is_some());

    // The one that was killed comes back without anybody, too.
    let mut back = one.start();
    back.token.clone_from(&standby.token);
    until("its return", &back, || health(&back) == 429);
    standby.stop();
    until("its turn", &back, || health(&back) == 200);
    reads(&back, "later");
}
