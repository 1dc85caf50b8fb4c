//! The part of the core that works while sealed: making a store, collecting shares, opening and closing the barrier, and the care of
//! the keyring while it is open.
//!
//! The rule: whatever write is the last one that a crash lets through, what is stored is either not initialised, so that
//! initialisation can be run again, or opens with the shares that were handed out.

mod archive;
mod attempt;
mod auto;
pub(crate) mod backup;
mod convert;
pub(crate) mod fuzz;
pub(crate) mod generate_root;
mod init;
mod journal;
mod kept;
pub(crate) mod migrate;
mod open;
pub(crate) mod rekey;
mod renew;
mod rotate;
mod situation;
mod take_over;
mod witness;
mod work;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cofferdam_backend::Key;
use tokio::task::AbortHandle;

pub use convert::{UnderShares, under_shares};
pub use rotate::MAINTENANCE_INTERVAL;
use situation::{Old, Pending, Situation};
pub(crate) use take_over::TakeOver;
use work::Work;

use crate::barrier::Barrier;
use crate::crypto;
use crate::keyring::{KEYRING_PATH, KeyStatus};
use crate::logical::{Error, Result};
use crate::seal::config::{SHAMIR, SealConfig};
use crate::seal::{RECOVERY_CONFIG_PATH, SealOptions};
use crate::secret::Secret;
use crate::shamir;

/// The shortest part of an unseal key, in bytes.
const PART_MIN: usize = 16;
/// The longest: 32 bytes and the x of a share.
const PART_MAX: usize = 33;

/// What `sys/seal-status` tells of the seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealState {
    /// The seal's type.
    pub kind: String,
    /// Whether shares, threshold and progress are those of the recovery key.
    pub recovery: bool,
    /// Whether there is anything to unseal.
    pub initialized: bool,
    /// Whether the barrier is closed.
    pub sealed: bool,
    /// The threshold; zero if not initialised.
    pub threshold: u8,
    /// The number of shares; zero if not initialised.
    pub shares: u8,
    /// How many parts have been given.
    pub progress: u8,
    /// Names this collection of parts; empty if there is none.
    pub nonce: String,
    /// Whether the store is still under another seal: then `kind` is the new one, shares and threshold are the old one's.
    pub migration: bool,
}

/// Initialises, unseals, seals and rotates a barrier.
pub struct Unsealer {
    inner: Arc<Inner>,
}

struct Inner {
    barrier: Arc<Barrier>,
    /// What the vault is sealed by, as configured.
    seal: SealOptions,
    services: kept::Services,
    witness: witness::Witness,
    /// Of a change of the seal's entries that is not carried out yet: read in place of what is stored.
    overlay: Mutex<journal::Overlay>,
    /// The change that this process has given up, and must not carry out.
    abandoned: Mutex<Option<String>>,
    /// Whether several servers share the storage: then unsealing writes nothing; taking over does.
    shared: bool,
    /// The unseal key, if the storage is shared: kept from the unseal on, to put its copy right when this server takes over.
    kek: Mutex<Option<Arc<Secret>>>,
    /// Held by whatever reads or changes the seal's entries and the keyring, from begin to end.
    work: Work,
    progress: Mutex<Option<Progress>>,
    /// The configuration that the barrier was opened with.
    config: Mutex<Option<SealConfig>>,
    /// Between [`Unsealer::prepare`] and [`Unsealer::commit`].
    preparing: AtomicBool,
    /// The encryptions of the newest key as last stored.
    counted: AtomicU64,
    maintenance: Mutex<Option<AbortHandle>>,
    rekeys: rekey::Rekeys,
    generation: generate_root::Slot,
    migration: migrate::Slot,
}

/// Parts given so far.
struct Progress {
    nonce: String,
    parts: Vec<Secret>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Unsealer {
    /// Takes care of a barrier, which is sealed. With a `shared` storage, an unseal writes nothing, and whoever takes over calls
    /// [`Unsealer::take_over`].
    pub fn new(barrier: Arc<Barrier>, shared: bool, mut seal: SealOptions) -> Unsealer {
        let services = kept::Services::of(&mut seal);
        let witness = witness::Witness::new(seal.state.clone());
        let inner = Inner {
            work: Work::new(barrier.clone()),
            barrier,
            seal,
            services,
            witness,
            overlay: Mutex::default(),
            abandoned: Mutex::default(),
            shared,
            kek: Mutex::default(),
            progress: Mutex::default(),
            config: Mutex::default(),
            preparing: AtomicBool::new(false),
            counted: AtomicU64::new(0),
            maintenance: Mutex::default(),
            rekeys: rekey::Rekeys::default(),
            generation: generate_root::Slot::default(),
            migration: migrate::Slot::default(),
        };
        Unsealer { inner: Arc::new(inner) }
    }

    /// Whether the storage holds an initialised vault. One that is being initialised does not.
    pub async fn initialized(&self) -> Result<bool> {
        self.inner.initialized().await
    }

    /// What `sys/seal-status` tells of the seal.
    pub async fn status(&self) -> Result<SealState> {
        let initialized = self.inner.initialized().await?;
        let (config, pending) = self.inner.look(initialized).await?;
        let recovery = self.inner.is_auto();
        let counts = match (&pending, &config) {
            (Some(Pending { old: Old::Shamir, config }), _) => Some(config.clone()),
            (Some(_), _) => self.inner.recovery_config().await?,
            (None, Some(_)) if recovery => self.inner.recovery_config().await?,
            (None, config) => config.clone(),
        };
        let (shares, threshold) = counts.as_ref().map_or((0, 0), SealConfig::counts);
        let (progress, nonce) =
            lock(&self.inner.progress).as_ref().map_or_else(Default::default, |progress| (progress.parts.len(), progress.nonce.clone()));
        Ok(SealState {
            kind: config.map_or_else(|| self.inner.kind().to_owned(), |config| config.kind),
            recovery,
            initialized,
            sealed: self.inner.barrier.sealed(),
            threshold,
            shares,
            progress: u8::try_from(progress).unwrap_or(u8::MAX),
            nonce,
            migration: pending.is_some(),
        })
    }

    /// Takes one part of the unseal key, or with a key service of the recovery key. Returns whether the barrier is open now.
    ///
    /// If the store is under another seal than the configured one, the parts are of that one's key, and `migrate` says that it is to be migrated, which is
    /// done here; on one of several servers by whoever gets the lock, see [`Unsealer::take_over`].
    ///
    /// A part that was given before is ignored. With the last part needed all parts are dropped, whether they were right or not.
    /// Errors that the one who unseals has made are [`Error::BadRequest`] with the field's texts.
    pub async fn unseal_with(&self, part: &[u8], migrate: bool) -> Result<bool> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        if !inner.initialized().await? {
            return Err(Error::bad_request("Vault is not initialized"));
        }
        if !inner.barrier.sealed() {
            return Ok(true);
        }
        inner.check_whole().await?;
        check_part(part)?;
        inner.settle_journal().await?;
        let config = match inner.situation(true).await? {
            Situation::Pending(_) if !migrate => return Err(migrate::not_asked_for()),
            Situation::Pending(pending) => return inner.unseal_and_migrate(part, pending).await,
            Situation::Settled { migrated: false, .. } if migrate => return Err(migrate::nothing_to_migrate()),
            Situation::Settled { config, .. } => config,
        };
        if migrate {
            tracing::info!("migration is already performed");
        }
        let shares = if inner.is_auto() { inner.needed_recovery_config().await? } else { config.clone() };
        let (_, threshold) = shares.counts();
        let Some(parts) = inner.add_part(part, threshold)? else { return Ok(false) };
        let key = combine(&parts, threshold)?;
        if inner.is_auto() {
            if let Err(error) = inner.verify_recovery_key(&key).await {
                // Anybody may try, and each trial is a request to the key service.
                tokio::time::sleep(inner.seal.retry.first).await;
                return Err(error);
            }
            inner.open_with_service(config).await?;
        } else {
            inner.open(&key, config).await?;
        }
        Ok(true)
    }

    /// Drops the parts given so far.
    pub fn reset(&self) {
        *lock(&self.inner.progress) = None;
    }

    /// Ends the care of the keyring, and whatever began before; the keyring stays.
    pub(crate) fn leave(&self) {
        self.stop_maintenance();
        self.inner.rekeys.leave();
        self.generation_end();
        self.inner.barrier.leave();
    }

    fn stop_maintenance(&self) {
        if let Some(task) = lock(&self.inner.maintenance).take() {
            task.abort();
        }
    }

    /// Closes the barrier: wipes the keyring, the cache and the parts given so far.
    pub fn seal(&self) {
        self.stop_maintenance();
        self.inner.barrier.seal();
        *lock(&self.inner.kek) = None;
        self.inner.migration.clear();
        self.inner.preparing.store(false, Ordering::SeqCst);
        *lock(&self.inner.config) = None;
        self.inner.rekeys.clear();
        self.generation_end();
        self.reset();
    }

    /// What `sys/key-status` tells of the newest key. [`Error::Sealed`] while sealed.
    pub fn key_status(&self) -> Result<KeyStatus> {
        self.inner.barrier.with_keyring(|keyring| Ok(keyring.status()))
    }
}

impl Drop for Unsealer {
    fn drop(&mut self) {
        self.seal();
    }
}

impl Inner {
    /// Reads around the barrier.
    async fn read(&self, key: &str) -> Result<Option<Bytes>> {
        if let Some(changed) = lock(&self.overlay).get(key) {
            return Ok(changed.clone());
        }
        Ok(self.barrier.storage().get(&Key::new(key)?).await?)
    }

    /// Writes around the barrier.
    async fn write(&self, key: &str, value: Vec<u8>) -> Result<()> {
        self.work.check()?;
        self.barrier.put_stored(key, value).await
    }

    /// Deletes around the barrier.
    async fn remove(&self, key: &str) -> Result<()> {
        self.work.check()?;
        self.barrier.delete_stored(key).await
    }

    async fn initialized(&self) -> Result<bool> {
        if self.preparing.load(Ordering::SeqCst) {
            return Ok(false);
        }
        if !self.barrier.sealed() {
            return Ok(true);
        }
        // With what a restore has left no other vault is made.
        let Some(keyring) = self.read(KEYRING_PATH).await? else { return self.cut().await };
        Ok(!self.unfinished(&keyring).await?)
    }

    /// The type of the seal that is configured.
    fn kind(&self) -> &str {
        self.seal.seals.first().map_or(SHAMIR, |seal| &seal.kind)
    }

    /// Whether a key service unseals.
    fn is_auto(&self) -> bool {
        !self.seal.seals.is_empty()
    }

    /// For a status: the configuration that counts, or what is to be migrated; neither if there is no vault.
    async fn look(&self, initialized: bool) -> Result<(Option<SealConfig>, Option<Pending>)> {
        let opened_with = lock(&self.config).clone();
        if !initialized {
            return Ok((opened_with, None));
        }
        match opened_with {
            Some(config) if !self.migration.is_authorised() => return Ok((Some(config), None)),
            _ => {}
        }
        if self.shared
            && let Some(_work) = self.work.try_lock()
        {
            self.read_journal().await?;
        }
        Ok(match self.situation(false).await? {
            Situation::Settled { config, .. } => (Some(config), None),
            Situation::Pending(pending) => (None, Some(pending)),
        })
    }

    /// Before anything else is read of the seal: what was cut off is finished, or on one of several servers read through.
    async fn settle_journal(&self) -> Result<()> {
        if self.shared { self.read_journal().await } else { self.finish_journal().await }
    }

    /// How the recovery key is shared out; none if there is no recovery key.
    async fn recovery_config(&self) -> Result<Option<SealConfig>> {
        match self.read(RECOVERY_CONFIG_PATH).await? {
            Some(stored) => SealConfig::parse(RECOVERY_CONFIG_PATH, &stored).map(Some),
            None => Ok(None),
        }
    }

    /// Adds a part; gives all of them out once they are as many as the threshold.
    fn add_part(&self, part: &[u8], threshold: u8) -> Result<Option<Vec<Secret>>> {
        let part = Secret::from_slice(part)?;
        let mut slot = lock(&self.progress);
        let progress = slot.get_or_insert_with(|| Progress { nonce: crypto::uuid(), parts: Vec::new() });
        if !progress.parts.iter().any(|known| crypto::same(known.expose(), part.expose())) {
            progress.parts.push(part);
        }
        if progress.parts.len() < usize::from(threshold) {
            return Ok(None);
        }
        Ok(slot.take().map(|progress| progress.parts))
    }
}

/// Refuses what cannot be a share, with the field's texts.
fn check_part(part: &[u8]) -> Result<()> {
    let refused = |reason: &str| Err(Error::bad_request(format!("invalid key: {reason}")));
    if part.len() < PART_MIN {
        return refused(&format!("key is shorter than minimum {PART_MIN} bytes"));
    }
    if part.len() > PART_MAX {
        return refused(&format!("key is longer than maximum {PART_MAX} bytes"));
    }
    Ok(())
}

/// The key that the parts are shares of.
fn combine(parts: &[Secret], threshold: u8) -> Result<Secret> {
    if let [only] = parts
        && threshold == 1
    {
        return Secret::from_slice(only.expose());
    }
    let parts: Vec<&[u8]> = parts.iter().map(Secret::expose).collect();
    match shamir::combine(&parts) {
        Ok(key) => Secret::from_slice(&key),
        Err(error) => Err(Error::bad_request(format!("invalid key: failed to compute combined key: {error}"))),
    }
}

/// The key's shares; a single one is the key itself.
fn split(key: Secret, shares: u8, threshold: u8) -> Result<Vec<Secret>> {
    if shares == 1 {
        return Ok(vec![key]);
    }
    shamir::split(key.expose(), shares, threshold)?.iter().map(|part| Secret::from_slice(part)).collect()
}

#[cfg(test)]
mod tests;
