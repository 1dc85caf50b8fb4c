//! kill -9 between every two writes of whatever changes the seal's entries: the server comes back, with the keys of before or those of after, and no share
//! that was handed out is worthless unless another set is good.
//!
//! A table's changes are held back at the process's request number n, so that every state in between is met, the marks of folders included. Files are watched; there the
//! process dies within some microseconds of the n-th step.

mod ground;
mod migration;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use cofferdam_emulator::{Kms, NewKey};
use serde_json::{Value, json};

use self::ground::{Ground, Kind};
use super::process::{REGION, Setup, awskms, generate_root, initialise, reads, strings, write};
use crate::e2e::process::Server;

/// More changes than any of these operations makes.
const MANY: u64 = 300;

/// An answer, if the server lives to give it.
fn ask(server: &Server, method: &str, path: &str, body: Value) -> Option<Value> {
    match server.try_call(method, path, Some(&body)) {
        Ok((200..=299, answer)) => Some(answer),
        Ok((status, answer)) => panic!("{method} {path}: {status} {answer}\n{}", server.log()),
        Err(_) => None,
    }
}

/// Tells that an operation is over, also if it failed.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Does something on copies of a store, and kills the server before the first change that it makes, before the second, and so on until it is done with it.
/// Each time the store is looked at with what the client has got by then. It is known to make so many changes at the least.
async fn at_every_change<T: Send + 'static>(
    ground: &Ground,
    least: u64,
    start: impl Fn(&Setup) -> Server,
    operation: impl Fn(&Server) -> Option<T> + Send + Sync + 'static,
    check: impl Fn(&mut Setup, Option<T>),
) {
    let operation = Arc::new(operation);
    for changes in 0..MANY {
        let mut one = ground.copy().await;
        let (server, over) = (Arc::new(start(&one.setup)), Arc::new(AtomicBool::new(false)));
        // Set before the operation begins, which may be over sooner than anything else is done.
        let trap = one.trap(changes);
        let working = tokio::task::spawn_blocking({
            let (server, operation, over) = (Arc::clone(&server), Arc::clone(&operation), Over(Arc::clone(&over)));
            move || {
                let _over = over;
                operation(&server)
            }
        });
        let (killed, made) = tokio::join!(trap.kill(server.id(), over), working);
        let made = made.unwrap();
        drop(server);
        one.heal().await;
        assert!(killed || made.is_some(), "the operation failed, and nobody killed the server");
        let done = !killed;
        check(&mut one.setup, made);
        if done {
            assert!(changes >= least, "the operation makes {changes} changes: too little was killed in between");
            return;
        }
    }
    panic!("the operation does not end within {MANY} changes");
}

/// A KMS in memory with a key.
async fn kms() -> (Kms, String) {
    let kms = Kms::start().await.unwrap();
    let key = kms.create(NewKey::new(REGION));
    (kms, key)
}

/// A store sealed by KMS that holds something; its recovery shares, two of three needed, and its root token.
async fn sealed_by_kms(kind: Kind, kms: &Kms, key: &str) -> (Ground, Vec<String>, String) {
    let ground = Ground::new(kind, &awskms(key, kms.endpoint(), "")).await;
    let mut server = ground.setup.start();
    let shares = initialise(&mut server, 3, 2);
    write(&server, "kept");
    server.stop();
    (ground, shares, server.token.clone())
}

async fn init(kind: Kind) {
    let (kms, key) = kms().await;
    let ground = Ground::new(kind, &awskms(&key, kms.endpoint(), "")).await;
    let operation = |server: &Server| ask(server, "PUT", "sys/init", json!({"recovery_shares": 1, "recovery_threshold": 1}));
    let check = |setup: &mut Setup, made: Option<Value>| {
        let mut server = setup.start();
        let initialised = server.done("GET", "sys/init", None)["initialized"] == json!(true);
        let shares = match made {
            Some(made) => {
                server.token = made["root_token"].as_str().unwrap().to_owned();
                server.until_active();
                strings(&made["recovery_keys_base64"])
            }
            // Killed after the last change and before the answer, which happens where nothing is held back: it opens, and that is all that can be said.
            None if initialised && kind == Kind::Files => return server.until_active(),
            None => {
                assert!(!initialised, "there is a vault, and nobody has its keys:\n{}", server.log());
                initialise(&mut server, 1, 1)
            }
        };
        write(&server, "kept");
        assert!(generate_root(&server, &shares).is_some());
    };
    at_every_change(&ground, 15, Setup::start, operation, check).await;
}

/// Whether the store is whole: it opens, also a second time, holds what it held, and these recovery shares are good.
fn whole(setup: &Setup, token: &str, shares: &[String]) -> Server {
    drop(setup.serve(token));
    let server = setup.serve(token);
    reads(&server, "kept");
    server.done("POST", "kv/entry", Some(json!({"value": "after"})));
    reads(&server, "after");
    assert!(generate_root(&server, &shares[..2]).is_some(), "the recovery shares are worth nothing:\n{}", server.log());
    server
}

async fn rotate(kind: Kind) {
    let (kms, key) = kms().await;
    let (ground, shares, token) = sealed_by_kms(kind, &kms, &key).await;
    let check = |setup: &mut Setup, made: Option<Value>| {
        let server = whole(setup, &token, &shares);
        let term = server.done("GET", "sys/key-status", None)["data"]["term"].as_u64().unwrap();
        assert!(term == 2 || (term == 1 && made.is_none()), "term {term}");
    };
    at_every_change(&ground, 2, |setup| setup.serve(&token), |server| ask(server, "PUT", "sys/rotate", json!({})), check).await;
}

/// Gives shares one after the other; the last answer.
fn give(server: &Server, path: &str, nonce: &Value, shares: &[String]) -> Option<Value> {
    let mut last = None;
    for share in shares {
        last = Some(ask(server, "PUT", path, json!({"key": share, "nonce": nonce}))?);
    }
    last
}

async fn rekey(kind: Kind) {
    let (kms, key) = kms().await;
    let (ground, shares, token) = sealed_by_kms(kind, &kms, &key).await;
    let operation = {
        let shares = shares.clone();
        move |server: &Server| {
            let begun = ask(server, "PUT", "sys/rekey/init", json!({"secret_shares": 1, "secret_threshold": 1}))?;
            give(server, "sys/rekey/update", &begun["nonce"], &shares[..2])
        }
    };
    let check = |setup: &mut Setup, _: Option<Value>| drop(whole(setup, &token, &shares));
    at_every_change(&ground, 3, |setup| setup.serve(&token), operation, check).await;
}

/// The new shares are handed out first, and count once they came back: so one set or the other is good, whenever the server dies.
async fn rekey_recovery(kind: Kind) {
    let (kms, key) = kms().await;
    let (ground, old, token) = sealed_by_kms(kind, &kms, &key).await;
    let handed_out = Arc::new(Mutex::new(None::<Vec<String>>));
    let operation = {
        let (old, handed_out) = (old.clone(), Arc::clone(&handed_out));
        move |server: &Server| {
            *handed_out.lock().unwrap() = None;
            let path = |what: &str| format!("sys/rekey-recovery-key/{what}");
            let wanted = json!({"secret_shares": 4, "secret_threshold": 2, "require_verification": true});
            let begun = ask(server, "PUT", &path("init"), wanted)?;
            let made = give(server, &path("update"), &begun["nonce"], &old[..2])?;
            let new = strings(&made["keys_base64"]);
            *handed_out.lock().unwrap() = Some(new.clone());
            give(server, &path("verify"), &made["verification_nonce"], &new[1..3])
        }
    };
    let check = |setup: &mut Setup, made: Option<Value>| {
        let new = handed_out.lock().unwrap().clone();
        let server = setup.serve(&token);
        let good = |shares: &[String]| generate_root(&server, &shares[..2]).is_some();
        let (old_good, new_good) = (good(&old), new.as_deref().is_some_and(good));
        let shown = server.done("GET", "sys/seal-status", None)["n"].as_u64();
        drop(server);
        assert!(old_good != new_good, "old shares good: {old_good}, new ones: {new_good}");
        assert!(new_good || made.is_none(), "the new shares were acknowledged and are worth nothing");
        assert_eq!(shown, Some(if new_good { 4 } else { 3 }));
        whole(setup, &token, if new_good { new.as_deref().unwrap() } else { &old });
    };
    at_every_change(&ground, 3, |setup| setup.serve(&token), operation, check).await;
}

/// One test for each kind of storage.
macro_rules! on_both {
    ($operation:path, $table:ident, $files:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $table() {
            $operation(crate::awskms::e2e::kill::ground::Kind::Table).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $files() {
            $operation(crate::awskms::e2e::kill::ground::Kind::Files).await;
        }
    };
}
use on_both;

on_both!(init, init_that_is_killed_on_a_table_can_be_run_again, init_that_is_killed_on_files_can_be_run_again);
on_both!(rotate, a_rotation_that_is_killed_on_a_table_was_made_or_not, a_rotation_that_is_killed_on_files_was_made_or_not);
on_both!(rekey, a_rekey_that_is_killed_on_a_table_was_made_or_not, a_rekey_that_is_killed_on_files_was_made_or_not);
on_both!(
    rekey_recovery,
    of_old_and_new_recovery_shares_on_a_table_one_set_is_good,
    of_old_and_new_recovery_shares_on_files_one_set_is_good
);
