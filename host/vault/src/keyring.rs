//! The keyring: the root key, and one key per term that encrypts the entries written while it was the newest.
//!
//! Its JSON is what Vault and OpenBao store as `core/keyring`. The rule: key bytes go between JSON and locked pages without a stop
//! on the heap that is not wiped, and members that this server does not know are written back as they were read.

pub(crate) mod json;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::barrier::frame::{self, FrameError};
use crate::logical::{Error, Result};
use crate::secret::Secret;

/// Where the keyring is stored, encrypted by the root key under term 1.
pub const KEYRING_PATH: &str = "core/keyring";
/// The term of the root key in the frame of [`KEYRING_PATH`], however often the keyring was rotated.
pub const ROOT_TERM: u32 = 1;
/// Operations after which a key is rotated unless configured: 90 % of the 2^32 random nonces that AES-GCM allows.
pub const MAX_OPERATIONS: u64 = 3_865_470_566;

/// The key of a term.
pub(crate) struct TermKey {
    term: u32,
    version: i64,
    value: Secret,
    /// As stored: RFC 3339 with nanoseconds.
    install_time: String,
    /// Encryptions counted when the keyring was stored.
    encryptions: u64,
    extra: Map<String, Value>,
}

/// When the newest key is rotated without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Whether it never is.
    pub disabled: bool,
    /// Encryptions after which it is.
    pub max_operations: u64,
    /// Nanoseconds after which it is; zero for never.
    pub interval: i64,
    extra: Map<String, Value>,
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation { disabled: false, max_operations: MAX_OPERATIONS, interval: 0, extra: Map::new() }
    }
}

/// What `sys/key-status` tells of the newest key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// Its term.
    pub term: u32,
    /// When it was made: RFC 3339 with nanoseconds.
    pub install_time: String,
    /// How many entries it encrypted, as far as counted.
    pub encryptions: u64,
}

/// The root key and the keys of all terms. There is always at least one.
pub struct Keyring {
    root: Arc<Secret>,
    newest: Arc<TermKey>,
    keys: BTreeMap<u32, Arc<TermKey>>,
    rotation: Rotation,
    extra: Map<String, Value>,
    /// Encryptions by the newest key, stored or not.
    encryptions: AtomicU64,
}

impl Keyring {
    /// A new keyring below a root key, with one random key.
    pub fn generate(root: Arc<Secret>) -> Result<Keyring> {
        Keyring::build(root, vec![TermKey::generate(1)?], Rotation::default(), Map::new())
    }

    fn build(root: Arc<Secret>, keys: Vec<TermKey>, rotation: Rotation, extra: Map<String, Value>) -> Result<Keyring> {
        let keys: BTreeMap<u32, Arc<TermKey>> = keys.into_iter().map(|key| (key.term, Arc::new(key))).collect();
        let Some(newest) = keys.values().next_back().cloned() else {
            return Err(Error::Damaged(format!("{KEYRING_PATH}: holds no key")));
        };
        Ok(Keyring { root, encryptions: newest.encryptions.into(), newest, keys, rotation, extra })
    }

    /// The same keyring with a key of the next term.
    pub fn rotated(&self) -> Result<Keyring> {
        let term = self.newest.term.checked_add(1).ok_or_else(|| Error::Internal("the keyring has no further term".to_owned()))?;
        let newest = Arc::new(TermKey::generate(term)?);
        let mut keys = self.keys_counted()?;
        keys.insert(term, newest.clone());
        let (root, rotation, extra) = (self.root.clone(), self.rotation.clone(), self.extra.clone());
        Ok(Keyring { root, newest, keys, rotation, extra, encryptions: 0.into() })
    }

    /// When the newest key is rotated without being asked.
    pub fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    /// The same keyring with another rule for rotation.
    pub fn with_rotation(&self, rotation: Rotation) -> Result<Keyring> {
        let keys = self.keys_counted()?;
        let newest = keys.get(&self.newest.term).unwrap_or(&self.newest).clone();
        let (root, extra, encryptions) = (self.root.clone(), self.extra.clone(), newest.encryptions.into());
        Ok(Keyring { root, newest, keys, rotation, extra, encryptions })
    }

    /// The same keyring below another root key.
    pub fn with_root(&self, root: Arc<Secret>) -> Result<Keyring> {
        Ok(Keyring { root, ..self.with_rotation(self.rotation.clone())? })
    }

    /// All keys, the newest with the encryptions counted so far.
    fn keys_counted(&self) -> Result<BTreeMap<u32, Arc<TermKey>>> {
        let mut keys = self.keys.clone();
        let (counted, newest) = (self.encryptions.load(Ordering::Relaxed), &self.newest);
        if counted != newest.encryptions {
            let value = Secret::from_slice(newest.value.expose())?;
            let (install_time, extra) = (newest.install_time.clone(), newest.extra.clone());
            let key = TermKey { term: newest.term, version: newest.version, value, install_time, encryptions: counted, extra };
            keys.insert(newest.term, Arc::new(key));
        }
        Ok(keys)
    }

    /// The root key.
    pub fn root(&self) -> &Arc<Secret> {
        &self.root
    }

    /// Encrypts an entry with the newest key and counts it.
    pub fn seal(&self, path: &str, plain: &[u8]) -> Result<Vec<u8>> {
        self.encryptions.fetch_add(1, Ordering::Relaxed);
        frame::seal(self.newest.term, self.newest.value.expose(), path, plain)
    }

    /// Decrypts an entry with the key of its term.
    pub fn open(&self, path: &str, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let open = || {
            let term = frame::term(stored)?;
            let key = self.keys.get(&term).ok_or(FrameError::NoKey(term))?;
            frame::open(key.value.expose(), path, stored)
        };
        open().map_err(|error: FrameError| Error::Damaged(format!("{path}: {error}")))
    }

    /// The keyring as it is stored, with the encryptions counted so far.
    pub fn to_stored(&self) -> Result<Vec<u8>> {
        let plain = json::keyring(self)?;
        frame::seal(ROOT_TERM, self.root.expose(), KEYRING_PATH, &plain)
    }

    /// Decrypts what is stored. [`Error::BadRequest`] with the text of the field's servers if the root key is not the one.
    pub fn from_stored(root: Arc<Secret>, stored: &[u8]) -> Result<Keyring> {
        let damaged = |error: FrameError| Error::Damaged(format!("{KEYRING_PATH}: {error}"));
        let term = frame::term(stored).map_err(damaged)?;
        if term != ROOT_TERM {
            return Err(damaged(FrameError::Term(term)));
        }
        let plain = frame::open(root.expose(), KEYRING_PATH, stored).map_err(|error| match error {
            FrameError::NotAuthentic => Error::bad_request("unseal failed, invalid key"),
            error => damaged(error),
        })?;
        json::parse_keyring(&plain)
    }

    /// The root key as `core/master` holds it: a key of term 1 with the zero time.
    pub fn root_entry(&self) -> Result<Zeroizing<Vec<u8>>> {
        json::root(&self.root)
    }

    /// The newest key alone, as `core/upgrade/<the term before>` holds it.
    pub(crate) fn newest_entry(&self) -> Result<Zeroizing<Vec<u8>>> {
        json::key(&self.newest)
    }

    /// The same keyring with the key of the next term, from what `core/upgrade/<newest term>` holds. None if that is no such key.
    pub(crate) fn upgraded(&self, plain: &[u8]) -> Result<Option<Keyring>> {
        let newest = Arc::new(json::parse_key(plain)?);
        if Some(newest.term) != self.newest.term.checked_add(1) {
            return Ok(None);
        }
        let mut keys = self.keys_counted()?;
        keys.insert(newest.term, newest.clone());
        let (root, rotation, extra) = (self.root.clone(), self.rotation.clone(), self.extra.clone());
        Ok(Some(Keyring { root, encryptions: newest.encryptions.into(), newest, keys, rotation, extra }))
    }

    /// What `sys/key-status` tells.
    pub fn status(&self) -> KeyStatus {
        let encryptions = self.encryptions.load(Ordering::Relaxed);
        KeyStatus { term: self.newest.term, install_time: self.newest.install_time.clone(), encryptions }
    }

    /// Whether the newest key has encrypted more than `stored` counts say.
    pub fn uncounted(&self, stored: u64) -> bool {
        self.encryptions.load(Ordering::Relaxed) != stored
    }

    /// Whether the newest key is due to be replaced, and why.
    pub fn rotation_due(&self, now: OffsetDateTime) -> Option<&'static str> {
        let Rotation { disabled, max_operations, interval, .. } = self.rotation;
        if disabled {
            return None;
        }
        let encryptions = self.encryptions.load(Ordering::Relaxed);
        let age = OffsetDateTime::parse(&self.newest.install_time, &time::format_description::well_known::Rfc3339)
            .map(|installed| now - installed)
            .ok();
        let older_than = |limit: time::Duration| age.is_some_and(|age| age > limit);
        if encryptions == 0 && older_than(time::Duration::days(365)) {
            Some("the key is older than a year and its encryptions were never counted")
        } else if encryptions > max_operations {
            Some("the key encrypted as many entries as it may")
        } else if interval > 0 && older_than(time::Duration::nanoseconds(interval)) {
            Some("the key is older than the configured interval")
        } else {
            None
        }
    }
}

impl TermKey {
    fn generate(term: u32) -> Result<TermKey> {
        let install_time = rfc3339_nano(OffsetDateTime::now_utc());
        Ok(TermKey { term, version: 1, value: Secret::random()?, install_time, encryptions: 0, extra: Map::new() })
    }
}

/// A time as Go writes it (RFC3339Nano): as many digits of the second as it needs, at most nine, and `Z` for UTC.
pub fn rfc3339_nano(time: OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if time.nanosecond() > 0 {
        let fraction = format!(".{:09}", time.nanosecond());
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

#[cfg(test)]
mod tests;
