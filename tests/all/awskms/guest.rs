use std::time::{Duration, Instant};

use cofferdam_backend::{Error, Seal, Wrapped};
use cofferdam_emulator::{ACCOUNT, Keys, KmsAction, Moto, NewKey, Rule};
use cofferdam_runtime::{OpenError, World};
use serde_json::json;

use super::{AWSKMS, DEK, Opening, REGION, asked, base64, kms, open, sealed};

/// The case and the text of what keeps a seal from opening.
fn closed(opened: Result<impl Sized, OpenError>) -> (&'static str, String) {
    match opened.err().expect("it opened") {
        OpenError::Guest { error, .. } => told(error),
        other => panic!("{other}"),
    }
}

fn told(error: Error) -> (&'static str, String) {
    match error {
        Error::Configuration(text) => ("configuration", text),
        Error::Denied(text) => ("denied", text),
        Error::Unavailable(text) => ("unavailable", text),
        Error::Corrupt(text) => ("corrupt", text),
        Error::Throttled(delay) => ("throttled", format!("{delay:?}")),
        other => panic!("{other:?}"),
    }
}

async fn unwrap(seal: &dyn Seal, wrapped: &Wrapped) -> Result<[u8; 32], Error> {
    let mut dek = [0; 32];
    seal.unwrap(wrapped, &mut dek).await.map(|()| dek)
}

#[test]
fn it_can_reach_nothing_but_the_service_clocks_random_bytes_and_the_log() {
    let found = AWSKMS.inspect();
    assert_eq!((found.world, found.grants_needed(), found.grants_usable()), (World::Seal, vec!["aws"], Vec::new()));
    let known = ["wasi:cli/", "wasi:clocks/", "wasi:io/", "wasi:random/", "cofferdam:backend/"];
    for import in &found.imports {
        assert!(known.iter().any(|known| import.name.starts_with(known)), "{}", import.name);
    }
}

#[tokio::test]
async fn a_key_that_is_wrapped_unwraps_to_itself_in_one_request_each() {
    let (kms, arn) = kms().await;
    let id = arn.rsplit('/').next().unwrap();
    for key_id in ["alias/vault", &arn, id, &format!("arn:aws:kms:{REGION}:{ACCOUNT}:alias/vault")] {
        let seal = open(kms.endpoint(), Opening { key_id, ..Opening::default() }).await.unwrap();
        assert_eq!(seal.name(), "awskms");
        let wrapped = seal.wrap(&DEK).await.unwrap();
        assert_eq!(wrapped.key_id, arn);
        assert_eq!(unwrap(&*seal, &wrapped).await.unwrap(), DEK);
        let sent: Vec<_> = kms.take().iter().map(|call| (call.operation.clone(), call.json())).collect();
        let algorithm = "SYMMETRIC_DEFAULT";
        let expected = [
            ("DescribeKey", json!({"KeyId": key_id})),
            ("Encrypt", json!({"KeyId": key_id, "Plaintext": base64(&DEK), "EncryptionAlgorithm": algorithm})),
            ("Decrypt", json!({"KeyId": arn, "CiphertextBlob": base64(&wrapped.blob), "EncryptionAlgorithm": algorithm})),
        ];
        assert_eq!(sent, expected.map(|(operation, body)| (operation.to_owned(), body)));
    }
    let seal = sealed(&kms).await;
    kms.take();
    assert_eq!(seal.key_id().await.unwrap(), arn);
    seal.health().await.unwrap();
    assert_eq!(asked(&kms), ["DescribeKey", "DescribeKey"], "health costs one request that changes nothing");
    assert!(kms.complaints().is_empty(), "{:?}", kms.complaints());
}

#[tokio::test]
async fn opening_tells_each_thing_that_is_wrong_with_the_key() {
    let (kms, arn) = kms().await;
    let signs = kms.create(NewKey::new(REGION).for_use("SIGN_VERIFY", "ECC_NIST_P256"));
    let asymmetric = kms.create(NewKey::new(REGION).for_use("ENCRYPT_DECRYPT", "RSA_4096"));
    let elsewhere = arn.replace(REGION, "us-east-1");
    let denied = format!("the permission kms:DescribeKey is missing on key \"{arn}\"");
    let closed = async |key_id: &str| closed(open(kms.endpoint(), Opening { key_id, ..Opening::default() }).await);
    for (key_id, case, says) in [
        ("alias/none", "configuration", "KMS has no key \"alias/none\" in region \"eu-west-1\""),
        (&*signs, "configuration", "has SIGN_VERIFY"),
        (&*asymmetric, "configuration", "has RSA_4096"),
        (&*elsewhere, "configuration", "wrong region"),
        ("no key", "configuration", "\"kms_key_id\" is \"no key\""),
    ] {
        let (found, text) = closed(key_id).await;
        assert!(found == case && text.contains(says), "{key_id}: {found}: {text}");
    }
    for (state, says) in
        [("Disabled", "is disabled: enable it"), ("PendingDeletion", "is pending deletion on 2027-"), ("PendingImport", "no key material")]
    {
        kms.set_state(&arn, state);
        let (case, text) = closed(&arn).await;
        assert!(case == "denied" && text.contains(says), "{state}: {case}: {text}");
    }
    kms.set_state(&arn, "Enabled");
    kms.rule(Rule::new(KmsAction::Refuse("AccessDeniedException")).of(&["DescribeKey"]));
    let (case, text) = closed(&arn).await;
    assert!(case == "denied" && text.starts_with(&denied), "{case}: {text}");
    kms.clear();
    kms.rule(Rule::new(KmsAction::Refuse("ThrottlingException")));
    assert_eq!(closed(&arn).await.0, "throttled");
    kms.clear();
    // The endpoint of another region: the key is found, and is not where the stanza says.
    kms.rule(Rule::new(KmsAction::Answer("KeyMetadata", json!({"Arn": elsewhere, "KeyState": "Enabled"}))));
    let (case, text) = closed("alias/vault").await;
    assert!(case == "configuration" && text.starts_with("wrong region: the endpoint answers for \"us-east-1\""), "{case}: {text}");
    kms.clear();
    let gone = kms.listen(0).await.unwrap().url().to_owned();
    let begun = Instant::now();
    let (case, text) = self::closed(open(&gone, Opening::default()).await);
    assert!(case == "unavailable" && text.contains("KMS cannot be reached"), "{case}: {text}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    // What an emulator leaves out of a description is no error.
    let terse = json!({"AWSAccountId": ACCOUNT, "KeyId": arn.rsplit('/').next(), "Arn": arn, "Enabled": true});
    kms.rule(Rule::new(KmsAction::Answer("KeyMetadata", terse)));
    sealed(&kms).await;
}

#[tokio::test]
async fn health_is_that_of_the_key() {
    let (kms, arn) = kms().await;
    let seal = sealed(&kms).await;
    seal.health().await.unwrap();
    kms.set_state(&arn, "Disabled");
    let (case, text) = told(seal.health().await.unwrap_err());
    assert!(case == "denied" && text.contains("is disabled"), "{case}: {text}");
    kms.set_state(&arn, "Enabled");
    seal.health().await.unwrap();
    kms.rule(Rule::new(KmsAction::Refuse("AccessDeniedException")));
    let (case, text) = told(seal.health().await.unwrap_err());
    assert!(case == "denied" && text.contains("kms:DescribeKey"), "{case}: {text}");
}

#[tokio::test]
async fn an_alias_may_be_given_another_key_and_what_was_wrapped_before_still_unwraps() {
    let (kms, old) = kms().await;
    let seal = sealed(&kms).await;
    let wrapped = seal.wrap(&DEK).await.unwrap();
    let new = kms.create(NewKey::new(REGION));
    kms.alias("alias/vault", &new);
    assert_eq!(seal.key_id().await.unwrap(), new);
    assert_eq!(unwrap(&*seal, &wrapped).await.unwrap(), DEK);
    let anew = seal.wrap(&DEK).await.unwrap();
    assert_eq!((wrapped.key_id, anew.key_id), (old, new));
}

#[tokio::test]
async fn keys_used_before_unwrap_as_far_as_the_operator_says() {
    let (kms, old) = kms().await;
    let wrapped = sealed(&kms).await.wrap(&DEK).await.unwrap();
    let new = kms.create(NewKey::new(REGION));
    let foreign = kms.create(NewKey::new(REGION).account("210987654321"));
    kms.share(&foreign, ACCOUNT);
    let theirs = open(kms.endpoint(), Opening { key_id: &foreign, ..Opening::default() }).await.unwrap().wrap(&DEK).await.unwrap();
    assert_eq!(theirs.key_id, foreign);
    let (old_only, foreign_only) = ([old.as_str()], [foreign.as_str()]);
    let none: &[&str] = &[];
    for (previous, own, others) in
        [(None, true, false), (Some(none), false, false), (Some(&old_only[..]), true, false), (Some(&foreign_only[..]), false, true)]
    {
        let seal = open(kms.endpoint(), Opening { key_id: &new, previous, ..Opening::default() }).await.unwrap();
        for (wrapped, allowed) in [(&wrapped, own), (&theirs, others)] {
            kms.take();
            match unwrap(&*seal, wrapped).await {
                Ok(dek) => assert!(allowed && dek == DEK, "{previous:?} {}", wrapped.key_id),
                Err(error) => {
                    let (case, text) = told(error);
                    assert!(!allowed && case == "denied", "{previous:?} {}: {text}", wrapped.key_id);
                    assert!(text.contains(&wrapped.key_id) && text.contains("previous_key_ids"), "{text}");
                    assert!(asked(&kms).is_empty(), "nothing was sent");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_replica_stands_for_its_primary() {
    let (kms, _) = kms().await;
    let primary = kms.create(NewKey::new("us-east-1").multi_region());
    let replica = kms.replicate(&primary, REGION);
    let there = open(kms.endpoint(), Opening { key_id: &primary, region: "us-east-1", ..Opening::default() }).await.unwrap();
    let wrapped = there.wrap(&DEK).await.unwrap();
    assert_eq!(wrapped.key_id, primary);
    kms.rule_in("us-east-1", Rule::new(KmsAction::CutBefore));
    for previous in [None, Some(&[][..])] {
        let here = open(kms.endpoint(), Opening { key_id: &replica, previous, ..Opening::default() }).await.unwrap();
        kms.take();
        assert_eq!(unwrap(&*here, &wrapped).await.unwrap(), DEK);
        let calls = kms.take();
        assert_eq!(calls.iter().map(|call| call.json()["KeyId"].clone()).collect::<Vec<_>>(), [json!(replica)]);
        assert_eq!(calls[0].region, REGION);
    }
    // The primary's ARN is no way to name the key here, and the error says how it is named.
    let (case, text) = closed(open(kms.endpoint(), Opening { key_id: &primary, ..Opening::default() }).await);
    assert!(case == "configuration" && text.contains(&replica), "{case}: {text}");
}

#[tokio::test]
async fn a_refusal_of_the_service_is_told_in_the_hosts_words() {
    let (kms, arn) = kms().await;
    let seal = sealed(&kms).await;
    let wrapped = seal.wrap(&DEK).await.unwrap();
    for (code, case, says) in [
        ("AccessDeniedException", "denied", "kms:Decrypt"),
        ("DisabledException", "denied", "is disabled"),
        ("KMSInvalidStateException", "denied", "cancel-key-deletion"),
        ("NotFoundException", "denied", "there is no key"),
        ("IncorrectKeyException", "corrupt", "made by another key"),
        ("InvalidCiphertextException", "corrupt", "is damaged"),
    ] {
        kms.clear();
        kms.rule(Rule::new(KmsAction::Refuse(code)));
        kms.take();
        let (found, text) = told(unwrap(&*seal, &wrapped).await.unwrap_err());
        assert!(found == case && text.contains(code) && text.contains(says), "{code}: {found}: {text}");
        assert_eq!(asked(&kms), ["Decrypt"], "no retry helps");
    }
    kms.clear();
    kms.rule(Rule::new(KmsAction::Refuse("AccessDeniedException")).of(&["Encrypt"]));
    let (case, text) = told(seal.wrap(&DEK).await.unwrap_err());
    assert!(case == "denied" && text.contains("kms:Encrypt"), "{case}: {text}");
    kms.clear();
    // The same from a KMS that has come to it by itself.
    kms.replace(&arn);
    assert_eq!(told(unwrap(&*seal, &wrapped).await.unwrap_err()).0, "corrupt");
    let other = Wrapped { key_id: kms.create(NewKey::new(REGION)), ..wrapped };
    assert_eq!(told(unwrap(&*seal, &other).await.unwrap_err()).0, "corrupt");
}

#[tokio::test]
async fn passing_trouble_is_not_seen_and_lasting_trouble_does_not_storm() {
    let (kms, _) = kms().await;
    let seal = sealed(&kms).await;
    let wrapped = seal.wrap(&DEK).await.unwrap();
    for (action, case) in [
        (KmsAction::Refuse("ThrottlingException"), "throttled"),
        (KmsAction::Status(500), "unavailable"),
        (KmsAction::CutBefore, "unavailable"),
        (KmsAction::CutAfter, "unavailable"),
    ] {
        kms.clear();
        kms.rule(Rule::new(action.clone()).times(2));
        assert_eq!(unwrap(&*seal, &wrapped).await.unwrap(), DEK, "{action:?}");
        kms.clear();
        kms.rule(Rule::new(action.clone()).times(2));
        let anew = seal.wrap(&DEK).await.unwrap();
        assert_eq!(unwrap(&*seal, &anew).await.unwrap(), DEK, "{action:?}");
        kms.clear();
        kms.take();
        kms.rule(Rule::new(action.clone()));
        let begun = Instant::now();
        let (found, text) = told(unwrap(&*seal, &wrapped).await.unwrap_err());
        assert_eq!(found, case, "{action:?}: {text}");
        assert!(kms.count("Decrypt") <= 12, "{action:?}: {} requests", kms.count("Decrypt"));
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn an_answer_that_is_not_one_to_the_request_is_refused() {
    let (kms, arn) = kms().await;
    let seal = sealed(&kms).await;
    let wrapped = seal.wrap(&DEK).await.unwrap();
    let foreign = arn.replace(ACCOUNT, "210987654321");
    kms.rule(Rule::new(KmsAction::Answer("KeyId", json!(foreign))));
    let (case, text) = told(seal.wrap(&DEK).await.unwrap_err());
    assert!(case == "denied" && text.contains(&foreign), "{case}: {text}");
    let (case, text) = told(unwrap(&*seal, &wrapped).await.unwrap_err());
    assert!(case == "denied" && text.contains(&foreign), "{case}: {text}");
    kms.clear();
    // Something else than a key, such as a root key that was encrypted directly, does not reach the guest; unless that is what was asked for.
    let long = base64(b"this is a root key, or something of that kind");
    kms.rule(Rule::new(KmsAction::Answer("Plaintext", json!(long))));
    let (case, text) = told(unwrap(&*seal, &wrapped).await.unwrap_err());
    assert!(case == "corrupt" && text.contains("was kept from the guest"), "{case}: {text}");
    assert_eq!(seal.unwrap_direct(&wrapped).await.unwrap().as_slice(), b"this is a root key, or something of that kind");
}

#[tokio::test]
async fn signatures_and_permissions_are_those_of_aws() {
    let (moto, keys, arn) = Moto::start_auth_kms(REGION, &["kms:DescribeKey", "kms:Encrypt", "kms:Decrypt"]).await.unwrap();
    let with = |keys: &Keys| Opening { keys: keys.clone(), ..Opening::default() };
    let seal = open(moto.endpoint(), with(&keys)).await.unwrap();
    assert_eq!(seal.key_id().await.unwrap(), arn);
    let wrapped = seal.wrap(&DEK).await.unwrap();
    assert_eq!(wrapped.key_id, arn);
    assert_eq!(unwrap(&*seal, &wrapped).await.unwrap(), DEK);
    seal.health().await.unwrap();
    let mut damaged = wrapped.clone();
    damaged.blob = wrapped.blob.iter().enumerate().map(|(at, byte)| if at == 60 { !byte } else { *byte }).collect();
    assert!(unwrap(&*seal, &damaged).await.is_err());
    let wrong = Keys { secret: format!("{}x", keys.secret), ..keys };
    open(moto.endpoint(), with(&wrong)).await.err().expect("it opened with a wrong secret");
    let (moto, keys, _) = Moto::start_auth_kms(REGION, &["kms:DescribeKey", "kms:Encrypt"]).await.unwrap();
    let seal = open(moto.endpoint(), with(&keys)).await.unwrap();
    let wrapped = seal.wrap(&DEK).await.unwrap();
    assert!(unwrap(&*seal, &wrapped).await.is_err(), "kms:Decrypt is missing");
}
