//! The seal: what protects the root key, and what tells of it in the storage: Shamir's shares, or a key service.
//!
//! Shares combine to the unseal key, the unseal key decrypts the stored root key, and the root key decrypts the keyring. Under a key service a key that the
//! service decrypts takes the unseal key's place, and shares combine to the recovery key, which decrypts nothing: it shows that its holders agree.

pub(crate) mod blob;
pub mod config;
pub(crate) mod copies;
pub(crate) mod health;
mod metered;
mod options;
pub(crate) mod stored;

pub use options::{AutoSeal, HealthTimes, Retry, SealOptions, StateOptions};

/// The seal's configuration, in plain JSON.
pub const CONFIG_PATH: &str = "core/seal-config";
/// The root key, encrypted by the seal. The name is from days when only hardware modules did so.
pub const STORED_KEYS_PATH: &str = "core/hsm/barrier-unseal-keys";
/// How many shares the recovery key has, in plain JSON. Only under a key service.
pub const RECOVERY_CONFIG_PATH: &str = "core/recovery-config";
/// The recovery key, encrypted by the seal.
pub const RECOVERY_KEY_PATH: &str = "core/recovery-key";
/// The unseal key, behind the barrier.
pub const SHAMIR_KEK_PATH: &str = "core/shamir-kek";
/// The root key, behind the barrier, under Vault's name, which OpenBao reads too.
pub const MASTER_PATH: &str = "core/master";
/// The same under OpenBao's name, which Vault does not read.
pub const ROOT_KEY_PATH: &str = "core/root-key";
