//! A KMS in memory that has one key, and whose answers a test can disturb. It understands what this guest sends and nothing else: any other member or operation fails the test.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_guest::aws::{Response, SendError};
use cofferdam_guest_aws::World;
use serde_json::{Value, json};

use super::ARN;

/// A disturbance of one request.
#[derive(Clone, Debug)]
pub(super) enum Upset {
    /// It is answered by this error.
    Answer(u16, &'static str),
    /// It is answered by this error with this message.
    Said(&'static str, &'static str),
    /// It is answered by this.
    Body(Value),
    /// There is no answer.
    Unsent(SendError),
}

/// All that the fake knows.
#[derive(Debug)]
pub(super) struct Inner {
    /// The answer to DescribeKey, below `KeyMetadata`.
    pub(super) described: Value,
    /// Requests in their order: operation and body.
    pub(super) sent: Vec<(String, Value)>,
    pub(super) upsets: VecDeque<Upset>,
    pub(super) always: Option<Upset>,
    pub(super) time: Duration,
}

#[derive(Debug)]
pub(super) struct Fake(Mutex<Inner>);

impl Fake {
    pub(super) fn new() -> Fake {
        let described = json!({
            "AWSAccountId": "123456789012", "KeyId": "1234abcd-12ab-34cd-56ef-1234567890ab", "Arn": ARN, "Enabled": true,
            "KeyState": "Enabled", "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT", "MultiRegion": false,
        });
        Fake(Mutex::new(Inner { described, sent: Vec::new(), upsets: VecDeque::new(), always: None, time: Duration::ZERO }))
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// What was sent since the last call of this.
    pub(super) fn sent(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.inner().sent)
    }

    pub(super) fn upset(&self, upsets: impl IntoIterator<Item = Upset>) {
        self.inner().upsets = upsets.into_iter().collect();
    }

    /// Sets a member of the description; null takes it out.
    pub(super) fn describe(&self, member: &str, value: Value) {
        let mut inner = self.inner();
        let all = inner.described.as_object_mut().unwrap();
        if value.is_null() {
            all.remove(member)
        } else {
            all.insert(member.to_owned(), value)
        };
    }
}

fn answered(status: u16, body: &Value) -> Result<Response, SendError> {
    let headers = vec![("content-type".into(), "application/x-amz-json-1.1".into()), ("x-amzn-requestid".into(), "R1".into())];
    Ok(Response { status, headers, body: body.to_string().into_bytes() })
}

fn members(body: &Value, exactly: &[&str]) {
    let found: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let mut exactly = exactly.to_vec();
    exactly.sort_unstable();
    assert_eq!(found, exactly, "{body}");
}

fn turned(text: &Value) -> String {
    let bytes = STANDARD.decode(text.as_str().unwrap()).unwrap();
    STANDARD.encode(bytes.iter().map(|byte| !byte).collect::<Vec<_>>())
}

impl World for Fake {
    fn send(&self, operation: &str, body: &[u8]) -> Result<Response, SendError> {
        let body: Value = serde_json::from_slice(body).unwrap();
        let mut inner = self.inner();
        inner.sent.push((operation.to_owned(), body.clone()));
        match inner.upsets.pop_front().or_else(|| inner.always.clone()) {
            Some(Upset::Answer(status, code)) => {
                return answered(status, &json!({ "__type": code, "message": format!("the message of {code}") }));
            }
            Some(Upset::Said(code, message)) => return answered(400, &json!({ "__type": code, "message": message })),
            Some(Upset::Body(body)) => return answered(200, &body),
            Some(Upset::Unsent(error)) => return Err(error),
            None => {}
        }
        let answer = match operation {
            "DescribeKey" => {
                members(&body, &["KeyId"]);
                json!({ "KeyMetadata": inner.described })
            }
            "Encrypt" => {
                members(&body, &["KeyId", "Plaintext", "EncryptionAlgorithm"]);
                json!({ "KeyId": ARN, "CiphertextBlob": turned(&body["Plaintext"]), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" })
            }
            "Decrypt" => {
                members(&body, &["KeyId", "CiphertextBlob", "EncryptionAlgorithm"]);
                json!({ "KeyId": body["KeyId"], "Plaintext": turned(&body["CiphertextBlob"]), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" })
            }
            other => panic!("{other}"),
        };
        answered(200, &answer)
    }

    fn now(&self) -> Duration {
        self.inner().time
    }

    fn sleep(&self, time: Duration) {
        self.inner().time += time;
    }

    fn chance(&self) -> u64 {
        77
    }
}
