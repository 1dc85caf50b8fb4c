//! What `open` makes of the key that it finds, or does not find.

use serde_json::{Value, json};

use super::fake::Upset;
use super::{ARN, key, named, told};

/// What `open` says of a key that is described so.
fn opened(members: &[(&str, Value)]) -> Result<String, (&'static str, String)> {
    let (key, fake) = key();
    for (member, value) in members {
        fake.describe(member, value.clone());
    }
    let result = key.open().map_err(told);
    assert_eq!(fake.sent(), [("DescribeKey".to_owned(), json!({ "KeyId": "alias/vault" }))]);
    result
}

#[test]
fn a_key_that_is_fit_for_use_is_told_by_its_arn() {
    assert_eq!(opened(&[]), Ok(ARN.to_owned()));
    assert_eq!(opened(&[("KeyState", json!("Updating"))]), Ok(ARN.to_owned()));
    // As an emulator describes it.
    assert_eq!(opened(&[("KeyUsage", Value::Null), ("MultiRegion", Value::Null), ("KeySpec", Value::Null)]), Ok(ARN.to_owned()));
    assert_eq!(opened(&[("KeyState", Value::Null)]), Ok(ARN.to_owned()));
}

#[test]
fn each_state_has_its_words() {
    for (state, case, says) in [
        ("Disabled", "denied", "key \"alias/vault\" is disabled: enable it"),
        ("PendingDeletion", "denied", "pending deletion on 2026-11-22T06:13:20Z"),
        ("PendingReplicaDeletion", "denied", "pending deletion, which begins"),
        ("PendingImport", "denied", "no key material"),
        ("Unavailable", "denied", "custom key store"),
        ("Creating", "unavailable", "being created"),
        ("Melting", "denied", "in the state \"Melting\""),
    ] {
        let (found, text) = opened(&[("KeyState", json!(state)), ("DeletionDate", json!(1_795_328_000))]).unwrap_err();
        assert!(found == case && text.contains(says), "{state}: {found}: {text}");
    }
    let (_, text) = opened(&[("KeyState", json!("PendingDeletion"))]).unwrap_err();
    assert!(text.contains("pending deletion; what"), "{text}");
    let (case, _) = opened(&[("KeyState", Value::Null), ("Enabled", json!(false))]).unwrap_err();
    assert_eq!(case, "denied");
}

#[test]
fn a_key_for_something_else_is_a_wrong_setting() {
    for (member, value, says) in [
        (
            "KeyUsage",
            "SIGN_VERIFY",
            "wrong key usage: key \"alias/vault\" has SIGN_VERIFY; set \"kms_key_id\" to a key that has ENCRYPT_DECRYPT",
        ),
        ("KeyUsage", "SOMETHING_NEW", "wrong key usage"),
        ("KeySpec", "RSA_4096", "wrong key spec"),
    ] {
        let (case, text) = opened(&[(member, json!(value))]).unwrap_err();
        assert!(case == "configuration" && text.starts_with(says), "{case}: {text}");
    }
}

#[test]
fn an_endpoint_of_another_region_is_a_wrong_setting() {
    let (case, text) = opened(&[("Arn", json!(ARN.replace("eu-west-1", "us-east-1")))]).unwrap_err();
    assert!(case == "configuration" && text.starts_with("wrong region: the endpoint answers for \"us-east-1\""), "{case}: {text}");
    let (key, fake) = key();
    let message = "Credential should be scoped to a valid region.";
    fake.upset([Upset::Said("InvalidSignatureException", message)]);
    let (case, text) = told(key.open().unwrap_err());
    assert!(case == "configuration" && text.starts_with("wrong region") && text.ends_with(message), "{case}: {text}");
}

#[test]
fn a_missing_key_and_a_missing_permission_are_named() {
    let refused = |code| {
        let (key, fake) = named(ARN);
        fake.upset([Upset::Answer(400, code)]);
        told(key.open().unwrap_err())
    };
    let (case, text) = refused("NotFoundException");
    assert!(case == "configuration" && text.starts_with(&format!("KMS has no key {ARN:?} in region \"eu-west-1\"")), "{case}: {text}");
    let (case, text) = refused("AccessDeniedException");
    assert!(case == "denied" && text.starts_with(&format!("the permission kms:DescribeKey is missing on key {ARN:?}")), "{case}: {text}");
    assert_eq!(refused("InvalidArnException").0, "configuration");
    let (key, fake) = key();
    fake.upset([Upset::Body(json!({}))]);
    assert_eq!(told(key.open().unwrap_err()).0, "unavailable");
    fake.describe("Arn", Value::Null);
    assert_eq!(told(key.open().unwrap_err()).0, "unavailable");
}
