//! What a snapshot has to do with the seal: its digests are under it, so that one server knows the snapshots of its own vault, and a restore brings the seal of another time.

use std::io::ErrorKind;

use cofferdam_backend::Error as Backend;
use cofferdam_snapshot::Snapshot;
use prost::Message;
use tokio::sync::MutexGuard;
use zeroize::Zeroizing;

use super::{Inner, Unsealer, lock};
use crate::core::{CUT, MARKER_PATH};
use crate::crypto::{self, NONCE_LEN};
use crate::logical::{Error, Result};
use crate::seal::blob::{self, BlobInfo, KeyInfo};
use crate::seal::config::SealConfig;
use crate::seal::{CONFIG_PATH, SHAMIR_KEK_PATH, STORED_KEYS_PATH};

/// Names the blob in errors.
const SEALED_SUMS: &str = "SHA256SUMS.sealed";

impl Unsealer {
    /// Waits until no change of the seal or the keyring is under way; none begins as long as what is returned lives.
    pub(crate) async fn still(&self) -> MutexGuard<'_, ()> {
        self.inner.work.lock().await
    }

    /// Encrypts the digests of a snapshot as the seal of this vault does it. [`Error::Sealed`] while sealed.
    pub(crate) async fn seal_sums(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let inner = &self.inner;
        let Some(first) = inner.seal.seals.first() else { return seal_with(&inner.sums_key().await?, plain) };
        let mut failure = None;
        for seal in std::iter::once(first).chain(inner.seal.seals.iter().skip(1)) {
            match inner.within(seal, blob::seal(seal, plain)).await {
                Ok(sealed) => return Ok(sealed),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        Err(failure.unwrap_or_else(|| Error::Internal("no key service is configured".to_owned())))
    }

    /// Whether the snapshot was made under the seal of this vault: [`Error::BadRequest`] with the field's text if not.
    pub(crate) async fn check_sums(&self, snapshot: &Snapshot) -> Result<()> {
        let inner = &self.inner;
        let key = if inner.is_auto() { "a different autoseal key" } else { "a different set of unseal keys" };
        let other = || {
            Error::BadRequest(format!(
                "could not verify hash file, possibly the snapshot is using {key}; use the snapshot-force API to bypass this check"
            ))
        };
        let sealed = snapshot.sealed_sums().ok_or_else(other)?;
        let opened = if inner.is_auto() {
            inner.open_by_any(sealed).await?.ok_or_else(other)?
        } else {
            open_with(&inner.sums_key().await?, sealed)?.ok_or_else(other)?
        };
        snapshot.check_sealed_sums(&opened).map_err(|error| Error::bad_request(error.reason().unwrap_or("the snapshot is damaged")))
    }

    /// Whether a store with this configuration of the seal could be opened here, or migrated. [`Error::BadRequest`] if not.
    pub(crate) fn check_kind(&self, config: &[u8]) -> Result<()> {
        let inner = &self.inner;
        let config = SealConfig::parse(CONFIG_PATH, config).map_err(|error| Error::BadRequest(format!("the snapshot: {error}")))?;
        let disabled = inner.seal.disabled.as_ref().is_some_and(|seal| seal.kind == config.kind);
        if config.is_shamir() || config.kind == inner.kind() || disabled || inner.is_auto() && config.kind == "hsm-auto" {
            return Ok(());
        }
        Err(Error::BadRequest(format!(
            "barrier seal type of {:?} does not match expected type of {:?}: configure the snapshot's seal, as the one in use or with disabled = true, before it is restored",
            config.kind,
            inner.kind()
        )))
    }

    /// After a restore: nothing that is remembered here of the vault that was there before counts any more.
    pub(crate) async fn restored(&self) -> Result<()> {
        let inner = &self.inner;
        lock(&inner.overlay).clear();
        *lock(&inner.abandoned) = None;
        let Some(options) = &inner.seal.state else { return Ok(()) };
        let path = options.path.clone();
        let removed = tokio::task::spawn_blocking(move || match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::Refused(format!("the state file {} of the vault before cannot be removed: {error}", path.display())))
            }
            _ => Ok(()),
        });
        removed.await.map_err(|error| Error::Internal(format!("the work on the state file ended: {error}")))?
    }
}

impl Inner {
    /// Refuses a storage in which a restore was cut off.
    pub(super) async fn check_whole(&self) -> Result<()> {
        if self.cut().await? { Err(Error::Refused(CUT.to_owned())) } else { Ok(()) }
    }

    /// Whether a restore was cut off.
    pub(super) async fn cut(&self) -> Result<bool> {
        Ok(self.read(MARKER_PATH).await?.is_some())
    }

    /// The key of Shamir's seal: the unseal key, or in a store of before 1.3 the root key.
    async fn sums_key(&self) -> Result<Zeroizing<Vec<u8>>> {
        if self.read(STORED_KEYS_PATH).await?.is_none() {
            return self.barrier.with_keyring(|keyring| Ok(Zeroizing::new(keyring.root().expose().to_vec())));
        }
        self.barrier
            .get(SHAMIR_KEK_PATH)
            .await?
            .ok_or_else(|| Error::Damaged(format!("{SHAMIR_KEK_PATH} is gone; seal and unseal the vault")))
    }

    /// What one of the key services decrypts; none if it is of none of them. An error as long as that is not known.
    async fn open_by_any(&self, sealed: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let mut unanswered = None;
        for seal in &self.seal.seals {
            match self.within(seal, blob::open(seal, SEALED_SUMS, sealed)).await {
                Ok(opened) => return Ok(Some(opened)),
                Err(
                    error @ Error::Seal {
                        source: Backend::Unavailable(_) | Backend::Throttled(_) | Backend::Busy(_) | Backend::TimedOut(_),
                        ..
                    },
                ) => {
                    unanswered = Some(error);
                }
                Err(error) => tracing::info!(seal = seal.name, %error, "the snapshot was not made under this seal"),
            }
        }
        unanswered.map_or(Ok(None), Err)
    }
}

/// As Shamir's seal does it: the nonce before the ciphertext, and an empty description of the key.
pub(super) fn seal_with(key: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let nonce = crypto::random::<NONCE_LEN>()?;
    let mut ciphertext = nonce.to_vec();
    crypto::gcm_seal_into(&mut ciphertext, key, &nonce, &[], plain)?;
    Ok(BlobInfo { ciphertext, iv: Vec::new(), key_info: Some(KeyInfo::default()) }.encode_to_vec())
}

/// The reverse; none if it is of another key, or of a key service.
fn open_with(key: &[u8], sealed: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let Ok(blob) = BlobInfo::decode(sealed) else { return Ok(None) };
    let Some((nonce, sealed)) = blob.ciphertext.split_first_chunk::<NONCE_LEN>() else { return Ok(None) };
    Ok(crypto::gcm_open(key, nonce, &[], sealed)?.ok())
}
