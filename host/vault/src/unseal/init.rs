//! Making a new store.
//!
//! A marker is written first and deleted last, and the store counts as initialised only without it. In between come first the seal's
//! entries, then whatever the core sets up through the open barrier (mounts, policies, the root token), then the keyring. So a
//! cut leaves a store whose initialisation can be run again; that begins with deleting everything that the cut one left. Other
//! servers look for the keyring, and find none until all else is there.
//!
//! The rule: nothing is deleted where there is a keyring that the marker does not name by its hash. So a marker that is left, or comes
//! back, after another server made a vault here means nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cofferdam_backend::Folder;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Inner, Unsealer, lock, split};
use crate::crypto;
use crate::keyring::{KEYRING_PATH, Keyring, rfc3339_nano};
use crate::logical::{Error, Result};
use crate::seal::config::SealConfig;
use crate::seal::{CONFIG_PATH, MASTER_PATH, RECOVERY_CONFIG_PATH, SHAMIR_KEK_PATH, STORED_KEYS_PATH, stored};
use crate::secret::Secret;

/// Says that the store is being initialised: plain JSON, a [`Marker`].
pub(super) const MARKER_PATH: &str = "core/initializing";

#[derive(Serialize, Deserialize)]
struct Marker {
    /// When it was written: RFC 3339.
    started: String,
    /// The hash (SHA-256, hex) of the keyring that is to be written next; empty until that is known.
    #[serde(default)]
    keyring: String,
}

/// How a new store is sealed.
enum Setup {
    Shamir(SealConfig),
    Service { config: SealConfig, recovery: Option<SealConfig> },
}

impl Setup {
    fn new(inner: &Inner, shares: i64, threshold: i64) -> Result<Setup> {
        if !inner.is_auto() {
            return Ok(Setup::Shamir(SealConfig::shamir(shares, threshold)?));
        }
        // Vault does not start on a configuration of no shares, so there is none then.
        let recovery = if (shares, threshold) == (0, 0) { None } else { Some(SealConfig::recovery(shares, threshold)?) };
        Ok(Setup::Service { config: SealConfig::auto(inner.kind()), recovery })
    }

    fn config(&self) -> &SealConfig {
        match self {
            Setup::Shamir(config) | Setup::Service { config, .. } => config,
        }
    }

    fn into_config(self) -> SealConfig {
        match self {
            Setup::Shamir(config) | Setup::Service { config, .. } => config,
        }
    }

    /// The shares that are handed out.
    fn counts(&self) -> (u8, u8) {
        match self {
            Setup::Shamir(config) => config.counts(),
            Setup::Service { recovery, .. } => recovery.as_ref().map_or((0, 0), SealConfig::counts),
        }
    }
}

impl Unsealer {
    /// Begins a new store: writes the seal's entries and opens the barrier. Returns the shares of the unseal key, or with a key service of the
    /// recovery key, of which there may be none (0 and 0); they are good only after [`Unsealer::commit`]. What the new store is to begin with is
    /// written in between; if that fails, [`Unsealer::seal`] gives up, and the next call begins anew.
    pub async fn prepare(&self, shares: i64, threshold: i64) -> Result<Vec<Secret>> {
        let inner = &self.inner;
        let setup = Setup::new(inner, shares, threshold)?;
        let _work = inner.work.lock().await;
        if inner.initialized().await? {
            return Err(Error::bad_request("Vault is already initialized"));
        }
        if inner.preparing.load(Ordering::SeqCst) {
            return Err(Error::bad_request("Vault is being initialized"));
        }
        if let Err(error) = inner.witness_nothing().await {
            tracing::error!(%error, "refusing to initialize");
            return Err(Error::bad_request(
                "this server's state file (state_path) remembers a vault in this storage: see the server's log",
            ));
        }
        let root = Arc::new(Secret::random()?);
        let keyring = Keyring::generate(root.clone())?;
        // Before anything is written: a key service may refuse.
        let key = Secret::random()?;
        let entries = match &setup {
            Setup::Shamir(_) => vec![(STORED_KEYS_PATH.to_owned(), stored::seal(&key, &root)?)],
            Setup::Service { .. } => inner.sealed_root(&root).await?,
        };
        let recovery = match &setup {
            Setup::Service { recovery: Some(config), .. } => {
                let mut entries = inner.sealed_recovery(&key).await?;
                entries.push((RECOVERY_CONFIG_PATH.to_owned(), config.to_stored()?));
                entries
            }
            _ => Vec::new(),
        };
        inner.clear_unfinished().await?;
        for (path, value) in entries {
            inner.write(&path, value).await?;
        }
        inner.write(CONFIG_PATH, setup.config().to_stored()?).await?;
        inner.write(MASTER_PATH, keyring.seal(MASTER_PATH, &keyring.root_entry()?)?).await?;
        if let Setup::Shamir(_) = setup {
            inner.write(SHAMIR_KEK_PATH, keyring.seal(SHAMIR_KEK_PATH, key.expose())?).await?;
        }
        for (path, value) in recovery {
            inner.write(&path, value).await?;
        }
        let parts = match setup.counts() {
            (0, _) => Vec::new(),
            (shares, threshold) => split(key, shares, threshold)?,
        };
        inner.barrier.idle().await?;
        inner.preparing.store(true, Ordering::SeqCst);
        *lock(&inner.config) = Some(setup.into_config());
        inner.barrier.unseal(keyring);
        Ok(parts)
    }

    /// Makes the store that [`Unsealer::prepare`] began an initialised one.
    pub async fn commit(&self) -> Result<()> {
        let inner = &self.inner;
        let _work = inner.work.lock().await;
        if !inner.preparing.load(Ordering::SeqCst) {
            return Err(Error::Internal("no initialisation is under way".to_owned()));
        }
        let stored = inner.barrier.with_keyring(|keyring| {
            inner.counted.store(keyring.status().encryptions, Ordering::SeqCst);
            keyring.to_stored()
        })?;
        inner.mark(crypto::sha256_hex(&[&stored])).await?;
        inner.write(KEYRING_PATH, stored).await?;
        inner.remove(MARKER_PATH).await?;
        inner.preparing.store(false, Ordering::SeqCst);
        inner.witness_open().await;
        self.start_maintenance();
        Ok(())
    }
}

impl Inner {
    /// Deletes what an initialisation that was cut off has left, and marks that another one begins.
    async fn clear_unfinished(&self) -> Result<()> {
        if self.read(MARKER_PATH).await?.is_some() {
            return self.clear_all().await;
        }
        for path in [CONFIG_PATH, STORED_KEYS_PATH] {
            if self.read(path).await?.is_some() {
                return Err(Error::bad_request(format!(
                    "the storage holds {path} but no {KEYRING_PATH}: a vault was initialized here before; restore what is missing, or begin with an empty storage"
                )));
            }
        }
        self.mark(String::new()).await
    }

    async fn mark(&self, keyring: String) -> Result<()> {
        let marker = Marker { started: rfc3339_nano(OffsetDateTime::now_utc()), keyring };
        let marker = serde_json::to_vec(&marker).map_err(|error| Error::Internal(format!("{MARKER_PATH}: {error}")))?;
        self.write(MARKER_PATH, marker).await
    }

    /// Whether the keyring as stored is of an initialisation that was cut off.
    pub(super) async fn unfinished(&self, keyring: &[u8]) -> Result<bool> {
        let Some(marker) = self.read(MARKER_PATH).await? else { return Ok(false) };
        Ok(serde_json::from_slice::<Marker>(&marker).is_ok_and(|marker| marker.keyring == crypto::sha256_hex(&[keyring])))
    }

    async fn clear_all(&self) -> Result<()> {
        // First of all, so that no other server takes what is left for a vault.
        self.remove(KEYRING_PATH).await?;
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for name in self.barrier.storage().list(&Folder::new(&folder)?).await? {
                let name = format!("{folder}{name}");
                if name.ends_with('/') {
                    folders.push(name);
                } else if name != MARKER_PATH {
                    self.remove(&name).await?;
                }
            }
        }
        Ok(())
    }
}
