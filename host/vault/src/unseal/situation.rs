//! How the seal that is stored stands to those that are configured: they agree, the store has to be migrated, or nobody said what to do.
//!
//! The rule: the stored configuration says what the store is under; the operator's says what it shall be under, and names a key service that is given up.
//! Only where both are of one type does it take the key services themselves to tell, and they are asked once for what is stored, never for a status.

use cofferdam_backend::Error as Backend;
use zeroize::Zeroizing;

use super::{Inner, lock};
use crate::crypto;
use crate::logical::{Error, Result};
use crate::seal::blob;
use crate::seal::config::{SHAMIR, SealConfig};
use crate::seal::copies::{Kept, RECOVERY_KEY, STORED_KEYS};
use crate::seal::{AutoSeal, CONFIG_PATH, STORED_KEYS_PATH, stored};
use crate::secret::Secret;

/// An old name for whatever key service is configured.
const HSM_AUTO: &str = "hsm-auto";

/// What stored and configured seals make together.
pub(super) enum Situation {
    /// The store is under the configured seal.
    Settled {
        /// As stored.
        config: SealConfig,
        /// Whether a key service is configured as given up, though nothing is under it.
        migrated: bool,
    },
    /// It is under another one, and has to be migrated.
    Pending(Pending),
}

/// A migration to be done.
pub(super) struct Pending {
    /// The configuration of the old seal, as stored.
    pub(super) config: SealConfig,
    /// The old seal.
    pub(super) old: Old,
}

/// The seal that a store is migrated from.
pub(super) enum Old {
    /// Shamir's shares.
    Shamir,
    /// A key service.
    Service(AutoSeal),
}

impl Old {
    /// Its type.
    pub(super) fn kind(&self) -> &str {
        match self {
            Old::Shamir => SHAMIR,
            Old::Service(seal) => &seal.kind,
        }
    }
}

impl Inner {
    /// How stored and configured seals stand to each other. Key services are asked only if `ask`, and only where both are of one type; not asked, a
    /// migration counts as pending until it is known to be done. [`Error::Refused`] with the field's texts if nobody said how the one becomes the other.
    pub(super) async fn situation(&self, ask: bool) -> Result<Situation> {
        let config = self.stored_config().await?;
        let (new, disabled) = (self.kind(), self.seal.disabled.as_ref());
        let refused = |to: &str| {
            Err(Error::Refused(format!("cannot seal migrate from {:?} to {to}, no disabled seal in configuration", config.kind)))
        };
        if config.kind == HSM_AUTO && self.is_auto() {
            return Ok(Situation::Settled { config, migrated: false });
        }
        match disabled.filter(|seal| seal.kind == config.kind) {
            Some(old) if new == config.kind => {
                if self.is_migrated(old, ask).await? {
                    Ok(Situation::Settled { config, migrated: true })
                } else {
                    Ok(Situation::Pending(Pending { config, old: Old::Service(old.clone()) }))
                }
            }
            _ if new == config.kind => Ok(Situation::Settled { config, migrated: disabled.is_some() }),
            Some(old) => Ok(Situation::Pending(Pending { config, old: Old::Service(old.clone()) })),
            None if config.is_shamir() => Ok(Situation::Pending(Pending { config, old: Old::Shamir })),
            None if new == SHAMIR => refused("Shamir"),
            None => refused(&format!("{new:?}")),
        }
    }

    /// Whether the new one of two key services of one type opens what is stored, rather than the old one. An error as long as that is not known.
    async fn is_migrated(&self, old: &AutoSeal, ask: bool) -> Result<bool> {
        let Some(blob) = self.read(STORED_KEYS_PATH).await? else {
            return Err(Error::Damaged(format!("{STORED_KEYS_PATH} is gone: restore it from a backup")));
        };
        let of = crypto::sha256_hex(&[&blob]);
        let judged = lock(&self.migration.judged).clone();
        let migrated = match judged {
            Some((hash, migrated)) if hash == of => migrated,
            // Keys that were encrypted anew meanwhile are under the same seal as before, for all a status can know.
            judged if !ask => return Ok(judged.is_some_and(|(_, migrated)| migrated)),
            _ => match self.open_kept_by_any(&STORED_KEYS).await? {
                Ok(_) => true,
                Err(failures) => {
                    // One that gave no answer may open what the old one opens, too: that is no time to judge.
                    let first = failures.first().map(Error::to_string);
                    let unanswered = failures.into_iter().find(|error| !is_answer(error));
                    match (self.root_of(old).await, unanswered) {
                        (Ok(_), None) => false,
                        (Ok(_), Some(new)) => {
                            tracing::warn!(%new, "whether the seal has to be migrated cannot be said yet: the key service in use gave no answer");
                            return Err(new);
                        }
                        (Err(old), unanswered) => {
                            tracing::warn!(new = first, %old, "the stored keys were decrypted neither by the key service in use nor by the one that is given up");
                            // What may be over soon is tried again.
                            return Err(unanswered.unwrap_or(if is_answer(&old) { neither() } else { old }));
                        }
                    }
                }
            },
        };
        *lock(&self.migration.judged) = Some((of, migrated));
        Ok(migrated)
    }

    /// The seal's configuration. [`Error::Refused`] if it is another seal's than the one that is configured.
    pub(super) async fn load_config(&self) -> Result<SealConfig> {
        let config = self.stored_config().await?;
        let configured = self.kind();
        if config.kind == configured || config.kind == HSM_AUTO && self.is_auto() {
            return Ok(config);
        }
        Err(Error::Refused(format!("barrier seal type of {:?} does not match loaded type of {configured:?}", config.kind)))
    }

    /// The seal's configuration as stored, whatever is configured.
    async fn stored_config(&self) -> Result<SealConfig> {
        let Some(stored) = self.read(CONFIG_PATH).await? else {
            return Err(Error::Damaged(format!(
                "the storage holds a keyring but no seal configuration; {CONFIG_PATH} was lost or not restored, or another server's initialisation was cut off"
            )));
        };
        SealConfig::parse(CONFIG_PATH, &stored)
    }

    /// How the key is shared out that authorises the migration: the old unseal key, or the recovery key.
    pub(super) async fn old_shares(&self, pending: &Pending) -> Result<SealConfig> {
        if let Old::Shamir = pending.old {
            return Ok(pending.config.clone());
        }
        let config = self.recovery_config().await?.filter(|config| config.counts().0 > 0);
        config.ok_or_else(|| {
            Error::Refused(
                "recovery seal configuration not found for existing seal: without a recovery key nobody can authorise the migration by shares; \
                 stop the servers and run `coffer operator migrate-seal` where the key service can be reached"
                    .to_owned(),
            )
        })
    }

    /// The root key as the old seal protects it, if `key` is the key that authorises the migration; [`Error::BadRequest`] if it is not.
    pub(super) async fn old_root(&self, pending: &Pending, key: &Secret) -> Result<Secret> {
        match &pending.old {
            Old::Shamir => match self.read(STORED_KEYS_PATH).await? {
                Some(blob) => stored::open(key, &blob),
                // As Vault had it before 1.3.
                None => Secret::from_slice(key.expose()),
            },
            Old::Service(seal) => {
                let recovery = self.old_recovery(seal).await?.ok_or_else(|| Error::bad_request("no recovery key found"))?;
                if !crypto::same(recovery.expose(), key.expose()) {
                    return Err(Error::bad_request("failed to verify recovery key: recovery key does not match submitted values"));
                }
                self.root_of(seal).await
            }
        }
    }

    /// The root key as a key service that is given up decrypts it.
    pub(super) async fn root_of(&self, seal: &AutoSeal) -> Result<Secret> {
        match self.kept_by(seal, &STORED_KEYS).await? {
            Some(plain) => stored::parse(&plain),
            None => Err(Error::Damaged(format!("{} is gone: restore it from a backup", STORED_KEYS.path))),
        }
    }

    /// The recovery key as a key service that is given up decrypts it; none if there is none.
    pub(super) async fn old_recovery(&self, seal: &AutoSeal) -> Result<Option<Secret>> {
        self.kept_by(seal, &RECOVERY_KEY).await?.map(|plain| Secret::from_slice(&plain)).transpose()
    }

    /// A secret as one service decrypts it, which may have been one of several.
    async fn kept_by(&self, seal: &AutoSeal, kept: &Kept) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(blobs) = self.blobs(kept).await? else { return Ok(None) };
        match blobs.of(&seal.name, &[&seal.name]) {
            Some(blob) => blob::open(seal, kept.path, blob).await.map(Some),
            None => Err(Error::Damaged(format!("{}: nothing there is of the seal {:?}, which is given up", kept.path, seal.name))),
        }
    }
}

fn neither() -> Error {
    Error::Refused("neither the old nor new seal can read stored keys".to_owned())
}

/// Whether it says that this service does not open what is stored, and will not. All else may be over soon: it is away, or its plugin has failed.
fn is_answer(error: &Error) -> bool {
    match error {
        Error::Storage(_) => false,
        Error::Seal { source, .. } => matches!(
            source,
            Backend::Denied(_)
                | Backend::Configuration(_)
                | Backend::Corrupt(_)
                | Backend::InvalidKey(_)
                | Backend::TooLarge { .. }
                | Backend::Unsupported(_)
        ),
        _ => true,
    }
}
