//! Minisign signatures: `X.wasm.minisig` beside `X.wasm`.
//!
//! The rule: a signature vouches for a file of the name that the signer gave it (`file:` in the trusted comment, which is signed too), so that what a
//! trusted author signed for one purpose cannot be put in another's place. One whose comment names no file counts for any: its author has said nothing of
//! the name. It tells who made a file, not that it is the newest; where that matters, the operator pins.

use crate::error::FindError;
use crate::pins;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use minisign_verify::PublicKey;
use std::fmt;
use std::path::Path;

/// Of a key's or a signature's file.
pub(crate) const MAX_FILE: u64 = 8 * 1024;
/// What follows a component's name.
pub(crate) const EXTENSION: &str = ".minisig";

/// A public key whose signatures count.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustedKey {
    key: PublicKey,
    id: String,
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrustedKey").field(&self.id).finish()
    }
}

/// Why a setting gives no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is no key, and no absolute path either.
    #[error(
        "{0:?} is neither a minisign public key (base64, as in the second line of minisign.pub) nor the absolute path of a file that holds one"
    )]
    Neither(String),
    /// The file's content is no key.
    #[error("{0}: it holds no minisign public key: expected a file as `minisign -G` writes it, minisign.pub")]
    Content(String),
    /// The file cannot be read, or others may write it.
    #[error(transparent)]
    File(FindError),
}

impl TrustedKey {
    /// Takes a key's text: the base64 line alone, or the file of two lines that minisign writes.
    pub fn parse(text: &str) -> Option<TrustedKey> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next()?;
        let line = if first.starts_with("untrusted comment:") { lines.next()? } else { first };
        if lines.next().is_some() {
            return None;
        }
        let key = PublicKey::from_base64(line).ok()?;
        Some(TrustedKey { key, id: key_id(line)? })
    }

    /// Takes a setting: a key's text, or the absolute path of a file that holds one. The file and its directories are checked as a plugin's are.
    pub fn from_setting(setting: &str) -> Result<TrustedKey, KeyError> {
        if let Some(key) = TrustedKey::parse(setting) {
            return Ok(key);
        }
        let path = Path::new(setting);
        let (true, Some(directory), Some(name)) = (path.is_absolute(), path.parent(), path.file_name()) else {
            return Err(KeyError::Neither(setting.to_owned()));
        };
        let missing = || FindError::Unreadable { path: path.to_owned(), error: std::io::ErrorKind::NotFound.into() };
        let read = pins::open(directory, None).and_then(|directory| directory.read(name, MAX_FILE)?.ok_or_else(missing));
        let bytes = read.map_err(KeyError::File)?;
        let text = std::str::from_utf8(&bytes).ok();
        text.and_then(TrustedKey::parse).ok_or_else(|| KeyError::Content(setting.to_owned()))
    }

    /// As minisign writes it: sixteen hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The key's number in a key or in a signature: behind the algorithm, the lowest byte first.
fn key_id(line: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(line).ok()?;
    let id: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(id)))
}

/// A signature that was read and not yet checked.
#[derive(Clone)]
pub struct Signature {
    signature: minisign_verify::Signature,
    key_id: String,
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signature").field(&self.key_id).finish()
    }
}

/// Why a signature does not vouch for a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is no signature.
    #[error("it is no minisign signature: expected the four lines that `minisign -S` writes")]
    Malformed,
    /// Its key is not among the trusted ones.
    #[error(
        "it is by the key {key_id}, which plugin_trusted_keys does not have ({}): add the key if you trust its owner, or pin the file",
        if .trusted.is_empty() { "it has none".to_owned() } else { format!("it has {}", .trusted.join(", ")) }
    )]
    Untrusted {
        /// Of the signature.
        key_id: String,
        /// The keys that are trusted.
        trusted: Vec<String>,
    },
    /// It does not fit the file.
    #[error("it names the trusted key {key_id}, but does not fit the file: the file or the signature was changed; fetch both again")]
    Bad {
        /// Of the signature.
        key_id: String,
    },
    /// It was made for a file of another name.
    #[error(
        "it was made for a file of the name {signed:?}, not for {file:?}: keep the name that the author gave it, and name the file by `path`"
    )]
    OtherFile {
        /// The name in the trusted comment.
        signed: String,
        /// The name of the file.
        file: String,
    },
}

impl Signature {
    /// Reads a signature's file.
    pub fn parse(bytes: &[u8]) -> Result<Signature, SignatureError> {
        let text = std::str::from_utf8(bytes).map_err(|_| SignatureError::Malformed)?;
        let signature = minisign_verify::Signature::decode(text).map_err(|_| SignatureError::Malformed)?;
        let key_id = text.lines().nth(1).and_then(key_id).ok_or(SignatureError::Malformed)?;
        // The comment is shown and logged; and nothing follows the four lines.
        let shown = signature.trusted_comment().chars().all(|c| c == '\t' || !c.is_control());
        let whole = text.lines().skip(4).all(|line| line.trim().is_empty());
        if shown && whole { Ok(Signature { signature, key_id }) } else { Err(SignatureError::Malformed) }
    }

    /// Of the key that made it, so it says.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Checks that one of the keys signed these bytes as a file of this name. Returns the trusted comment.
    pub fn verify(&self, keys: &[TrustedKey], file: &str, bytes: &[u8]) -> Result<String, SignatureError> {
        let mut named = keys.iter().filter(|key| key.id == self.key_id).peekable();
        if named.peek().is_none() {
            let trusted = keys.iter().map(|key| key.id.clone()).collect();
            return Err(SignatureError::Untrusted { key_id: self.key_id.clone(), trusted });
        }
        // Both forms that minisign writes: over the bytes, and over their BLAKE2b digest. Numbers of keys are not unique.
        if !named.any(|key| key.key.verify(bytes, &self.signature, true).is_ok()) {
            return Err(SignatureError::Bad { key_id: self.key_id.clone() });
        }
        let comment = self.signature.trusted_comment();
        if let Some(signed) = comment.split('\t').filter_map(|part| part.strip_prefix("file:")).find(|signed| *signed != file) {
            return Err(SignatureError::OtherFile { signed: signed.to_owned(), file: file.to_owned() });
        }
        Ok(comment.to_owned())
    }
}

#[cfg(test)]
mod tests;
