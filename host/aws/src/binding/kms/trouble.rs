//! What KMS's errors mean for whoever runs the server: in the host's words, since a guest's are not kept while it handles a key.
//!
//! The rule: the texts are for the log. KMS's own message is in them, cut and escaped, because it names the identity and the policy.

use cofferdam_runtime::{AwsResponse, AwsSendError};

use super::request::Operation;
use crate::binding::refusal::shown;
use crate::egress::failure::{self, Kind};

/// The most characters of KMS's own message.
const MESSAGE: usize = 300;

/// What is wrong, if the answer, or its absence, is no success. `key` is the key as the request named it, `place` where the request went.
pub(super) fn words(operation: Operation, key: &str, place: &str, answer: &Result<AwsResponse, AwsSendError>) -> Option<String> {
    let name = operation.name();
    let answer = match answer {
        Ok(AwsResponse { status: 200..=299, .. }) => return None,
        Ok(answer) => answer,
        Err(AwsSendError::Refused(text)) => return Some(format!("{name} was not sent: {text}")),
        Err(AwsSendError::Unreachable(text)) => return Some(format!("KMS at {place} cannot be reached: {text} ({name})")),
        Err(AwsSendError::Interrupted(text)) => return Some(format!("KMS at {place} did not answer {name}: {text}")),
        Err(AwsSendError::TooLarge(most)) => return Some(format!("KMS at {place} answered {name} with more than {most} bytes")),
        Err(AwsSendError::Credentials(text)) => return Some(format!("no credentials for {name}: {text}")),
    };
    let kind = failure::kind(answer);
    let code = kind.as_ref().map_or("no code of an error", |kind| shown(kind.name()));
    let meaning = meaning(operation, key, kind.as_ref(), answer.status);
    let said = kind.as_ref().map(Kind::text).filter(|text| !text.is_empty());
    let said = said.map(|text| format!("; it says {:?}", text.chars().take(MESSAGE).collect::<String>())).unwrap_or_default();
    Some(format!("KMS answered {code} (status {}) to {name}: {meaning}{said}", answer.status))
}

fn meaning(operation: Operation, key: &str, kind: Option<&Kind>, status: u16) -> String {
    let name = operation.name();
    match kind.map_or("", Kind::name) {
        "AccessDeniedException" | "AccessDenied" => {
            format!("the identity needs kms:{name} on the key {key}, by the key's policy or by its own")
        }
        "NotFoundException" => {
            format!("there is no key {key} in this account and region: kms_key_id or region is wrong, or the key was deleted")
        }
        "DisabledException" => format!("the key {key} is disabled: enable it (aws kms enable-key)"),
        "KMSInvalidStateException" => format!(
            "the key {key} cannot be used in its present state: if its deletion is pending, cancel that (aws kms cancel-key-deletion) and enable the key"
        ),
        "KeyUnavailableException" => format!("the key {key} is not available now; KMS expects it to be again"),
        "InvalidKeyUsageException" => {
            format!("the key {key} is not one to encrypt with: a symmetric key (SYMMETRIC_DEFAULT) for ENCRYPT_DECRYPT is needed")
        }
        "IncorrectKeyException" => {
            format!("the stored wrapped key was made by another key than {key}, which it names: the storage was changed")
        }
        "InvalidCiphertextException" => {
            format!("the stored wrapped key is damaged, or the key {key} has not made it in this region")
        }
        "InvalidArnException" | "ValidationException" => format!("it cannot be asked for the key {key} so: check kms_key_id and region"),
        _ if kind.is_some_and(Kind::is_throttling) => "it is asked more often than the account's quota allows".to_owned(),
        _ if kind.is_some_and(Kind::is_of_identity) => "it does not accept the credentials, or not their signature".to_owned(),
        _ if status >= 500 => "it failed; this passes, or it does not answer at this endpoint".to_owned(),
        _ => format!("the key {key} was not used"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str, message: &str) -> Result<AwsResponse, AwsSendError> {
        let body = serde_json::json!({"__type": code, "message": message}).to_string();
        Ok(AwsResponse { status, headers: Vec::new(), body: body.into() })
    }

    fn said(operation: Operation, answer: &Result<AwsResponse, AwsSendError>) -> String {
        words(operation, "alias/vault", "https://kms.eu-west-1.amazonaws.com (eu-west-1)", answer).unwrap()
    }

    #[test]
    fn a_missing_permission_is_named_with_its_key() {
        for operation in Operation::ALL {
            let text = said(operation, &answer(400, "AccessDeniedException", "User: arn:aws:iam::1:user/x is not authorized"));
            assert!(text.contains(&format!("needs kms:{} on the key alias/vault", operation.name())), "{text}");
            assert!(text.contains("AccessDeniedException") && text.contains("User: arn:aws:iam::1:user/x"), "{text}");
        }
    }

    #[test]
    fn every_error_has_its_meaning() {
        for (status, code, meaning) in [
            (400, "NotFoundException", "there is no key alias/vault"),
            (400, "DisabledException", "is disabled"),
            (400, "KMSInvalidStateException", "cancel-key-deletion"),
            (500, "KeyUnavailableException", "not available now"),
            (400, "InvalidKeyUsageException", "ENCRYPT_DECRYPT is needed"),
            (400, "IncorrectKeyException", "made by another key than alias/vault"),
            (400, "InvalidCiphertextException", "is damaged"),
            (400, "ValidationException", "check kms_key_id and region"),
            (400, "ThrottlingException", "quota"),
            (400, "UnrecognizedClientException", "does not accept the credentials"),
            (500, "KMSInternalException", "it failed"),
            (400, "SomethingNewException", "was not used"),
        ] {
            let text = said(Operation::Decrypt, &answer(status, code, ""));
            assert!(text.starts_with(&format!("KMS answered {code} (status {status}) to Decrypt: ")) && text.contains(meaning), "{text}");
        }
        let unreadable = Ok(AwsResponse { status: 503, headers: Vec::new(), body: "<html>".into() });
        assert!(said(Operation::Encrypt, &unreadable).contains("status 503"));
    }

    #[test]
    fn no_answer_is_told_with_the_place() {
        let text = said(Operation::Encrypt, &Err(AwsSendError::Unreachable("refused".to_owned())));
        assert!(text.contains("https://kms.eu-west-1.amazonaws.com") && text.contains("cannot be reached"), "{text}");
        assert!(said(Operation::Decrypt, &Err(AwsSendError::Interrupted("cut".to_owned()))).contains("did not answer Decrypt: cut"));
        assert!(said(Operation::Decrypt, &Err(AwsSendError::Credentials("none".to_owned()))).contains("no credentials for Decrypt"));
        assert!(said(Operation::Decrypt, &Err(AwsSendError::TooLarge(7))).contains("more than 7 bytes"));
        assert_eq!(words(Operation::Encrypt, "k", "p", &Ok(AwsResponse { status: 200, headers: Vec::new(), body: "{}".into() })), None);
    }

    #[test]
    fn the_services_words_are_cut_and_forge_no_line() {
        let text = said(Operation::Encrypt, &answer(400, "Evil\nException", &format!("a\n\u{1b}[2J\u{202e}{}", "x".repeat(5_000))));
        assert!(text.contains("(unprintable)") && text.contains("a\\n\\u{1b}[2J\\u{202e}"), "{text}");
        assert!(text.len() < 700 && !text.contains('\n'), "{}", text.len());
    }
}
