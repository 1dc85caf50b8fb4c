//! A seal backend on a key of AWS KMS that betrays the keys it is given. The setting `mode` says how; without one it is honest.
//!
//! Where a misdeed is refused, it goes on as if nothing had been, and returns what an honest guest would: a host that only looks at the end sees nothing.

#[path = "../../sealing/src/writing.rs"]
mod writing;

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam::backend::aws::{SendError, send};
use cofferdam::backend::log::{Level, write};
use cofferdam::backend::types::{Error, Setting};
use exports::cofferdam::backend::seal::{Descriptor, Guest, Wrapped};
use serde_json::{Value, json};

wit_bindgen::generate!({ path: "../../../wit", world: "seal-backend" });

struct HostileSeal;

export!(HostileSeal);

/// A key that is none of anybody's.
const OTHER_DEK: [u8; 32] = [0xa5; 32];
/// A KMS key that no test has.
const OTHER_KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-00000000beef";

#[derive(Clone, Default)]
struct Told {
    mode: String,
    key_id: String,
}

impl Told {
    fn read(settings: Vec<Setting>) -> Told {
        let text =
            |name: &str| settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.clone()).unwrap_or_default();
        Told { mode: text("mode"), key_id: text("kms_key_id") }
    }
}

thread_local! {
    static TOLD: RefCell<Told> = RefCell::default();
    /// For later.
    static KEPT: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

fn told() -> Told {
    TOLD.with_borrow(Clone::clone)
}

/// Sends a request; what the service refuses is an error like any other.
fn ask(operation: &str, body: &Value) -> Result<Value, Error> {
    match send(operation, body.to_string().as_bytes()) {
        Ok(response) if response.status == 200 => {
            serde_json::from_slice(&response.body).map_err(|error| Error::Unavailable(error.to_string()))
        }
        Ok(response) => Err(Error::Unavailable(String::from_utf8_lossy(&response.body).into_owned())),
        Err(SendError::Refused(text)) => Err(Error::Denied(text)),
        Err(error) => Err(Error::Unavailable(format!("{error:?}"))),
    }
}

fn describe(told: &Told) -> Result<String, Error> {
    let answer = ask("DescribeKey", &json!({ "KeyId": told.key_id }))?;
    Ok(answer["KeyMetadata"]["Arn"].as_str().unwrap_or_default().to_owned())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(text(value)).unwrap_or_default()
}

/// The misdeeds that have nothing to do with what the call is for.
fn misbehave(told: &Told, secret: &[u8]) {
    let key = told.key_id.as_str();
    let plain = STANDARD.encode(secret);
    let request = match told.mode.as_str() {
        "describe" => ("DescribeKey", json!({ "KeyId": key })),
        "generate" => ("GenerateDataKey", json!({ "KeyId": key, "KeySpec": "AES_256" })),
        "re-encrypt" => ("ReEncrypt", json!({ "CiphertextBlob": plain, "DestinationKeyId": OTHER_KEY })),
        "grant" => {
            ("CreateGrant", json!({ "KeyId": key, "GranteePrincipal": "arn:aws:iam::999999999999:root", "Operations": ["Decrypt"] }))
        }
        "public-key" => ("GetPublicKey", json!({ "KeyId": key })),
        "describe-secret" => ("DescribeKey", json!({ "KeyId": writing::hex(secret) })),
        "log" => return write(Level::Error, &format!("the key is {}", writing::hex(secret))),
        "keep" => return KEPT.set(Some(secret.to_vec())),
        _ => return,
    };
    let _ = ask(request.0, &request.1);
}

/// What a request has beside what it should have.
fn embellish(told: &Told, body: &mut Value, secret: &[u8]) {
    match told.mode.as_str() {
        "context" => body["EncryptionContext"] = json!({ "key": writing::hex(secret) }),
        "grant-token" => body["GrantTokens"] = json!([writing::hex(secret)]),
        "dry-run" => body["DryRun"] = json!(true),
        "recipient" => body["Recipient"] = json!({ "AttestationDocument": STANDARD.encode(secret) }),
        "algorithm" => body["EncryptionAlgorithm"] = json!("RSAES_OAEP_SHA_256"),
        "other-key" => body["KeyId"] = json!(OTHER_KEY),
        "no-key" => drop(body.as_object_mut().and_then(|body| body.remove("KeyId"))),
        _ => {}
    }
}

/// Sends what was kept of an earlier call.
fn send_kept() {
    match KEPT.take() {
        Some(kept) => drop(ask("DescribeKey", &json!({ "KeyId": writing::hex(&kept) }))),
        None => write(Level::Info, "nothing was kept"),
    }
}

fn encrypt(told: &Told, plain: &[u8], secret: &[u8]) -> Result<Wrapped, Error> {
    let mut body = json!({ "KeyId": told.key_id, "Plaintext": STANDARD.encode(plain), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" });
    embellish(told, &mut body, secret);
    let answer = ask("Encrypt", &body)?;
    Ok(Wrapped { blob: bytes(&answer["CiphertextBlob"]), key_id: text(&answer["KeyId"]) })
}

impl Guest for HostileSeal {
    fn open(settings: Vec<Setting>) -> Result<Descriptor, Error> {
        let key_id = describe(&Told::read(settings))?;
        Ok(Descriptor { name: "hostile-seal".to_owned(), version: "0.1.0".to_owned(), key_id })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<(), Error> {
        TOLD.set(Told::read(settings));
        Ok(())
    }

    fn wrap(dek: Vec<u8>) -> Result<Wrapped, Error> {
        let told = told();
        misbehave(&told, &dek);
        let mut wrapped = match told.mode.as_str() {
            "error" => return Err(Error::Unavailable(format!("the key is {}", writing::hex(&dek)))),
            "another-dek" => encrypt(&told, &OTHER_DEK, &dek)?,
            "beside" => encrypt(&told, &[&dek[..], b"and more"].concat(), &dek)?,
            "half" => encrypt(&told, &dek[..16], &dek)?,
            "unsent" => Wrapped { blob: vec![7; 64], key_id: told.key_id.clone() },
            _ => encrypt(&told, &dek, &dek)?,
        };
        match told.mode.as_str() {
            "twice" => drop(encrypt(&told, &dek, &dek)),
            "then-another" => drop(encrypt(&told, &OTHER_DEK, &dek)),
            "decrypt" => drop(ask("Decrypt", &json!({ "KeyId": wrapped.key_id, "CiphertextBlob": STANDARD.encode(&wrapped.blob) }))),
            "changed-blob" => wrapped.blob[0] ^= 1,
            "changed-key-id" => OTHER_KEY.clone_into(&mut wrapped.key_id),
            "key-in-id" => wrapped.key_id = writing::hex(&dek),
            "appended" => wrapped.blob.extend_from_slice(&dek),
            form => wrapped.blob = writing::written(form, &dek).unwrap_or(wrapped.blob),
        }
        Ok(wrapped)
    }

    fn unwrap(wrapped: Wrapped) -> Result<Vec<u8>, Error> {
        let told = told();
        misbehave(&told, &wrapped.blob);
        let mut blob = wrapped.blob.clone();
        match told.mode.as_str() {
            "other-blob" => blob[0] ^= 1,
            "longer-blob" => blob.push(0),
            "unsent" => return Ok(OTHER_DEK.to_vec()),
            "encrypt" => drop(encrypt(&told, &OTHER_DEK, &OTHER_DEK)),
            _ => {}
        }
        let mut body =
            json!({ "KeyId": wrapped.key_id, "CiphertextBlob": STANDARD.encode(&blob), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" });
        embellish(&told, &mut body, &blob);
        let mut dek = bytes(&ask("Decrypt", &body)?["Plaintext"]);
        match told.mode.as_str() {
            "another-plain" => dek = OTHER_DEK.to_vec(),
            "changed-plain" => dek[0] ^= 1,
            "plain-log" => write(Level::Error, &format!("the key is {}", writing::hex(&dek))),
            "plain-error" => return Err(Error::Corrupt(format!("the key is {}", writing::hex(&dek)))),
            "plain-keep" => KEPT.set(Some(dek.clone())),
            "plain-sent" => drop(ask("DescribeKey", &json!({ "KeyId": writing::hex(&dek) }))),
            _ => {}
        }
        Ok(dek)
    }

    fn key_id() -> Result<String, Error> {
        send_kept();
        describe(&told())
    }

    fn health() -> Result<(), Error> {
        send_kept();
        describe(&told()).map(drop)
    }
}
