//! That the KMS keeps what it promises, asked over HTTP as a program would.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{ACCOUNT, Kms, KmsAction, NewKey};
use crate::{Client, Gate, Moto, Rule};

const REGION: &str = "eu-west-1";

struct At {
    kms: Kms,
    client: Client,
}

async fn at() -> (At, String) {
    let kms = Kms::start().await.unwrap();
    let arn = kms.create(NewKey::new(REGION));
    let client = Client::new(kms.endpoint());
    (At { kms, client }, arn)
}

impl At {
    async fn in_region(&self, region: &str, operation: &str, body: Value) -> (u16, Value) {
        self.client.kms(region, operation, &body).await.unwrap()
    }

    async fn done(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.in_region(REGION, operation, body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn refused(&self, operation: &str, body: Value) -> String {
        let (status, answer) = self.in_region(REGION, operation, body).await;
        assert_eq!(status, 400, "{answer}");
        answer["__type"].as_str().unwrap().to_owned()
    }

    /// What Encrypt makes of it.
    async fn sealed(&self, key_id: &str, plain: &[u8]) -> Value {
        self.done("Encrypt", json!({"KeyId": key_id, "Plaintext": STANDARD.encode(plain)})).await["CiphertextBlob"].clone()
    }
}

#[tokio::test]
async fn what_is_encrypted_is_decrypted_by_its_key_alone() {
    let (at, arn) = at().await;
    let id = arn.rsplit('/').next().unwrap();
    let other = at.kms.create(NewKey::new(REGION));
    at.kms.alias("alias/vault", &arn);
    for key_id in [&arn, id, "alias/vault", &format!("arn:aws:kms:{REGION}:{ACCOUNT}:alias/vault")] {
        let answer =
            at.done("Encrypt", json!({"KeyId": key_id, "Plaintext": "c2VjcmV0", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})).await;
        assert_eq!(answer["KeyId"], arn);
        let blob = answer["CiphertextBlob"].clone();
        assert!(!STANDARD.decode(blob.as_str().unwrap()).unwrap().windows(6).any(|window| window == b"secret"));
        let plain = at.done("Decrypt", json!({"KeyId": key_id, "CiphertextBlob": blob})).await;
        assert_eq!((&plain["Plaintext"], &plain["KeyId"]), (&json!("c2VjcmV0"), &json!(arn)));
        assert_eq!(at.done("Decrypt", json!({"CiphertextBlob": blob})).await["Plaintext"], "c2VjcmV0", "the blob names its key");
        assert_eq!(at.refused("Decrypt", json!({"KeyId": other, "CiphertextBlob": blob})).await, "IncorrectKeyException");
        assert_eq!(
            at.refused("Decrypt", json!({"CiphertextBlob": blob, "EncryptionContext": {"a": "b"}})).await,
            "InvalidCiphertextException"
        );
        let mut bytes = STANDARD.decode(blob.as_str().unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(at.refused("Decrypt", json!({"CiphertextBlob": STANDARD.encode(bytes)})).await, "InvalidCiphertextException");
    }
    assert_eq!(at.refused("Decrypt", json!({"CiphertextBlob": "AAAA"})).await, "InvalidCiphertextException");
    assert_eq!(at.kms.counts()["Encrypt"], 4);
    assert_eq!(at.kms.count("Decrypt"), 4 * 5 + 1);
    assert!(at.kms.complaints().iter().all(|complaint| complaint.contains("scope")), "{:?}", at.kms.complaints());
}

#[tokio::test]
async fn limits_and_members_are_those_of_the_service() {
    let (at, arn) = at().await;
    let plain = |length| json!({"KeyId": arn, "Plaintext": STANDARD.encode(vec![7; length])});
    at.done("Encrypt", plain(4096)).await;
    for (operation, body, code) in [
        ("Encrypt", plain(4097), "ValidationException"),
        ("Encrypt", plain(0), "ValidationException"),
        ("Encrypt", json!({"KeyId": arn, "Plaintext": "?"}), "SerializationException"),
        ("Encrypt", json!({"Plaintext": "AA=="}), "ValidationException"),
        ("Encrypt", json!({"KeyId": arn, "Plaintext": "AA==", "Recipient": {}}), "ValidationException"),
        ("Encrypt", json!({"KeyId": arn, "Plaintext": "AA==", "DryRun": true}), "DryRunOperationException"),
        ("Encrypt", json!({"KeyId": arn, "Plaintext": "AA==", "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}), "InvalidKeyUsageException"),
        ("Encrypt", json!([]), "SerializationException"),
        ("GenerateDataKey", json!({"KeyId": arn}), "UnknownOperationException"),
        ("DescribeKey", json!({"KeyId": "alias/none"}), "NotFoundException"),
        ("DescribeKey", json!({"KeyId": "1234"}), "NotFoundException"),
    ] {
        assert_eq!(at.refused(operation, body.clone()).await, code, "{operation} {body}");
    }
}

#[tokio::test]
async fn states_are_described_and_have_effect() {
    let (at, arn) = at().await;
    let blob = at.sealed(&arn, b"x").await;
    for (state, code) in [
        ("Disabled", "DisabledException"),
        ("PendingDeletion", "KMSInvalidStateException"),
        ("PendingImport", "KMSInvalidStateException"),
        ("Unavailable", "KMSInvalidStateException"),
    ] {
        at.kms.set_state(&arn, state);
        let described = at.done("DescribeKey", json!({"KeyId": arn})).await["KeyMetadata"].clone();
        assert_eq!((&described["KeyState"], &described["Enabled"]), (&json!(state), &json!(false)));
        assert_eq!(described.get("DeletionDate").is_some(), state == "PendingDeletion");
        assert_eq!(at.refused("Encrypt", json!({"KeyId": arn, "Plaintext": "AA=="})).await, code);
        assert_eq!(at.refused("Decrypt", json!({"KeyId": arn, "CiphertextBlob": blob})).await, code);
    }
    at.kms.set_state(&arn, "Enabled");
    at.kms.rotate(&arn);
    at.done("Decrypt", json!({"KeyId": arn, "CiphertextBlob": blob})).await;
    at.kms.replace(&arn);
    assert_eq!(at.refused("Decrypt", json!({"KeyId": arn, "CiphertextBlob": blob})).await, "InvalidCiphertextException");
    at.done("Decrypt", json!({"KeyId": arn, "CiphertextBlob": at.sealed(&arn, b"y").await})).await;
    at.kms.delete(&arn);
    assert_eq!(at.refused("DescribeKey", json!({"KeyId": arn})).await, "NotFoundException");
    let signs = at.kms.create(NewKey::new(REGION).for_use("SIGN_VERIFY", "RSA_2048"));
    assert_eq!(at.done("DescribeKey", json!({"KeyId": signs})).await["KeyMetadata"]["KeyUsage"], "SIGN_VERIFY");
    assert_eq!(at.refused("Encrypt", json!({"KeyId": signs, "Plaintext": "AA=="})).await, "InvalidKeyUsageException");
}

#[tokio::test]
async fn regions_and_accounts_are_kept_apart() {
    let (at, arn) = at().await;
    at.kms.alias("alias/vault", &arn);
    for key_id in [&*arn, "alias/vault"] {
        let (_, answer) = at.in_region("us-east-1", "DescribeKey", json!({"KeyId": key_id})).await;
        assert_eq!(answer["__type"], "NotFoundException", "{key_id}");
    }
    // A replica decrypts what its primary encrypted, and the other way round, also after a rotation.
    let primary = at.kms.create(NewKey::new(REGION).multi_region());
    let replica = at.kms.replicate(&primary, "us-east-1");
    assert_eq!(replica, primary.replace(REGION, "us-east-1"));
    at.kms.rotate(&replica);
    let blob = at.sealed(&primary, b"x").await;
    let (status, answer) = at.in_region("us-east-1", "Decrypt", json!({"KeyId": replica, "CiphertextBlob": blob})).await;
    assert_eq!((status, &answer["KeyId"]), (200, &json!(replica)));
    let described = at.done("DescribeKey", json!({"KeyId": primary})).await["KeyMetadata"]["MultiRegionConfiguration"].clone();
    assert_eq!((&described["MultiRegionKeyType"], &described["ReplicaKeys"][0]["Arn"]), (&json!("PRIMARY"), &json!(replica)));
    // Another account's key is out of reach unless it is shared.
    let theirs = at.kms.create(NewKey::new(REGION).account("210987654321"));
    assert_eq!(at.refused("DescribeKey", json!({"KeyId": theirs})).await, "AccessDeniedException");
    at.kms.share(&theirs, ACCOUNT);
    at.sealed(&theirs, b"x").await;
    at.kms.belongs("AKIAIOSFODNN7EXAMPLE", "210987654321");
    assert_eq!(at.refused("DescribeKey", json!({"KeyId": arn})).await, "AccessDeniedException");
}

#[tokio::test]
async fn the_script_is_followed_and_everything_is_recorded() {
    let (at, arn) = at().await;
    let describe = json!({"KeyId": arn});
    at.kms.rule(Rule::new(KmsAction::Refuse("ThrottlingException")).of(&["DescribeKey"]).times(2));
    for _ in 0..2 {
        assert_eq!(at.refused("DescribeKey", describe.clone()).await, "ThrottlingException");
    }
    at.done("DescribeKey", describe.clone()).await;
    at.kms.rule(Rule::new(KmsAction::Refuse("AccessDeniedException")).times(1));
    let (_, answer) = at.in_region(REGION, "Encrypt", json!({"KeyId": arn, "Plaintext": "AA=="})).await;
    assert!(answer["Message"].as_str().unwrap().contains(&format!("perform: kms:Encrypt on resource: {arn} ")), "{answer}");
    at.kms.clear();
    at.kms.rule_in("us-east-1", Rule::new(KmsAction::Status(500)));
    at.done("DescribeKey", describe.clone()).await;
    assert_eq!(at.in_region("us-east-1", "DescribeKey", describe.clone()).await.0, 500);
    at.kms.clear();
    at.kms.rule(Rule::new(KmsAction::Answer("KeyId", json!("another"))));
    at.kms.take();
    let answer = at.done("Encrypt", json!({"KeyId": arn, "Plaintext": "AA=="})).await;
    assert_eq!(answer["KeyId"], "another");
    let calls = at.kms.take();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((call.operation.as_str(), call.region.as_str(), call.status, &call.answer), ("Encrypt", REGION, Some(200), &answer));
    assert_eq!((call.json()["Plaintext"].as_str(), call.access_key.as_str()), (Some("AA=="), "AKIAIOSFODNN7EXAMPLE"));
    at.kms.clear();
    for action in [KmsAction::CutBefore, KmsAction::CutAfter] {
        at.kms.rule(Rule::new(action).times(1));
        assert!(at.client.kms(REGION, "DescribeKey", &describe).await.is_err());
    }
    let gate = Gate::shut();
    at.kms.rule(Rule::new(KmsAction::Hold(gate.clone())));
    let held = at.in_region(REGION, "DescribeKey", describe.clone());
    let ((), (status, _)) = tokio::join!(
        async {
            gate.reached_by(1).await;
            gate.open();
        },
        held
    );
    assert_eq!(status, 200);
}

#[tokio::test]
async fn an_endpoint_that_is_dropped_is_closed() {
    let (at, arn) = at().await;
    let region = at.kms.listen(0).await.unwrap();
    let client = Client::new(region.url());
    let port: u16 = region.url().rsplit(':').next().unwrap().parse().unwrap();
    let describe = json!({"KeyId": arn});
    assert_eq!(client.kms(REGION, "DescribeKey", &describe).await.unwrap().0, 200);
    drop(region);
    assert!(client.kms(REGION, "DescribeKey", &describe).await.is_err());
    at.done("DescribeKey", describe.clone()).await;
    let _again = at.kms.listen(port).await.unwrap();
    assert_eq!(client.kms(REGION, "DescribeKey", &describe).await.unwrap().0, 200);
}

/// The same requests to a KMS that was not written here, except where that one is known to be kinder than the service: it decrypts with disabled keys, and has another code for
/// a blob of another key.
#[tokio::test]
async fn it_answers_as_moto_does() {
    let (at, arn) = at().await;
    let moto = Moto::start().unwrap();
    let client = Client::new(moto.endpoint());
    let theirs = client.kms(REGION, "CreateKey", &json!({})).await.unwrap().1["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
    at.kms.alias("alias/vault", &arn);
    client.kms(REGION, "CreateAlias", &json!({"AliasName": "alias/vault", "TargetKeyId": theirs})).await.unwrap();
    let blobs = [at.sealed(&arn, b"secret").await, {
        let body = json!({"KeyId": theirs, "Plaintext": STANDARD.encode(b"secret")});
        client.kms(REGION, "Encrypt", &body).await.unwrap().1["CiphertextBlob"].clone()
    }];
    // ARN and blob are each one's own.
    let requests: Vec<(&str, Value)> = vec![
        ("DescribeKey", json!({"KeyId": "$arn"})),
        ("DescribeKey", json!({"KeyId": "alias/vault"})),
        ("DescribeKey", json!({"KeyId": "alias/none"})),
        ("DescribeKey", json!({"KeyId": "12345678-1234-1234-1234-123456789012"})),
        ("Encrypt", json!({"KeyId": "$arn", "Plaintext": STANDARD.encode([7; 4096])})),
        ("Encrypt", json!({"KeyId": "$arn", "Plaintext": STANDARD.encode([7; 4097])})),
        ("Encrypt", json!({"KeyId": "alias/none", "Plaintext": "AA=="})),
        ("Decrypt", json!({"KeyId": "$arn", "CiphertextBlob": "$blob"})),
        ("Decrypt", json!({"KeyId": "alias/vault", "CiphertextBlob": "$blob", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})),
        ("Decrypt", json!({"CiphertextBlob": "$blob"})),
        ("Decrypt", json!({"CiphertextBlob": "$blob", "EncryptionContext": {"a": "b"}})),
    ];
    for (operation, body) in requests {
        let ask = async |client: &Client, arn: &str, blob: &Value| {
            let text = body.to_string().replace("$arn", arn).replace("$blob", blob.as_str().unwrap());
            let (status, answer) = client.kms(REGION, operation, &serde_json::from_str(&text).unwrap()).await.unwrap();
            let id = |id: &Value| id.as_str().map(|id| id == arn);
            let plain = (answer["__type"].clone(), answer["Plaintext"].clone(), id(&answer["KeyId"]));
            (status, plain, id(&answer["KeyMetadata"]["Arn"]), answer["KeyMetadata"]["KeyState"].clone())
        };
        let (ours, other) = (ask(&at.client, &arn, &blobs[0]).await, ask(&client, &theirs, &blobs[1]).await);
        assert_eq!(ours, other, "{operation} {body}");
    }
}
