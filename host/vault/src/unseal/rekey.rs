//! Rekeys: another unseal key with another root key, or another recovery key, authorised by the shares of today.
//!
//! Shares are collected in memory, and with the last one the new keys are made. They are stored as a whole, or before that, if verification was asked for, given out
//! and stored once enough of the new shares came back.
//!
//! The rule: new shares that count are never lost. Without verification they are given out after they are stored, and until they have been they are kept here: if the
//! storage gives no answer, or the client does not wait for it, the same shares of before get them. Only a process that ends in that time loses them;
//! with verification not even that matters.

mod commit;
mod texts;
mod types;
mod verify;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(super) use texts::{no_recovery_key, not_recovery_key};
pub(crate) use types::{Asked, Given, Progress, Shares};
pub use types::{Target, Words};
pub(crate) use verify::{Proof, Proven};

use self::commit::{NewKey, Sent};
use super::attempt::{Attempt, Repeated, key_of};
use super::{Inner, PART_MAX, PART_MIN, Unsealer, lock};
use crate::crypto;
use crate::logical::{Error, Result};
use crate::seal::config::SealConfig;
use crate::seal::{RECOVERY_CONFIG_PATH, RECOVERY_KEY_PATH};
use crate::secret::Secret;

/// How long new shares are kept after they were given out, for a client that did not get the answer.
const KEPT: Duration = Duration::from_secs(600);

/// The rekeys under way.
#[derive(Default)]
pub(super) struct Rekeys {
    root: Mutex<Option<Rekeying>>,
    recovery: Mutex<Option<Rekeying>>,
    /// What was sent to the storage without an answer so far.
    unsure: Mutex<Option<Arc<Sent>>>,
}

/// A rekey under way.
struct Rekeying {
    shares: u8,
    threshold: u8,
    required: u8,
    verify: bool,
    given: Attempt,
    made: Option<Made>,
    /// When it was told that all is done.
    finished: Option<Instant>,
}

/// The new key of a rekey.
struct Made {
    /// The key whose shares authorised it; none where there was none before.
    by: Option<Arc<Secret>>,
    new: Arc<NewKey>,
    /// Shares of the new one that came back.
    proof: Attempt,
    /// Once it was sent to the storage.
    sent: Option<Arc<Sent>>,
}

impl Rekeys {
    fn of(&self, target: Target) -> &Mutex<Option<Rekeying>> {
        match target {
            Target::Root => &self.root,
            Target::Recovery => &self.recovery,
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        if lock(&self.unsure).take().is_some() {
            tracing::error!(
                "the vault is sealed while it is not known whether new keys are stored that nobody has been given: if the shares of before do not open it, \
                 restore a backup of the storage"
            );
        }
        *lock(&self.root) = None;
        *lock(&self.recovery) = None;
    }

    /// Forgets shares that were given out long ago.
    fn tidy(&self) {
        for slot in [&self.root, &self.recovery] {
            live(&mut lock(slot));
        }
    }

    /// Forgets what is not stored: another server leads now.
    pub(super) fn leave(&self) {
        for slot in [&self.root, &self.recovery] {
            lock(slot).take_if(|rekeying| rekeying.made.as_ref().is_none_or(|made| made.sent.is_none()));
        }
    }
}

impl Rekeying {
    fn progress(&self) -> Progress {
        Progress {
            started: true,
            nonce: self.given.nonce().to_owned(),
            shares: self.shares,
            threshold: self.threshold,
            progress: self.given.progress(),
            required: self.required,
            verify: self.verify,
            verification_nonce: self.verification_nonce().unwrap_or_default(),
        }
    }

    fn verification_nonce(&self) -> Option<String> {
        self.made.as_ref().filter(|_| self.verify).map(|made| made.proof.nonce().to_owned())
    }

    /// Gives the new shares out. Without verification that is the end.
    fn hand_out(&mut self) -> Option<Shares> {
        let (nonce, verification_nonce) = (self.given.nonce().to_owned(), self.verification_nonce());
        let keys = self.made.as_ref()?.new.clone();
        if !self.verify {
            self.finished = Some(Instant::now());
        }
        Some(Shares { nonce, keys, verification_nonce })
    }

    /// Whether the new key is stored. One that was sent and is known not to be is as one that was not sent; without verification it is made anew.
    fn stored(&mut self) -> bool {
        let Some(made) = &mut self.made else { return false };
        match &made.sent {
            Some(sent) if sent.stored() => true,
            None if self.verify => false,
            _ => {
                made.sent = None;
                if !self.verify {
                    self.made = None;
                }
                false
            }
        }
    }
}

/// The rekey of the slot, for as long as it is of any use. One that is finished serves only to tell its end again.
fn live(slot: &mut Option<Rekeying>) -> Option<&mut Rekeying> {
    slot.take_if(|rekeying| rekeying.finished.is_some_and(|finished| finished.elapsed() > KEPT));
    slot.as_mut()
}

/// Refuses what cannot be a share.
fn check_length(part: &[u8]) -> Result<()> {
    if part.len() < PART_MIN {
        return Err(Error::BadRequest(format!("key is shorter than minimum {PART_MIN} bytes")));
    }
    if part.len() > PART_MAX {
        return Err(Error::BadRequest(format!("key is longer than maximum {PART_MAX} bytes")));
    }
    Ok(())
}

impl Unsealer {
    /// How far the rekey is.
    pub(crate) async fn rekey_progress(&self, target: Target, words: Words) -> Result<Progress> {
        let inner = &self.inner;
        inner.check_target(target, words)?;
        let begun =
            live(&mut lock(inner.rekeys.of(target))).filter(|rekeying| rekeying.finished.is_none()).map(|rekeying| rekeying.progress());
        match begun {
            Some(progress) => Ok(progress),
            None => Ok(Progress { required: inner.required().await?, ..Progress::default() }),
        }
    }

    /// Begins a rekey. [`Given::Done`] where there was no recovery key before, so that nobody has to agree.
    pub(crate) async fn rekey_begin(&self, target: Target, words: Words, asked: &Asked) -> Result<Given> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        inner.check_target(target, words)?;
        words.check(target, asked, inner.is_auto())?;
        if words == Words::Rotate
            && let Some(shares) = inner.untold(target).await?
        {
            return Ok(Given::Done(shares));
        }
        if live(&mut lock(inner.rekeys.of(target))).is_some_and(|rekeying| rekeying.finished.is_none()) {
            return Err(words.under_way());
        }
        inner.settle().await?;
        let config = match target {
            Target::Root if inner.is_auto() => SealConfig::auto(inner.kind()),
            Target::Root => SealConfig::shamir(asked.shares, asked.threshold).map_err(|error| words.invalid(error))?,
            Target::Recovery => SealConfig::recovery(asked.shares, asked.threshold).map_err(|error| words.invalid(error))?,
        };
        let ((shares, threshold), required) = (config.counts(), inner.required().await?);
        let from_nothing = required == 0 && target == Target::Recovery && words == Words::Rotate;
        if required == 0 && !from_nothing {
            return Err(no_recovery_key());
        }
        if from_nothing && inner.read(RECOVERY_KEY_PATH).await?.is_some() {
            return Err(Error::Damaged(format!(
                "{RECOVERY_KEY_PATH} is there, and nothing says how it is shared out: restore {RECOVERY_CONFIG_PATH}, so that its holders can agree to another one"
            )));
        }
        let rekeying = Rekeying { shares, threshold, required, verify: asked.verify, given: Attempt::new(), made: None, finished: None };
        tracing::info!(nonce = rekeying.given.nonce(), ?target, shares, threshold, verify = asked.verify, "rekey initialized");
        let progress = rekeying.progress();
        *lock(inner.rekeys.of(target)) = Some(rekeying);
        if from_nothing {
            return inner.make_key(target, None, asked.verify, &progress.nonce).await.map(Given::Done);
        }
        Ok(Given::More(progress))
    }

    /// Gives the rekey up. Nothing has changed then.
    pub(crate) async fn rekey_cancel(&self, target: Target, words: Words) -> Result<()> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        inner.check_target(target, words)?;
        inner.settled_rekey(target).await?;
        let mut slot = lock(inner.rekeys.of(target));
        if let Some(rekeying) = live(&mut slot).filter(|rekeying| rekeying.finished.is_none())
            && rekeying.stored()
        {
            return Err(Error::BadRequest(format!(
                "the new keys are stored and were not given out yet: send the same shares again, with the nonce {:?}, to get them",
                rekeying.given.nonce()
            )));
        }
        *slot = None;
        Ok(())
    }

    /// Takes a share of the key of today. With the last one the new key is made, and stored unless it has to be verified first.
    pub(crate) async fn rekey_update(&self, target: Target, words: Words, part: &[u8], nonce: &str) -> Result<Given> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        inner.check_target(target, words)?;
        check_length(part)?;
        inner.settled_rekey(target).await?;
        let (parts, required, verify, by) = {
            let mut slot = lock(inner.rekeys.of(target));
            let Some(rekeying) = live(&mut slot).filter(|rekeying| rekeying.finished.is_none() || !rekeying.verify) else {
                return Err(words.none(target));
            };
            if let Some(proof) = rekeying.verification_nonce() {
                return Err(words.to_be_verified(&proof));
            }
            if rekeying.given.nonce() != nonce {
                return Err(words.wrong_nonce(rekeying.given.nonce()));
            }
            let required = rekeying.required;
            match rekeying.given.add(part, required)? {
                Err(Repeated) => return Err(words.repeated(target)),
                Ok(None) => return Ok(Given::More(rekeying.progress())),
                Ok(Some(parts)) => {
                    let by = if rekeying.stored() { rekeying.made.as_ref().map(|made| made.by.clone()) } else { None };
                    (parts, required, rekeying.verify, by)
                }
            }
        };
        let key = key_of(&parts, required)?.map_err(|error| words.not_combined(target, error))?;
        match by {
            // Stored by an earlier request, whose client was not told so.
            Some(Some(by)) if crypto::same(by.expose(), key.expose()) => inner.told_again(target).map(Given::Done),
            Some(_) => Err(Error::bad_request("the key that the shares combine to is not the one that authorised this rekey")),
            None => {
                inner.authorise(&key).await.map_err(|error| match inner.is_auto() {
                    true => not_recovery_key(error),
                    false => words.not_unseal_key(error),
                })?;
                inner.make_key(target, Some(Arc::new(key)), verify, nonce).await.map(Given::Done)
            }
        }
    }

    /// Replaces the root key without anybody's shares: the unseal key, and so the shares, stay.
    pub(crate) async fn rotate_root(&self) -> Result<()> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        inner.settle().await?;
        inner.store_root_alone().await
    }
}

impl Inner {
    /// Refuses the recovery key of a seal that has none.
    fn check_target(&self, target: Target, words: Words) -> Result<()> {
        if target == Target::Recovery && !self.is_auto() { Err(words.no_recovery()) } else { Ok(()) }
    }

    /// How many shares of the key of today have to agree; zero if there is no recovery key.
    pub(super) async fn required(&self) -> Result<u8> {
        let config = if self.is_auto() { self.recovery_config().await? } else { Some(self.load_config().await?) };
        Ok(config.filter(|config| config.counts().0 > 0).map_or(0, |config| config.counts().1))
    }

    /// Whether this is the key whose shares authorise: the recovery key, or the unseal key.
    pub(super) async fn authorise(&self, key: &Secret) -> Result<()> {
        if self.is_auto() { self.verify_recovery_key(key).await } else { self.verify_unseal_key(key).await }
    }

    /// [`Inner::settle`], and where this rekey's outcome stays unknown, how to learn it.
    async fn settled_rekey(&self, target: Target) -> Result<()> {
        let Err(error) = self.settle().await else { return Ok(()) };
        match &*lock(self.rekeys.of(target)) {
            Some(rekeying) if rekeying.finished.is_none() && rekeying.made.as_ref().is_some_and(|made| made.sent.is_some()) => {
                tracing::warn!(%error, "it is not known yet whether new keys are stored");
                Err(texts::unknown(rekeying.given.nonce()))
            }
            _ => Err(error),
        }
    }

    /// The first recovery key of a vault, if an earlier request has stored it without knowing so. One that was not stored is forgotten.
    async fn untold(&self, target: Target) -> Result<Option<Shares>> {
        self.settled_rekey(target).await?;
        let mut slot = lock(self.rekeys.of(target));
        let first = |rekeying: &Rekeying| rekeying.made.as_ref().is_some_and(|made| made.by.is_none()) && !rekeying.verify;
        let Some(mut rekeying) = slot.take_if(|rekeying| first(rekeying)) else { return Ok(None) };
        Ok(if rekeying.stored() { rekeying.hand_out() } else { None })
    }

    /// Makes a new key, and stores it unless it has to be verified first.
    async fn make_key(&self, target: Target, by: Option<Arc<Secret>>, verify: bool, nonce: &str) -> Result<Shares> {
        let new = {
            let slot = lock(self.rekeys.of(target));
            let Some(rekeying) = slot.as_ref() else { return Err(Error::Sealed) };
            let shared_out = (rekeying.shares, rekeying.threshold);
            if target == Target::Root && self.is_auto() { NewKey::none() } else { NewKey::make(shared_out)? }
        };
        let new = Arc::new(new);
        let first = by.is_none();
        let made = Made { by, new: new.clone(), proof: Attempt::new(), sent: None };
        if let Some(rekeying) = lock(self.rekeys.of(target)).as_mut() {
            rekeying.made = Some(made);
        }
        if !verify && let Err(error) = self.store_key(target, &new, nonce).await {
            let mut slot = lock(self.rekeys.of(target));
            // Where nobody's shares are waited for, there is nothing to go on with.
            if let Some(rekeying) = slot.as_mut()
                && lock(&self.rekeys.unsure).is_none()
                && !rekeying.stored()
                && first
            {
                *slot = None;
            }
            return Err(error);
        }
        let told = self.told_again(target);
        if first && !verify {
            // Whoever may begin a rekey must not get what others were given.
            *lock(self.rekeys.of(target)) = None;
        }
        // The vault may have been sealed meanwhile: what is stored counts all the same.
        told.or_else(|_| Ok(Shares { nonce: nonce.to_owned(), keys: new, verification_nonce: None }))
    }

    fn told_again(&self, target: Target) -> Result<Shares> {
        let shares = lock(self.rekeys.of(target)).as_mut().and_then(Rekeying::hand_out).ok_or(Error::Sealed)?;
        if shares.verification_nonce.is_none() {
            tracing::info!(nonce = shares.nonce, ?target, "rekey finished");
        }
        Ok(shares)
    }
}
