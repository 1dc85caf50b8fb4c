//! What may be sent.

use super::*;

const ALL: [Purpose; 7] = [Purpose::Attach, Purpose::Open, Purpose::Read, Purpose::Mutation, Purpose::Lock, Purpose::Wrap, Purpose::Unwrap];

fn refusal(kms: &Kms, call: &AwsCall, operation: &str, body: &str) -> Option<Reason> {
    match kms.check(call, operation, body.as_bytes()) {
        Ok(_) => None,
        Err(Stop::Refused(refusal)) => Some(refusal.reason),
        Err(Stop::Unfit(text)) => panic!("{text}"),
    }
}

#[tokio::test]
async fn the_guests_requests_arrive_signed_for_kms() {
    let server = holding(OWN).await;
    let kms = bound("alias/vault", None, &server.url()).await;
    open(&kms).await.unwrap();
    let mut wrap = wrapping();
    encrypt(&kms, &mut wrap).await.unwrap();
    let mut unwrap = unwrapping(OWN, false);
    decrypt(&kms, &mut unwrap, OWN).await.unwrap();
    let requests = server.requests();
    let targets: Vec<_> = requests.iter().map(|request| request.header("x-amz-target")).collect();
    assert_eq!(targets, ["TrentService.DescribeKey", "TrentService.Encrypt", "TrentService.Decrypt"]);
    for (request, body) in requests.iter().zip([describing("alias/vault"), encrypting("alias/vault"), decrypting(OWN)]) {
        assert_eq!(request.body, body);
        assert_eq!(request.header("content-type"), "application/x-amz-json-1.1");
        assert!(request.header("authorization").contains("/eu-west-1/kms/aws4_request"), "{}", request.header("authorization"));
    }
    assert!(matches!(&key(&wrap).answered, Some(KeyAnswered::Wrapped(wrapped)) if wrapped.blob == BLOB && wrapped.key_id == OWN));
    assert!(matches!(&key(&unwrap).answered, Some(KeyAnswered::Plain(plain)) if plain.as_slice() == KEY));
    assert_eq!((key(&wrap).refused.as_ref(), key(&unwrap).refused.as_ref()), (None, None));
    assert_eq!(wrap.sends, 1);
    assert!(kms.describe().starts_with(&format!("the KMS key alias/vault at {}", server.url())), "{}", kms.describe());
}

#[tokio::test]
async fn an_operator_may_name_the_operations() {
    let options = EgressOptions { service: Service::Kms, ..options("http://127.0.0.1:1") };
    let egress = Egress::new("seal", options, credentials().await).unwrap();
    let spec = KeySpec { key_id: OWN.to_owned(), previous_key_ids: Some(Vec::new()) };
    let kms = Kms::restricted(spec, egress, vec!["DescribeKey".to_owned(), "Encrypt".to_owned()]);
    assert!(kms.describe().ends_with("(DescribeKey, Encrypt, nothing else)"), "{}", kms.describe());
    assert_eq!(refusal(&kms, &wrapping(), "Encrypt", &encrypting(OWN)), None);
    assert_eq!(refusal(&kms, &unwrapping(OWN, false), "Decrypt", &decrypting(OWN)), Some(Reason::Operation));
    assert_eq!(Kms::operations().collect::<Vec<_>>(), ["DescribeKey", "Encrypt", "Decrypt"]);
}

#[tokio::test]
async fn each_operation_is_for_its_purpose_and_nothing_is_sent_without_a_key() {
    let kms = bound(OWN, None, "http://127.0.0.1:1").await;
    let cases: [(&str, String, &[Purpose], AwsCall); 3] = [
        ("DescribeKey", describing(OWN), &[Purpose::Open, Purpose::Read], call(Purpose::Open)),
        ("Encrypt", encrypting(OWN), &[Purpose::Wrap], wrapping()),
        ("Decrypt", decrypting(OWN), &[Purpose::Unwrap], unwrapping(OWN, false)),
    ];
    for (operation, body, purposes, mut call) in cases {
        for purpose in ALL {
            call.purpose = purpose;
            let expected = (!purposes.contains(&purpose)).then_some(Reason::Purpose);
            assert_eq!(refusal(&kms, &call, operation, &body), expected, "{operation} {purpose:?}");
        }
    }
    for (purpose, operation, body) in [(Purpose::Wrap, "Encrypt", encrypting(OWN)), (Purpose::Unwrap, "Decrypt", decrypting(OWN))] {
        assert_eq!(refusal(&kms, &call(purpose), operation, &body), Some(Reason::Purpose), "no key was given");
        // Nor is a key of the one kind good for the other.
        let swapped = AwsCall { purpose, ..if purpose == Purpose::Wrap { unwrapping(OWN, false) } else { wrapping() } };
        assert_eq!(refusal(&kms, &swapped, operation, &body), Some(Reason::Purpose));
    }
}

#[tokio::test]
async fn what_a_hostile_guest_sends_is_refused_and_noted_and_does_not_leave() {
    let server = holding(OWN).await;
    let kms = bound(OWN, None, &server.url()).await;
    open(&kms).await.unwrap();
    let key = base64(&KEY);
    let plain = |plaintext: &str| format!(r#"{{"KeyId":"{OWN}","Plaintext":"{plaintext}"}}"#);
    let with = |member: &str| format!(r#"{{"KeyId":"{OWN}","Plaintext":"{key}",{member}}}"#);
    let wrap: [(&str, String, Reason, &str); 24] = [
        ("ReEncrypt", encrypting(OWN), Reason::Operation, "ReEncrypt"),
        ("GenerateDataKey", describing(OWN), Reason::Operation, "GenerateDataKey"),
        ("CreateGrant", describing(OWN), Reason::Operation, "CreateGrant"),
        ("encrypt", encrypting(OWN), Reason::Operation, "encrypt"),
        ("DescribeKey", describing(OWN), Reason::Purpose, "DescribeKey"),
        ("Decrypt", decrypting(OWN), Reason::Purpose, "Decrypt"),
        // Another key to encrypt with.
        ("Encrypt", encrypting(OTHER), Reason::Key, "Encrypt.KeyId"),
        ("Encrypt", encrypting("alias/vault"), Reason::Key, "Encrypt.KeyId"),
        ("Encrypt", encrypting("11111111-aaaa-bbbb-cccc-000000000001"), Reason::Key, "Encrypt.KeyId"),
        // Another key to be encrypted, or the same one otherwise written.
        ("Encrypt", plain(&base64(&[7; DEK])), Reason::Payload, "Encrypt.Plaintext"),
        ("Encrypt", plain(&base64(&KEY[1..])), Reason::Payload, "Encrypt.Plaintext"),
        ("Encrypt", plain(&base64(&[&KEY[..], b"!"].concat())), Reason::Payload, "Encrypt.Plaintext"),
        ("Encrypt", plain(key.trim_end_matches('=')), Reason::Payload, "Encrypt.Plaintext"),
        ("Encrypt", plain(""), Reason::Payload, "Encrypt.Plaintext"),
        ("Encrypt", plain(&key.replacen('M', "\\u004d", 1)), Reason::Value, "Encrypt.Plaintext"),
        ("Encrypt", format!(r#"{{"KeyId":"{OWN}","Plaintext":["{key}"]}}"#), Reason::Value, "Encrypt.Plaintext"),
        ("Encrypt", describing(OWN), Reason::Member, "Encrypt.Plaintext"),
        ("Encrypt", format!(r#"{{"Plaintext":"{key}"}}"#), Reason::Member, "Encrypt.KeyId"),
        ("Encrypt", with(r#""EncryptionContext":{"key":"leak"}"#), Reason::Member, "Encrypt.EncryptionContext"),
        ("Encrypt", with(r#""GrantTokens":["leak"]"#), Reason::Member, "Encrypt.GrantTokens"),
        ("Encrypt", with(r#""DryRun":true"#), Reason::Member, "Encrypt.DryRun"),
        ("Encrypt", with(r#""EncryptionAlgorithm":"RSAES_OAEP_SHA_256""#), Reason::Value, "Encrypt.EncryptionAlgorithm"),
        ("Encrypt", with(r#""KeyId":"other""#), Reason::Body, "Encrypt"),
        ("Encrypt", format!("{}{{}}", encrypting(OWN)), Reason::Body, "Encrypt"),
    ];
    for (operation, body, reason, place) in wrap {
        refused(&kms, wrapping(), operation, &body, reason, place).await;
    }
    let blob = |blob: &[u8]| format!(r#"{{"KeyId":"{OWN}","CiphertextBlob":"{}"}}"#, base64(blob));
    let unwrap = [
        ("Encrypt", encrypting(OWN), Reason::Purpose, "Encrypt"),
        ("Decrypt", blob(b"another blob"), Reason::Payload, "Decrypt.CiphertextBlob"),
        ("Decrypt", blob(&BLOB[1..]), Reason::Payload, "Decrypt.CiphertextBlob"),
        ("Decrypt", decrypting(OTHER), Reason::Key, "Decrypt.KeyId"),
        ("Decrypt", decrypting(FOREIGN), Reason::Key, "Decrypt.KeyId"),
        ("Decrypt", format!(r#"{{"CiphertextBlob":"{}"}}"#, base64(BLOB)), Reason::Member, "Decrypt.KeyId"),
        ("Decrypt", blob(BLOB).replace('}', r#","Recipient":{"AttestationDocument":"AA=="}}"#), Reason::Member, "Decrypt.Recipient"),
        ("Decrypt", "[]".to_owned(), Reason::Value, "Decrypt"),
        ("Decrypt", format!(r#"{{"KeyId":"{OWN}","CiphertextBlob":"{}"}}"#, "A".repeat(40 << 10)), Reason::Size, "Decrypt"),
    ];
    for (operation, body, reason, place) in unwrap {
        refused(&kms, unwrapping(OWN, false), operation, &body, reason, place).await;
    }
    for (operation, body) in [("DescribeKey", describing(OTHER)), ("DescribeKey", format!(r#"{{"KeyId":"{OWN}","GrantTokens":[]}}"#))] {
        assert!(matches!(kms.send(&mut call(Purpose::Read), operation, body.into()).await, Err(AwsSendError::Refused(_))));
    }
    assert_eq!(server.requests().len(), 1, "the description, and nothing else");
}

async fn refused(kms: &Kms, mut call: AwsCall, operation: &str, body: &str, reason: Reason, place: &str) {
    assert_eq!(refusal(kms, &call, operation, body), Some(reason), "{operation} {body}");
    let Err(AwsSendError::Refused(text)) = kms.send(&mut call, operation, body.into()).await else { panic!("{operation} {body}") };
    assert!(text.starts_with(&format!("{place}: ")), "{text}");
    assert_eq!(key(&call).refused.as_ref(), Some(&text), "the runtime learns of it");
    assert!(!text.contains(&base64(&KEY)), "{text}");
    // A good request after it changes nothing of that.
    if call.purpose == Purpose::Wrap {
        assert!(kms.check(&call, "Encrypt", encrypting(OWN).as_bytes()).is_ok());
    }
    assert!(key(&call).answered.is_none());
}

#[tokio::test]
async fn after_the_answer_nothing_more_is_sent() {
    let server = holding(OWN).await;
    let kms = bound(OWN, None, &server.url()).await;
    open(&kms).await.unwrap();
    let mut wrap = wrapping();
    encrypt(&kms, &mut wrap).await.unwrap();
    assert!(matches!(encrypt(&kms, &mut wrap).await, Err(AwsSendError::Refused(_))));
    assert!(key(&wrap).refused.as_deref().is_some_and(|text| text.contains("KMS has answered")), "{wrap:?}");
    let mut unwrap = unwrapping(OWN, false);
    decrypt(&kms, &mut unwrap, OWN).await.unwrap();
    assert!(matches!(decrypt(&kms, &mut unwrap, OWN).await, Err(AwsSendError::Refused(_))));
    assert!(key(&unwrap).refused.is_some());
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_call_has_so_many_requests_and_no_more() {
    let server = Server::start(|_, _| json(400, r#"{"__type":"ThrottlingException"}"#)).await;
    let kms = bound(OWN, None, &server.url()).await;
    let mut wrap = wrapping();
    for _ in 0..16 {
        assert_eq!(encrypt(&kms, &mut wrap).await.unwrap().status, 400);
    }
    assert!(key(&wrap).refused.is_none());
    assert!(matches!(encrypt(&kms, &mut wrap).await, Err(AwsSendError::Refused(_))));
    assert_eq!((server.requests().len(), wrap.sends), (16, 16));
    assert!(key(&wrap).refused.as_deref().is_some_and(|text| text.contains("16 requests")));
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_is_sent_again_and_one_answer_handed_on() {
    let server = Server::start(|number, _| if number == 0 { Reply::Cut } else { encrypted(OWN) }).await;
    let kms = bound(OWN, None, &server.url()).await;
    let mut wrap = wrapping();
    encrypt(&kms, &mut wrap).await.unwrap();
    assert_eq!(server.requests().len(), 2);
    assert!(matches!(key(&wrap).answered, Some(KeyAnswered::Wrapped(_))));
    assert_eq!(wrap.sends, 1);
}

#[tokio::test]
async fn a_replica_is_asked_by_its_name_here() {
    const PRIMARY: &str = "arn:aws:kms:us-east-1:123456789012:key/mrk-00000000000000000000000000000001";
    const REPLICA: &str = "arn:aws:kms:eu-west-1:123456789012:key/mrk-00000000000000000000000000000001";
    let server = holding(REPLICA).await;
    let kms = bound(REPLICA, Some(&[]), &server.url()).await;
    open(&kms).await.unwrap();
    let mut unwrap = unwrapping(PRIMARY, false);
    decrypt(&kms, &mut unwrap, REPLICA).await.unwrap();
    assert!(matches!(key(&unwrap).answered, Some(KeyAnswered::Plain(_))));
    refused(&kms, unwrapping(PRIMARY, false), "Decrypt", &decrypting(&REPLICA.replace("eu-", "ap-")), Reason::Key, "Decrypt.KeyId").await;
}
