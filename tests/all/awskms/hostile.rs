//! A seal guest that is bound to one key and betrays what it is given. Each way is refused by name, and KMS, which stands for the world, has seen nothing of it. The guest
//! is `tests/guests/hostile-seal`.

use std::sync::Arc;

use cofferdam_backend::{Error, Seal, Wrapped};
use cofferdam_emulator::{Call, Kms};
use cofferdam_runtime::{BreachKind, SealBackend};

use super::{DEK, Opening, base64, kms, open, sealed};
use crate::hostile::logged;

const NOT_ALLOWED: &str = "this member is not allowed";
const UNKNOWN: &str = "this backend may not send this operation";
const ANSWERED: &str = "KMS has answered; nothing more is sent in this call";
const NOT_NOW: &str = "this operation is not for";

async fn hostile(kms: &Kms, mode: &str) -> Arc<SealBackend> {
    let seal = open(kms.endpoint(), Opening { hostile: Some(mode), ..Opening::default() }).await.unwrap();
    kms.take();
    seal
}

/// That the error names the misdeed, and that it was the guest's.
fn named(mode: &str, error: &Error, says: &[&str]) {
    assert_eq!(BreachKind::of(error), Some(BreachKind::Key), "{mode}: {error}");
    let text = error.to_string();
    assert!(says.iter().all(|says| text.contains(says)), "{mode}: {text}");
    assert!(!text.contains(&hex::encode(DEK)) && !text.contains(&base64(&DEK)), "{mode}: {text}");
}

/// That of all that was sent only what the guest was to send is there, at most once.
fn clean(mode: &str, calls: &[Call], operation: &str, members: &[(&str, &str)]) {
    assert!(calls.len() <= 1, "{mode}: {calls:?}");
    for call in calls {
        assert_eq!(call.operation, operation, "{mode}");
        let body = call.json();
        assert_eq!(body.as_object().unwrap().len(), members.len() + 1, "{mode}: {body}");
        assert!(members.iter().all(|(name, value)| body[name] == *value), "{mode}: {body}");
    }
}

#[tokio::test]
async fn every_betrayal_of_a_key_to_be_wrapped_is_refused_by_name() {
    let (kms, _) = kms().await;
    let mut modes = vec![
        ("another-dek", vec!["Encrypt.Plaintext", "not the key that this call is to wrap"]),
        ("beside", vec!["Encrypt.Plaintext", "not the key that this call is to wrap"]),
        ("half", vec!["Encrypt.Plaintext", "not the key that this call is to wrap"]),
        ("unsent", vec!["the service has encrypted none"]),
        ("twice", vec!["Encrypt", ANSWERED]),
        ("then-another", vec!["Encrypt", ANSWERED]),
        ("decrypt", vec!["Decrypt", ANSWERED]),
        ("changed-blob", vec!["the wrapped key that the guest returned is not what the service answered"]),
        ("changed-key-id", vec!["the key id that the guest returned is not the one that the service answered"]),
        ("key-in-id", vec!["the key itself as the key id, in hexadecimal"]),
        ("appended", vec!["the key itself as the wrapped key, as it is"]),
        ("raw", vec!["the key itself as the wrapped key, as it is"]),
        ("hex", vec!["the key itself as the wrapped key, in hexadecimal"]),
        ("base64", vec!["the key itself as the wrapped key, in base64"]),
        ("xor", vec!["the key itself as the wrapped key, with every byte changed by the same bits (XOR)"]),
        ("reversed", vec!["the key itself as the wrapped key, in reverse"]),
        ("other-key", vec!["Encrypt.KeyId", "bound to one key"]),
        ("no-key", vec!["Encrypt.KeyId", "this member is missing"]),
        ("context", vec!["Encrypt.EncryptionContext", NOT_ALLOWED]),
        ("grant-token", vec!["Encrypt.GrantTokens", NOT_ALLOWED]),
        ("dry-run", vec!["Encrypt.DryRun", NOT_ALLOWED]),
        ("recipient", vec!["Encrypt.Recipient", NOT_ALLOWED]),
        ("algorithm", vec!["Encrypt.EncryptionAlgorithm", "SYMMETRIC_DEFAULT is wanted"]),
    ];
    modes.extend(ELSEWHERE.map(|(mode, operation, says)| (mode, vec![operation, says])));
    for (mode, says) in modes {
        let seal = hostile(&kms, mode).await;
        let error = seal.wrap(&DEK).await.map(|wrapped| panic!("{mode}: {wrapped:?}")).unwrap_err();
        named(mode, &error, &says);
        clean(mode, &kms.take(), "Encrypt", &[("KeyId", "alias/vault"), ("Plaintext", &base64(&DEK))]);
    }
    // The same guest, when it is honest.
    let seal = hostile(&kms, "").await;
    let wrapped = seal.wrap(&DEK).await.unwrap();
    let mut dek = [0; 32];
    sealed(&kms).await.unwrap(&wrapped, &mut dek).await.unwrap();
    assert_eq!(dek, DEK);
}

/// What no call of a seal may ask for.
const ELSEWHERE: [(&str, &str, &str); 6] = [
    ("describe", "DescribeKey", NOT_NOW),
    ("describe-secret", "DescribeKey", NOT_NOW),
    ("generate", "GenerateDataKey", UNKNOWN),
    ("re-encrypt", "ReEncrypt", UNKNOWN),
    ("grant", "CreateGrant", UNKNOWN),
    ("public-key", "GetPublicKey", UNKNOWN),
];

#[tokio::test]
async fn every_betrayal_of_a_wrapped_key_is_refused_by_name() {
    let (kms, arn) = kms().await;
    let wrapped = sealed(&kms).await.wrap(&DEK).await.unwrap();
    let mut modes = vec![
        ("other-blob", vec!["Decrypt.CiphertextBlob", "not the wrapped key that this call is to unwrap"]),
        ("longer-blob", vec!["Decrypt.CiphertextBlob", "not the wrapped key that this call is to unwrap"]),
        ("unsent", vec!["the service has decrypted none"]),
        ("encrypt", vec!["Encrypt", NOT_NOW]),
        ("other-key", vec!["Decrypt.KeyId", "not the key that the wrapped key names"]),
        ("no-key", vec!["Decrypt.KeyId", "this member is missing"]),
        ("another-plain", vec!["the key that the guest returned is not what the service decrypted"]),
        ("changed-plain", vec!["the key that the guest returned is not what the service decrypted"]),
        ("plain-sent", vec!["DescribeKey", ANSWERED]),
        ("context", vec!["Decrypt.EncryptionContext", NOT_ALLOWED]),
        ("grant-token", vec!["Decrypt.GrantTokens", NOT_ALLOWED]),
        ("dry-run", vec!["Decrypt.DryRun", NOT_ALLOWED]),
        ("recipient", vec!["Decrypt.Recipient", NOT_ALLOWED]),
        ("algorithm", vec!["Decrypt.EncryptionAlgorithm", "SYMMETRIC_DEFAULT is wanted"]),
    ];
    modes.extend(ELSEWHERE.map(|(mode, operation, says)| (mode, vec![operation, says])));
    for (mode, says) in modes {
        let seal = hostile(&kms, mode).await;
        let mut dek = [9; 32];
        let error = seal.unwrap(&wrapped, &mut dek).await.expect_err(mode);
        named(mode, &error, &says);
        assert_eq!(dek, [9; 32], "{mode}: nothing of it gets out");
        clean(mode, &kms.take(), "Decrypt", &[("KeyId", &arn), ("CiphertextBlob", &base64(&wrapped.blob))]);
    }
    let mut dek = [0; 32];
    hostile(&kms, "").await.unwrap(&wrapped, &mut dek).await.unwrap();
    assert_eq!(dek, DEK);
}

#[test]
fn what_the_guest_says_of_a_key_is_not_kept_and_what_it_remembers_is_forgotten() {
    let text = logged(async {
        let (kms, _) = kms().await;
        let wrapped: Wrapped = sealed(&kms).await.wrap(&DEK).await.unwrap();
        let mut dek = [0; 32];
        hostile(&kms, "log").await.wrap(&DEK).await.unwrap();
        hostile(&kms, "plain-log").await.unwrap(&wrapped, &mut dek).await.unwrap();
        let told = hostile(&kms, "error").await.wrap(&DEK).await.unwrap_err();
        assert!(matches!(&told, Error::Unavailable(text) if text.contains("not kept")), "{told}");
        let told = hostile(&kms, "plain-error").await.unwrap(&wrapped, &mut dek).await.unwrap_err();
        assert!(matches!(&told, Error::Breach(text) if text == "key: the guest failed after the service had answered"), "{told}");
        let sent = || kms.take().iter().map(|call| String::from_utf8_lossy(&call.body).into_owned()).collect::<String>();
        let seal = hostile(&kms, "keep").await;
        seal.wrap(&DEK).await.unwrap();
        seal.health().await.unwrap();
        seal.key_id().await.unwrap();
        let all = sent();
        assert!(all.contains(&base64(&DEK)) && !all.contains(&hex::encode(DEK)), "{all}");
        let seal = hostile(&kms, "plain-keep").await;
        seal.unwrap(&wrapped, &mut dek).await.unwrap();
        seal.health().await.unwrap();
        let all = sent();
        assert!(all.contains(&base64(&wrapped.blob)) && !all.contains(&hex::encode(DEK)), "{all}");
    });
    assert_eq!(text.matches("nothing was kept").count(), 3, "the log works, and the instance that knew the key is gone: {text}");
    assert!(!text.contains(&hex::encode(DEK)), "{text}");
}
