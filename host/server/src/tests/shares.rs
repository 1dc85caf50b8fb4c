//! Rekeys and root tokens by shares alone. The bodies are those of OpenBao 2.7.2, asked with the same requests.

use serde_json::{Value, json};

use super::{Running, errors, listener};
use crate::ListenerConfig;

/// A server whose listener answers without a token, unsealed with shares 3/2.
async fn opened() -> (Running, Vec<Value>, String) {
    let open =
        ListenerConfig { disable_unauthed_rekey_endpoints: false, disable_unauthed_generate_root_endpoints: false, ..listener(None) };
    let running = Running::start(open).await;
    let made = running.client.send("PUT", "sys/init", None, r#"{"secret_shares":3,"secret_threshold":2}"#).await.json();
    let keys = made["keys"].as_array().unwrap().clone();
    unseal(&running, &keys).await;
    (running, keys, made["root_token"].as_str().unwrap().to_owned())
}

async fn unseal(running: &Running, keys: &[Value]) {
    for key in keys {
        running.client.send("PUT", "sys/unseal", None, &json!({ "key": key }).to_string()).await;
    }
    assert_eq!(running.client.send("GET", "sys/seal-status", None, "").await.json()["sealed"], false);
}

fn share(key: &Value, nonce: &Value) -> String {
    json!({ "key": key, "nonce": nonce }).to_string()
}

#[tokio::test]
async fn a_rekey_by_shares_has_the_answers_of_vault() {
    let (running, keys, _) = opened().await;
    let client = &running.client;
    let idle = json!({
        "nonce": "", "started": false, "t": 0, "n": 0, "progress": 0, "required": 2, "pgp_fingerprints": null, "backup": false,
        "verification_required": false,
    });
    assert_eq!(client.send("GET", "sys/rekey/init", None, "").await.json(), idle);
    let refused = client.send("PUT", "sys/rekey/init", None, "{}").await;
    assert_eq!((refused.status, errors(&refused)), (500, json!(["invalid rekey seal configuration: shares must be at least one"])));
    let begun = client.send("POST", "sys/rekey/init", None, r#"{"secret_shares":5,"secret_threshold":3}"#).await;
    let nonce = begun.json()["nonce"].clone();
    let expected = json!({
        "nonce": nonce, "started": true, "t": 3, "n": 5, "progress": 0, "required": 2, "pgp_fingerprints": null, "backup": false,
        "verification_required": false,
    });
    assert_eq!((begun.status, begun.json()), (200, expected));
    for (body, text) in [
        ("{}".to_owned(), "'key' must be specified in request body as JSON".to_owned()),
        (json!({"key": "zz", "nonce": nonce}).to_string(), "'key' must be a valid hex or base64 string".to_owned()),
        (share(&keys[0], &json!("x")), format!("incorrect nonce supplied; nonce for this rekey operation is {nonce}")),
    ] {
        let refused = client.send("PUT", "sys/rekey/update", None, &body).await;
        assert_eq!((refused.status, errors(&refused)), (400, json!([text])));
    }
    assert_eq!(client.send("PUT", "sys/rekey/update", None, &share(&keys[0], &nonce)).await.json()["progress"], 1);
    let done = client.send("PUT", "sys/rekey/update", None, &share(&keys[1], &nonce)).await;
    let mut body = done.json();
    let (new, base64) = (body["keys"].take(), body["keys_base64"].take());
    let expected = json!({
        "nonce": nonce, "complete": true, "keys": null, "keys_base64": null, "pgp_fingerprints": null, "backup": false,
        "verification_required": false,
    });
    assert_eq!((done.status, body), (200, expected));
    let new = new.as_array().unwrap().clone();
    assert!(new.len() == 5 && base64.as_array().unwrap().len() == 5);
    assert_eq!(client.send("DELETE", "sys/rekey/init", None, "").await.status, 204);
    let none = client.send("PUT", "sys/rekey/update", None, &share(&keys[0], &nonce)).await;
    assert_eq!((none.status, errors(&none)), (400, json!(["no barrier rekey in progress"])));
    let recovery = client.send("GET", "sys/rekey-recovery-key/init", None, "").await;
    assert_eq!((recovery.status, errors(&recovery)), (400, json!(["recovery rekeying not supported"])));
    let wrong = client.send("LIST", "sys/rekey/init", None, "").await;
    assert_eq!((wrong.status, errors(&wrong)), (405, json!(["unsupported operation"])));
    running.stop().await;
}

#[tokio::test]
async fn the_new_shares_open_the_vault_once_they_were_verified() {
    let (running, keys, root) = opened().await;
    let client = &running.client;
    let body = r#"{"secret_shares":3,"secret_threshold":3,"require_verification":true}"#;
    let nonce = client.send("PUT", "sys/rekey/init", None, body).await.json()["nonce"].clone();
    let none = client.send("PUT", "sys/rekey/verify", None, &share(&keys[0], &nonce)).await;
    assert_eq!((none.status, errors(&none)), (400, json!(["no rekey verification in progress"])));
    client.send("PUT", "sys/rekey/update", None, &share(&keys[0], &nonce)).await;
    let made = client.send("PUT", "sys/rekey/update", None, &share(&keys[1], &nonce)).await.json();
    let (new, proof) = (made["keys"].as_array().unwrap().clone(), made["verification_nonce"].clone());
    assert_eq!(made["verification_required"], true);
    let expected = json!({ "nonce": proof, "started": true, "t": 3, "n": 3, "progress": 0 });
    assert_eq!(client.send("GET", "sys/rekey/verify", None, "").await.json(), expected);
    let restarted = client.send("DELETE", "sys/rekey/verify", None, "").await;
    let proof = restarted.json()["nonce"].clone();
    assert_eq!((restarted.status, &restarted.json()["progress"]), (200, &json!(0)));
    for (at, key) in new.iter().enumerate() {
        let answer = client.send("PUT", "sys/rekey/verify", None, &share(key, &proof)).await.json();
        let expected = match at {
            2 => json!({ "nonce": proof, "complete": true }),
            at => json!({ "nonce": proof, "started": true, "t": 3, "n": 3, "progress": at + 1 }),
        };
        assert_eq!(answer, expected);
    }
    assert_eq!(client.send("PUT", "sys/seal", Some(&root), "").await.status, 204);
    for (method, path) in [("GET", "sys/rekey/init"), ("PUT", "sys/rekey/update"), ("DELETE", "sys/generate-root/attempt")] {
        let sealed = client.send(method, path, None, "").await;
        assert_eq!((sealed.status, errors(&sealed)), (503, json!(["Vault is sealed"])), "{path}");
    }
    unseal(&running, &new).await;
    running.stop().await;
}

#[tokio::test]
async fn a_root_token_is_made_by_shares() {
    let (running, keys, root) = opened().await;
    let client = &running.client;
    let status = |nonce: &Value, started: bool, otp: &Value| {
        json!({
            "nonce": nonce, "started": started, "progress": 0, "required": 2, "complete": false, "encoded_token": "", "encoded_root_token": "",
            "pgp_fingerprint": "", "otp": otp, "otp_length": 28,
        })
    };
    let none = json!("");
    assert_eq!(client.send("GET", "sys/generate-root/attempt", None, "").await.json(), status(&none, false, &none));
    let short = client.send("PUT", "sys/generate-root/attempt", None, r#"{"otp":"abc"}"#).await;
    assert_eq!((short.status, errors(&short)), (400, json!(["OTP string is wrong length"])));
    let pgp = client.send("PUT", "sys/generate-root/attempt", None, r#"{"pgp_key":"x"}"#).await;
    assert_eq!(pgp.status, 400);
    let begun = client.send("PUT", "sys/generate-root/attempt", None, "").await.json();
    let (nonce, otp) = (begun["nonce"].clone(), begun["otp"].clone());
    assert_eq!((begun, otp.as_str().unwrap().len()), (status(&nonce, true, &otp), 28));
    let twice = client.send("PUT", "sys/generate-root/attempt", None, "").await;
    assert_eq!((twice.status, errors(&twice)), (400, json!(["root generation already in progress"])));
    // The password is told once.
    assert_eq!(client.send("GET", "sys/generate-root/attempt", None, "").await.json(), status(&nonce, true, &none));
    let begin = "root generation aborted: unable to authenticate: unable to retrieve stored keys: invalid key: ";
    for (key, nonce, text) in [
        (&keys[0], &json!("x"), format!("incorrect nonce supplied; nonce for this root generation operation is {nonce}")),
        (&json!("ab".repeat(34)), &nonce, "invalid key: key is longer than maximum 33 bytes".to_owned()),
        (&json!("ab".repeat(33)), &nonce, format!("{begin}failed to decrypt keys from storage: cipher: message authentication failed")),
    ] {
        if text.starts_with("root") {
            assert_eq!(client.send("PUT", "sys/generate-root/update", None, &share(&keys[1], nonce)).await.json()["progress"], 1);
        }
        let refused = client.send("PUT", "sys/generate-root/update", None, &share(key, nonce)).await;
        assert_eq!((refused.status, errors(&refused)), (400, json!([text])));
    }
    client.send("PUT", "sys/generate-root/update", None, &share(&keys[2], &nonce)).await;
    let done = client.send("PUT", "sys/generate-root/update", None, &share(&keys[0], &nonce)).await.json();
    let encoded = done["encoded_token"].clone();
    let expected = json!({
        "nonce": nonce, "started": true, "progress": 2, "required": 2, "complete": true, "encoded_token": encoded, "encoded_root_token": encoded,
        "pgp_fingerprint": "", "otp": "", "otp_length": 0,
    });
    assert_eq!(done, expected);
    let decoded = client.send("PUT", "sys/decode-token", None, &json!({ "encoded_token": encoded, "otp": otp }).to_string()).await.json();
    let token = decoded["data"]["token"].as_str().unwrap();
    assert!(token.starts_with("hvs.") && token != root);
    let looked = client.send("GET", "auth/token/lookup-self", Some(token), "").await.json();
    assert_eq!((&looked["data"]["policies"], &looked["data"]["ttl"]), (&json!(["root"]), &json!(0)));
    let refused = client.send("GET", "sys/decode-token", None, "").await;
    assert_eq!((refused.status, errors(&refused)), (405, json!(["unsupported operation"])));
    let over = client.send("PUT", "sys/generate-root/update", None, &share(&keys[0], &nonce)).await;
    assert_eq!((over.status, errors(&over)), (400, json!(["no root generation in progress"])));
    running.stop().await;
}

#[tokio::test]
async fn a_listener_may_have_them_closed_and_who_has_a_token_has_the_same() {
    let (running, root) = Running::unsealed().await;
    let (client, root) = (&running.client, Some(root.as_str()));
    for (path, option) in [
        ("sys/rekey/init", "disable_unauthed_rekey_endpoints"),
        ("sys/rekey/verify", "disable_unauthed_rekey_endpoints"),
        ("sys/rekey-recovery-key/update", "disable_unauthed_rekey_endpoints"),
        ("sys/generate-root/attempt", "disable_unauthed_generate_root_endpoints"),
    ] {
        for token in [None, root] {
            let closed = client.send("GET", path, token, "").await;
            assert_eq!((closed.status, &errors(&closed)[0]), (405, &json!("unsupported operation")), "{path}");
            assert!(errors(&closed)[1].as_str().unwrap().contains(option), "{path}");
        }
    }
    for path in ["sys/rotate/root/init", "sys/rotate/recovery/init", "sys/generate-root-token/attempt"] {
        assert_eq!(client.send("GET", path, None, "").await.status, 403, "{path}");
    }
    let idle = client.send("GET", "sys/rotate/root/init", root, "").await.json();
    assert_eq!(idle["data"], json!({ "n": 0, "required": 1, "started": false, "t": 0 }));
    assert_eq!(client.send("PUT", "sys/rotate/root", root, "").await.status, 204);
    let begun = client.send("PUT", "sys/generate-root-token/attempt", root, "").await.json()["data"].clone();
    assert_eq!((&begun["started"], &begun["otp_length"]), (&json!(true), &json!(28)));
    assert_eq!(client.send("DELETE", "sys/generate-root-token/attempt", root, "").await.status, 204);
    running.stop().await;
}
