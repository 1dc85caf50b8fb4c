//! The lock file: names of files and their digests, as JSON with the names sorted, so that it reads well in a diff.
//!
//! The rule: it is taken whole or not at all. A member that is not known, or is there twice, or a digest in another spelling, refuses the file.

use crate::{Change, Kind, is_sha256};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The lock file's name, in the directory of the files that it pins.
pub const LOCK_FILE: &str = "coffer-plugins.lock";
/// The largest lock file that is read.
pub(crate) const MAX_LOCK: u64 = 1024 * 1024;
const VERSION: u32 = 1;

/// What is pinned in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// By the file's name.
    #[serde(deserialize_with = "distinct")]
    pub plugins: BTreeMap<String, LockEntry>,
}

/// A file that is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockEntry {
    /// In lower-case hexadecimal.
    pub sha256: String,
    /// What it may be used as.
    pub kind: Kind,
    /// When it was pinned, in UTC (RFC 3339).
    pub pinned: String,
}

/// Why a lock file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Not of the form that this version writes.
    #[error("it is no lock file of plugins: {0}: correct it, or move it away and pin the files again with `coffer plugin pin --all`")]
    Malformed(String),
    /// Of another version.
    #[error("it is of version {0}, and this coffer knows version 1: use the coffer that wrote it, or move it away and pin again")]
    Version(u32),
}

impl Default for Lock {
    fn default() -> Self {
        Lock { version: VERSION, plugins: BTreeMap::new() }
    }
}

impl Lock {
    /// Reads a lock file's content.
    pub fn parse(bytes: &[u8]) -> Result<Lock, LockError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let malformed = |error: serde_json::Error| LockError::Malformed(error.to_string());
        let Version { version } = serde_json::from_slice(bytes).map_err(malformed)?;
        if version != VERSION {
            return Err(LockError::Version(version));
        }
        let lock: Lock = serde_json::from_slice(bytes).map_err(malformed)?;
        for (name, entry) in &lock.plugins {
            if !is_file_name(name) {
                return Err(LockError::Malformed(format!("{name:?} is not the name of a .wasm file")));
            }
            if !is_sha256(&entry.sha256) {
                return Err(LockError::Malformed(format!("{name}: sha256 is not 64 lower-case hexadecimal digits")));
            }
        }
        Ok(lock)
    }

    /// Pins a file; what is pinned as it is stays as it is, with its time.
    pub(crate) fn pin(&mut self, file: &str, sha256: &str, kind: Kind) -> Change {
        if self.plugins.get(file).is_some_and(|entry| entry.sha256 == sha256 && entry.kind == kind) {
            return Change::Unchanged;
        }
        let entry = LockEntry { sha256: sha256.to_owned(), kind, pinned: now() };
        let before = self.plugins.insert(file.to_owned(), entry).map(|before| before.sha256);
        before.filter(|before| before != sha256).map_or(Change::New, Change::From)
    }

    /// The file's content.
    pub fn to_text(&self) -> Result<String, LockError> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").map_err(|error| LockError::Malformed(error.to_string()))
    }
}

/// Whether a file of this name can be a plugin's: in one directory, shown without surprises, ending in `.wasm`.
pub(crate) fn is_file_name(name: &str) -> bool {
    name.strip_suffix(".wasm").is_some_and(|stem| !stem.is_empty())
        && name.len() <= 255
        && !name.contains('/')
        && !name.contains(char::is_control)
}

/// As RFC 3339 has it, to the second.
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default()
}

/// A map in which no name is there twice: which of the two counts should not depend on who reads it.
fn distinct<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, LockEntry>, D::Error> {
    struct Distinct;
    impl<'de> Visitor<'de> for Distinct {
        type Value = BTreeMap<String, LockEntry>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of files")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = BTreeMap::new();
            while let Some((name, entry)) = map.next_entry::<String, LockEntry>()? {
                if entries.contains_key(&name) {
                    return Err(de::Error::custom(format!("{name:?} is there twice")));
                }
                entries.insert(name, entry);
            }
            Ok(entries)
        }
    }
    deserializer.deserialize_map(Distinct)
}

#[cfg(test)]
mod tests;
