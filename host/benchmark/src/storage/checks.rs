//! Whether a store may be put under load.

use super::StorageError;
use cofferdam_backend::Key;
use cofferdam_backend::Lock;
use cofferdam_backend::Storage;
use std::time::UNIX_EPOCH;

/// Why a store is left alone.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A server holds its lock.
    #[error(
        "a server is active on this storage: it holds the lock core/lock. Stop it and its standbys, or measure another storage of the same kind"
    )]
    Led,
    /// An offline migration has begun and not ended.
    #[error("a storage migration is in progress (core/migration): wait for its end, or measure another storage of the same kind")]
    Migrating,
    /// Nothing tells whether a server runs on it.
    #[error(
        "this storage holds a vault, and nothing in it shows whether a server runs on it: measure another storage of the same kind, or stop the \
         server and give --no-server-runs"
    )]
    Vault,
    /// That cannot be found out.
    #[error("whether the storage is in use cannot be read: {0}")]
    Unknown(#[from] StorageError),
}

/// Refuses a store that a server leads, that is being migrated, or that may be in use.
///
/// `alone` says that no server can have it: its directory is locked against them, or the operator says so.
///
/// # Errors
///
/// With the reason.
pub async fn refuse_in_use(storage: &dyn Storage, lock: Option<&dyn Lock>, alone: bool) -> Result<(), Refusal> {
    let fail = |source| StorageError::Backend { what: "reading the store", source };
    let key = |text: &str| Key::new(text).map_err(|invalid| fail(invalid.into()));
    let holds = async |text: &str| Ok::<_, Refusal>(storage.get(&key(text)?).await.map_err(fail)?.is_some());
    if holds("core/migration").await? {
        return Err(Refusal::Migrating);
    }
    if let Some(lock) = lock
        && let Some(held) = lock.read(&key("core/lock")?).await.map_err(fail)?
    {
        let now = lock.now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        if u128::from(held.expires) > now {
            return Err(Refusal::Led);
        }
    }
    if !alone && (holds("core/keyring").await? || holds("core/seal-config").await?) {
        return Err(Refusal::Vault);
    }
    Ok(())
}
