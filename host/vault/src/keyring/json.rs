//! The JSON of keyring and root key, in the members and the order of Go's.
//!
//! Everything that holds a key is written into one buffer of sufficient capacity, so that growing leaves no copy behind.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{KEYRING_PATH, Keyring, MAX_OPERATIONS, Rotation, TermKey};
use crate::logical::{Error, Result};
use crate::secret::Secret;

/// The time of the root key, which has none.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Key bytes as base64.
pub(crate) struct SecretOut<'a>(pub(crate) &'a Secret);

impl Serialize for SecretOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Zeroizing::new(String::with_capacity(self.0.expose().len() * 4 / 3 + 4));
        STANDARD.encode_string(self.0.expose(), &mut text);
        serializer.serialize_str(&text)
    }
}

/// Key bytes read from base64 straight into a locked page.
pub(crate) struct SecretIn(pub(crate) Secret);

impl<'de> Deserialize<'de> for SecretIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretIn, D::Error> {
        struct Base64;
        impl Visitor<'_> for Base64 {
            type Value = SecretIn;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key of 16 to 32 bytes in base64")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SecretIn, E> {
                let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| E::custom("a key is not base64"))?);
                if !matches!(bytes.len(), 16 | 24 | 32) {
                    return Err(E::custom(format!("a key has {} bytes; 16, 24 or 32 were expected", bytes.len())));
                }
                Secret::from_slice(&bytes).map(SecretIn).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Base64)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyOut<'a> {
    term: u32,
    version: i64,
    value: SecretOut<'a>,
    install_time: &'a str,
    #[serde(rename = "encryptions", skip_serializing_if = "is_zero")]
    encryptions: u64,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RotationOut<'a> {
    disabled: bool,
    max_operations: u64,
    interval: i64,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyringOut<'a> {
    master_key: SecretOut<'a>,
    keys: Vec<KeyOut<'a>>,
    rotation_config: RotationOut<'a>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyIn<'a> {
    term: u32,
    version: i64,
    value: SecretIn,
    #[serde(borrow)]
    install_time: Cow<'a, str>,
    #[serde(rename = "encryptions", default)]
    encryptions: u64,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RotationIn {
    disabled: bool,
    max_operations: u64,
    interval: i64,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyringIn<'a> {
    master_key: SecretIn,
    #[serde(borrow)]
    keys: Vec<KeyIn<'a>>,
    #[serde(default)]
    rotation_config: RotationIn,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Writes JSON into a buffer of this capacity, which should suffice.
pub(crate) fn write(capacity: usize, value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(capacity));
    serde_json::to_writer(&mut *out, value).map_err(|error| Error::Internal(format!("key JSON: {error}")))?;
    Ok(out)
}

fn extra_len(extra: &Map<String, Value>) -> usize {
    if extra.is_empty() { 0 } else { serde_json::to_string(extra).map_or(0, |text| text.len()) }
}

/// The keyring, with the newest key's encryptions as counted so far.
pub(crate) fn keyring(keyring: &Keyring) -> Result<Zeroizing<Vec<u8>>> {
    let counted = keyring.status().encryptions;
    let newest = keyring.newest.term;
    let keys = keyring.keys.values().map(|key| key_out(key, if key.term == newest { counted } else { key.encryptions }));
    let keys: Vec<KeyOut<'_>> = keys.collect();
    let extras = keys.iter().map(|key| 256 + extra_len(key.extra)).sum::<usize>();
    let capacity = 512 + extra_len(&keyring.extra) + extra_len(&keyring.rotation.extra) + extras;
    let out = KeyringOut {
        master_key: SecretOut(&keyring.root),
        keys,
        rotation_config: RotationOut {
            disabled: keyring.rotation.disabled,
            max_operations: keyring.rotation.max_operations,
            interval: keyring.rotation.interval,
            extra: &keyring.rotation.extra,
        },
        extra: &keyring.extra,
    };
    write(capacity, &out)
}

fn key_out(key: &TermKey, encryptions: u64) -> KeyOut<'_> {
    let TermKey { term, version, value, install_time, extra, .. } = key;
    KeyOut { term: *term, version: *version, value: SecretOut(value), install_time, encryptions, extra }
}

/// One key, as `core/upgrade/…` holds it.
pub(super) fn key(key: &TermKey) -> Result<Zeroizing<Vec<u8>>> {
    write(256 + extra_len(&key.extra), &key_out(key, key.encryptions))
}

/// Reads one key.
pub(super) fn parse_key(plain: &[u8]) -> Result<TermKey> {
    let read: KeyIn<'_> = serde_json::from_slice(plain).map_err(|error| Error::Damaged(format!("not a key: {}", position(&error))))?;
    Ok(key_in(read))
}

fn key_in(key: KeyIn<'_>) -> TermKey {
    TermKey {
        term: key.term,
        version: key.version,
        value: key.value.0,
        install_time: key.install_time.into_owned(),
        encryptions: key.encryptions,
        extra: key.extra,
    }
}

/// The root key as `core/master` holds it.
pub(super) fn root(root: &Secret) -> Result<Zeroizing<Vec<u8>>> {
    let extra = Map::new();
    write(256, &KeyOut { term: 1, version: 1, value: SecretOut(root), install_time: ZERO_TIME, encryptions: 0, extra: &extra })
}

/// Reads the root key from what `core/master` holds.
pub(crate) fn parse_root(plain: &[u8]) -> Result<Secret> {
    let read: KeyIn<'_> = serde_json::from_slice(plain).map_err(|error| Error::Damaged(format!("not a key: {}", position(&error))))?;
    Ok(read.value.0)
}

/// Reads a keyring.
pub(crate) fn parse_keyring(plain: &[u8]) -> Result<Keyring> {
    let read: KeyringIn<'_> =
        serde_json::from_slice(plain).map_err(|error| Error::Damaged(format!("{KEYRING_PATH}: not a keyring: {}", position(&error))))?;
    let keys = read.keys.into_iter().map(key_in);
    let RotationIn { disabled, max_operations, interval, extra } = read.rotation_config;
    // Zero is what a keyring has that was stored before there was a limit.
    let max_operations = if (1..=MAX_OPERATIONS).contains(&max_operations) { max_operations } else { MAX_OPERATIONS };
    Keyring::build(Arc::new(read.master_key.0), keys.collect(), Rotation { disabled, max_operations, interval, extra }, read.extra)
}

/// Where the JSON is wrong, without what stands there: it may be a key.
pub(crate) fn position(error: &serde_json::Error) -> String {
    let what = if error.is_data() { "a member is missing or of another type" } else { "no JSON" };
    format!("{what}, at column {}", error.column())
}
