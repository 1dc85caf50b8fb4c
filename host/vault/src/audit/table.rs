//! The audit devices as they are stored: two tables of mount entries, `core/audit` and, for those of one cluster, `core/local-audit`.

use crate::crypto;
use crate::logical::Result;
use crate::mounts::{Entry, ROOT_NAMESPACE, Table};
use crate::view::View;

use super::Declared;

/// The `table` member of a device that was made through the API.
pub(super) const API: &str = "audit";
/// The `table` member of a device of a configuration.
pub(super) const CONFIGURED: &str = "audit-config";

/// The tables.
pub(super) struct Tables([Stored; 2]);

/// One of them, and where it is.
struct Stored {
    key: &'static str,
    table: Table,
}

impl Tables {
    /// Reads both, and makes one that is not there: Vault and OpenBao want them to exist.
    pub(super) async fn load(root: &View) -> Result<Tables> {
        Ok(Tables([Stored::load(root, "core/audit").await?, Stored::load(root, "core/local-audit").await?]))
    }

    /// All devices.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().flat_map(|stored| stored.table.entries())
    }

    /// The device at a path, which ends with a slash.
    pub(super) fn get(&self, path: &str) -> Option<&Entry> {
        self.entries().find(|entry| entry.path == path)
    }

    /// Adds and stores.
    pub(super) async fn add(&mut self, root: &View, entry: Entry) -> Result<()> {
        let [shared, local] = &mut self.0;
        let stored = if entry.local { local } else { shared };
        stored.change(root, |entries| entries.push(entry)).await
    }

    /// Removes and stores.
    pub(super) async fn remove(&mut self, root: &View, path: &str) -> Result<()> {
        for stored in &mut self.0 {
            if stored.table.entries().iter().any(|entry| entry.path == path) {
                stored.change(root, |entries| entries.retain(|entry| entry.path != path)).await?;
            }
        }
        Ok(())
    }
}

impl Stored {
    async fn load(root: &View, key: &'static str) -> Result<Stored> {
        if let Some(stored) = root.get(key).await? {
            return Ok(Stored { key, table: Table::decode(key, &stored)? });
        }
        let table = Table::audit();
        root.put(key, &table.encode()?).await?;
        Ok(Stored { key, table })
    }

    /// What is in memory changes only once it is stored.
    async fn change(&mut self, root: &View, change: impl FnOnce(&mut Vec<Entry>)) -> Result<()> {
        let mut changed = self.table.clone();
        change(changed.entries_mut());
        root.put(self.key, &changed.encode()?).await?;
        self.table = changed;
        Ok(())
    }
}

/// A new device's entry.
pub(super) fn entry(table: &str, path: &str, declared: &Declared) -> Result<Entry> {
    Ok(Entry {
        table: table.to_owned(),
        path: path.to_owned(),
        kind: declared.kind.clone(),
        description: declared.description.clone(),
        uuid: crypto::uuid(),
        accessor: format!("audit_{}_{}", declared.kind, hex::encode(crypto::random::<4>()?)),
        options: Some(declared.options.clone()),
        local: declared.local,
        namespace_id: ROOT_NAMESPACE.to_owned(),
        ..Entry::default()
    })
}

/// What of a stored device is not as the configuration has it.
pub(super) fn difference(stored: &Entry, declared: &Declared) -> Option<&'static str> {
    if stored.kind != declared.kind {
        Some("type")
    } else if stored.description != declared.description {
        Some("description")
    } else if stored.local != declared.local {
        Some("value of local")
    } else if *stored.options.as_ref().unwrap_or(&Default::default()) != declared.options {
        Some("set of options")
    } else {
        None
    }
}
