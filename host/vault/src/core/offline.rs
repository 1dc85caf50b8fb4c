//! Migration of the seal without shares, for a command that has the storage to itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use zeroize::Zeroizing;

use super::Core;
use crate::logical::{Error, Result};
use crate::unseal::migrate::offline::Prepared;

/// A migration of the seal, to be made or made. It holds secrets: nobody but the operator may see it.
pub struct SealMigration {
    /// The type of the old seal.
    pub from: String,
    /// The type of the new one.
    pub to: String,
    /// The shares of the new unseal key, in hex; none if the new seal is a key service.
    pub keys: Vec<Zeroizing<String>>,
    /// The same in base 64.
    pub keys_base64: Vec<Zeroizing<String>>,
    /// Whether there was a recovery key. It stays where the new seal is a key service; otherwise its shares are good for nothing any more.
    pub recovery: bool,
}

impl SealMigration {
    fn of(prepared: &Prepared) -> SealMigration {
        let shares = || prepared.shares.iter();
        SealMigration {
            from: prepared.from.clone(),
            to: prepared.to.clone(),
            keys: shares().map(|share| Zeroizing::new(hex::encode(share.expose()))).collect(),
            keys_base64: shares().map(|share| Zeroizing::new(STANDARD.encode(share.expose()))).collect(),
            recovery: prepared.recovery,
        }
    }
}

impl Core {
    /// Migrates the seal by way of the key service that is given up, which must answer; the vault stays sealed. `counts` are the number of new shares and the
    /// threshold, wanted if the new seal is Shamir's and only then. None if there is nothing to migrate.
    ///
    /// `show` is handed the new shares before anything is written: if it fails, nothing is changed; if this fails after it, the migration may be made nevertheless, and then those shares
    /// count. Of several servers none may be active: their lock is held meanwhile.
    pub async fn migrate_seal(
        self: &Arc<Self>,
        counts: Option<(i64, i64)>,
        show: impl FnOnce(&SealMigration) -> std::io::Result<()> + Send,
    ) -> Result<Option<SealMigration>> {
        let _state = self.state.lock().await;
        let hold = match &self.ha {
            Some(ha) => Some(ha.hold(&self.barrier).await?),
            None => None,
        };
        let migrate = async {
            self.barrier.storage().forget();
            let Some(prepared) = self.unsealer.reshare(counts).await? else { return Ok(None) };
            let migration = SealMigration::of(&prepared);
            show(&migration).map_err(|error| Error::Refused(format!("the new shares could not be shown: {error}; nothing was changed")))?;
            self.unsealer.commit_reshare(prepared).await.map_err(|error| {
                Error::Refused(format!(
                    "{error}. Keep what was shown, and run this again: if there is nothing left to migrate, the shares shown before count"
                ))
            })?;
            tracing::info!(from = migration.from, to = migration.to, "seal migration complete");
            Ok(Some(migration))
        };
        let migrated = migrate.await;
        if let Some(hold) = hold {
            hold.release(&self.barrier).await;
        }
        migrated
    }
}
