//! The requests that a seal guest may send, each with its members. The rule: what does not stand here is not sent: no encryption context, no grant token, no
//! recipient, no dry run; and what is encrypted or decrypted is what the host gave the guest in this very call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_runtime::{AwsCall, KeyAsked, KeyCall, Purpose};
use zeroize::Zeroizing;

use super::key::KeyName;
use super::spec::KeySpec;
use super::{KeyArn, Stop};
use crate::binding::refusal::{Reason, Refusal};
use crate::binding::words;
use crate::scan::{self, Value};

/// The one algorithm of a symmetric key.
const ALGORITHM: &str = "SYMMETRIC_DEFAULT";

/// An operation of KMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    DescribeKey,
    Encrypt,
    Decrypt,
}

impl Operation {
    pub(super) const ALL: [Operation; 3] = [Operation::DescribeKey, Operation::Encrypt, Operation::Decrypt];

    pub(super) fn name(self) -> &'static str {
        match self {
            Operation::DescribeKey => "DescribeKey",
            Operation::Encrypt => "Encrypt",
            Operation::Decrypt => "Decrypt",
        }
    }

    /// The header `x-amz-target`.
    pub(super) fn target(self) -> &'static str {
        match self {
            Operation::DescribeKey => "TrentService.DescribeKey",
            Operation::Encrypt => "TrentService.Encrypt",
            Operation::Decrypt => "TrentService.Decrypt",
        }
    }

    fn purposes(self) -> &'static [Purpose] {
        match self {
            Operation::DescribeKey => &[Purpose::Open, Purpose::Read],
            Operation::Encrypt => &[Purpose::Wrap],
            Operation::Decrypt => &[Purpose::Unwrap],
        }
    }

    /// The members of its request that must be there.
    fn members(self) -> &'static [&'static str] {
        match self {
            Operation::DescribeKey => &["KeyId"],
            Operation::Encrypt => &["KeyId", "Plaintext"],
            Operation::Decrypt => &["KeyId", "CiphertextBlob"],
        }
    }
}

/// A request that may be sent.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) operation: Operation,
    /// The key, as the request names it.
    pub(super) key_id: String,
    /// What the key of the answer is checked against; none if the operator's name is none that KMS could know.
    pub(super) expected: Option<KeyName>,
}

/// The request, if it is allowed.
pub(super) fn check(spec: &KeySpec, described: Option<&KeyArn>, call: &AwsCall, name: &str, body: &[u8]) -> Result<Request, Stop> {
    let operation = Operation::ALL.into_iter().find(|operation| operation.name() == name);
    let operation = operation.ok_or_else(|| refused(Reason::Operation, "this backend may not send this operation"))?;
    if !operation.purposes().contains(&call.purpose) {
        return Err(refused(Reason::Purpose, format!("this operation is not for {}", words(call.purpose))));
    }
    let body = scan::read(body).map_err(|error| refused(Reason::Body, error.to_string()))?;
    members(operation, &body)?;
    match operation {
        Operation::DescribeKey => configured(spec, operation, &body),
        Operation::Encrypt => {
            let Some(KeyCall { asked: KeyAsked::Wrap(dek), .. }) = &call.key else { return Err(no_key()) };
            same(&body, "Plaintext", dek.as_slice(), "this is not the key that this call is to wrap")?;
            configured(spec, operation, &body)
        }
        Operation::Decrypt => {
            let Some(KeyCall { asked: KeyAsked::Unwrap { wrapped, .. }, .. }) = &call.key else { return Err(no_key()) };
            same(&body, "CiphertextBlob", &wrapped.blob, "this is not the wrapped key that this call is to unwrap")?;
            let expected = spec.unwraps(&wrapped.key_id, described).map_err(Stop::Unfit)?;
            let key_id = text(&body, "KeyId")?;
            if key_id != wrapped.key_id && key_id != expected.to_string() {
                return Err(refused(Reason::Key, "this is not the key that the wrapped key names").below("KeyId"));
            }
            Ok(Request { operation, key_id: key_id.to_owned(), expected: Some(expected) })
        }
    }
}

fn refused(reason: Reason, text: impl Into<String>) -> Stop {
    Stop::Refused(Refusal::new(reason, text))
}

fn no_key() -> Stop {
    refused(Reason::Purpose, "the host has given no key in this call")
}

/// A request on the configured key.
fn configured(spec: &KeySpec, operation: Operation, body: &Value<'_>) -> Result<Request, Stop> {
    if text(body, "KeyId")? != spec.key_id {
        return Err(refused(Reason::Key, "this backend is bound to one key, which is to be named as configured").below("KeyId"));
    }
    Ok(Request { operation, key_id: spec.key_id.clone(), expected: spec.configured() })
}

/// The body's members: those of the operation, and with a key's use the one algorithm.
fn members(operation: Operation, body: &Value<'_>) -> Result<(), Stop> {
    let wanted = operation.members();
    let Some(given) = body.members() else { return Err(refused(Reason::Value, "an object is wanted")) };
    for (name, value) in given {
        match *name {
            "EncryptionAlgorithm" if operation != Operation::DescribeKey => {
                if value.plain() != Some(ALGORITHM) {
                    return Err(refused(Reason::Value, format!("{ALGORITHM} is wanted")).below(name));
                }
            }
            name if wanted.contains(&name) => {}
            name => return Err(refused(Reason::Member, "this member is not allowed").below(name)),
        }
    }
    match wanted.iter().find(|name| body.member(name).is_none()) {
        Some(missing) => Err(refused(Reason::Member, "this member is missing").below(missing)),
        None => Ok(()),
    }
}

fn text<'a>(body: &Value<'a>, name: &str) -> Result<&'a str, Stop> {
    let plain = body.member(name).and_then(Value::plain);
    plain.ok_or_else(|| refused(Reason::Value, "a text without escapes is wanted").below(name))
}

/// Whether a member is these bytes in base64.
fn same(body: &Value<'_>, name: &str, wanted: &[u8], otherwise: &str) -> Result<(), Stop> {
    let wanted = Zeroizing::new(STANDARD.encode(wanted));
    if text(body, name)? == *wanted { Ok(()) } else { Err(refused(Reason::Payload, otherwise).below(name)) }
}
