//! Counts and digests of entries by their top-level folder.
//!
//! A scan has no order, so the digest of a set is the sum of its entries' SHA-256, modulo 2^256: it shows that something was lost, doubled or changed by a fault. It is
//! no defence against somebody who chooses entries for it; the barrier is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The folders that Vault and OpenBao have at the top. Whatever is elsewhere is counted together, so that no store makes the sums large.
const FOLDERS: &[&str] = &["audit/", "auth/", "core/", "logical/", "namespaces/", "sys/"];

/// The row of all others.
const OTHERS: &str = "(others)";

/// How many entries, how large, and which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// How many.
    pub entries: u64,
    /// The bytes of keys and values.
    pub bytes: u64,
    digest: [u8; 32],
}

impl Sum {
    /// The digest, in hexadecimal.
    pub fn digest(&self) -> String {
        hex::encode(self.digest)
    }

    fn add(&mut self, other: &Sum) {
        self.entries += other.entries;
        self.bytes += other.bytes;
        let mut carry = 0;
        for (mine, theirs) in self.digest.iter_mut().rev().zip(other.digest.iter().rev()) {
            let [high, low] = (u16::from(*mine) + u16::from(*theirs) + carry).to_be_bytes();
            (*mine, carry) = (low, u16::from(high));
        }
    }

    fn of(key: &str, value: &[u8]) -> Sum {
        let length = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let mut digest = Sha256::new();
        digest.update(length(key.len()).to_be_bytes());
        digest.update(key);
        digest.update(value);
        Sum { entries: 1, bytes: length(key.len()) + length(value.len()), digest: digest.finalize().into() }
    }
}

/// A [`Sum`] for each top-level folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums(BTreeMap<String, Sum>);

impl Sums {
    /// The folders with entries, and what is in each.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Sum)> {
        self.0.iter().map(|(folder, sum)| (folder.as_str(), sum))
    }

    /// What is in one folder.
    pub fn of(&self, folder: &str) -> Sum {
        self.0.get(folder).copied().unwrap_or_default()
    }

    /// All together.
    pub fn total(&self) -> Sum {
        self.0.values().fold(Sum::default(), |mut total, sum| {
            total.add(sum);
            total
        })
    }

    pub(crate) fn add(&mut self, key: &str, value: &[u8]) {
        let folder = FOLDERS.iter().find(|folder| key.starts_with(**folder)).unwrap_or(&OTHERS);
        self.entry(folder).add(&Sum::of(key, value));
    }

    pub(crate) fn merge(&mut self, other: &Sums) {
        for (folder, sum) in &other.0 {
            self.entry(folder).add(sum);
        }
    }

    fn entry(&mut self, folder: &str) -> &mut Sum {
        self.0.entry(folder.to_owned()).or_default()
    }
}
