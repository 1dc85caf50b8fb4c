//! What shares authorise: rekeys and root tokens, with and without a token, under both kinds of seal.

use cofferdam_test_support::Memory;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Vault, call, core_on, data, initialize, options, unseal};
use crate::core::{Core, GenerateRootRequest, InitRequest, Options, RekeyAnswer, RekeyRequest, ShareRequest, Target, decode_token};
use crate::logical::{Error, Operation, Result};
use crate::testing::service::Service;

fn share(key: &str, nonce: &str) -> ShareRequest {
    ShareRequest { key: Zeroizing::new(key.to_owned()), nonce: nonce.to_owned() }
}

/// A vault with shares 3/2, of the recovery key if a key service seals it.
async fn vault(service: Option<&Service>) -> (Vault, Vec<String>) {
    let memory = Memory::default();
    let texts = |keys: Vec<Zeroizing<String>>| keys.iter().map(|key| key.to_string()).collect::<Vec<_>>();
    let (core, keys, root) = match service {
        Some(service) => {
            let core = Core::new(std::sync::Arc::new(memory.clone()), Options { seal: service.options(), ..options() });
            let request = InitRequest { recovery_shares: 3, recovery_threshold: 2, ..InitRequest::default() };
            let made = core.initialize(request).await.unwrap();
            (core, texts(made.recovery_keys.unwrap()), made.root_token)
        }
        None => {
            let core = core_on(memory.clone());
            let made = initialize(&core, 3, 2).await.unwrap();
            for key in &made.keys[..2] {
                unseal(&core, key).await.unwrap();
            }
            (core, texts(made.keys), made.root_token)
        }
    };
    let vault = Vault { memory, core, key: String::new(), root: root.to_string() };
    assert!(vault.read("sys/key-status").await.is_ok());
    (vault, keys)
}

#[tokio::test]
async fn a_root_token_is_made_from_the_shares_of_either_seal() {
    let service = Service::new("one");
    for service in [None, Some(&service)] {
        let (vault, keys) = vault(service).await;
        let core = &vault.core;
        let begun = core.generate_root_begin(GenerateRootRequest::default()).await.unwrap();
        assert_eq!((begun.required, begun.otp_length), (2, begun.otp.len()));
        let wrong = "ab".repeat(33);
        core.generate_root_update(share(&keys[0], &begun.nonce)).await.unwrap();
        let text = match core.generate_root_update(share(&wrong, &begun.nonce)).await.err() {
            Some(Error::BadRequest(text)) => text,
            other => panic!("{other:?}"),
        };
        let expected = match service {
            None => {
                "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: cipher: message authentication failed"
            }
            Some(_) => "recovery key verification failed: recovery key does not match submitted values",
        };
        assert_eq!(text, format!("root generation aborted: unable to authenticate: {expected}"));
        assert_eq!(core.generate_root_status().await.unwrap().progress, 0);
        core.generate_root_update(share(&keys[2], &begun.nonce)).await.unwrap();
        let done = core.generate_root_update(share(&keys[1], &begun.nonce)).await.unwrap();
        assert!(done.complete);
        let request = crate::core::DecodeTokenRequest { encoded_token: done.encoded_token, otp: begun.otp };
        let token = data(decode_token(&request).unwrap())["token"].as_str().unwrap().to_owned();
        let looked = data(call(core, Some(&token), Operation::Read, "auth/token/lookup-self", Value::Null).await.unwrap());
        assert_eq!((&looked["policies"], &looked["path"], &looked["orphan"]), (&json!(["root"]), &json!("auth/token/root"), &json!(true)));
        assert!(!core.generate_root_status().await.unwrap().started);
    }
}

#[tokio::test]
async fn a_password_may_be_brought_along_and_an_attempt_given_up() {
    let (vault, keys) = vault(None).await;
    let core = &vault.core;
    let otp = "0123456789012345678901234567";
    let request = || GenerateRootRequest { otp: Zeroizing::new(otp.to_owned()), ..GenerateRootRequest::default() };
    let begun = core.generate_root_begin(request()).await.unwrap();
    assert!(begun.otp.is_empty());
    core.generate_root_update(share(&keys[0], &begun.nonce)).await.unwrap();
    core.generate_root_cancel().await.unwrap();
    assert!(core.generate_root_update(share(&keys[1], &begun.nonce)).await.is_err());
    let again = core.generate_root_begin(request()).await.unwrap();
    assert_ne!(again.nonce, begun.nonce);
    // What was given before does not count.
    assert_eq!(core.generate_root_update(share(&keys[1], &again.nonce)).await.unwrap().progress, 1);
    // Sealing ends it.
    core.shutdown().await;
    assert!(matches!(core.generate_root_status().await, Err(Error::Sealed)));
    for key in &keys[..2] {
        unseal(core, key).await.unwrap();
    }
    assert!(!core.generate_root_status().await.unwrap().started);
}

#[tokio::test]
async fn with_a_token_the_same_is_had_below_rotate() {
    let (vault, keys) = vault(None).await;
    let idle = json!({ "n": 0, "required": 2, "started": false, "t": 0 });
    assert_eq!(vault.read("sys/rotate/root/init").await.unwrap(), idle);
    let asked = json!({ "secret_shares": 2, "secret_threshold": "2", "require_verification": true });
    let begun = data(vault.write("sys/rotate/root/init", asked).await.unwrap());
    let nonce = begun["nonce"].clone();
    let members = |required: u8| {
        json!({
            "n": 2, "nonce": nonce, "progress": 0, "required": required, "started": true, "t": 2, "verification_nonce": "",
            "verification_required": true,
        })
    };
    assert_eq!(begun, members(2));
    assert_eq!(vault.read("sys/rotate/root/init").await.unwrap(), members(2));
    for (body, text) in [
        (json!({ "nonce": nonce }), "missing required field 'key'"),
        (json!({ "key": keys[0] }), "missing required field 'nonce'"),
        (json!({ "key": "zz", "nonce": nonce }), "'key' must be a valid hex or base64 string"),
    ] {
        assert!(matches!(vault.write("sys/rotate/root/update", body).await, Err(Error::BadRequest(told)) if told == text));
    }
    let give = async |path: &str, key: &Value, nonce: &Value| -> Result<Value> {
        vault.write(path, json!({ "key": key, "nonce": nonce })).await.map(data)
    };
    give("sys/rotate/root/update", &json!(keys[0]), &nonce).await.unwrap();
    let mut done = give("sys/rotate/root/update", &json!(keys[2]), &nonce).await.unwrap();
    let (new, _, proof) = (done["keys"].take(), done["keys_base64"].take(), done["verification_nonce"].take());
    let expected = json!({
        "backup": false, "complete": true, "keys": null, "keys_base64": null, "nonce": nonce, "pgp_fingerprints": null,
        "verification_nonce": null, "verification_required": true,
    });
    assert_eq!(done, expected);
    let status = json!({ "n": 2, "nonce": proof, "progress": 0, "started": true, "t": 2 });
    assert_eq!(vault.read("sys/rotate/root/verify").await.unwrap(), status);
    give("sys/rotate/root/verify", &new[0], &proof).await.unwrap();
    let told = give("sys/rotate/root/verify", &new[1], &proof).await.unwrap();
    assert_eq!(told, json!({ "complete": true, "nonce": proof }));
    // Without shares, but with sudo.
    assert!(vault.write("sys/rotate/root", json!({})).await.unwrap().data.is_none());
    let token = vault.token(r#"path "sys/rotate/*" { capabilities = ["create", "update", "read", "delete"] }"#).await;
    let by = async |operation, path: &str| call(&vault.core, Some(&token), operation, path, json!({})).await;
    assert!(matches!(by(Operation::Update, "sys/rotate/root").await, Err(Error::Forbidden(_))));
    assert!(by(Operation::Read, "sys/rotate/root/init").await.is_ok());
    for (operation, path) in [(Operation::Delete, "sys/rotate/root"), (Operation::Delete, "sys/rotate/root/update")] {
        let refused = vault.call(operation, path, Value::Null).await;
        assert!(matches!(refused, Err(Error::UnsupportedOperation)), "{path}: {refused:?}");
    }
    for path in ["sys/rotate/recovery", "sys/rotate/root/other", "sys/rotate/other/init"] {
        assert!(matches!(vault.read(path).await, Err(Error::NoRoute(_))), "{path}");
    }
    assert!(matches!(vault.read("sys/rotate/recovery/init").await, Err(Error::BadRequest(text)) if text == "recovery keys not supported"));
    // The shares of today.
    vault.core.shutdown().await;
    for key in new.as_array().unwrap() {
        unseal(&vault.core, key.as_str().unwrap()).await.unwrap();
    }
    assert!(vault.read("sys/key-status").await.is_ok());
}

#[tokio::test]
async fn a_recovery_key_is_made_for_who_has_a_token_where_there_is_none() {
    let service = Service::new("one");
    let core = Core::new(std::sync::Arc::new(Memory::default()), Options { seal: service.options(), ..options() });
    let root = core.initialize(InitRequest::default()).await.unwrap().root_token;
    let write = async |path: &str, body: Value| call(&core, Some(&root), Operation::Update, path, body).await.map(data);
    let request = RekeyRequest { secret_shares: 3, secret_threshold: 2, ..RekeyRequest::default() };
    for refused in [
        core.rekey_begin(Target::Recovery, request).await.err(),
        core.rekey_begin(Target::Root, RekeyRequest::default()).await.err(),
        core.generate_root_begin(GenerateRootRequest::default()).await.err(),
    ] {
        assert!(matches!(refused, Some(Error::BadRequest(text)) if text.contains("no recovery key")));
    }
    let mut made = write("sys/rotate/recovery/init", json!({ "secret_shares": 3, "secret_threshold": 2 })).await.unwrap();
    let keys = made["keys"].take();
    assert!(made["nonce"].as_str().unwrap().len() == 36 && made["keys_base64"].as_array().unwrap().len() == 3);
    assert_eq!(
        (&made["n"], &made["t"], &made["complete"], &made["verification_required"]),
        (&json!(3), &json!(2), &json!(true), &json!(false))
    );
    let status = core.seal_status().await.unwrap();
    assert_eq!((status.n, status.t, status.recovery_seal), (3, 2, true));
    let begun = core.generate_root_begin(GenerateRootRequest::default()).await.unwrap();
    core.generate_root_update(share(keys[0].as_str().unwrap(), &begun.nonce)).await.unwrap();
    assert!(core.generate_root_update(share(keys[1].as_str().unwrap(), &begun.nonce)).await.unwrap().complete);
    // From now on the shares have to agree.
    let begun = write("sys/rotate/recovery/init", json!({ "secret_shares": 1, "secret_threshold": 1 })).await.unwrap();
    assert_eq!((&begun["started"], &begun["keys"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn without_a_token_the_root_token_is_nowhere_asked_for() {
    let (vault, keys) = vault(None).await;
    let core = &vault.core;
    let request = RekeyRequest { secret_shares: 1, secret_threshold: 1, ..RekeyRequest::default() };
    let RekeyAnswer::Progress(begun) = core.rekey_begin(Target::Root, request).await.unwrap() else { panic!() };
    core.rekey_update(Target::Root, share(&keys[0], &begun.nonce)).await.unwrap();
    // In base 64 as well.
    let base64 = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(hex::decode(&keys[1]).unwrap())
    };
    let RekeyAnswer::Complete(done) = core.rekey_update(Target::Root, share(&base64, &begun.nonce)).await.unwrap() else { panic!() };
    core.shutdown().await;
    assert!(matches!(core.rekey_status(Target::Root).await, Err(Error::Sealed)));
    assert!(unseal(core, &keys[0]).await.is_err());
    assert!(!unseal(core, &done.keys[0]).await.unwrap().sealed);
}
