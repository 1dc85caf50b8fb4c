//! What a seal guest may ask of KMS: its one key's description, the encryption of the key that the host gave it, the decryption of the wrapped key that the host gave
//! it. The rule: of each call the host knows what was to be asked and what was answered, so that it can judge what the guest returns.
//!
//! | request | when | members |
//! |---|---|---|
//! | DescribeKey | `open`, `key-id`, `health` | KeyId: the configured one |
//! | Encrypt | `wrap` | KeyId: the configured one; Plaintext: this call's key; EncryptionAlgorithm |
//! | Decrypt | `unwrap` | KeyId and CiphertextBlob: as stored; EncryptionAlgorithm |
//!
//! Once KMS has encrypted or decrypted, nothing more is sent in that call. The host itself may have repeated a request whose answer was lost: that changes nothing at KMS, and
//! one answer is handed on.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::Error;
use cofferdam_runtime::{Aws, AwsCall, AwsResponse, AwsSendError, KeyAnswered, KeyAsked, KeyCall};
use zeroize::Zeroizing;

use self::answer::Answer;
use self::key::KeyArn;
use self::request::Request;
use super::refusal::{Reason, Refusal};
use super::{granted, listed};
use crate::egress::{Class, Egress, Outgoing};

mod answer;
pub(super) mod fuzz;
mod key;
mod request;
mod spec;
mod trouble;

#[cfg(test)]
mod tests;

pub use self::spec::{KeySpec, KeySpecError};

/// The length of a DEK.
const DEK: usize = 32;

/// The binding of a seal guest to one KMS key.
pub struct Kms {
    spec: KeySpec,
    egress: Egress,
    /// The operations that are granted.
    only: Vec<String>,
    /// The configured key, as KMS has last named it.
    described: Mutex<Option<KeyArn>>,
}

/// Why a request is not sent.
#[derive(Debug)]
enum Stop {
    /// The guest should not have asked.
    Refused(Refusal),
    /// What the host gave the guest may not be asked for, in words for the operator.
    Unfit(String),
}

impl Stop {
    fn below(self, name: &str) -> Stop {
        match self {
            Stop::Refused(refusal) => Stop::Refused(refusal.below(name)),
            unfit @ Stop::Unfit(_) => unfit,
        }
    }
}

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kms").field("key", &self.spec).field("egress", &self.egress).finish_non_exhaustive()
    }
}

impl Kms {
    /// Binds to a key. Its names should have passed [`KeySpec::check`]: a name that is none is never allowed.
    pub fn new(spec: KeySpec, egress: Egress) -> Arc<Kms> {
        Kms::restricted(spec, egress, Kms::operations().map(str::to_owned).collect())
    }

    /// The same for these of its [`operations`](Kms::operations) alone.
    pub fn restricted(spec: KeySpec, egress: Egress, operations: Vec<String>) -> Arc<Kms> {
        Arc::new(Kms { spec, egress, only: operations, described: Mutex::default() })
    }

    /// The names of the operations that the binding knows.
    pub fn operations() -> impl Iterator<Item = &'static str> {
        request::Operation::ALL.into_iter().map(request::Operation::name)
    }

    fn described(&self) -> MutexGuard<'_, Option<KeyArn>> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request, if it is allowed.
    fn check(&self, call: &AwsCall, name: &str, body: &[u8]) -> Result<Request, Stop> {
        if call.key.as_ref().is_some_and(|key| key.answered.is_some()) {
            return Err(Stop::Refused(Refusal::new(Reason::Again, "KMS has answered; nothing more is sent in this call")));
        }
        self.egress.admit(call, body.len()).map_err(Stop::Refused)?;
        let request = request::check(&self.spec, self.described().as_ref(), call, name, body)?;
        granted(Some(&self.only), request.operation.name()).map_err(Stop::Refused)?;
        Ok(request)
    }

    /// Notes why nothing is sent, for the runtime and the operator.
    fn stop(&self, call: &mut AwsCall, stop: Stop) -> AwsSendError {
        let (refusal, unfit) = match stop {
            Stop::Refused(refusal) => (refusal, false),
            Stop::Unfit(text) => (Refusal::new(Reason::Key, text), true),
        };
        if let Some(key) = &mut call.key {
            if unfit {
                key.unfit = Some(Error::Denied(refusal.to_string()));
            } else {
                key.refused.get_or_insert_with(|| refusal.to_string());
            }
        }
        self.egress.refuse(refusal)
    }

    /// Takes note of a success, if it is one to the request.
    fn note(&self, key: Option<&mut KeyCall>, request: &Request, body: &[u8]) -> Result<(), Error> {
        let name = request.operation.name();
        let unread = |text: String| Error::Unavailable(format!("KMS's answer to {name} is not understood: {text}"));
        let expected = |key: &KeyArn| {
            let home = self.described().as_ref().map(|described| described.home.clone());
            if request.expected.as_ref().is_some_and(|expected| expected.may_be(key, home.as_ref())) {
                return Ok(());
            }
            Err(Error::Denied(format!("KMS was asked for {name} with the key {}, and answered with the key {key}", request.key_id)))
        };
        match (answer::read(request.operation, body).map_err(unread)?, key) {
            (Answer::Described(found), _) => {
                // What was described before binds no longer: an alias may have been given another key.
                if !request.expected.as_ref().is_some_and(|expected| expected.may_be(&found, None)) {
                    return Err(Error::Denied(format!("KMS was asked to describe the key {}, and described {found}", request.key_id)));
                }
                *self.described() = Some(found);
            }
            (Answer::Encrypted { wrapped, key: found }, Some(key)) => {
                expected(&found)?;
                key.answered = Some(KeyAnswered::Wrapped(wrapped));
                *self.described() = Some(found);
            }
            (Answer::Decrypted { plain, key: found }, Some(key)) => {
                expected(&found)?;
                if plain.len() != DEK && !matches!(key.asked, KeyAsked::Unwrap { direct: true, .. }) {
                    return Err(Error::Corrupt(format!(
                        "the stored wrapped key holds {} bytes, not a key of {DEK}: something else stands in its place, and was kept from the guest",
                        plain.len()
                    )));
                }
                key.answered = Some(KeyAnswered::Plain(plain));
            }
            (Answer::Encrypted { .. } | Answer::Decrypted { .. }, None) => {
                return Err(Error::Denied(format!("{name} was sent in a call that has no key")));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Aws for Kms {
    fn describe(&self) -> String {
        format!("the KMS key {} at {}{}", self.spec.key_id, self.egress.describe(), listed(Some(&self.only)))
    }

    async fn send(&self, call: &mut AwsCall, operation: &str, body: Vec<u8>) -> Result<AwsResponse, AwsSendError> {
        // It holds a key.
        let body = Zeroizing::new(body);
        if let Some(KeyCall { unfit: Some(_), .. }) = &call.key {
            return Err(withheld());
        }
        let request = match self.check(call, operation, &body) {
            Ok(request) => request,
            Err(stop) => return Err(self.stop(call, stop.below(operation))),
        };
        call.sends = call.sends.saturating_add(1);
        call.sent = call.sent.saturating_add(u64::try_from(body.len()).unwrap_or(u64::MAX));
        let outgoing = Outgoing {
            class: Class::Read,
            target: request.operation.target(),
            body: Bytes::from_owner(body),
            repeatable: true,
            lease: None,
            deadline: call.deadline,
        };
        let answer = self.egress.send(outgoing).await;
        let received = answer.as_ref().map_or(0, |answer| answer.body.len());
        call.received = call.received.saturating_add(u64::try_from(received).unwrap_or(u64::MAX));
        if let Some(trouble) = trouble::words(request.operation, &request.key_id, &self.egress.describe(), &answer) {
            if let Some(key) = &mut call.key {
                key.trouble = Some(trouble);
            }
            return answer;
        }
        let answer = answer?;
        match self.note(call.key.as_mut(), &request, &answer.body) {
            Ok(()) => Ok(answer),
            Err(unfit) => {
                let text = unfit.to_string();
                if let Some(key) = &mut call.key {
                    key.unfit = Some(unfit);
                    return Err(withheld());
                }
                Err(AwsSendError::Refused(text))
            }
        }
    }

    fn now(&self) -> std::time::SystemTime {
        self.egress.now()
    }
}

fn withheld() -> AwsSendError {
    AwsSendError::Refused("the host has found the key or its answer unfit".to_owned())
}
