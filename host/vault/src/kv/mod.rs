//! The key-value engines: [`v1`] keeps one value per path, [`v2`] keeps versions of it and hides the paths from the storage.
//!
//! The rule: what is stored is what Vault and OpenBao store, byte for byte where bytes are decided (JSON as Go's encoder writes it,
//! encrypted path segments, names of version entries), so that either can open the store at any time. Answers, statuses and error
//! texts are those of OpenBao 2.7, taken from the real server.
//!
//! Known and wanted differences to it: numbers of a v2 secret come back to the digit, as Vault returns them (OpenBao turns them into
//! floats); a patch of metadata takes numbers and booleans in `custom_metadata` and a zero or null `delete_version_after` (OpenBao fails
//! with 500, or ignores it); a patch of a secret that is stored as `null` counts it as empty (OpenBao fails with 500).

pub(crate) mod duration;
pub(crate) mod fields;
mod json;
pub(crate) mod locks;
mod path;
#[cfg(test)]
mod testing;
pub mod v1;
pub mod v2;
