//! The verification of a rekey: enough of the new shares have to come back before they count.

use super::super::attempt::{Attempt, Repeated, key_of};
use super::super::{Unsealer, lock};
use super::texts::wrong_proof_nonce;
use super::{Rekeying, Target, Words, check_length, live};
use crate::crypto;
use crate::logical::{Error, Result};

/// How far a verification is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Its name; empty before there are new shares.
    pub(crate) nonce: String,
    /// Whether there are.
    pub(crate) started: bool,
    /// How many shares there are.
    pub(crate) shares: u8,
    /// How many have to come back.
    pub(crate) threshold: u8,
    /// How many have.
    pub(crate) progress: u8,
}

/// What a share led to.
pub(crate) enum Proven {
    /// More are needed.
    More(Proof),
    /// The new keys are stored. The verification's name.
    Done(String),
}

impl Rekeying {
    fn proof(&self) -> Proof {
        let made = self.made.as_ref().filter(|_| self.verify);
        Proof {
            nonce: made.map(|made| made.proof.nonce().to_owned()).unwrap_or_default(),
            started: made.is_some(),
            shares: self.shares,
            threshold: self.threshold,
            progress: made.map_or(0, |made| made.proof.progress()),
        }
    }
}

impl Unsealer {
    /// How far the verification is.
    pub(crate) fn rekey_proof(&self, target: Target, words: Words) -> Result<Proof> {
        self.inner.check_target(target, words)?;
        let mut slot = lock(self.inner.rekeys.of(target));
        let rekeying = live(&mut slot).filter(|rekeying| rekeying.finished.is_none());
        rekeying.map(|rekeying| rekeying.proof()).ok_or_else(|| words.not_configured())
    }

    /// Begins the verification anew: shares that came back are dropped.
    pub(crate) fn rekey_proof_restart(&self, target: Target, words: Words) -> Result<Proof> {
        self.inner.check_target(target, words)?;
        let mut slot = lock(self.inner.rekeys.of(target));
        let Some(rekeying) = live(&mut slot).filter(|rekeying| rekeying.finished.is_none()) else { return Err(words.not_configured()) };
        if let Some(made) = rekeying.made.as_mut() {
            made.proof = Attempt::new();
        }
        Ok(rekeying.proof())
    }

    /// Takes one of the new shares. With the last one needed the new keys are stored.
    pub(crate) async fn rekey_prove(&self, target: Target, words: Words, part: &[u8], nonce: &str) -> Result<Proven> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        inner.check_target(target, words)?;
        check_length(part)?;
        inner.settled_rekey(target).await?;
        let (parts, threshold, new, stored, rekey) = {
            let mut slot = lock(inner.rekeys.of(target));
            let Some(rekeying) = live(&mut slot) else { return Err(words.nothing_to_verify(false)) };
            let (stored, threshold, rekey) = (rekeying.stored(), rekeying.threshold, rekeying.given.nonce().to_owned());
            let proof = rekeying.proof();
            let Some(made) = rekeying.made.as_mut().filter(|_| rekeying.verify) else {
                return Err(words.nothing_to_verify(rekeying.finished.is_none()));
            };
            if made.proof.nonce() != nonce {
                return Err(wrong_proof_nonce(made.proof.nonce()));
            }
            match made.proof.add(part, threshold)? {
                Err(Repeated) => return Err(Error::bad_request("given key has already been provided during this verify operation")),
                Ok(None) => return Ok(Proven::More(Proof { progress: made.proof.progress(), ..proof })),
                Ok(Some(parts)) => (parts, threshold, made.new.clone(), stored, rekey),
            }
        };
        let anew = || drop(self.rekey_proof_restart(target, words));
        let key = key_of(&parts, threshold)?.map_err(|error| {
            anew();
            words.proof_not_combined(error)
        })?;
        if !new.key().is_some_and(|new| crypto::same(new.expose(), key.expose())) {
            anew();
            return Err(words.not_proven());
        }
        if !stored {
            inner.store_key(target, &new, &rekey).await?;
        }
        if let Some(rekeying) = lock(inner.rekeys.of(target)).as_mut() {
            rekeying.finished = Some(std::time::Instant::now());
        }
        tracing::info!(nonce = rekey, ?target, "rekey verified and finished");
        Ok(Proven::Done(nonce.to_owned()))
    }
}
