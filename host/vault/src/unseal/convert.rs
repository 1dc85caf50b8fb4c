//! A store that a key service unseals, put under shares of a new key without being opened: by the migration of a server, on a copy of its entries in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Entry, Features, Folder, Key, Limits, Operation, Page, Result as BackendResult, ScanPage, Storage};
use zeroize::Zeroizing;

use super::{Unsealer, archive, combine, lock};
use crate::barrier::Barrier;
use crate::logical::{Error, Result};
use crate::seal::config::SealConfig;
use crate::seal::{CONFIG_PATH, SealOptions};
use crate::secret::Secret;

/// A store under shares. It holds secrets: nobody but the operator may see it.
pub struct UnderShares {
    /// The type of the seal that it was under.
    pub from: String,
    /// The entries that were given, with what is changed.
    pub entries: BTreeMap<String, Vec<u8>>,
    /// The shares of the new unseal key, in hex.
    pub keys: Vec<Zeroizing<String>>,
    /// The same in base 64.
    pub keys_base64: Vec<Zeroizing<String>>,
    key: Secret,
}

impl UnderShares {
    /// The digests of a snapshot under the new key.
    pub fn seal_sums(&self, sums: &[u8]) -> Result<Vec<u8>> {
        archive::seal_with(self.key.expose(), sums)
    }
}

/// Puts a store under shares: `entries` are all of it that is below `core/`, `seals` those that may have sealed it, `counts` the number of shares and the threshold.
/// [`Error::BadRequest`] if it is under none of them.
pub async fn under_shares(entries: BTreeMap<String, Vec<u8>>, seals: SealOptions, counts: (i64, i64)) -> Result<UnderShares> {
    let stored = entries.get(CONFIG_PATH).ok_or_else(|| Error::BadRequest(format!("there is no {CONFIG_PATH}: this is no vault")))?;
    let config = SealConfig::parse(CONFIG_PATH, stored)?;
    if config.is_shamir() {
        return Err(Error::bad_request("it is under Shamir's shares already"));
    }
    let old = seals.seals.into_iter().chain(seals.disabled).find(|seal| seal.kind == config.kind);
    let old = old.ok_or_else(|| {
        Error::BadRequest(format!("it is under a seal of the type {:?}, and the configuration has none of that type", config.kind))
    })?;
    let held = Arc::new(Held::new(entries));
    let options = SealOptions { disabled: Some(old), retry: seals.retry, health: seals.health, ..SealOptions::default() };
    let unsealer = Unsealer::new(Barrier::with_cache(held.clone(), 0), false, options);
    let prepared = unsealer.reshare(Some(counts)).await?.ok_or_else(|| Error::bad_request("there is nothing to convert"))?;
    let shares: Vec<Vec<u8>> = prepared.shares.iter().map(|share| share.expose().to_vec()).collect();
    let from = prepared.from.clone();
    unsealer.commit_reshare(prepared).await?;
    let needed = usize::try_from(counts.1).unwrap_or(usize::MAX).min(shares.len());
    let shares: Vec<Zeroizing<Vec<u8>>> = shares.into_iter().map(Zeroizing::new).collect();
    let parts = shares.iter().take(needed).map(|share| Secret::from_slice(share)).collect::<Result<Vec<_>>>()?;
    let key = combine(&parts, u8::try_from(needed).unwrap_or(u8::MAX))?;
    Ok(UnderShares {
        from,
        entries: lock(&held.entries).iter().map(|(key, value)| (key.clone(), value.to_vec())).collect(),
        keys: shares.iter().map(|share| Zeroizing::new(hex::encode(share.as_slice()))).collect(),
        keys_base64: shares.iter().map(|share| Zeroizing::new(STANDARD.encode(share.as_slice()))).collect(),
        key,
    })
}

/// Entries in memory.
struct Held {
    entries: Mutex<BTreeMap<String, Bytes>>,
    descriptor: Descriptor,
}

impl Held {
    fn new(entries: BTreeMap<String, Vec<u8>>) -> Held {
        Held {
            entries: Mutex::new(entries.into_iter().map(|(key, value)| (key, value.into())).collect()),
            descriptor: Descriptor {
                name: "held".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                features: Features { atomic_batch: true, parallel_scan: false, atomic_folders: true },
                limits: Limits { key: 1 << 16, segment: 1 << 16, value: u64::MAX, batch_operations: u32::MAX, batch_bytes: u64::MAX },
            },
        }
    }
}

#[async_trait]
impl Storage for Held {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> BackendResult<Option<Bytes>> {
        Ok(lock(&self.entries).get(key.as_str()).cloned())
    }

    async fn put(&self, key: &Key, value: Bytes) -> BackendResult<()> {
        lock(&self.entries).insert(key.as_str().to_owned(), value);
        Ok(())
    }

    async fn delete(&self, key: &Key) -> BackendResult<()> {
        lock(&self.entries).remove(key.as_str());
        Ok(())
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> BackendResult<Page> {
        let entries = lock(&self.entries);
        let names = entries.keys().filter_map(|key| key.strip_prefix(folder.as_str()));
        let names = names.map(|rest| rest.split_inclusive('/').next().unwrap_or(rest).to_owned());
        let mut names: Vec<String> = names.filter(|name| name.as_str() > after).collect();
        names.sort();
        names.dedup();
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = names.len() > most;
        names.truncate(most);
        Ok(Page { names, more })
    }

    async fn batch(&self, operations: Vec<Operation>) -> BackendResult<()> {
        let mut entries = lock(&self.entries);
        for operation in operations {
            match operation {
                Operation::Put(key, value) => entries.insert(key.as_str().to_owned(), value),
                Operation::Delete(key) => entries.remove(key.as_str()),
            };
        }
        Ok(())
    }

    async fn scan(&self, segment: u32, _segments: u32, _cursor: Option<Bytes>, _limit: u32) -> BackendResult<ScanPage> {
        let all = || lock(&self.entries).iter().map(|(key, value)| Entry { key: key.clone(), value: value.clone() }).collect();
        Ok(ScanPage { entries: if segment == 0 { all() } else { Vec::new() }, cursor: None })
    }
}

#[cfg(test)]
mod tests {
    use cofferdam_test_support::Memory;

    use super::*;
    use crate::core::tests::{Vault, call, data, options, unseal};
    use crate::core::{Core, InitRequest, Options};
    use crate::logical::Operation;
    use crate::testing::service::Service;

    #[tokio::test]
    async fn a_store_of_a_key_service_opens_with_the_new_shares_alone() {
        let (memory, service) = (Memory::default(), Service::new("k1"));
        let core = Core::new(Arc::new(memory.clone()), Options { seal: service.options(), ..options() });
        let made = core.initialize(InitRequest { recovery_shares: 1, recovery_threshold: 1, ..InitRequest::default() }).await.unwrap();
        core.shutdown().await;
        let before = memory.snapshot();
        let given =
            || before.iter().filter(|(key, _)| key.starts_with("core/")).map(|(key, value)| (key.clone(), value.to_vec())).collect();

        let refused = under_shares(given(), Service::new("k2").options(), (3, 2)).await.err().unwrap();
        assert!(!refused.to_string().is_empty());
        let none = under_shares(given(), SealOptions::default(), (3, 2)).await.err().unwrap().to_string();
        assert!(none.contains("\"awskms\""), "{none}");

        let under = under_shares(given(), service.options(), (3, 2)).await.unwrap();
        assert_eq!((under.from.as_str(), under.keys.len()), ("awskms", 3));
        let mut entries = before.clone();
        entries.retain(|key, _| !key.starts_with("core/"));
        entries.extend(under.entries.iter().map(|(key, value)| (key.clone(), Bytes::from(value.clone()))));
        assert!(!entries.contains_key("core/recovery-key") && !entries.contains_key("core/recovery-config"));
        let memory = Memory::from_snapshot(entries);
        let core = Core::new(Arc::new(memory.clone()), options());
        for key in [&under.keys[2], &under.keys[0]] {
            unseal(&core, key).await.unwrap();
        }
        let vault = Vault { memory, core, key: String::new(), root: made.root_token.to_string() };
        let read = call(&vault.core, Some(&vault.root), Operation::Read, "auth/token/lookup-self", serde_json::Value::Null).await.unwrap();
        assert_eq!(data(read)["policies"], serde_json::json!(["root"]));
        assert!(matches!(
            under_shares(vault.memory.snapshot().into_iter().map(|(k, v)| (k, v.to_vec())).collect(), service.options(), (1, 1)).await,
            Err(Error::BadRequest(_))
        ));
    }
}
