//! Collecting the shares of a key, for one purpose and under one nonce. In memory only.
//!
//! The rule: a share counts once, and all of them are dropped when the key that they combine to is judged, right or wrong.

use crate::crypto;
use crate::logical::Result;
use crate::secret::Secret;
use crate::shamir::{self, CombineError};

/// Shares given so far.
pub(super) struct Attempt {
    nonce: String,
    parts: Vec<Secret>,
}

/// The share was given before.
#[derive(Debug)]
pub(super) struct Repeated;

impl Attempt {
    /// One without a share, under a new nonce.
    pub(super) fn new() -> Attempt {
        Attempt { nonce: crypto::uuid(), parts: Vec::new() }
    }

    /// Names it, so that shares for another attempt are not taken for this one's.
    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// How many shares were given.
    pub(super) fn progress(&self) -> u8 {
        u8::try_from(self.parts.len()).unwrap_or(u8::MAX)
    }

    /// Takes a share. With the last one of `required` gives all out, and begins anew under the same nonce.
    pub(super) fn add(&mut self, part: &[u8], required: u8) -> Result<Result<Option<Vec<Secret>>, Repeated>> {
        if self.parts.iter().any(|known| crypto::same(known.expose(), part)) {
            return Ok(Err(Repeated));
        }
        self.parts.push(Secret::from_slice(part)?);
        Ok(Ok((self.parts.len() >= usize::from(required)).then(|| std::mem::take(&mut self.parts))))
    }
}

/// The key that the parts are shares of, of which `required` are needed; a single one is the key itself.
pub(super) fn key_of(parts: &[Secret], required: u8) -> Result<Result<Secret, CombineError>> {
    if let ([only], 1) = (parts, required) {
        return Secret::from_slice(only.expose()).map(Ok);
    }
    let parts: Vec<&[u8]> = parts.iter().map(Secret::expose).collect();
    match shamir::combine(&parts) {
        Ok(key) => Secret::from_slice(&key).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_counts_once_and_the_last_one_gives_all_out() {
        let mut attempt = Attempt::new();
        let nonce = attempt.nonce().to_owned();
        assert!(attempt.add(&[1; 33], 2).unwrap().unwrap().is_none());
        assert!(attempt.add(&[1; 33], 2).unwrap().is_err());
        assert_eq!(attempt.progress(), 1);
        let parts = attempt.add(&[2; 33], 2).unwrap().unwrap().unwrap();
        assert_eq!(parts.iter().map(|part| part.expose()[0]).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((attempt.progress(), attempt.nonce()), (0, nonce.as_str()));
        // They may be given again: they were judged.
        assert!(attempt.add(&[1; 33], 2).unwrap().unwrap().is_none());
        assert_ne!(Attempt::new().nonce(), nonce);
    }

    #[test]
    fn parts_combine_and_a_single_one_is_the_key() {
        let parts = |split: &[&[u8]]| split.iter().map(|part| Secret::from_slice(part).unwrap()).collect::<Vec<_>>();
        assert_eq!(key_of(&parts(&[&[7; 32]]), 1).unwrap().unwrap().expose(), [7; 32]);
        let shares = shamir::split(&[9; 32], 3, 2).unwrap();
        assert_eq!(key_of(&parts(&[&shares[2], &shares[0]]), 2).unwrap().unwrap().expose(), [9; 32]);
        // A single one of several is none.
        assert_eq!(key_of(&parts(&[&shares[0]]), 2).unwrap().err(), Some(CombineError::TooFew));
        assert_eq!(key_of(&parts(&[&shares[0]]), 0).unwrap().err(), Some(CombineError::TooFew));
        assert_eq!(key_of(&parts(&[&[1; 32], &[1; 33]]), 2).unwrap().err(), Some(CombineError::Lengths));
    }
}
