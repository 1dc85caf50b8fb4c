//! The part of the core that works while sealed: making a store, collecting shares, opening and closing the barrier, and the care of
//! the keyring while it is open.
//!
//! The rule: whatever write is the last one that a crash lets through, what is stored is either not initialised, so that
//! initialisation can be run again, or opens with the shares that were handed out.

mod init;
mod open;
mod rotate;
mod take_over;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cofferdam_backend::Key;
use tokio::task::AbortHandle;

pub use rotate::MAINTENANCE_INTERVAL;
pub(crate) use take_over::TakeOver;

use crate::barrier::Barrier;
use crate::crypto;
use crate::keyring::{KEYRING_PATH, KeyStatus};
use crate::logical::{Error, Result};
use crate::seal::CONFIG_PATH;
use crate::seal::config::{SHAMIR, SealConfig};
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
}

/// Initialises, unseals, seals and rotates a barrier.
pub struct Unsealer {
    inner: Arc<Inner>,
}

struct Inner {
    barrier: Arc<Barrier>,
    /// Whether several servers share the storage: then unsealing writes nothing; taking over does.
    shared: bool,
    /// The unseal key, if the storage is shared: kept from the unseal on, to put its copy right when this server takes over.
    kek: Mutex<Option<Arc<Secret>>>,
    /// Held by whatever reads or changes the seal's entries and the keyring, from begin to end.
    work: tokio::sync::Mutex<()>,
    progress: Mutex<Option<Progress>>,
    /// The configuration that the barrier was opened with.
    config: Mutex<Option<SealConfig>>,
    /// Between [`Unsealer::prepare`] and [`Unsealer::commit`].
    preparing: AtomicBool,
    /// The encryptions of the newest key as last stored.
    counted: AtomicU64,
    maintenance: Mutex<Option<AbortHandle>>,
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
    pub fn new(barrier: Arc<Barrier>, shared: bool) -> Unsealer {
        let inner = Inner {
            barrier,
            shared,
            kek: Mutex::default(),
            work: tokio::sync::Mutex::default(),
            progress: Mutex::default(),
            config: Mutex::default(),
            preparing: AtomicBool::new(false),
            counted: AtomicU64::new(0),
            maintenance: Mutex::default(),
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
        let opened_with = lock(&self.inner.config).clone();
        let config = match opened_with {
            Some(config) => Some(config),
            None if initialized => Some(self.inner.load_config().await?),
            None => None,
        };
        let (shares, threshold) = config.as_ref().map_or((0, 0), SealConfig::counts);
        let (progress, nonce) =
            lock(&self.inner.progress).as_ref().map_or_else(Default::default, |progress| (progress.parts.len(), progress.nonce.clone()));
        Ok(SealState {
            kind: config.map_or_else(|| SHAMIR.to_owned(), |config| config.kind),
            initialized,
            sealed: self.inner.barrier.sealed(),
            threshold,
            shares,
            progress: u8::try_from(progress).unwrap_or(u8::MAX),
            nonce,
        })
    }

    /// Takes one part of the unseal key. Returns whether the barrier is open now.
    ///
    /// A part that was given before is ignored. With the last part needed all parts are dropped, whether they were right or not.
    /// Errors that the one who unseals has made are [`Error::BadRequest`] with the field's texts.
    pub async fn unseal(&self, part: &[u8]) -> Result<bool> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        if !inner.initialized().await? {
            return Err(Error::bad_request("Vault is not initialized"));
        }
        if !inner.barrier.sealed() {
            return Ok(true);
        }
        let refused = |reason: &str| Err(Error::bad_request(format!("invalid key: {reason}")));
        if part.len() < PART_MIN {
            return refused(&format!("key is shorter than minimum {PART_MIN} bytes"));
        }
        if part.len() > PART_MAX {
            return refused(&format!("key is longer than maximum {PART_MAX} bytes"));
        }
        let config = inner.load_config().await?;
        let (_, threshold) = config.counts();
        let Some(parts) = inner.add_part(part, threshold)? else { return Ok(false) };
        let unseal_key = match &parts[..] {
            [only] if threshold == 1 => Secret::from_slice(only.expose())?,
            parts => {
                let parts: Vec<&[u8]> = parts.iter().map(Secret::expose).collect();
                match shamir::combine(&parts) {
                    Ok(key) => Secret::from_slice(&key)?,
                    Err(error) => return refused(&format!("failed to compute combined key: {error}")),
                }
            }
        };
        inner.open(&unseal_key, config).await?;
        Ok(true)
    }

    /// Drops the parts given so far.
    pub fn reset(&self) {
        *lock(&self.inner.progress) = None;
    }

    /// Ends the care of the keyring, and whatever began before; the keyring stays.
    pub(crate) fn leave(&self) {
        self.stop_maintenance();
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
        self.inner.preparing.store(false, Ordering::SeqCst);
        *lock(&self.inner.config) = None;
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
        Ok(self.barrier.storage().get(&Key::new(key)?).await?)
    }

    /// Writes around the barrier.
    async fn write(&self, key: &str, value: Vec<u8>) -> Result<()> {
        self.barrier.put_stored(key, value).await
    }

    /// Deletes around the barrier.
    async fn remove(&self, key: &str) -> Result<()> {
        self.barrier.delete_stored(key).await
    }

    async fn initialized(&self) -> Result<bool> {
        if self.preparing.load(Ordering::SeqCst) {
            return Ok(false);
        }
        if !self.barrier.sealed() {
            return Ok(true);
        }
        let Some(keyring) = self.read(KEYRING_PATH).await? else { return Ok(false) };
        Ok(!self.unfinished(&keyring).await?)
    }

    async fn load_config(&self) -> Result<SealConfig> {
        match self.read(CONFIG_PATH).await? {
            Some(stored) => SealConfig::parse(&stored),
            None => Err(Error::Damaged(format!(
                "the storage holds {KEYRING_PATH} but no seal configuration; {CONFIG_PATH} was lost or not restored, or another server's initialisation was cut off"
            ))),
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

#[cfg(test)]
mod tests;
