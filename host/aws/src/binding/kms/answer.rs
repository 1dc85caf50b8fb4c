//! What KMS answers, as far as the host compares. The rule: a success is read as strictly as a request, and what is not understood is not handed on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cofferdam_backend::Wrapped;
use zeroize::Zeroizing;

use super::key::KeyArn;
use super::request::Operation;
use crate::scan::{self, Value};

/// A success.
pub(super) enum Answer {
    Described(KeyArn),
    Encrypted { wrapped: Wrapped, key: KeyArn },
    Decrypted { plain: Zeroizing<Vec<u8>>, key: KeyArn },
}

/// Reads a success of the operation. The error says what is wrong with it, and repeats nothing of it.
pub(super) fn read(operation: Operation, body: &[u8]) -> Result<Answer, String> {
    // Some emulators end their answers with a line feed.
    let body = scan::read(body.trim_ascii_end()).map_err(|error| error.to_string())?;
    match operation {
        Operation::DescribeKey => {
            let metadata = body.member("KeyMetadata").ok_or("KeyMetadata is missing")?;
            Ok(Answer::Described(key(metadata, "Arn")?.1))
        }
        Operation::Encrypt => {
            let (key_id, key) = key(&body, "KeyId")?;
            let blob = Bytes::from(bytes(&body, "CiphertextBlob")?);
            Ok(Answer::Encrypted { wrapped: Wrapped { blob, key_id }, key })
        }
        Operation::Decrypt => {
            let plain = Zeroizing::new(bytes(&body, "Plaintext")?);
            Ok(Answer::Decrypted { plain, key: key(&body, "KeyId")?.1 })
        }
    }
}

fn key(value: &Value<'_>, name: &str) -> Result<(String, KeyArn), String> {
    let text = match value.member(name) {
        Some(Value::String(text)) => text.decoded(),
        _ => None,
    };
    let text = text.ok_or_else(|| format!("{name} is missing"))?;
    let key = text.parse().map_err(|_| format!("{name} is not the ARN of a key"))?;
    Ok((text.into_owned(), key))
}

fn bytes(value: &Value<'_>, name: &str) -> Result<Vec<u8>, String> {
    let text = value.member(name).and_then(Value::plain).ok_or_else(|| format!("{name} is missing"))?;
    STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty()).ok_or_else(|| format!("{name} is not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn read(operation: Operation, body: &str) -> Result<Answer, String> {
        super::read(operation, body.replace("$ARN", ARN).as_bytes())
    }

    #[test]
    fn the_answers_of_kms_are_understood() {
        let described =
            read(Operation::DescribeKey, r#"{"KeyMetadata":{"AWSAccountId":"1","Arn":"$ARN","CreationDate":1.7E9,"Enabled":true}}"#);
        assert!(matches!(described, Ok(Answer::Described(key)) if key.to_string() == ARN));
        let encrypted = r#"{"CiphertextBlob":"AQIDBA==","EncryptionAlgorithm":"SYMMETRIC_DEFAULT","KeyId":"$ARN"}"#;
        let Ok(Answer::Encrypted { wrapped, key }) = read(Operation::Encrypt, encrypted) else { panic!("not understood") };
        assert_eq!((&wrapped.blob[..], wrapped.key_id, key.to_string()), (&[1, 2, 3, 4][..], ARN.to_owned(), ARN.to_owned()));
        // Members that are not needed may be there: later versions have more.
        let decrypted = read(Operation::Decrypt, r#"{"KeyId":"$ARN","KeyMaterialId":"x","Plaintext":"AQI="}"#);
        assert!(matches!(decrypted, Ok(Answer::Decrypted { plain, .. }) if plain.as_slice() == [1, 2]));
    }

    #[test]
    fn an_answer_with_two_meanings_or_none_is_refused() {
        let encrypt = [
            "",
            "[]",
            "<html>",
            r#"{"CiphertextBlob":"AQIDBA=="}"#,
            r#"{"KeyId":"$ARN"}"#,
            r#"{"CiphertextBlob":"AQIDBA==","KeyId":"alias/a"}"#,
            r#"{"CiphertextBlob":"AQIDBA==","KeyId":"1234abcd"}"#,
            r#"{"CiphertextBlob":"AQIDBA==","KeyId":7}"#,
            r#"{"CiphertextBlob":"","KeyId":"$ARN"}"#,
            r#"{"CiphertextBlob":"AQIDBA","KeyId":"$ARN"}"#,
            r#"{"CiphertextBlob":"AQIDBB==","KeyId":"$ARN"}"#,
            r#"{"CiphertextBlob":"AQID BA==","KeyId":"$ARN"}"#,
            r#"{"CiphertextBlob":"AQIDBA==","CiphertextBlob":"AQIDBA==","KeyId":"$ARN"}"#,
            r#"{"CiphertextBlob":"AQIDBA==","KeyId":"$ARN"} x"#,
            r#"{"CiphertextBlob":"AQIDBA==","KeyId":"$ARN"}{}"#,
        ];
        for body in encrypt {
            assert!(read(Operation::Encrypt, body).is_err(), "{body}");
        }
        for body in
            [r#"{"Plaintext":"AQI="}"#, r#"{"KeyId":"$ARN"}"#, r#"{"KeyId":"$ARN","Plaintext":null}"#, r#"{"KeyId":"$ARN","Plaintext":""}"#]
        {
            assert!(read(Operation::Decrypt, body).is_err(), "{body}");
        }
        for body in ["{}", r#"{"KeyMetadata":{}}"#, r#"{"KeyMetadata":{"Arn":"x"}}"#, r#"{"KeyMetadata":null,"Arn":"$ARN"}"#] {
            assert!(read(Operation::DescribeKey, body).is_err(), "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_bytes() {
        let text = read(Operation::Decrypt, r#"{"KeyId":"$ARN","Plaintext":"c2VjcmV0!"}"#).err().unwrap();
        assert_eq!(text, "Plaintext is not base64");
    }
}
