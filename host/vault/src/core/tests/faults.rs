//! A storage that fails some mutations: what the mounts do then.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_backend::{Descriptor, Error as Backend, Folder, Key, Operation as Mutation, Page, ScanPage, Storage};
use cofferdam_test_support::Memory;
use serde_json::{Value, json};

use super::{Vault, unseal};
use crate::logical::{Error, Operation};
use crate::mounts::Created;

/// What happens to mutations below a prefix.
#[derive(Clone)]
struct Fault {
    prefix: &'static str,
    error: Backend,
    /// Whether they take effect all the same.
    stored: bool,
}

#[derive(Clone, Default)]
struct Faulty {
    memory: Memory,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Faulty {
    fn fail(&self, prefix: &'static str, error: Backend, stored: bool) {
        *self.fault.lock().unwrap() = Some(Fault { prefix, error, stored });
    }

    fn mend(&self) {
        *self.fault.lock().unwrap() = None;
    }

    fn fault(&self, key: &Key) -> Option<Fault> {
        self.fault.lock().unwrap().clone().filter(|fault| key.as_str().starts_with(fault.prefix))
    }
}

#[async_trait]
impl Storage for Faulty {
    fn descriptor(&self) -> &Descriptor {
        self.memory.descriptor()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>, Backend> {
        self.memory.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<(), Backend> {
        let fault = self.fault(key);
        if fault.as_ref().is_none_or(|fault| fault.stored) {
            self.memory.put(key, value).await?;
        }
        fault.map_or(Ok(()), |fault| Err(fault.error))
    }

    async fn delete(&self, key: &Key) -> Result<(), Backend> {
        let fault = self.fault(key);
        if fault.as_ref().is_none_or(|fault| fault.stored) {
            self.memory.delete(key).await?;
        }
        fault.map_or(Ok(()), |fault| Err(fault.error))
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page, Backend> {
        self.memory.list_page(folder, after, limit).await
    }

    async fn batch(&self, mutations: Vec<Mutation>) -> Result<(), Backend> {
        self.memory.batch(mutations).await
    }

    async fn scan(&self, segment: u32, segments: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage, Backend> {
        self.memory.scan(segment, segments, cursor, limit).await
    }
}

fn unavailable() -> Backend {
    Backend::Unavailable("a fault".to_owned())
}

/// A vault with kv v1 at `m/` and one secret there.
async fn vault() -> (Vault, Faulty) {
    let vault = Vault::new().await;
    vault.write("sys/mounts/m", json!({"type": "kv"})).await.unwrap();
    vault.write("m/a", json!({"k": "v"})).await.unwrap();
    vault.core.shutdown().await;
    let faulty = Faulty { memory: vault.memory.clone(), ..Faulty::default() };
    (vault.reopen(faulty.clone()).await.unwrap(), faulty)
}

async fn disable(vault: &Vault, mount: &str) -> crate::logical::Result<()> {
    vault.call(Operation::Delete, &format!("sys/mounts/{mount}"), Value::Null).await.map(drop)
}

async fn refusal(vault: &Vault, path: &str) -> String {
    match vault.read(path).await {
        Err(Error::BadRequest(text)) => text,
        other => panic!("{path}: {other:?}"),
    }
}

#[tokio::test]
async fn a_mount_whose_deletion_may_be_recorded_acknowledges_nothing_more() {
    for stored in [true, false] {
        let (vault, faulty) = vault().await;
        faulty.fail("core/mounts", Backend::TimedOut(std::time::Duration::from_secs(1)), stored);
        assert!(matches!(disable(&vault, "m").await, Err(Error::Storage(Backend::TimedOut(_)))));
        assert!(refusal(&vault, "m/a").await.contains("delete it again"));
        assert!(vault.write("m/b", json!({"k": "v"})).await.is_err());
        faulty.mend();
        vault.core.settle();
        disable(&vault, "m").await.unwrap();
        assert!(vault.read("sys/mounts").await.unwrap().get("m/").is_none());
    }
}

#[tokio::test]
async fn a_mount_whose_deletion_is_certainly_not_recorded_stays_in_service() {
    let (vault, faulty) = vault().await;
    faulty.fail("core/mounts", Backend::Exhausted("full".to_owned()), false);
    assert!(disable(&vault, "m").await.is_err());
    assert_eq!(vault.read("m/a").await.unwrap(), json!({"k": "v"}));
    vault.write("m/b", json!({"k": "v"})).await.unwrap();
}

#[tokio::test]
async fn an_unfinished_deletion_keeps_no_vault_sealed() {
    let (vault, faulty) = vault().await;
    faulty.fail("logical/", Backend::InvalidKey("not one of ours".to_owned()), false);
    assert!(disable(&vault, "m").await.is_err());
    vault.core.shutdown().await;
    unseal(&vault.core, &vault.key).await.unwrap();
    assert!(refusal(&vault, "m/a").await.contains("its deletion is not finished"));
    vault.core.shutdown().await;
    faulty.mend();
    unseal(&vault.core, &vault.key).await.unwrap();
    assert!(vault.read("sys/mounts").await.unwrap().get("m/").is_none());
    assert!(!faulty.memory.snapshot().keys().any(|key| key.starts_with("logical/")), "the secret is left");
}

#[tokio::test]
async fn a_mount_that_could_not_be_opened_keeps_its_path_and_is_opened_by_the_next_tune() {
    let (vault, faulty) = vault().await;
    faulty.fail("logical/", unavailable(), false);
    assert!(vault.write("sys/mounts/m/tune", json!({"options": {"version": "2"}})).await.is_err());
    assert!(refusal(&vault, "m/data/a").await.contains("tune it to try again"));
    vault.core.settle();
    assert!(vault.write("sys/remount", json!({"from": "m", "to": "n"})).await.is_err());
    assert!(refusal(&vault, "n/data/a").await.contains("tune it to try again"));
    assert!(matches!(vault.read("m/data/a").await, Err(Error::NoRoute(_))));
    for taken in ["n", "n/below"] {
        let error = vault.write(&format!("sys/mounts/{taken}"), json!({"type": "kv"})).await.unwrap_err();
        assert_eq!(error.to_string(), "path is already in use at n/");
    }
    faulty.mend();
    vault.core.settle();
    vault.write("sys/mounts/n/tune", json!({"description": "again"})).await.unwrap();
    assert_eq!(vault.read("n/data/a").await.unwrap()["data"], json!({"k": "v"}));
}

#[tokio::test]
async fn a_change_of_mounts_that_began_before_a_seal_stores_nothing_after_the_next_unseal() {
    let (vault, faulty) = vault().await;
    let before = vault.core.active().unwrap();
    vault.core.shutdown().await;
    unseal(&vault.core, &vault.key).await.unwrap();
    let stored = faulty.memory.snapshot();
    let asked = Created { kind: "kv".to_owned(), ..Created::default() };
    assert!(matches!(before.mounts.enable("new/", asked).await, Err(Error::Sealed)));
    assert!(matches!(before.mounts.remount("m/", "n/").await, Err(Error::Sealed)));
    assert!(matches!(before.mounts.disable("mounts", "m/").await, Err(Error::Sealed)));
    assert_eq!(faulty.memory.snapshot(), stored);
    assert_eq!(vault.read("m/a").await.unwrap(), json!({"k": "v"}));
}
