//! The key under which a mount's paths are encrypted, in the form in which Vault's and OpenBao's `keysutil` stores one.
//!
//! Stored as `policy/metadata`, and a copy of every key as `archive/metadata`. The rule: a policy that is there is used as it is and
//! never written again; one of our making has every member that OpenBao 2.7 writes, so that both servers take it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use zeroize::{Zeroize, Zeroizing};

use super::proto::Timestamp;
use crate::logical::{Error, Result};
use crate::secret::Secret;
use crate::view::View;

const POLICY: &str = "policy/metadata";
const ARCHIVE: &str = "archive/metadata";
/// HKDF-SHA256, in `keysutil`'s numbering.
const KDF: u64 = 1;
/// AES-256-GCM with a nonce of 96 bits.
const KEY_TYPE: u64 = 0;
/// The nonce comes from the derived MAC key.
const CONVERGENT_VERSION: i64 = 3;
const TEMPLATE: &str = "{{version}}:";

/// The keys by version.
pub(super) struct Policy {
    keys: BTreeMap<u32, Secret>,
    latest: u32,
}

#[derive(Deserialize)]
struct Stored {
    keys: BTreeMap<u32, StoredKey>,
    #[serde(default)]
    derived: bool,
    #[serde(default)]
    kdf: u64,
    #[serde(default)]
    convergent_encryption: bool,
    #[serde(default)]
    convergent_version: i64,
    latest_version: u32,
    #[serde(default, rename = "type")]
    key_type: u64,
    #[serde(default)]
    version_template: String,
}

#[derive(Deserialize)]
struct StoredKey {
    key: String,
    #[serde(default)]
    convergent_version: i64,
}

impl Drop for StoredKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Policy {
    /// The policy that is stored in the engine's view, or a new one, stored.
    pub(super) async fn load_or_create(view: &View, backend_uuid: &str) -> Result<Policy> {
        if let Some(stored) = view.get(POLICY).await? {
            return Policy::parse(&stored);
        }
        let key = Secret::random()?;
        let mac = Secret::random()?;
        let (archive, policy) = render(&key, &mac, Timestamp::now(), backend_uuid);
        // The archive first: as long as the policy is missing, all of this is done again.
        view.put(ARCHIVE, &archive).await?;
        view.put(POLICY, &policy).await?;
        Policy::parse(&policy)
    }

    pub(super) fn parse(stored: &[u8]) -> Result<Policy> {
        let damaged = |reason: &str| Error::Damaged(format!("{POLICY}: {reason}"));
        let stored: Stored = serde_json::from_slice(stored).map_err(|error| damaged(&error.to_string()))?;
        // A policy that another program wrote may leave the template out.
        let template = stored.version_template.is_empty() || stored.version_template == TEMPLATE;
        if !stored.derived || !stored.convergent_encryption || stored.kdf != KDF || stored.key_type != KEY_TYPE || !template {
            return Err(damaged(
                "paths are encrypted in a way that is not known: expected a derived, convergent AES-256-GCM policy with HKDF",
            ));
        }
        let mut keys = BTreeMap::new();
        for (version, key) in &stored.keys {
            // A policy's version of -1 leaves it to each key.
            let convergent = if stored.convergent_version == -1 { key.convergent_version } else { stored.convergent_version };
            if convergent != CONVERGENT_VERSION {
                return Err(damaged(&format!("key {version} has the convergent version {convergent}; only {CONVERGENT_VERSION} is known")));
            }
            let mut bytes = Zeroizing::new([0; 48]);
            let len = STANDARD.decode_slice(&key.key, &mut *bytes).ok();
            let key = len.and_then(|len| bytes.get(..len)).filter(|key| key.len() == 32);
            let key = key.ok_or_else(|| damaged(&format!("key {version} is not 32 bytes in base64")))?;
            keys.insert(*version, Secret::from_slice(key)?);
        }
        if !keys.contains_key(&stored.latest_version) {
            return Err(damaged(&format!("the latest key ({}) is missing", stored.latest_version)));
        }
        Ok(Policy { keys, latest: stored.latest_version })
    }

    /// The version of the key that encrypts.
    pub(super) fn latest(&self) -> u32 {
        self.latest
    }

    pub(super) fn key(&self, version: u32) -> Option<&Secret> {
        self.keys.get(&version)
    }
}

/// The texts of the archive and of the policy. The members are in the order in which OpenBao writes them.
fn render(key: &Secret, mac: &Secret, now: Timestamp, backend_uuid: &str) -> (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>) {
    let zero = "null,\"hmac_key\":null,\"time\":\"0001-01-01T00:00:00Z\"";
    let entry = |material: &str, convergent: i64, created: i64| {
        Zeroizing::new(format!(
            "{{\"key\":{material},\"ec_x\":null,\"ec_y\":null,\"ec_d\":null,\"rsa_key\":null,\"rsa_public_key\":null,\"public_key\":\"\",\
             \"convergent_version\":{convergent},\"creation_time\":{created},\"certificate_chain\":null,\"external_key_ref\":\"\"}}"
        ))
    };
    let encode = |secret: &Secret| {
        let mut text = Zeroizing::new(String::with_capacity(48));
        STANDARD.encode_string(secret.expose(), &mut text);
        text
    };
    let material = Zeroizing::new(format!("\"{}\",\"hmac_key\":\"{}\",\"time\":\"{}\"", *encode(key), *encode(mac), now.text()));
    let entry_1 = entry(&material, CONVERGENT_VERSION, now.seconds);
    let archive = format!("{{\"keys\":[{},{}]}}", *entry(zero, 0, 0), *entry_1);
    let prefix = json!(format!("{backend_uuid}/"));
    let policy = format!(
        "{{\"name\":\"metadata\",\"keys\":{{\"1\":{}}},\"derived\":true,\"kdf\":{KDF},\"convergent_encryption\":true,\"exportable\":false,\
         \"min_decryption_version\":1,\"min_encryption_version\":0,\"latest_version\":1,\"archive_version\":1,\"archive_min_version\":0,\
         \"min_available_version\":0,\"deletion_allowed\":false,\"convergent_version\":-1,\"type\":{KEY_TYPE},\"backup_info\":null,\
         \"restore_info\":null,\"allow_plaintext_backup\":false,\"version_template\":\"{TEMPLATE}\",\"storage_prefix\":{prefix},\
         \"auto_rotate_period\":0,\"Imported\":false,\"AllowImportedKeyRotation\":false,\"soft_deleted\":false}}",
        *entry_1
    );
    (Zeroizing::new(archive.into_bytes()), Zeroizing::new(policy.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> Vec<u8> {
        let all: serde_json::Value = serde_json::from_str(include_str!("../testdata/bao-2.7.2.json")).unwrap();
        STANDARD.decode(all["entries"][name].as_str().unwrap()).unwrap()
    }

    #[test]
    fn a_policy_is_written_byte_for_byte_as_by_openbao() {
        let key = Secret::from_slice(&STANDARD.decode("y5xSy4VJBj7rcNYCgum+9hp4ZoU9mfehUlV/vKzqpW0=").unwrap()).unwrap();
        let mac = Secret::from_slice(&STANDARD.decode("7dHV2yaA5/+nF5XabCljkMeVOVZnE6Ah6KGc+FWiyCQ=").unwrap()).unwrap();
        let created = Timestamp { seconds: 1_795_302_101, nanos: 484_794_096 };
        let (archive, policy) = render(&key, &mac, created, "be13a8e5-cb4e-a41e-3778-e1c43606806d");
        assert_eq!(String::from_utf8_lossy(&archive), String::from_utf8(golden(ARCHIVE)).unwrap());
        assert_eq!(String::from_utf8_lossy(&policy), String::from_utf8(golden(POLICY)).unwrap());
    }

    #[test]
    fn a_policy_of_another_scheme_is_refused() {
        let golden = String::from_utf8(golden(POLICY)).unwrap();
        assert!(Policy::parse(golden.as_bytes()).is_ok());
        for (from, to) in [
            ("\"derived\":true", "\"derived\":false"),
            ("\"kdf\":1", "\"kdf\":0"),
            ("\"type\":0", "\"type\":1"),
            ("\"convergent_version\":3", "\"convergent_version\":2"),
            ("\"latest_version\":1", "\"latest_version\":2"),
            ("{{version}}:", "vault:v{{version}}:"),
            ("\"key\":\"y5x", "\"key\":\"y5"),
        ] {
            let changed = golden.replace(from, to);
            assert_ne!(changed, golden, "{from}");
            assert!(matches!(Policy::parse(changed.as_bytes()), Err(Error::Damaged(_))), "{to}");
        }
    }
}
