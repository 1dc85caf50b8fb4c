//! Wrapping and unwrapping: what is sent, what comes back, and what errors say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_guest::seal::Wrapped;
use serde_json::json;

use super::fake::Upset;
use super::{ARN, key, named, told};

const DEK: [u8; 32] = [7; 32];

fn wrapped(key_id: &str) -> Wrapped {
    Wrapped { blob: vec![!7; 32], key_id: key_id.to_owned() }
}

#[test]
fn a_key_is_encrypted_once_and_as_it_is() {
    let (key, fake) = key();
    let found = key.wrap(DEK.to_vec()).unwrap();
    assert_eq!((found.blob, found.key_id.as_str()), (vec![!7; 32], ARN), "as the service returned them");
    let body = json!({ "KeyId": "alias/vault", "Plaintext": STANDARD.encode(DEK), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" });
    assert_eq!(fake.sent(), [("Encrypt".to_owned(), body)]);
}

#[test]
fn a_wrapped_key_is_sent_to_the_key_that_it_names() {
    let other = "arn:aws:kms:eu-west-1:123456789012:key/another";
    let far = "arn:aws:kms:us-east-1:123456789012:key/mrk-1";
    let near = "arn:aws:kms:eu-west-1:123456789012:key/mrk-1";
    for (stored, sent) in [(ARN, ARN), (other, other), (far, near), (near, near), ("1234abcd", "1234abcd")] {
        let (key, fake) = key();
        assert_eq!(key.unwrap(wrapped(stored)).unwrap(), DEK);
        let body = json!({ "KeyId": sent, "CiphertextBlob": STANDARD.encode([!7; 32]), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" });
        assert_eq!(fake.sent(), [("Decrypt".to_owned(), body)]);
    }
}

#[test]
fn refusals_say_who_has_to_act() {
    for (code, case, says) in [
        ("AccessDeniedException", "denied", "the permission kms:Decrypt is missing on key"),
        ("DisabledException", "denied", "is disabled"),
        ("KMSInvalidStateException", "denied", "present state"),
        ("NotFoundException", "denied", "KMS has no key"),
        ("InvalidKeyUsageException", "denied", "not one for encryption"),
        ("ValidationException", "denied", "does not accept"),
        ("SomethingNewException", "denied", "KMS refuses Decrypt"),
        ("IncorrectKeyException", "corrupt", "was not made by key"),
        ("InvalidCiphertextException", "corrupt", "does not know the wrapped key"),
        ("KeyUnavailableException", "unavailable", "Decrypt"),
        ("DependencyTimeoutException", "unavailable", "Decrypt"),
        ("UnrecognizedClientException", "denied", "credentials"),
        ("ExpiredTokenException", "unavailable", "expired"),
        ("UnknownOperationException", "unsupported", "Decrypt"),
    ] {
        let (key, fake) = key();
        fake.inner().always = Some(Upset::Answer(400, code));
        let (found, text) = told(key.unwrap(wrapped(ARN)).unwrap_err());
        assert!(found == case && text.contains(says), "{code}: {found}: {text}");
        assert!(!text.contains("Decrypt is") || text.contains(ARN), "the key is named: {text}");
    }
}

#[test]
fn half_an_answer_is_none() {
    for body in [json!({}), json!({ "KeyId": ARN }), json!({ "CiphertextBlob": "AAAA" })] {
        let (key, fake) = key();
        fake.upset([Upset::Body(body)]);
        assert_eq!(told(key.wrap(DEK.to_vec()).unwrap_err()).0, "unavailable");
        assert_eq!(fake.sent().len(), 1, "what succeeded is not sent again");
    }
    let (key, fake) = key();
    fake.upset([Upset::Body(json!({ "KeyId": ARN }))]);
    assert_eq!(told(key.unwrap(wrapped(ARN)).unwrap_err()).0, "unavailable");
    fake.upset([Upset::Body(json!({ "KeyId": ARN, "Plaintext": "no base64!" }))]);
    assert_eq!(told(key.unwrap(wrapped(ARN)).unwrap_err()).0, "unavailable");
}

#[test]
fn the_key_is_asked_for_anew_each_time() {
    let (key, fake) = named("alias/vault");
    assert_eq!(key.id().unwrap(), ARN);
    let other = "arn:aws:kms:eu-west-1:123456789012:key/another";
    fake.describe("Arn", json!(other));
    assert_eq!(key.id().unwrap(), other);
    key.health().unwrap();
    assert_eq!(fake.sent(), vec![("DescribeKey".to_owned(), json!({ "KeyId": "alias/vault" })); 3]);
    fake.describe("KeyState", json!("Disabled"));
    assert_eq!(told(key.health().unwrap_err()).0, "denied");
    fake.describe("KeyUsage", json!("SIGN_VERIFY"));
    assert_eq!(told(key.health().unwrap_err()).0, "denied", "only open speaks of settings");
    assert_eq!(key.id().unwrap(), other);
}
