//! Whether a seal did with a key what it was asked, and nothing else.
//!
//! The rule: for a backend with a service, a wrapped key is what the service answered and a key that comes back is what the service
//! decrypted, byte for byte; the guest is a messenger whose word counts for nothing. For a backend without one, or with one that it reaches by `http`, only the plainest frauds can be
//! seen: the key itself, or a common writing of it, in place of the wrapped key.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use cofferdam_backend::{Error, Wrapped};
use zeroize::Zeroizing;

use crate::aws::{KeyAnswered, KeyCall};
use crate::breach::{Breach, BreachKind, contract};
use crate::guest::Failure;
use crate::since_v0_1;

#[cfg(test)]
mod tests;

/// The length of a DEK.
const DEK: usize = 32;
/// The most bytes that a blob may hold that is no wrapped DEK: what a key service encrypts at once.
const DIRECT: usize = 4096;

/// In place of the guest's delay.
const THROTTLED: Duration = Duration::from_secs(1);

/// In place of the guest's text.
const HIDDEN: &str = "(the guest's text is not kept while it handles a key)";

/// A form in which a key can be written so that anyone reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Plain,
    Xor,
    Reversed,
    Hex,
    Base64,
}

impl fmt::Display for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Writing::Plain => "as it is",
            Writing::Xor => "with every byte changed by the same bits (XOR)",
            Writing::Reversed => "in reverse",
            Writing::Hex => "in hexadecimal",
            Writing::Base64 => "in base64",
        })
    }
}

fn broken(detail: impl Into<String>) -> Breach {
    Breach::new(BreachKind::Key, detail)
}

/// What the guest returned, unless it broke a rule on the way, or the host found the service's answer unfit.
pub(super) fn ended<T>(returned: wasmtime::Result<Result<T, since_v0_1::Error>>, call: Option<&KeyCall>) -> Result<T, Failure> {
    if let Some(refused) = call.and_then(|call| call.refused.as_deref()) {
        return Err(broken(refused).into());
    }
    // What the engine says of the guest's end may hold numbers of the guest's choice.
    let returned = returned.map_err(|error| Breach::new(Breach::untold(error).kind, HIDDEN))?;
    if let Some(unfit) = call.and_then(|call| call.unfit.as_ref()) {
        return Err(Failure::Refused(unfit.clone()));
    }
    if returned.is_err() && call.is_some_and(|call| call.answered.is_some()) {
        // Which error it is could tell of the key that it was just shown.
        return Err(broken("the guest failed after the service had answered").into());
    }
    let trouble = call.and_then(|call| call.trouble.as_deref()).unwrap_or(HIDDEN);
    returned.map_err(|error| Failure::Refused(silenced(error.into(), trouble)))
}

/// The error without what the guest says in it: of its own only the case is left.
fn silenced(error: Error, text: &str) -> Error {
    let text = text.to_owned();
    match error {
        // A number of the guest's could hold a piece of the key as well.
        Error::Throttled(_) => Error::Throttled(THROTTLED),
        Error::Configuration(_) => Error::Configuration(text),
        Error::Denied(_) => Error::Denied(text),
        Error::Corrupt(_) => Error::Corrupt(text),
        Error::Conflict(_) => Error::Conflict(text),
        Error::Unsupported(_) | Error::TooLarge { .. } => Error::Unsupported(text),
        Error::Exhausted(_) => Error::Exhausted(text),
        Error::InvalidKey(_) => Error::InvalidKey(text),
        _ => Error::Unavailable(text),
    }
}

/// Judges what the guest returned as the wrapped key.
pub(super) fn wrapped(dek: &[u8; DEK], returned: &Wrapped, call: Option<&KeyCall>) -> Result<(), Breach> {
    if let Some(writing) = written(dek, &returned.blob) {
        return Err(broken(format!("wrap: the guest returned the key itself as the wrapped key, {writing}")));
    }
    if let Some(writing) = written(dek, returned.key_id.as_bytes()) {
        return Err(broken(format!("wrap: the guest returned the key itself as the key id, {writing}")));
    }
    let Some(call) = call else { return Ok(()) };
    match &call.answered {
        Some(KeyAnswered::Wrapped(answered)) if answered.blob != returned.blob => {
            Err(broken("wrap: the wrapped key that the guest returned is not what the service answered"))
        }
        Some(KeyAnswered::Wrapped(answered)) if answered.key_id != returned.key_id => {
            Err(broken("wrap: the key id that the guest returned is not the one that the service answered"))
        }
        Some(KeyAnswered::Wrapped(_)) => Ok(()),
        Some(KeyAnswered::Plain(_)) | None => Err(broken("wrap: the guest returned a wrapped key, but the service has encrypted none")),
    }
}

/// Judges what the guest returned as the key, or with `direct` as what else the blob holds.
pub(super) fn unwrapped(returned: &[u8], direct: bool, call: Option<&KeyCall>) -> Result<(), Breach> {
    // Not how many there are: a number of the guest's could hold a piece of the key.
    if direct && !(1..=DIRECT).contains(&returned.len()) {
        return Err(contract(format!("unwrap: not 1 to {DIRECT} bytes")));
    }
    if !direct && returned.len() != DEK {
        return Err(contract(format!("unwrap: not {DEK} bytes")));
    }
    let Some(call) = call else { return Ok(()) };
    match &call.answered {
        Some(KeyAnswered::Plain(plain)) if plain.as_slice() == returned => Ok(()),
        Some(KeyAnswered::Plain(_)) => Err(broken("unwrap: the key that the guest returned is not what the service decrypted")),
        Some(KeyAnswered::Wrapped(_)) | None => Err(broken("unwrap: the guest returned a key, but the service has decrypted none")),
    }
}

/// Whether the bytes hold the key in a form that anyone reads, whatever stands before and after it.
fn written(dek: &[u8; DEK], bytes: &[u8]) -> Option<Writing> {
    for window in bytes.windows(DEK) {
        match mask(window, dek.iter()) {
            Some(0) => return Some(Writing::Plain),
            Some(_) => return Some(Writing::Xor),
            None => {}
        }
        if mask(window, dek.iter().rev()).is_some() {
            return Some(Writing::Reversed);
        }
    }
    let hex = Zeroizing::new(hex::encode(dek));
    if bytes.windows(hex.len()).any(|window| window.eq_ignore_ascii_case(hex.as_bytes())) {
        return Some(Writing::Hex);
    }
    // The last character holds bits of what may follow.
    let holds = |text: Zeroizing<String>| {
        let text = text.as_bytes().split_last().map_or(&[][..], |(_, text)| text);
        bytes.windows(text.len()).any(|window| window == text)
    };
    let base64 = holds(Zeroizing::new(STANDARD_NO_PAD.encode(dek))) || holds(Zeroizing::new(URL_SAFE_NO_PAD.encode(dek)));
    base64.then_some(Writing::Base64)
}

/// The bits by which every byte differs from the key's, if they are the same for all.
fn mask<'a>(bytes: &[u8], key: impl Iterator<Item = &'a u8>) -> Option<u8> {
    let mut masks = bytes.iter().zip(key).map(|(byte, key)| byte ^ key);
    let first = masks.next()?;
    masks.all(|mask| mask == first).then_some(first)
}
