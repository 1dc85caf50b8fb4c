//! Stores that went back, were emptied or exchanged, and stores that went on, before a host that remembers.

use bytes::Bytes;
use cofferdam_test_support::Memory;

use super::*;
use crate::barrier::Barrier;
use crate::seal::{MASTER_PATH, SealOptions};
use crate::secret::Secret;
use crate::testing::service::Service;
use crate::unseal::Unsealer;

type Store = BTreeMap<String, Bytes>;

/// A host with a state file.
struct Host {
    folder: tempfile::TempDir,
    service: Service,
}

impl Host {
    fn new(service: &Service) -> Host {
        Host { folder: tempfile::tempdir().unwrap(), service: service.clone() }
    }

    fn options(&self, accept_rollback: bool) -> SealOptions {
        let path = self.folder.path().join("state.json");
        SealOptions { state: Some(StateOptions { path, accept_rollback }), ..self.service.options() }
    }

    fn start_with(&self, storage: &Memory, accept: bool) -> Unsealer {
        Unsealer::new(Barrier::new(Arc::new(storage.clone())), false, self.options(accept))
    }

    /// A server on this host that unseals, if it does.
    async fn open(&self, storage: &Memory) -> Result<Unsealer> {
        let unsealer = self.start_with(storage, false);
        assert!(unsealer.unseal_by_service().await?, "there is no vault");
        Ok(unsealer)
    }

    async fn refusal(&self, storage: &Memory) -> String {
        let before = (storage.snapshot(), self.file());
        let Err(Error::Damaged(text)) = self.open(storage).await.map(drop) else { panic!("not refused") };
        assert!(text.contains("state.json") && text.contains("--accept-rollback"), "{text}");
        assert_eq!((storage.snapshot(), self.file()), before, "a refused unseal has written");
        text
    }

    /// Takes what there is, and has it remembered.
    async fn accept(&self, storage: &Memory) {
        let unsealer = self.start_with(storage, true);
        assert!(unsealer.unseal_by_service().await.unwrap());
        drop(unsealer);
        drop(self.open(storage).await.unwrap());
    }

    fn file(&self) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join("state.json")).ok()
    }
}

async fn make(unsealer: &Unsealer, id: &str) -> Result<()> {
    drop(unsealer.prepare(1, 1).await?);
    let cluster = serde_json::to_vec(&Cluster { name: "c".to_owned(), id: id.to_owned() }).unwrap();
    unsealer.inner.barrier.put(CLUSTER, &cluster).await?;
    unsealer.commit().await
}

/// A vault, and a host that made it and has opened it once.
async fn made() -> (Memory, Host) {
    let (storage, host) = (Memory::default(), Host::new(&Service::new("k1")));
    make(&host.start_with(&storage, false), "one").await.unwrap();
    drop(host.open(&storage).await.unwrap());
    (storage, host)
}

fn restored(store: &Store) -> Memory {
    Memory::from_snapshot(store.clone())
}

fn with(store: &Store, path: &str, from: &Store) -> Memory {
    let mut store = store.clone();
    store.insert(path.to_owned(), from[path].clone());
    restored(&store)
}

async fn use_it(unsealer: &Unsealer) {
    unsealer.inner.barrier.put("logical/x", b"1").await.unwrap();
    unsealer.maintain().await.unwrap();
}

async fn replace_root(unsealer: &Unsealer) {
    {
        let _work = unsealer.inner.work.lock().await;
        unsealer.inner.store_root_alone().await.unwrap();
    }
    unsealer.maintain().await.unwrap();
}

#[tokio::test]
async fn a_vault_is_remembered_from_its_making_and_opens_again_and_again() {
    let (storage, host) = made().await;
    let form: serde_json::Value = serde_json::from_str(&host.file().unwrap()).unwrap();
    assert_eq!((&form["version"], &form["cluster_id"], &form["term"], &form["changes"]), (&1.into(), &"one".into(), &1.into(), &0.into()));
    assert_eq!(
        form["digests"].as_object().unwrap().keys().collect::<Vec<_>>(),
        [STORED_KEYS_PATH, RECOVERY_CONFIG_PATH, RECOVERY_KEY_PATH, CONFIG_PATH]
    );
    let before = (storage.snapshot(), host.file());
    drop(host.open(&storage).await.unwrap());
    assert_eq!((storage.snapshot(), host.file()), before);
    // It holds nothing secret: neither the root key nor the recovery key, in any of their forms.
    let unsealer = host.open(&storage).await.unwrap();
    let root = unsealer.inner.barrier.with_keyring(|keyring| Ok(hex::encode(keyring.root().expose()))).unwrap();
    let file = host.file().unwrap();
    assert!(!file.contains(&root) && file.contains("one"));
}

#[tokio::test]
async fn an_older_state_of_the_whole_store_is_refused_whatever_has_changed_since() {
    for change in ["use", "rotate", "root key", "key of the service"] {
        let (storage, host) = made().await;
        let old = storage.snapshot();
        let unsealer = host.open(&storage).await.unwrap();
        match change {
            "use" => use_it(&unsealer).await,
            "rotate" => {
                unsealer.rotate().await.unwrap();
                unsealer.maintain().await.unwrap();
            }
            "root key" => replace_root(&unsealer).await,
            _ => {
                drop(unsealer);
                host.service.turn_to("k2");
                drop(host.open(&storage).await.unwrap());
            }
        }
        drop(host.open(&storage).await.unwrap());
        let text = host.refusal(&restored(&old)).await;
        let expected = match change {
            "use" => "the encryptions of term 1",
            "rotate" => "the newest term of core/keyring is 1, and was 2",
            _ => COUNTER_PATH,
        };
        assert!(text.contains(expected) || change == "root key" && text.contains("the encryptions"), "{change}: {text}");
        // What it refused, it still opens as it was; and the older one, if the operator says so, once.
        drop(host.open(&storage).await.unwrap());
        let old = restored(&old);
        host.accept(&old).await;
    }
}

#[tokio::test]
async fn single_entries_of_before_are_refused() {
    let (storage, host) = made().await;
    let old = storage.snapshot();
    let unsealer = host.open(&storage).await.unwrap();
    unsealer.rotate().await.unwrap();
    unsealer.maintain().await.unwrap();
    drop(unsealer);
    // The keyring alone: what was written since would be lost.
    let text = host.refusal(&with(&storage.snapshot(), KEYRING_PATH, &old)).await;
    assert!(text.contains("the newest term"), "{text}");
    // Stored keys under a key of the service that is not to be used any more: they open as well as the new ones.
    host.service.turn_to("k2");
    drop(host.open(&storage).await.unwrap());
    for path in [STORED_KEYS_PATH, RECOVERY_KEY_PATH] {
        let text = host.refusal(&with(&storage.snapshot(), path, &old)).await;
        assert!(text.contains(path) && text.contains("no server of this program has changed it"), "{text}");
    }
    // Or without the count.
    let mut uncounted = storage.snapshot();
    uncounted.remove(COUNTER_PATH);
    assert!(host.refusal(&restored(&uncounted)).await.contains(COUNTER_PATH));
    drop(host.open(&storage).await.unwrap());
}

#[tokio::test]
async fn an_emptied_storage_is_not_initialized_again() {
    let (_, host) = made().await;
    let empty = Memory::default();
    let unsealer = host.start_with(&empty, false);
    let Err(Error::Damaged(text)) = unsealer.unseal_by_service().await else { panic!("not refused") };
    assert!(text.contains("there is no vault in it") && text.contains("--accept-rollback"), "{text}");
    let Err(Error::BadRequest(text)) = make(&unsealer, "two").await else { panic!("not refused") };
    assert!(text.contains("state_path"), "{text}");
    assert!(empty.snapshot().is_empty());
    // As the operator wants it.
    let unsealer = host.start_with(&empty, true);
    assert!(!unsealer.unseal_by_service().await.unwrap());
    make(&unsealer, "two").await.unwrap();
    drop(unsealer);
    drop(host.open(&empty).await.unwrap());
    assert!(host.file().unwrap().contains("two"));
}

#[tokio::test]
async fn another_clusters_store_is_refused_and_consent_is_for_one_time() {
    let (storage, host) = made().await;
    let other = Memory::default();
    let there = Host::new(&host.service);
    make(&there.start_with(&other, false), "two").await.unwrap();
    let text = host.refusal(&other).await;
    assert!(text.contains("the cluster id is two, and was one"), "{text}");
    drop(host.open(&storage).await.unwrap());

    // One process that may take what it finds takes one thing.
    let unsealer = host.start_with(&storage, true);
    let _work = unsealer.inner.work.lock().await;
    let keyring = async |storage: &Memory| {
        let opened = Unsealer::new(Barrier::new(Arc::new(storage.clone())), false, host.service.options());
        opened.unseal_by_service().await.unwrap();
        opened.inner.open_keyring().unwrap()
    };
    unsealer.inner.witness(&keyring(&storage).await).await.unwrap();
    assert!(!unsealer.inner.witness.may_accept(&unsealer.inner.seal.state.clone().unwrap()));
}

#[tokio::test]
async fn what_other_hosts_have_changed_is_followed() {
    let (storage, host) = made().await;
    let (other, plain) = (Host::new(&host.service), host.service.options());
    // One that remembers, too, and one that does not.
    for round in 0..2 {
        let unsealer = if round == 0 {
            other.open(&storage).await.unwrap()
        } else {
            let unsealer = Unsealer::new(Barrier::new(Arc::new(storage.clone())), false, plain.clone());
            assert!(unsealer.unseal_by_service().await.unwrap());
            unsealer
        };
        use_it(&unsealer).await;
        unsealer.rotate().await.unwrap();
        replace_root(&unsealer).await;
        drop(unsealer);
        let before = storage.snapshot();
        drop(host.open(&storage).await.unwrap());
        // From then on it knows that, and not what was before.
        assert_eq!(storage.snapshot(), before);
    }
    let old = storage.snapshot();
    let unsealer = other.open(&storage).await.unwrap();
    replace_root(&unsealer).await;
    drop(unsealer);
    drop(host.open(&restored(&old)).await.unwrap());
    drop(host.open(&storage).await.unwrap());
    host.refusal(&restored(&old)).await;
}

#[tokio::test]
async fn what_another_program_has_changed_of_the_seal_is_told_and_can_be_accepted() {
    let (storage, host) = made().await;
    let unsealer = host.open(&storage).await.unwrap();
    // As Vault's rekey does it, which keeps no count: other stored keys, the keyring under them.
    let root = Arc::new(Secret::random().unwrap());
    let entries = unsealer.inner.sealed_root(&root).await.unwrap();
    let keyring = unsealer.inner.barrier.with_keyring(|keyring| keyring.with_root(root)).unwrap();
    for (path, value) in entries {
        unsealer.inner.write(&path, value).await.unwrap();
    }
    unsealer.inner.write(KEYRING_PATH, keyring.to_stored().unwrap()).await.unwrap();
    unsealer.inner.write(MASTER_PATH, keyring.seal(MASTER_PATH, &keyring.root_entry().unwrap()).unwrap()).await.unwrap();
    drop(unsealer);
    let text = host.refusal(&storage).await;
    assert!(text.contains(STORED_KEYS_PATH) && text.contains("Vault or OpenBao have changed it"), "{text}");
    host.accept(&storage).await;
}

#[tokio::test]
async fn without_a_file_the_vault_is_taken_as_it_is_and_a_damaged_file_is_told() {
    let (storage, host) = made().await;
    let path = host.folder.path().join("state.json");
    std::fs::remove_file(&path).unwrap();
    drop(host.open(&storage).await.unwrap());
    let good = host.file().unwrap();
    for damaged in ["", "{", good.strip_suffix("}").unwrap(), &good.replace("\"version\":1", "\"version\":9")] {
        std::fs::write(&path, damaged).unwrap();
        assert!(host.refusal(&storage).await.contains("the state file"));
        host.accept(&storage).await;
        assert_eq!(host.file().unwrap(), good);
    }
    // A folder that is not there is no reason to open it without remembering.
    let options =
        SealOptions { state: Some(StateOptions { path: "/none/state.json".into(), accept_rollback: true }), ..host.service.options() };
    let unsealer = Unsealer::new(Barrier::new(Arc::new(storage)), false, options);
    let error = unsealer.unseal_by_service().await.unwrap_err();
    assert!(error.to_string().contains("/none/state.json") && unsealer.inner.barrier.sealed(), "{error}");
}

#[tokio::test]
async fn shamirs_shares_are_remembered_the_same_way() {
    let (storage, folder) = (Memory::default(), tempfile::tempdir().unwrap());
    let state = Some(StateOptions { path: folder.path().join("state.json"), accept_rollback: false });
    let start = |storage: &Memory| {
        Unsealer::new(Barrier::new(Arc::new(storage.clone())), false, SealOptions { state: state.clone(), ..SealOptions::default() })
    };
    let unsealer = start(&storage);
    let key = unsealer.prepare(1, 1).await.unwrap().remove(0);
    unsealer.commit().await.unwrap();
    drop(unsealer);
    let old = storage.snapshot();
    let unsealer = start(&storage);
    assert!(unsealer.unseal_with(key.expose(), false).await.unwrap());
    unsealer.rotate().await.unwrap();
    unsealer.maintain().await.unwrap();
    drop(unsealer);
    assert!(
        matches!(start(&restored(&old)).unseal_with(key.expose(), false).await, Err(Error::Damaged(text)) if text.contains("the newest term"))
    );
    assert!(start(&storage).unseal_with(key.expose(), false).await.unwrap());
}

#[test]
fn what_follows_on_a_vault_and_what_does_not() {
    let digests = |value: &str| BTreeMap::from([(CONFIG_PATH.to_owned(), value.to_owned())]);
    let base = Seen { cluster_id: Some("c".to_owned()), term: 5, encryptions: 100, changes: 7, digests: digests("a") };
    let follows = |now: Seen| base.refuses(&now).is_none();
    assert!(follows(base.clone()));
    assert!(follows(Seen { encryptions: 101, ..base.clone() }));
    assert!(follows(Seen { term: 6, encryptions: 0, ..base.clone() }));
    assert!(follows(Seen { changes: 8, digests: digests("b"), ..base.clone() }));
    assert!(!follows(Seen { term: 4, encryptions: 900, changes: 9, ..base.clone() }));
    assert!(!follows(Seen { encryptions: 99, changes: 9, ..base.clone() }));
    assert!(!follows(Seen { changes: 6, term: 9, ..base.clone() }));
    assert!(!follows(Seen { digests: digests("b"), term: 9, ..base.clone() }));
    assert!(!follows(Seen { digests: BTreeMap::new(), ..base.clone() }));
    assert!(!follows(Seen { cluster_id: None, ..base.clone() }));
    assert!(!follows(Seen { cluster_id: Some("d".to_owned()), term: 9, changes: 9, ..base.clone() }));
    // A vault gets its id when it is first opened.
    assert!(Seen { cluster_id: None, ..base.clone() }.refuses(&base).is_none());
}
