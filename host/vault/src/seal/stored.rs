//! The stored root key: a JSON array of one base64 string. Under Shamir's seal it is encrypted with the unseal key, as `nonce | AES-GCM | tag` in a
//! `BlobInfo`; under a key service's as [`super::blob`] says.

use prost::Message;
use zeroize::Zeroizing;

use super::STORED_KEYS_PATH;
use super::blob::{BlobInfo, KeyInfo};
use crate::crypto::{self, NONCE_LEN};
use crate::keyring::json::{self, SecretIn, SecretOut};
use crate::logical::{Error, Result};
use crate::secret::Secret;

fn damaged(reason: &str) -> Error {
    Error::Damaged(format!("{STORED_KEYS_PATH}: {reason}"))
}

/// The root key as a seal encrypts it.
pub(crate) fn plain(root: &Secret) -> Result<Zeroizing<Vec<u8>>> {
    json::write(128, &[SecretOut(root)])
}

/// The root key from what a seal decrypted.
pub(crate) fn parse(plain: &[u8]) -> Result<Secret> {
    let keys: Vec<SecretIn> = serde_json::from_slice(plain).map_err(|error| damaged(&json::position(&error)))?;
    match <[SecretIn; 1]>::try_from(keys) {
        Ok([key]) => Ok(key.0),
        Err(keys) => Err(damaged(&format!("holds {} keys where one was expected", keys.len()))),
    }
}

/// Encrypts the root key with the unseal key.
pub(crate) fn seal(unseal_key: &Secret, root: &Secret) -> Result<Vec<u8>> {
    let plain = plain(root)?;
    let nonce = crypto::random::<NONCE_LEN>()?;
    let mut ciphertext = nonce.to_vec();
    crypto::gcm_seal_into(&mut ciphertext, unseal_key.expose(), &nonce, &[], &plain)?;
    Ok(BlobInfo { ciphertext, iv: Vec::new(), key_info: Some(KeyInfo::default()) }.encode_to_vec())
}

/// Decrypts the root key. [`Error::BadRequest`] with the field's text if the unseal key is not the one.
pub(crate) fn open(unseal_key: &Secret, stored: &[u8]) -> Result<Secret> {
    let blob = BlobInfo::parse(STORED_KEYS_PATH, stored)?;
    if !blob.iv.is_empty() || blob.key_info.is_some_and(|info| !info.key_id.is_empty()) {
        return Err(damaged("encrypted by a key service, where a key of Shamir's shares was expected"));
    }
    let (nonce, sealed) = blob.ciphertext.split_first_chunk::<NONCE_LEN>().ok_or_else(|| damaged("too short"))?;
    let wrong = |reason: &str| {
        Error::bad_request(format!("unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: {reason}"))
    };
    let key = unseal_key.expose();
    if !matches!(key.len(), 16 | 24 | 32) {
        return Err(wrong(&format!("crypto/aes: invalid key size {}", key.len())));
    }
    let plain: Zeroizing<Vec<u8>> =
        crypto::gcm_open(key, nonce, &[], sealed)?.map_err(|_| wrong("cipher: message authentication failed"))?;
    parse(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8, len: usize) -> Secret {
        Secret::from_slice(&vec![byte; len]).unwrap()
    }

    #[test]
    fn it_has_the_bytes_of_openbao_and_opens_again() {
        let stored = seal(&secret(1, 32), &secret(2, 32)).unwrap();
        assert_eq!(stored.len(), 80);
        assert_eq!(stored[..2], [0x0A, 0x4C]);
        assert_eq!(stored[78..], [0x2A, 0]);
        assert_eq!(open(&secret(1, 32), &stored).unwrap().expose(), [2; 32]);
    }

    #[test]
    fn a_wrong_key_is_told_as_openbao_does() {
        let stored = seal(&secret(1, 32), &secret(2, 32)).unwrap();
        let text = |key: Secret| match open(&key, &stored) {
            Err(Error::BadRequest(text)) => text,
            _ => panic!("opened"),
        };
        let begin = "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: ";
        assert_eq!(text(secret(3, 32)), format!("{begin}cipher: message authentication failed"));
        assert_eq!(text(secret(1, 33)), format!("{begin}crypto/aes: invalid key size 33"));
    }

    #[test]
    fn what_another_seal_or_nobody_wrote_is_damaged() {
        let mut blob = BlobInfo::decode(&*seal(&secret(1, 32), &secret(2, 32)).unwrap()).unwrap();
        blob.iv = vec![1; 12];
        let service = blob.encode_to_vec();
        for stored in [&b""[..], b"\xFF", b"multiwrapvalue:1\0\0\0\0", &service] {
            assert!(matches!(open(&secret(1, 32), stored), Err(Error::Damaged(_))), "{stored:?}");
        }
    }
}
