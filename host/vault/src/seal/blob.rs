//! What a key service's seal stores: protobuf `BlobInfo` of go-kms-wrapping (package `wrapping`), mechanism 1, as Vault and OpenBao write it.
//!
//! The rule: the host makes the data-encryption key (DEK) and encrypts with it; the service is handed the DEK and nothing else. A blob that the
//! service encrypted itself (mechanism 0) shows its plaintext to the service's guest: it is opened only where the operator allows it.

use prost::Message;
use zeroize::Zeroizing;

use super::options::AutoSeal;
use crate::crypto::{self, NONCE_LEN};
use crate::logical::{Error, Result};
use crate::secret::Secret;

/// The service encrypts the plaintext itself.
const DIRECT: u64 = 0;
/// The service encrypts a key of 32 bytes, and AES-256-GCM with that key the plaintext.
const ENVELOPE: u64 = 1;

/// How Vault Enterprise begins what several seals store.
pub(super) const MULTI: &[u8] = b"multiwrapvalue:";

/// The message. Shamir's seal puts the nonce before the ciphertext and leaves `iv` out.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BlobInfo {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) ciphertext: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) iv: Vec<u8>,
    #[prost(message, optional, tag = "5")]
    pub(crate) key_info: Option<KeyInfo>,
}

/// Which key encrypted it: empty for Shamir's, yet present.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyInfo {
    #[prost(uint64, tag = "1")]
    pub(crate) mechanism: u64,
    #[prost(string, tag = "3")]
    pub(crate) key_id: String,
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) wrapped_key: Vec<u8>,
}

impl BlobInfo {
    /// Reads what is stored under `path`. [`Error::Damaged`] if it is none.
    pub(super) fn parse(path: &str, stored: &[u8]) -> Result<BlobInfo> {
        let damaged = |reason: &str| Error::Damaged(format!("{path}: {reason}"));
        if stored.starts_with(MULTI) {
            return Err(damaged("written by several seals of Vault Enterprise at once, which is not supported"));
        }
        BlobInfo::decode(stored).map_err(|error| damaged(&error.to_string()))
    }
}

/// What can be told of a blob without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The key of the service that it was encrypted with.
    pub(crate) key_id: String,
    /// Whether the service encrypted the plaintext itself.
    pub(crate) direct: bool,
}

impl Header {
    /// Of what is stored under `path`.
    pub(crate) fn of(path: &str, stored: &[u8]) -> Result<Header> {
        let info = BlobInfo::parse(path, stored)?.key_info.unwrap_or_default();
        Ok(Header { key_id: info.key_id, direct: info.mechanism == DIRECT })
    }
}

/// Encrypts `plain` with a new DEK, and has the service encrypt the DEK.
pub(crate) async fn seal(seal: &AutoSeal, plain: &[u8]) -> Result<Vec<u8>> {
    let dek = Secret::random()?;
    let bytes = dek.expose().first_chunk::<32>().ok_or_else(|| Error::Internal("a key has not 32 bytes".to_owned()))?;
    let wrapped = seal.backend.wrap(bytes).await.map_err(|error| seal.failed(error))?;
    let iv = crypto::random::<NONCE_LEN>()?;
    let ciphertext = crypto::gcm_seal(dek.expose(), &iv, &[], plain)?;
    let info = KeyInfo { mechanism: ENVELOPE, key_id: wrapped.key_id, wrapped_key: wrapped.blob.to_vec() };
    Ok(BlobInfo { ciphertext, iv: iv.to_vec(), key_info: Some(info) }.encode_to_vec())
}

/// The reverse, of what is stored under `path`. [`Error::Damaged`] if it does not decrypt, [`Error::Seal`] if the service refuses.
pub(crate) async fn open(seal: &AutoSeal, path: &str, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let damaged = |reason: &str| Error::Damaged(format!("{path}: {reason}"));
    let blob = BlobInfo::parse(path, stored)?;
    let info = blob.key_info.unwrap_or_default();
    match info.mechanism {
        DIRECT if !seal.allow_direct_blob => Err(damaged(&format!(
            "the key service encrypted it directly (mechanism 0), so that to open it shows it to the plugin of the seal {:?}: if you accept that once, set \
             allow_direct_blob = true in the seal's stanza; the root key is replaced at once",
            seal.name
        ))),
        DIRECT => {
            // Before mechanisms were named, neither were keys: the configured one is meant.
            let key_id =
                if info.key_id.is_empty() { seal.backend.key_id().await.map_err(|error| seal.failed(error))? } else { info.key_id };
            let wrapped = cofferdam_backend::Wrapped { blob: blob.ciphertext.into(), key_id };
            seal.backend.unwrap_direct(&wrapped).await.map_err(|error| seal.failed(error))
        }
        ENVELOPE => {
            let iv = blob.iv.first_chunk::<NONCE_LEN>().filter(|_| blob.iv.len() == NONCE_LEN);
            let iv = iv.ok_or_else(|| damaged("its nonce has not 12 bytes"))?;
            let wrapped = cofferdam_backend::Wrapped { blob: info.wrapped_key.into(), key_id: info.key_id };
            let mut dek = Zeroizing::new([0; 32]);
            seal.backend.unwrap(&wrapped, &mut dek).await.map_err(|error| seal.failed(error))?;
            crypto::gcm_open(dek.as_slice(), iv, &[], &blob.ciphertext)?
                .map_err(|_| damaged("not authentic under the key that the key service decrypted"))
        }
        other => Err(damaged(&format!("invalid mechanism: {other}"))),
    }
}

impl AutoSeal {
    /// The failure of the service as the vault tells it.
    pub(crate) fn failed(&self, source: cofferdam_backend::Error) -> Error {
        Error::Seal { seal: self.name.clone(), source }
    }
}

#[cfg(test)]
mod tests;
