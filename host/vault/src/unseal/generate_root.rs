//! Making a root token where there is none left: the holders of the shares agree, and whoever began it gets the token under a one-time password.
//!
//! The rule: nothing but the holders' key allows it, and the token leaves the vault only combined (XOR) with the password, which is told to whoever begins and to nobody
//! else.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::attempt::{Attempt, Repeated, key_of};
use super::rekey::{no_recovery_key, not_recovery_key};
use super::{Unsealer, check_part, lock};
use crate::crypto;
use crate::logical::{Error, Result};

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Whether it was begun.
    pub(crate) started: bool,
    /// Its name; empty if it was not.
    pub(crate) nonce: String,
    /// How many shares were given.
    pub(crate) progress: u8,
    /// How many are needed.
    pub(crate) required: u8,
}

/// What a share led to.
pub(crate) enum Given {
    /// More are needed.
    More(Progress),
    /// The holders agree: a token is to be made, and given out under the password.
    Agreed(Progress, Zeroizing<String>),
}

/// One that was begun.
pub(super) struct Generation {
    given: Attempt,
    otp: Zeroizing<String>,
}

/// None if none was begun.
pub(super) type Slot = Mutex<Option<Generation>>;

impl Unsealer {
    /// How far it is.
    pub(crate) async fn generation(&self) -> Result<Progress> {
        let begun =
            lock(&self.inner.generation).as_ref().map(|generation| (generation.given.nonce().to_owned(), generation.given.progress()));
        let required = self.inner.required().await?;
        Ok(match begun {
            Some((nonce, progress)) => Progress { started: true, nonce, progress, required },
            None => Progress { required, ..Progress::default() },
        })
    }

    /// Begins it, with this password for a token of as many characters.
    pub(crate) async fn generation_begin(&self, otp: Zeroizing<String>) -> Result<Progress> {
        let required = self.inner.required().await?;
        if required == 0 {
            return Err(no_recovery_key());
        }
        let mut slot = lock(&self.inner.generation);
        if slot.is_some() {
            return Err(Error::bad_request("root generation already in progress"));
        }
        let given = Attempt::new();
        let nonce = given.nonce().to_owned();
        tracing::info!(nonce, "root generation initialized");
        *slot = Some(Generation { given, otp });
        Ok(Progress { started: true, nonce, progress: 0, required })
    }

    /// Gives it up, or ends it.
    pub(crate) fn generation_end(&self) {
        *lock(&self.inner.generation) = None;
    }

    /// Takes a share of the unseal key, or of the recovery key where a key service unseals.
    pub(crate) async fn generation_update(&self, part: &[u8], nonce: &str) -> Result<Given> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        check_part(part)?;
        inner.settle().await?;
        let required = inner.required().await?;
        let (parts, otp) = {
            let mut slot = lock(&inner.generation);
            let Some(generation) = slot.as_mut() else { return Err(Error::bad_request("no root generation in progress")) };
            let given = &mut generation.given;
            if given.nonce() != nonce {
                let text = format!("incorrect nonce supplied; nonce for this root generation operation is {:?}", given.nonce());
                return Err(Error::BadRequest(text));
            }
            match given.add(part, required)? {
                Err(Repeated) => return Err(Error::bad_request("given key has already been provided during this generation operation")),
                Ok(None) => {
                    return Ok(Given::More(Progress { started: true, nonce: nonce.to_owned(), progress: given.progress(), required }));
                }
                Ok(Some(parts)) => (parts, generation.otp.clone()),
            }
        };
        let key = key_of(&parts, required)?.map_err(|error| Error::BadRequest(format!("failed to compute root key: {error}")))?;
        inner.authorise(&key).await.map_err(|error| match if inner.is_auto() { not_recovery_key(error) } else { error } {
            Error::BadRequest(text) => Error::BadRequest(format!("root generation aborted: unable to authenticate: {text}")),
            error => error,
        })?;
        Ok(Given::Agreed(Progress { started: true, nonce: nonce.to_owned(), progress: required, required }, otp))
    }
}

/// The token combined with the password, in base 64 without padding.
pub(crate) fn encode(token: &str, otp: &str) -> Result<Zeroizing<String>> {
    if token.len() != otp.len() {
        return Err(Error::Internal(format!("a token of {} characters, and a password of {}", token.len(), otp.len())));
    }
    Ok(Zeroizing::new(STANDARD_NO_PAD.encode(&*xor(token.as_bytes(), otp.as_bytes()))))
}

/// The token of an encoded one. [`Error::BadRequest`] with the field's texts if it cannot be one.
pub(crate) fn decode(encoded: &str, otp: &str) -> Result<Zeroizing<String>> {
    if encoded.is_empty() || otp.is_empty() {
        return Err(Error::bad_request("provided 'encoded_token' or 'otp' is empty"));
    }
    let bytes = STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| Error::bad_request("error decoding base64'd token: illegal base64 data"))?;
    if bytes.len() != otp.len() {
        let text = format!("error xoring token: length of byte slices is not equivalent: {} != {}", bytes.len(), otp.len());
        return Err(Error::BadRequest(text));
    }
    let token = String::from_utf8(xor(&bytes, otp.as_bytes()).to_vec());
    token.map(Zeroizing::new).map_err(|_| Error::bad_request("the token and the otp do not belong together"))
}

/// Both have the same length.
fn xor(a: &[u8], b: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(a.iter().zip(b).map(|(a, b)| a ^ b).collect())
}

/// A password for a token of `len` characters.
pub(crate) fn password(len: usize) -> Result<Zeroizing<String>> {
    crypto::random_base62(len).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_openbao_encoded_is_decoded_and_the_other_way_round() {
        let (token, otp, encoded) = ("s.Uck4j7zLBW5p6fCwpqLw3ahl", "b3mEhlee8u8iqF1z6h0mZdouK3", "ER04JgNYD1JCOXo+RDYHHHUfQBwWE1wUI18");
        assert_eq!(encode(token, otp).unwrap().as_str(), encoded);
        for encoded in [encoded.to_owned(), format!("{encoded}=")] {
            assert_eq!(decode(&encoded, otp).unwrap().as_str(), token);
        }
        assert!(encode(token, "short").is_err());
    }

    #[test]
    fn what_cannot_be_decoded_is_refused_with_the_texts_of_the_field() {
        let text = |encoded: &str, otp: &str| match decode(encoded, otp) {
            Err(Error::BadRequest(text)) => text,
            _ => panic!("{encoded} {otp}"),
        };
        assert_eq!(text("", "a"), "provided 'encoded_token' or 'otp' is empty");
        assert_eq!(text("AAAA", ""), "provided 'encoded_token' or 'otp' is empty");
        assert!(text("!", "a").starts_with("error decoding base64'd token: illegal base64 data"));
        assert_eq!(text("AAAA", "a"), "error xoring token: length of byte slices is not equivalent: 3 != 1");
        assert_eq!(text("gICA", "abc"), "the token and the otp do not belong together");
    }

    #[test]
    fn a_password_has_the_length_asked_for_and_is_another_each_time() {
        let (one, other) = (password(28).unwrap(), password(28).unwrap());
        assert!(one.len() == 28 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()) && one != other);
    }
}
