//! Locks and seals, as the vault uses them. The contract's `lock` and `seal` interfaces say what each step promises.

use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use zeroize::Zeroizing;

use crate::{Key, Result};

/// A lock as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What the holder left for others to read.
    pub value: Bytes,
    /// Who holds it.
    pub identity: String,
    /// When the claim ends, in nanoseconds since 1970 by the holder's clock.
    pub expires: u64,
}

/// Single conditional steps on a lock that all servers of one store see.
#[async_trait]
pub trait Lock: Send + Sync + 'static {
    /// Stores the claim if what is stored is still what was `seen`; returns whether it did.
    async fn try_acquire(&self, key: &Key, claim: Held, seen: Option<Held>) -> Result<bool>;

    /// Stores a new expiry if `identity` still holds the lock; returns whether it does.
    async fn renew(&self, key: &Key, identity: &str, expires: u64) -> Result<bool>;

    /// Removes the lock if `identity` holds it.
    async fn release(&self, key: &Key, identity: &str) -> Result<()>;

    /// The lock as stored, expired or not. The identity is empty if the holder stored none.
    async fn read(&self, key: &Key) -> Result<Option<Held>>;

    /// The time of day as the store's service has it, as far as it is known: what `expires` is reckoned from.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A data-encryption key as a key service wrapped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The service's bytes.
    pub blob: Bytes,
    /// The key that the service used.
    pub key_id: String,
}

/// Wrapping of data-encryption keys by a key service.
#[async_trait]
pub trait Seal: Send + Sync + 'static {
    /// Has the 32 bytes encrypted.
    async fn wrap(&self, dek: &[u8; 32]) -> Result<Wrapped>;

    /// Has the blob decrypted into `dek`, which the caller owns and wipes.
    async fn unwrap(&self, wrapped: &Wrapped, dek: &mut [u8; 32]) -> Result<()>;

    /// Has a blob decrypted that holds no DEK but 1 to 4096 bytes of something else: the guest sees them. To be called only where the
    /// operator has allowed it.
    async fn unwrap_direct(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>>;

    /// The key that [`Seal::wrap`] would use now.
    async fn key_id(&self) -> Result<String>;

    /// Whether the service answers and the key can be used.
    async fn health(&self) -> Result<()>;
}
