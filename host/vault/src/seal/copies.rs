//! What several key services hold of one secret: the root key, or the recovery key.
//!
//! One blob, of the preferred service that was there, is where Vault keeps it. The others are in an entry of ours beside it, all in one, together with the
//! digest of the former. The rule: they count only while that digest fits, so that nothing is ever opened that another server, or another program,
//! has replaced since; a service that could not be had when the secret was replaced has no copy, rather than an old one.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{RECOVERY_KEY_PATH, STORED_KEYS_PATH};
use crate::crypto;
use crate::logical::{Error, Result};

/// A secret that key services hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// What people call it.
    pub(crate) name: &'static str,
    /// Where Vault keeps it.
    pub(crate) path: &'static str,
    /// Where the further copies are: plain JSON, of this server alone. Only where there are several services.
    pub(crate) copies: &'static str,
}

/// The root key.
pub(crate) const STORED_KEYS: Kept = Kept { name: "stored keys", path: STORED_KEYS_PATH, copies: "core/cofferdam/seal/stored-keys" };
/// The recovery key.
pub(crate) const RECOVERY_KEY: Kept = Kept { name: "recovery key", path: RECOVERY_KEY_PATH, copies: "core/cofferdam/seal/recovery-key" };

/// The entry beside Vault's.
#[derive(Serialize, Deserialize)]
struct Index {
    /// Counts the secrets that were kept here, one after the other.
    generation: u64,
    /// Whose blob is at Vault's place.
    seal: String,
    /// Its hash: SHA-256, hex.
    digest: String,
    /// The blobs of the others, in base 64.
    copies: BTreeMap<String, String>,
}

/// What the services hold of one secret now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blobs {
    /// Counts the secrets; 0 if that was not counted.
    pub(crate) generation: u64,
    /// The blob at Vault's place.
    pub(crate) usual: Bytes,
    /// Whose it is; none if that is not known.
    pub(crate) seal: Option<String>,
    /// The others' blobs.
    pub(crate) copies: BTreeMap<String, Bytes>,
    /// Whether there is an entry beside Vault's, fit or not.
    pub(crate) beside: bool,
}

impl Blobs {
    /// From what is stored at both places.
    pub(crate) fn parse(kept: &Kept, usual: Bytes, index: Option<Bytes>) -> Blobs {
        let beside = index.is_some();
        let unknown = |generation| Blobs { generation, usual: usual.clone(), beside, ..Blobs::default() };
        let Some(stored) = &index else { return unknown(0) };
        let index: Index = match serde_json::from_slice(stored) {
            Ok(index) => index,
            Err(error) => {
                tracing::warn!(%error, "{} cannot be read; not used", kept.copies);
                return unknown(0);
            }
        };
        if index.digest != crypto::sha256_hex(&[&usual]) {
            tracing::warn!("{} belongs to another {}, which another program has replaced since; not used", kept.copies, kept.path);
            return unknown(index.generation);
        }
        let decode = |(seal, blob): (String, String)| STANDARD.decode(blob).map(|blob| (seal, Bytes::from(blob)));
        match index.copies.into_iter().map(decode).collect() {
            Ok(copies) => Blobs { generation: index.generation, usual, seal: Some(index.seal), copies, beside },
            Err(error) => {
                tracing::warn!(%error, "{} holds no base 64; not used", kept.copies);
                unknown(index.generation)
            }
        }
    }

    /// The blob that this service opens; none if it has none. `configured` are the names of all services in use: a blob whose owner is not
    /// among them may be anybody's.
    pub(crate) fn of(&self, seal: &str, configured: &[&str]) -> Option<&Bytes> {
        if let Some(copy) = self.copies.get(seal) {
            return Some(copy);
        }
        let owner = self.seal.as_deref().filter(|owner| configured.contains(owner));
        owner.is_none_or(|owner| owner == seal).then_some(&self.usual)
    }

    /// As it is to be with these blobs, the preferred service's first; none if there are none.
    pub(crate) fn arranged(generation: u64, blobs: Vec<(String, Bytes)>) -> Option<Blobs> {
        let mut blobs = blobs.into_iter();
        let (seal, usual) = blobs.next()?;
        Some(Blobs { generation, usual, seal: Some(seal), copies: blobs.collect(), beside: true })
    }

    /// The entry beside Vault's, to be stored.
    pub(crate) fn index(&self) -> Result<Vec<u8>> {
        let index = Index {
            generation: self.generation,
            seal: self.seal.clone().unwrap_or_default(),
            digest: crypto::sha256_hex(&[&self.usual]),
            copies: self.copies.iter().map(|(seal, blob)| (seal.clone(), STANDARD.encode(blob))).collect(),
        };
        serde_json::to_vec(&index).map_err(|error| Error::Internal(format!("the copies of a secret: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Blobs {
        Blobs::arranged(3, vec![("a".to_owned(), Bytes::from("blob a")), ("b".to_owned(), Bytes::from("blob b"))]).unwrap()
    }

    fn read(usual: &'static str, index: Vec<u8>) -> Blobs {
        Blobs::parse(&STORED_KEYS, Bytes::from(usual), Some(index.into()))
    }

    #[test]
    fn copies_are_read_again_as_long_as_they_belong_to_the_blob_at_vaults_place() {
        let blobs = two();
        assert_eq!(read("blob a", blobs.index().unwrap()), blobs);
        let names = ["a", "b"];
        assert_eq!(blobs.of("a", &names).unwrap(), "blob a");
        assert_eq!(blobs.of("b", &names).unwrap(), "blob b");
        assert_eq!(blobs.of("c", &["a", "c"]), None);
        // Its owner is not there any more: it may have another name now.
        assert_eq!(blobs.of("c", &["c"]).unwrap(), "blob a");
    }

    #[test]
    fn copies_of_another_secret_or_none_are_not_used() {
        let replaced = read("blob of another program", two().index().unwrap());
        assert_eq!((replaced.generation, replaced.copies.len(), replaced.seal.as_deref()), (3, 0, None));
        assert_eq!(replaced.of("b", &["a", "b"]).unwrap(), "blob of another program");
        for damaged in ["", "{}", "[1]", r#"{"generation":1,"seal":"a","digest":"","copies":{"b":"?"}}"#] {
            assert!(read("blob a", damaged.into()).copies.is_empty(), "{damaged}");
        }
        let index = String::from_utf8(two().index().unwrap()).unwrap();
        assert!(read("blob a", index.replace(&STANDARD.encode("blob b"), "no base 64").into()).copies.is_empty());
        assert_eq!(Blobs::parse(&STORED_KEYS, Bytes::from("x"), None), Blobs { usual: Bytes::from("x"), ..Blobs::default() });
    }
}
