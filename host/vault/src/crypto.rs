//! The cryptographic primitives that the stored formats need, all from aws-lc.
//!
//! The rule: a cipher is built for one operation from the key's bytes and is gone after it, so that expanded keys stay off the heap.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, digest, hkdf, hmac, rand};
use zeroize::Zeroizing;

use crate::logical::{Error, Result};

/// Length of a GCM nonce.
pub const NONCE_LEN: usize = 12;
/// Length of a GCM tag.
pub const TAG_LEN: usize = 16;

/// A message that does not authenticate: another key, another path, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message authentication failed")]
pub struct NotAuthentic;

impl From<NotAuthentic> for Error {
    fn from(error: NotAuthentic) -> Error {
        Error::Damaged(error.to_string())
    }
}

/// Fills `out` with random bytes.
pub fn fill(out: &mut [u8]) -> Result<()> {
    rand::fill(out).map_err(|_| Error::Internal("the system's random numbers failed".to_owned()))
}

/// `N` random bytes.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut out = [0; N];
    fill(&mut out)?;
    Ok(out)
}

/// `len` random characters of `0-9A-Za-z`, each equally likely.
pub fn random_base62(len: usize) -> Result<String> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let bytes = Zeroizing::new(random::<32>()?);
        // 248 is the largest multiple of 62 in a byte; what is above would favour the first characters.
        let characters = bytes.iter().filter(|&&byte| byte < 248).filter_map(|byte| ALPHABET.get(usize::from(byte % 62)));
        text.extend(characters.take(len - text.len()).map(|&byte| char::from(byte)));
    }
    Ok(text)
}

/// A random UUID (version 4) as text.
pub fn uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// SHA-1 of the parts one after another, in hex. Vault salts the names of old-style tokens with it.
pub fn sha1_hex(parts: &[&[u8]]) -> String {
    hex::encode(digested(&digest::SHA1_FOR_LEGACY_USE_ONLY, parts))
}

/// SHA-256 of the parts one after another, in hex.
pub fn sha256_hex(parts: &[&[u8]]) -> String {
    hex::encode(sha256(parts))
}

/// SHA-256 of the parts one after another.
pub fn sha256(parts: &[&[u8]]) -> digest::Digest {
    digested(&digest::SHA256, parts)
}

fn digested(algorithm: &'static digest::Algorithm, parts: &[&[u8]]) -> digest::Digest {
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish()
}

/// HMAC-SHA256 of the parts one after another.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

/// HKDF-SHA256 without salt.
pub fn hkdf_sha256(ikm: &[u8], info: &[u8], out: &mut [u8]) -> Result<()> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let failed = |_| Error::Internal(format!("HKDF cannot give {} bytes", out.len()));
    let key = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(ikm);
    let info = [info];
    let okm = key.expand(&info, Length(out.len())).map_err(failed)?;
    okm.fill(out).map_err(|_| Error::Internal("HKDF gave another length than asked for".to_owned()))
}

/// Whether two texts are equal, in a time that does not tell where they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

fn gcm(key: &[u8]) -> Result<LessSafeKey> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        32 => &AES_256_GCM,
        other => return Err(Error::Damaged(format!("an AES key has 16, 24 or 32 bytes, not {other}"))),
    };
    let key = UnboundKey::new(algorithm, key).map_err(|_| Error::Internal("the AES key was refused".to_owned()))?;
    Ok(LessSafeKey::new(key))
}

/// AES-GCM: appends ciphertext and tag of `plain` to `out`.
pub fn gcm_seal_into(out: &mut Vec<u8>, key: &[u8], nonce: &[u8; NONCE_LEN], aad: &[u8], plain: &[u8]) -> Result<()> {
    let failed = |_| Error::Internal("AES-GCM encryption failed".to_owned());
    let at = out.len();
    out.resize(at + plain.len() + TAG_LEN, 0);
    let sealed = out.get_mut(at..).unwrap_or_default();
    let (cipher, tag) = sealed.split_at_mut_checked(plain.len()).ok_or(()).map_err(failed)?;
    let nonce = Nonce::assume_unique_for_key(*nonce);
    gcm(key)?.seal_out_of_place_scatter(nonce, Aad::from(aad), plain, cipher, &[], tag).map_err(|_| failed(()))
}

/// AES-GCM (128, 192 or 256 bits, as the key is long): ciphertext followed by the tag.
pub fn gcm_seal(key: &[u8], nonce: &[u8; NONCE_LEN], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(plain.len() + TAG_LEN);
    gcm_seal_into(&mut out, key, nonce, aad, plain)?;
    Ok(out)
}

/// The reverse of [`gcm_seal`]. The inner result tells whether the message is authentic; the outer fails on a key of an impossible length.
pub fn gcm_open(key: &[u8], nonce: &[u8; NONCE_LEN], aad: &[u8], sealed: &[u8]) -> Result<Result<Zeroizing<Vec<u8>>, NotAuthentic>> {
    let key = gcm(key)?;
    let Some((cipher, tag)) = sealed.len().checked_sub(TAG_LEN).and_then(|at| sealed.split_at_checked(at)) else {
        return Ok(Err(NotAuthentic));
    };
    let mut plain = Zeroizing::new(vec![0; cipher.len()]);
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let opened = key.open_separate_gather(nonce, Aad::from(aad), cipher, tag, &mut plain);
    Ok(opened.map(|()| plain).map_err(|_| NotAuthentic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex).unwrap()
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        // FIPS 180-2, appendices A.1 and B.1.
        assert_eq!(sha1_hex(&[b"a", b"bc"]), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(sha256_hex(&[b"ab", b"c"]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        // RFC 4231, test case 2.
        let mac = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(hex::encode(mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn hkdf_is_that_of_rfc_5869() {
        // Test case 3: neither salt nor info.
        let mut out = [0; 42];
        hkdf_sha256(&[0x0b; 22], b"", &mut out).unwrap();
        assert_eq!(out.to_vec(), bytes("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"));
        let mut other = [0; 42];
        hkdf_sha256(&[0x0b; 22], b"info", &mut other).unwrap();
        assert_ne!(out, other);
        assert!(hkdf_sha256(b"", b"", &mut [0; 255 * 32 + 1]).is_err());
    }

    #[test]
    fn gcm_is_that_of_the_specification() {
        // Test cases 4 and 16 of the GCM specification: keys of 128 and 256 bits, with additional data.
        let key = bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let nonce = <[u8; 12]>::try_from(bytes("cafebabefacedbaddecaf888")).unwrap();
        let aad = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let plain = bytes(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ));
        for (len, cipher, tag) in [
            (16, "42831ec2217774244b7221b784d0d49c", "5bc94fbc3221a5db94fae95ae7121a47"),
            (32, "522dc1f099567d07f47f37a32a84427d", "76fc6ece0f4e1768cddf8853bb2d551b"),
        ] {
            let sealed = gcm_seal(&key[..len], &nonce, &aad, &plain).unwrap();
            assert_eq!(hex::encode(&sealed[..16]), cipher);
            assert_eq!(hex::encode(&sealed[plain.len()..]), tag);
            assert_eq!(&**gcm_open(&key[..len], &nonce, &aad, &sealed).unwrap().unwrap(), &plain);
            assert_eq!(gcm_open(&key[..len], &nonce, b"", &sealed).unwrap(), Err(NotAuthentic));
            assert_eq!(gcm_open(&key[..len], &nonce, &aad, &sealed[..15]).unwrap(), Err(NotAuthentic));
        }
        assert!(gcm_seal(&key[..31], &nonce, &aad, &plain).is_err());
    }

    #[test]
    fn base62_has_its_length_its_characters_and_all_of_them() {
        let text = random_base62(10_000).unwrap();
        assert_eq!(text.len(), 10_000);
        let used: std::collections::BTreeSet<char> = text.chars().collect();
        assert_eq!(used.len(), 62);
        assert!(used.iter().all(char::is_ascii_alphanumeric));
        assert_eq!(random_base62(0).unwrap(), "");
    }
}
