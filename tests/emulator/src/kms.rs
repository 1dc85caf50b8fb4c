//! A KMS: keys in memory behind HTTP, with real AES-256-GCM under a material of each key's own, and a bad day on demand.
//!
//! ```no_run
//! # use cofferdam_emulator::{Kms, KmsAction, NewKey, Rule};
//! # async fn example() -> anyhow::Result<()> {
//! let kms = Kms::start().await?;
//! let arn = kms.create(NewKey::new("eu-west-1"));
//! kms.alias("alias/vault", &arn);
//! // … a program is given kms.endpoint(), and does something …
//! assert_eq!(kms.count("Decrypt"), 1);
//! kms.rule(Rule::new(KmsAction::Refuse("ThrottlingException")).of(&["Decrypt"]).times(2));
//! kms.set_state(&arn, "Disabled");
//! # Ok(())
//! # }
//! ```
//!
//! The region of a request is the one that it is signed for, so one endpoint serves all regions; [`Kms::listen`] opens further ones, which close when they are dropped, for the
//! loss of a region. The caller's account is that of the access key: [`ACCOUNT`] unless [`Kms::belongs`] says otherwise. Signatures are looked at for their form alone
//! ([`Kms::complaints`]); [`Moto`](crate::Moto) checks them.
//!
//! The rule: as strict as the service. An unknown operation or member is an error, and a key in the wrong state, region or account behaves as it does at AWS.

mod blob;
mod calls;
mod keys;
mod operations;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http::request::Parts;
use serde_json::Value;

pub use self::calls::Call;
use self::calls::answered;
pub use self::keys::NewKey;
use self::keys::{Caller, Keys, Refusal};
use crate::listen::{Answers, Cut, Listening, Outcome};
use crate::proxy::record::{self, Form};
use crate::proxy::{Gate, Rule, lock};

/// What requests to KMS look like.
pub(crate) const FORM: Form = Form { target: "TrentService.", content_type: "application/x-amz-json-1.1", service: "kms" };

/// The account of keys and callers unless another is given.
pub const ACCOUNT: &str = "123456789012";

/// What happens to a request to [`Kms`].
#[derive(Clone, Debug)]
pub enum KmsAction {
    /// It is answered with this error of KMS's (status 400) and does nothing. `AccessDeniedException` names the permission, as at AWS.
    Refuse(&'static str),
    /// It is answered with this status and `KMSInternalException`, and does nothing.
    Status(u16),
    /// It is done after so long.
    Delay(Duration),
    /// It waits until the gate is opened, and is done then. A gate that stays shut is a service that hangs.
    Hold(Arc<Gate>),
    /// The connection is closed before anything is done.
    CutBefore,
    /// It is done, and the connection is closed without an answer.
    CutAfter,
    /// It is done, and this member of the answer has another value: a string, except in tests of parsers. `Plaintext` and `CiphertextBlob` are base64.
    Answer(&'static str, Value),
}

/// A KMS on a port of its own. It ends with the tokio runtime on which it was started, or when it is dropped.
pub struct Kms {
    listening: Listening,
    inner: Arc<Inner>,
}

/// A further endpoint of a [`Kms`]. It closes when it is dropped.
#[derive(Debug)]
pub struct KmsEndpoint(Listening);

impl KmsEndpoint {
    /// Of the form `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        self.0.endpoint()
    }
}

#[derive(Default)]
struct Inner {
    keys: Mutex<Keys>,
    /// Each with the region that it is for, if it is for one.
    rules: Mutex<Vec<(Option<String>, Rule<KmsAction>)>>,
    calls: Mutex<Vec<Call>>,
    complaints: Mutex<Vec<String>>,
}

impl Kms {
    /// Starts one without keys on a free port of 127.0.0.1.
    pub async fn start() -> Result<Kms> {
        let inner = Arc::<Inner>::default();
        Ok(Kms { listening: Listening::start(0, Arc::clone(&inner)).await?, inner })
    }

    /// Of the form `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        self.listening.endpoint()
    }

    /// Opens a further endpoint: on this port, or on a free one if it is zero.
    pub async fn listen(&self, port: u16) -> Result<KmsEndpoint> {
        Ok(KmsEndpoint(Listening::start(port, Arc::clone(&self.inner)).await?))
    }

    /// Creates a key, and returns its ARN.
    pub fn create(&self, key: NewKey) -> String {
        lock(&self.inner.keys).create(key)
    }

    /// Makes a replica of a multi-Region key in another region, and returns its ARN.
    pub fn replicate(&self, arn: &str, region: &str) -> String {
        lock(&self.inner.keys).replicate(arn, region)
    }

    /// Gives the key an alias (`alias/…`) in its region and account, or gives it that of another key.
    pub fn alias(&self, name: &str, arn: &str) {
        lock(&self.inner.keys).alias(name, arn);
    }

    /// Puts a key into a state of KMS's, such as `Enabled`, `Disabled`, `PendingDeletion`, `PendingImport`.
    pub fn set_state(&self, arn: &str, state: &str) {
        lock(&self.inner.keys).key(arn).state = state.to_owned();
    }

    /// Rotates the key as KMS does by itself: what was encrypted before stays readable.
    pub fn rotate(&self, arn: &str) {
        lock(&self.inner.keys).add_material(arn);
    }

    /// Puts another key in this one's place, under the same ARN: what was encrypted before is lost.
    pub fn replace(&self, arn: &str) {
        let mut keys = lock(&self.inner.keys);
        keys.key(arn).materials.clear();
        keys.add_material(arn);
    }

    /// Deletes the key; its aliases remain and lead nowhere.
    pub fn delete(&self, arn: &str) {
        lock(&self.inner.keys).delete(arn);
    }

    /// Lets another account use the key. It must name it by its ARN.
    pub fn share(&self, arn: &str, account: &str) {
        lock(&self.inner.keys).key(arn).shared.push(account.to_owned());
    }

    /// Makes the access key one of this account.
    pub fn belongs(&self, access_key: &str, account: &str) {
        lock(&self.inner.keys).callers.insert(access_key.to_owned(), account.to_owned());
    }

    /// Adds a rule. Of several that fit a request, the oldest has effect.
    pub fn rule(&self, rule: Rule<KmsAction>) {
        lock(&self.inner.rules).push((None, rule));
    }

    /// Adds a rule for the requests to one region.
    pub fn rule_in(&self, region: &str, rule: Rule<KmsAction>) {
        lock(&self.inner.rules).push((Some(region.to_owned()), rule));
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        lock(&self.inner.rules).clear();
    }

    /// The calls so far, those without effect included.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.inner.calls).clone()
    }

    /// The calls so far; the record begins anew, and the counts with it.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.inner.calls))
    }

    /// How many calls there were of this operation.
    pub fn count(&self, operation: &str) -> usize {
        lock(&self.inner.calls).iter().filter(|call| call.operation == operation).count()
    }

    /// How many calls there were of each operation.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in lock(&self.inner.calls).iter() {
            *counts.entry(call.operation.clone()).or_default() += 1;
        }
        counts
    }

    /// What was wrong with the form of requests so far: method, path, headers given twice or not at all, headers that are not signed.
    pub fn complaints(&self) -> Vec<String> {
        lock(&self.inner.complaints).clone()
    }
}

impl Answers for Inner {
    async fn answer(&self, parts: Parts, body: Bytes) -> Outcome {
        let (operation, region) = (FORM.operation(&parts.headers), record::region(&parts.headers));
        lock(&self.complaints).extend(FORM.complaints(&parts, &operation));
        let access_key = record::signer(&parts.headers);
        let place = {
            let mut calls = lock(&self.calls);
            calls.push(Call::new(&operation, &region, &access_key, body.clone()));
            calls.len() - 1
        };
        let action = lock(&self.rules).iter_mut().fold(None, |found, (only, rule)| {
            let befalls = only.as_ref().is_none_or(|only| *only == region) && rule.befalls(&operation);
            found.or_else(|| befalls.then(|| rule.action.clone()))
        });
        let begun = Instant::now();
        let (status, answer) = self.act(action, &access_key, &region, &operation, &body).await?;
        // The record may have been taken meanwhile: then this one's end is not recorded.
        if let Some(call) = lock(&self.calls).get_mut(place).filter(|call| call.at <= begun && call.body == body) {
            (call.status, call.answer) = (Some(status), answer.clone());
        }
        answered(status, &answer)
    }
}

impl Inner {
    async fn act(
        &self,
        action: Option<KmsAction>,
        access_key: &str,
        region: &str,
        operation: &str,
        body: &Bytes,
    ) -> Result<(u16, Value), Cut> {
        let done = || {
            let mut keys = lock(&self.keys);
            let caller = keys.caller(access_key, region);
            let body = serde_json::from_slice(body).unwrap_or(Value::Null);
            keys.operation(&caller, operation, &body).map_or_else(Refusal::answer, |answer| (200, answer))
        };
        match action {
            None => Ok(done()),
            Some(KmsAction::Refuse(code)) => {
                let keys = lock(&self.keys);
                let caller: Caller = keys.caller(access_key, region);
                Ok(keys.scripted(&caller, code, operation, &serde_json::from_slice(body).unwrap_or(Value::Null)).answer())
            }
            Some(KmsAction::Status(status)) => {
                let (_, body) = Refusal::new("KMSInternalException", "by the test's script").answer();
                Ok((status, body))
            }
            Some(KmsAction::Delay(time)) => {
                tokio::time::sleep(time).await;
                Ok(done())
            }
            Some(KmsAction::Hold(gate)) => {
                gate.pass().await;
                Ok(done())
            }
            Some(KmsAction::CutBefore) => Err(Cut),
            Some(KmsAction::CutAfter) => {
                done();
                Err(Cut)
            }
            Some(KmsAction::Answer(member, value)) => {
                let (status, mut answer) = done();
                if status == 200 {
                    answer[member] = value;
                }
                Ok((status, answer))
            }
        }
    }
}
