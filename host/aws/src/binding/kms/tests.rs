//! The binding against a KMS that answers as it is told: what passes, what is refused, and what of an answer is withheld.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_backend::Wrapped;
use cofferdam_runtime::Purpose;

use super::*;
use crate::egress::tests::server::{Reply, Server, json};
use crate::egress::tests::{call, credentials, options};
use crate::{EgressOptions, Service};

mod answers;
mod requests;

const OWN: &str = "arn:aws:kms:eu-west-1:123456789012:key/11111111-aaaa-bbbb-cccc-000000000001";
const OTHER: &str = "arn:aws:kms:eu-west-1:123456789012:key/11111111-aaaa-bbbb-cccc-000000000002";
const FOREIGN: &str = "arn:aws:kms:eu-west-1:999999999999:key/11111111-aaaa-bbbb-cccc-000000000003";
const KEY: [u8; DEK] = *b"0123456789abcdef0123456789ABCDEF";
const BLOB: &[u8] = b"a wrapped key";

async fn bound(key_id: &str, previous: Option<&[&str]>, endpoint: &str) -> Arc<Kms> {
    let previous_key_ids = previous.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
    let spec = KeySpec { key_id: key_id.to_owned(), previous_key_ids };
    let options = EgressOptions { service: Service::Kms, sends_per_call: 16, max_request_bytes: 32 << 10, ..options(endpoint) };
    Kms::new(spec, Egress::new("seal", options, credentials().await).unwrap())
}

fn wrapping() -> AwsCall {
    AwsCall { key: Some(KeyCall::new(KeyAsked::Wrap(Zeroizing::new(KEY)))), ..call(Purpose::Wrap) }
}

fn unwrapping(key_id: &str, direct: bool) -> AwsCall {
    let wrapped = Wrapped { blob: Bytes::from_static(BLOB), key_id: key_id.to_owned() };
    AwsCall { key: Some(KeyCall::new(KeyAsked::Unwrap { wrapped, direct })), ..call(Purpose::Unwrap) }
}

/// What the runtime will judge.
fn key(call: &AwsCall) -> &KeyCall {
    call.key.as_ref().unwrap()
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn describing(key_id: &str) -> String {
    format!(r#"{{"KeyId":"{key_id}"}}"#)
}

fn encrypting(key_id: &str) -> String {
    format!(r#"{{"KeyId":"{key_id}","Plaintext":"{}","EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}}"#, base64(&KEY))
}

fn decrypting(key_id: &str) -> String {
    format!(r#"{{"KeyId":"{key_id}","CiphertextBlob":"{}","EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}}"#, base64(BLOB))
}

fn answered(body: String) -> Reply {
    Reply::Answer(200, Vec::new(), body.into())
}

fn described(arn: &str) -> Reply {
    answered(format!(r#"{{"KeyMetadata":{{"Arn":"{arn}","CreationDate":1.7E9}}}}"#))
}

fn encrypted(arn: &str) -> Reply {
    answered(format!(r#"{{"CiphertextBlob":"{}","EncryptionAlgorithm":"SYMMETRIC_DEFAULT","KeyId":"{arn}"}}"#, base64(BLOB)))
}

fn decrypted(arn: &str, plain: &[u8]) -> Reply {
    answered(format!(r#"{{"EncryptionAlgorithm":"SYMMETRIC_DEFAULT","KeyId":"{arn}","Plaintext":"{}"}}"#, base64(plain)))
}

/// A KMS that has one key, whatever it is asked for.
async fn holding(arn: &'static str) -> Server {
    Server::start(move |_, request| match request.header("x-amz-target") {
        "TrentService.DescribeKey" => described(arn),
        "TrentService.Encrypt" => encrypted(arn),
        "TrentService.Decrypt" => decrypted(arn, &KEY),
        other => json(400, Box::leak(format!(r#"{{"__type":"UnknownOperationException","message":"{other}"}}"#).into_boxed_str())),
    })
    .await
}

/// One request in a call of `open`.
async fn open(kms: &Kms) -> Result<AwsResponse, AwsSendError> {
    kms.send(&mut call(Purpose::Open), "DescribeKey", describing(&kms.spec.key_id).into()).await
}

async fn encrypt(kms: &Kms, call: &mut AwsCall) -> Result<AwsResponse, AwsSendError> {
    kms.send(call, "Encrypt", encrypting(&kms.spec.key_id).into()).await
}

async fn decrypt(kms: &Kms, call: &mut AwsCall, key_id: &str) -> Result<AwsResponse, AwsSendError> {
    kms.send(call, "Decrypt", decrypting(key_id).into()).await
}
