//! The names under which paths are stored: each segment is encrypted, so that the storage sees how paths branch and not what they say.
//!
//! The scheme is OpenBao's and Vault's (an encrypted key storage over a convergent, derived AES-256-GCM policy). For a segment
//! `p` in a folder with the context `c`, which begins as `<backend uuid>/metadata` and grows by `/` and each plain segment:
//!
//! 1. 64 bytes = HKDF-SHA256(policy key, no salt, info `c`): an encryption key of 32 bytes, a MAC key of 32.
//! 2. nonce = the first 12 bytes of HMAC-SHA256(MAC key, `p`); sealed = nonce, AES-256-GCM of `p`.
//! 3. text = `1:` (the version of the policy's key) and sealed in base64.
//! 4. name = the bytes of text as one big-endian integer, in base 62 with the digits `0-9a-zA-Z`.
//!
//! The rule: the same plain path always has the same name, and only who has the policy's key can tell either from the other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigUint;
use zeroize::Zeroizing;

use super::policy::Policy;
use crate::crypto;
use crate::logical::{Error, Result};

/// The longest plain segment, in bytes, whose name every storage takes: 250 bytes of the 254 that the contract grants a segment. One
/// byte more needs 255.
pub const LONGEST_SEGMENT: usize = 110;

/// The encryption of one mount's paths.
pub(super) struct Names {
    policy: Policy,
    context: String,
}

/// The keys of one folder.
struct Folder(Zeroizing<[u8; 64]>);

impl Names {
    /// Names below `<backend uuid>/metadata`.
    pub(super) fn new(policy: Policy, backend_uuid: &str) -> Names {
        Names { policy, context: format!("{backend_uuid}/metadata") }
    }

    fn folder(&self, version: u32, context: &str) -> Result<Folder> {
        let key = self
            .policy
            .key(version)
            .ok_or_else(|| Error::Damaged(format!("a stored path names key {version} of the path policy, which is missing")))?;
        let mut keys = Zeroizing::new([0; 64]);
        crypto::hkdf_sha256(key.expose(), context.as_bytes(), &mut *keys)?;
        Ok(Folder(keys))
    }

    /// The name of a path, segment by segment. A slash at its end stays.
    pub(super) fn encrypt(&self, path: &str) -> Result<String> {
        let version = self.policy.latest();
        let mut context = self.context.clone();
        let mut name = String::with_capacity(path.len() * 2 + 64);
        let (folder, leaf) = match path.rsplit_once('/') {
            Some((folder, "")) => (Some(folder), None),
            Some((folder, leaf)) => (Some(folder), Some(leaf)),
            None => (None, Some(path).filter(|path| !path.is_empty())),
        };
        for segment in folder.into_iter().flat_map(|folder| folder.split('/')) {
            name.push_str(&self.folder(version, &context)?.encrypt(version, segment)?);
            name.push('/');
            context.push('/');
            context.push_str(segment);
        }
        if let Some(leaf) = leaf {
            name.push_str(&self.folder(version, &context)?.encrypt(version, leaf)?);
        }
        Ok(name)
    }

    /// The plain names of what is stored in the plain folder (empty, or with a slash at its end), sorted by bytes.
    pub(super) fn decrypt_all(&self, folder: &str, names: &[String]) -> Result<Vec<String>> {
        let context = match folder.strip_suffix('/') {
            Some(folder) => format!("{}/{folder}", self.context),
            None => self.context.clone(),
        };
        let mut keys: Option<(u32, Folder)> = None;
        let mut plain = Vec::with_capacity(names.len());
        for stored in names {
            let (name, slash) = stored.strip_suffix('/').map_or((stored.as_str(), ""), |name| (name, "/"));
            let (version, sealed) = decode(name).ok_or_else(|| damaged(name))?;
            if keys.as_ref().is_none_or(|(of, _)| *of != version) {
                keys = Some((version, self.folder(version, &context)?));
            }
            let (_, folder) = keys.as_ref().ok_or_else(|| damaged(name))?;
            plain.push(folder.decrypt(&sealed).ok_or_else(|| damaged(name))? + slash);
        }
        plain.sort_unstable();
        Ok(plain)
    }
}

fn damaged(name: &str) -> Error {
    Error::Damaged(format!("metadata/…/{name}: the name of a stored path cannot be decrypted"))
}

impl Folder {
    fn encrypt(&self, version: u32, segment: &str) -> Result<String> {
        let (key, mac) = self.0.split_at_checked(32).unwrap_or_default();
        let nonce: [u8; 12] = std::array::from_fn({
            let mac = crypto::hmac_sha256(mac, &[segment.as_bytes()]);
            move |n| mac.get(n).copied().unwrap_or_default()
        });
        let mut sealed = Vec::with_capacity(segment.len() + crypto::NONCE_LEN + crypto::TAG_LEN);
        sealed.extend_from_slice(&nonce);
        crypto::gcm_seal_into(&mut sealed, key, &nonce, &[], segment.as_bytes())?;
        let mut text = format!("{version}:");
        STANDARD.encode_string(sealed, &mut text);
        Ok(to_base62(text.as_bytes()))
    }

    fn decrypt(&self, sealed: &[u8]) -> Option<String> {
        let (nonce, sealed) = sealed.split_first_chunk()?;
        let plain = crypto::gcm_open(self.0.get(..32)?, nonce, &[], sealed).ok()?.ok()?;
        String::from_utf8(plain.to_vec()).ok()
    }
}

/// The version of the policy's key and the sealed bytes that a name holds.
fn decode(name: &str) -> Option<(u32, Vec<u8>)> {
    let text = String::from_utf8(from_base62(name)?).ok()?;
    let (version, sealed) = text.split_once(':')?;
    Some((version.parse().ok()?, STANDARD.decode(sealed).ok()?))
}

const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

fn to_base62(bytes: &[u8]) -> String {
    let digits = BigUint::from_bytes_be(bytes).to_radix_be(62);
    digits.into_iter().filter_map(|digit| DIGITS.get(usize::from(digit)).copied().map(char::from)).collect()
}

fn from_base62(name: &str) -> Option<Vec<u8>> {
    let digits = name.bytes().map(|digit| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'z' => Some(digit - b'a' + 10),
        b'A'..=b'Z' => Some(digit - b'A' + 36),
        _ => None,
    });
    Some(BigUint::from_radix_be(&digits.collect::<Option<Vec<u8>>>()?, 62)?.to_bytes_be())
}

#[cfg(test)]
mod tests;
