//! The new shares of a rekey that Vault or OpenBao stored, each encrypted with somebody's PGP key, should their answer get lost.
//!
//! This server encrypts nothing with PGP keys and stores no such entry. The rule: one that an import brought stays until a client deletes it. The
//! entries lie outside the barrier.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Unsealer;
use super::rekey::Target;
use crate::keyring::json::position;
use crate::logical::{Error, Fields, Result};

/// Of the unseal key.
const UNSEAL: &str = "core/unseal-keys-backup";
/// Of the recovery key.
const RECOVERY: &str = "core/recovery-keys-backup";

/// What was stored.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Backup {
    /// The rekey's name.
    pub(crate) nonce: String,
    /// By the fingerprints of PGP keys, what each can decrypt.
    pub(crate) keys: BTreeMap<String, Vec<Vec<u8>>>,
}

fn path(target: Target) -> &'static str {
    match target {
        Target::Root => UNSEAL,
        Target::Recovery => RECOVERY,
    }
}

impl Unsealer {
    /// What is stored; none if nothing is.
    pub(crate) async fn rekey_backup(&self, target: Target) -> Result<Option<Backup>> {
        let path = path(target);
        let Some(stored) = self.inner.read(path).await? else { return Ok(None) };
        let damaged = |text: String| Error::Damaged(format!("{path}: {text}"));
        let members: Fields = serde_json::from_slice(&stored).map_err(|error| damaged(position(&error)))?;
        parse(members).map(Some).ok_or_else(|| damaged("not a backup of shares".to_owned()))
    }

    /// Deletes it; nothing there is a success.
    pub(crate) async fn remove_rekey_backup(&self, target: Target) -> Result<()> {
        let (inner, path) = (&self.inner, path(target));
        let _work = inner.work.lock().await;
        if inner.read(path).await?.is_some() { inner.remove(path).await } else { Ok(()) }
    }
}

/// Go's names, of which it does not look at the case.
fn parse(members: Fields) -> Option<Backup> {
    let mut backup = Backup::default();
    for (name, value) in members {
        match (name.to_lowercase().as_str(), value) {
            ("nonce", Value::String(nonce)) => backup.nonce = nonce,
            ("keys", Value::Object(keys)) => {
                for (fingerprint, shares) in keys {
                    let shares: Option<Vec<_>> = shares.as_array()?.iter().map(|share| hex::decode(share.as_str()?).ok()).collect();
                    backup.keys.insert(fingerprint, shares?);
                }
            }
            ("keys", Value::Null) => {}
            ("nonce" | "keys", _) => return None,
            _ => {}
        }
    }
    Some(backup)
}

#[cfg(test)]
mod tests {
    use cofferdam_backend::{Key, Storage as _};
    use serde_json::json;

    use crate::core::tests::Vault;
    use crate::logical::{Error, Operation};

    #[tokio::test]
    async fn what_another_server_stored_is_given_back_until_it_is_deleted() {
        let vault = Vault::new().await;
        for (path, key) in [
            ("sys/rekey/backup", "core/unseal-keys-backup"),
            ("sys/rekey/recovery-key-backup", "core/recovery-keys-backup"),
            ("sys/rotate/root/backup", "core/unseal-keys-backup"),
            ("sys/rotate/recovery/backup", "core/recovery-keys-backup"),
        ] {
            let put = async |text: &str| vault.memory.put(&Key::new(key).unwrap(), text.to_owned().into()).await.unwrap();
            let none =
                |result: crate::logical::Result<_>| matches!(result, Err(Error::BadRequest(text)) if text == "no backed-up keys found");
            assert!(none(vault.read(path).await));
            vault.call(Operation::Delete, path, json!({})).await.unwrap();
            put(r#"{"Nonce":"abc","Keys":{"fp":["6161"]}}"#).await;
            let answer = vault.call(Operation::Read, path, json!({})).await.unwrap();
            assert!(answer.flatten);
            let data = serde_json::Value::Object(answer.data.unwrap());
            assert_eq!(data, json!({"nonce": "abc", "keys": {"fp": ["6161"]}, "keys_base64": {"fp": ["YWE="]}}));
            assert!(matches!(vault.write(path, json!({})).await, Err(Error::UnsupportedOperation)));
            vault.call(Operation::Delete, path, json!({})).await.unwrap();
            assert!(none(vault.read(path).await) && !vault.memory.snapshot().contains_key(key));
            for broken in ["zzz", r#"{"keys":{"fp":["zz"]}}"#, r#"{"keys":1}"#] {
                put(broken).await;
                assert!(matches!(vault.read(path).await, Err(Error::Damaged(text)) if text.starts_with(key)));
            }
            vault.memory.delete(&Key::new(key).unwrap()).await.unwrap();
        }
    }
}
