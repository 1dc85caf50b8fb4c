//! The seal: what protects the root key, and what tells of it in the storage. So far Shamir's shares.
//!
//! Shares combine to the unseal key, the unseal key decrypts the stored root key, and the root key decrypts the keyring.

pub mod config;
pub(crate) mod stored;

/// The seal's configuration, in plain JSON.
pub const CONFIG_PATH: &str = "core/seal-config";
/// The root key, encrypted by the seal. The name is from days when only hardware modules did so.
pub const STORED_KEYS_PATH: &str = "core/hsm/barrier-unseal-keys";
/// The unseal key, behind the barrier.
pub const SHAMIR_KEK_PATH: &str = "core/shamir-kek";
/// The root key, behind the barrier, under Vault's name, which OpenBao reads too.
pub const MASTER_PATH: &str = "core/master";
/// The same under OpenBao's name, which Vault does not read.
pub const ROOT_KEY_PATH: &str = "core/root-key";
