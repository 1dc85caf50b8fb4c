//! What stands in for a key service: one key, which encrypts with XChaCha20-Poly1305.
//!
//! A real service keeps its key to itself and is asked over the network, by `grant "http"` or `grant "aws"`. This one has its key from the stanza.

use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use cofferdam_guest::{Error, Result};

/// Bytes of a nonce, which stands before what it was used for.
const NONCE: usize = 24;

/// The service, and the one key that it has.
pub(crate) struct Service {
    cipher: XChaCha20Poly1305,
    key_id: String,
}

impl Service {
    /// The service with this key, 64 hexadecimal digits.
    pub(crate) fn new(key: &str, key_id: String) -> Result<Service> {
        // The key itself is in no message.
        let wrong = || Error::Configuration("\"key\" must be 64 hexadecimal digits, as `openssl rand -hex 32` prints them".to_owned());
        let cipher = XChaCha20Poly1305::new_from_slice(&bytes(key).ok_or_else(wrong)?).map_err(|_| wrong())?;
        Ok(Service { cipher, key_id })
    }

    /// The key that encrypts, by the service's name of it.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Encrypts under the key, bound to its name.
    pub(crate) fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let nonce = XNonce::try_generate().map_err(|error| Error::Unavailable(format!("no random bytes: {error}")))?;
        let bound = Payload { msg: plain, aad: self.key_id.as_bytes() };
        let sealed = self.cipher.encrypt(&nonce, bound).map_err(|_| Error::Unavailable("it does not encrypt".to_owned()))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Decrypts what was encrypted under the key of this name.
    pub(crate) fn decrypt(&self, key_id: &str, blob: &[u8]) -> Result<Vec<u8>> {
        if key_id != self.key_id {
            return Err(Error::Corrupt(format!("it was wrapped under another key, {key_id:?}")));
        }
        let corrupt = || Error::Corrupt("the key service does not accept it".to_owned());
        let (nonce, sealed) = blob.split_first_chunk::<NONCE>().ok_or_else(corrupt)?;
        let bound = Payload { msg: sealed, aad: key_id.as_bytes() };
        self.cipher.decrypt(&XNonce::from(*nonce), bound).map_err(|_| corrupt())
    }
}

/// The bytes that pairs of hexadecimal digits stand for.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| text.as_bytes().chunks(2).map(pair).collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(key_id: &str) -> Service {
        Service::new(&"a5".repeat(32), key_id.to_owned()).unwrap()
    }

    #[test]
    fn what_was_encrypted_comes_back_under_its_name_alone() {
        let blob = service("one").encrypt(&[7; 32]).unwrap();
        assert_eq!(service("one").decrypt("one", &blob).unwrap(), [7; 32]);
        assert!(matches!(service("two").decrypt("one", &blob), Err(Error::Corrupt(_))));
        assert!(matches!(service("two").decrypt("two", &blob), Err(Error::Corrupt(_))));
        assert!(matches!(service("one").decrypt("one", &blob[1..]), Err(Error::Corrupt(_))));
        assert_ne!(blob, service("one").encrypt(&[7; 32]).unwrap());
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_not_repeated() {
        for key in ["", "a5", &"a5".repeat(31), &"zz".repeat(32), &format!("+{}", "a".repeat(63))] {
            let Err(Error::Configuration(text)) = Service::new(key, String::new()) else { panic!("{key}") };
            assert!(text.contains("64 hexadecimal digits") && (key.len() < 4 || !text.contains(key)), "{text}");
        }
    }
}
