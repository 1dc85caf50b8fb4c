mod line;
mod restore;

use std::collections::BTreeMap;
use std::fs::File;

use cofferdam_snapshot::{Finished, Snapshot, Writer};
use serde_json::json;

use super::super::Core;
use super::super::tests::Vault;
use crate::logical::Operation;

/// The snapshot as a client gets it.
fn received(finished: &Finished) -> Snapshot {
    let file = tempfile::tempfile().unwrap();
    finished.write(&file).unwrap();
    Snapshot::of(file, "received").unwrap()
}

fn entries(snapshot: &Snapshot) -> BTreeMap<String, Vec<u8>> {
    snapshot.entries().unwrap().map(Result::unwrap).collect()
}

/// A snapshot of these entries, without digests under a seal.
fn made(entries: impl IntoIterator<Item = (String, Vec<u8>)>) -> Snapshot {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made");
    let mut writer = Writer::create(&path, cofferdam_snapshot::Meta::default()).unwrap();
    for (key, value) in entries {
        writer.put(&key, value).unwrap();
    }
    writer.finish().unwrap();
    Snapshot::of(File::open(path).unwrap(), "made").unwrap()
}

/// A vault with a secret that says whose it is.
async fn vault(whose: &str) -> Vault {
    let vault = Vault::new().await;
    vault.write("sys/mounts/s", json!({"type": "kv"})).await.unwrap();
    vault.write("s/whose", json!({"name": whose})).await.unwrap();
    vault
}

async fn whose(core: &std::sync::Arc<Core>, root: &str) -> String {
    let read = super::super::tests::call(core, Some(root), Operation::Read, "s/whose", serde_json::Value::Null).await.unwrap();
    super::super::tests::data(read)["name"].as_str().unwrap().to_owned()
}
